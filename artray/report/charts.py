"""Small charts as SVG text: a matrix, curves, bars. They need no style attributes, which the page's policy forbids.

Colours are classes (`s0` … `s9` for series, see `evaluation.css`), so a chart follows the page into the dark. Texts
are escaped here: names of classes come from strangers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = 10

_WIDTH, _HEIGHT = 440, 330
_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 14, 14, 44
_NAME = 24  # characters of a class's name that are shown


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart.

    Attributes:
        name: As in the legend.
        points: (x, y); None breaks the line.
        colour: Which of the `COLOURS`; more begin again.
        marked: Whether points are marked too.
        dashed: For what is there to compare with.
    """

    name: str
    points: Sequence[tuple[float, float] | None]
    colour: int = 0
    marked: bool = False
    dashed: bool = False


def line_chart(
    title: str,
    series: Sequence[Series],
    x: str,
    y: str,
    *,
    x_range: tuple[float, float] = (0, 1),
    y_range: tuple[float, float] = (0, 1),
    bars: Sequence[float] = (),
) -> str:
    """Lines on two axes.

    Args:
        title: What a reader who does not see the chart is told.
        series: The lines; those with a name other than "" are in the legend below.
        x: The horizontal axis' name.
        y: The vertical axis' name.
        x_range: Its first and last value.
        y_range: Likewise.
        bars: Heights, 0..1 of the chart, of bars of equal width behind the lines.
    """
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def point_at(point: tuple[float, float]) -> str:
        across = (point[0] - x_range[0]) / ((x_range[1] - x_range[0]) or 1)
        up = (point[1] - y_range[0]) / ((y_range[1] - y_range[0]) or 1)
        return f"{_LEFT + across * width:.1f},{_TOP + (1 - up) * height:.1f}"

    pieces = [_begin(title, _WIDTH, _HEIGHT)]
    for number, bar in enumerate(bars):
        wide = width / len(bars)
        pieces.append(
            f'<rect class="bar" x="{_LEFT + number * wide + 1:.1f}" y="{_TOP + (1 - bar) * height:.1f}" '
            f'width="{wide - 2:.1f}" height="{bar * height:.1f}"/>'
        )
    for value in _ticks(*x_range):
        at = point_at((value, y_range[0])).split(",")[0]
        pieces.append(f'<path class="grid-line" d="M{at},{_TOP}V{_TOP + height}"/>')
        pieces.append(f'<text class="tick" x="{at}" y="{_TOP + height + 16}" text-anchor="middle">{value:g}</text>')
    for value in _ticks(*y_range):
        at = point_at((x_range[0], value)).split(",")[1]
        pieces.append(f'<path class="grid-line" d="M{_LEFT},{at}H{_LEFT + width}"/>')
        pieces.append(f'<text class="tick" x="{_LEFT - 7}" y="{at}" dy=".32em" text-anchor="end">{value:g}</text>')
    pieces.append(
        f'<text class="axis" x="{_LEFT + width / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>'
    )
    pieces.append(
        f'<text class="axis" transform="translate(13 {_TOP + height / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y)}</text>"
    )
    for line in series:
        colour = f"s{line.colour % COLOURS}{' dashed' if line.dashed else ''}"
        drawn, begun = [], False
        for point in line.points:
            if point is not None:
                drawn.append(f"{'L' if begun else 'M'}{point_at(point)}")
            begun = point is not None
        pieces.append(f'<path class="line {colour}" d="{"".join(drawn)}"><title>{escape(line.name)}</title></path>')
        if line.marked:
            for point in filter(None, line.points):
                across, up = point_at(point).split(",")
                pieces.append(f'<circle class="mark {colour}" cx="{across}" cy="{up}" r="3"/>')
    pieces.append("</svg>")
    named = [line for line in series if line.name]
    items = [
        f'<li><span class="key s{line.colour % COLOURS}"></span><bdi>{escape(line.name)}</bdi></li>' for line in named
    ]
    return "".join(pieces) + (f'<ul class="legend">{"".join(items)}</ul>' if items else "")


def band(title: str, low: float, high: float, value: float, other: float) -> str:
    """A share with its interval on a line from none to all, and a mark for another to compare with.

    Args:
        title: What a reader who does not see the chart is told.
        low: Where the interval begins, 0..1.
        high: Where it ends.
        value: The share.
        other: The other.
    """
    left, right = 4.0, 396.0
    low_x, high_x, value_x, other_x = (left + (right - left) * share for share in (low, high, value, other))
    labels = ((left, "0 %", "start"), ((left + right) / 2, "50 %", "middle"), (right, "100 %", "end"))
    pieces = [
        _begin(title, 400, 46),
        f'<rect class="rail" x="{left}" y="12" width="{right - left}" height="10" rx="5"/>',
        f'<rect class="interval" x="{low_x:.1f}" y="9" width="{max(2.0, high_x - low_x):.1f}" height="16" rx="4"/>',
        f'<rect class="here" x="{value_x - 1.5:.1f}" y="5" width="3" height="24"/>',
        f'<rect class="simple" x="{other_x - 1:.1f}" y="2" width="2" height="30"/>',
        *(f'<text class="tick" x="{x}" y="43" text-anchor="{anchor}">{text}</text>' for x, text, anchor in labels),
        "</svg>",
    ]
    return "".join(pieces)


def heat_map(
    title: str,
    matrix: Sequence[Sequence[int]],
    names: Sequence[str],
    rows: str,
    columns: str,
    *,
    links: Sequence[Sequence[str]] | None = None,
) -> str:
    """A square matrix of counts, each cell shaded by its share of the row; the diagonal is outlined.

    Args:
        title: What a reader who does not see the chart is told.
        matrix: Counts.
        names: Of the rows and of the columns.
        rows: What the rows are.
        columns: What the columns are.
        links: Where each cell leads that has a count; None: nowhere.
    """
    cells = []
    for row, counts in enumerate(matrix):
        total = max(sum(counts), 1)
        cells.append(
            [
                Cell(
                    f"{names[row]}, {columns} {names[column]}: {count} ({count / total:.0%})",
                    str(count) if count else "",
                    count / total,
                    outlined=row == column,
                    link=links[row][column] if links and count else None,
                )
                for column, count in enumerate(counts)
            ]
        )
    return square(title, cells, names, rows, columns)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a square.

    Attributes:
        told: What it says in words.
        text: What stands in it, if there is room.
        shade: How dark it is, 0..1.
        outlined: Whether it has a frame.
        link: Where it leads, or None.
    """

    told: str
    text: str
    shade: float
    outlined: bool = False
    link: str | None = None


def square(title: str, cells: Sequence[Sequence[Cell | None]], names: Sequence[str], rows: str, columns: str) -> str:
    """A square of shaded cells.

    Args:
        title: What a reader who does not see the chart is told.
        cells: By row; None leaves a gap.
        names: Of the rows and of the columns.
        rows: What the rows are.
        columns: What the columns are.
    """
    cell = max(14.0, min(58.0, 560 / len(names)))
    shown = [name if len(name) <= _NAME else f"{name[: _NAME - 1]}…" for name in names]
    room = 20 + 7.2 * max(map(len, shown))
    turn = 7.2 * max(map(len, shown)) > cell - 4
    left, top = 22 + room, 22 + (room if turn else 24)
    size = cell * len(names)
    is_led = any(item is not None and item.link for line in cells for item in line)
    pieces = [_begin(title, left + size + 8, top + size + 8, "group" if is_led else "img")]
    pieces.append(f'<text class="axis" x="{left}" y="14">{escape(columns)}</text>')
    pieces.append(f'<text class="axis" transform="translate(14 {top + size:.1f}) rotate(-90)">{escape(rows)}</text>')
    for number, (name, short) in enumerate(zip(names, shown, strict=True)):
        middle = (number + 0.5) * cell
        full = f"<title>{escape(name)}</title>{escape(short)}"
        pieces.append(
            f'<text class="tick" x="{left - 7:.1f}" y="{top + middle:.1f}" dy=".32em" text-anchor="end">{full}</text>'
        )
        turned = (
            f'transform="translate({left + middle:.1f} {top - 7:.1f}) rotate(-90)" dy=".32em"'
            if turn
            else f'x="{left + middle:.1f}" y="{top - 7:.1f}" text-anchor="middle"'
        )
        pieces.append(f'<text class="tick" {turned}>{full}</text>')
    for row, line in enumerate(cells):
        for column, item in enumerate(line):
            if item is None:
                continue
            x, y = left + column * cell, top + row * cell
            box = f'x="{x:.1f}" y="{y:.1f}" width="{cell - 2:.1f}" height="{cell - 2:.1f}"'
            if item.link:
                pieces.append(f'<a href="{escape(item.link)}" aria-label="{escape(item.told)}">')
            pieces.append(
                f'<g><title>{escape(item.told)}</title><rect class="cell" {box}/>'
                f'<rect class="heat{" right" if item.outlined else ""}" {box} '
                f'fill-opacity="{0.85 * item.shade:.3f}"/>'
            )
            if cell >= 26 and item.text:
                pieces.append(
                    f'<text class="count{" strong" if item.shade > 0.65 else ""}" x="{x + cell / 2 - 1:.1f}" '
                    f'y="{y + cell / 2 - 1:.1f}" dy=".32em" text-anchor="middle">{escape(item.text)}</text>'
                )
            pieces.append("</g></a>" if item.link else "</g>")
    pieces.append("</svg>")
    return "".join(pieces)


def _begin(title: str, width: float, height: float, role: str = "img") -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="{role}" aria-label="{escape(title)}" '
        f'width="{width:g}" height="{height:g}">'
    )


def _ticks(first: float, last: float) -> list[float]:
    """Round values from first to last, four to eight of them."""
    span = last - first
    if span <= 0:
        return [first]
    power = 10.0 ** len(str(int(span))) if span >= 1 else 1.0
    while span / power < 2:
        power /= 10
    step = next(power * share for share in (2, 1, 0.5, 0.2, 0.1) if span / (power * share) >= 4)
    start = -(-first // step)
    return [round((start + number) * step, 10) for number in range(int((last - start * step) / step + 1e-9) + 1)]
