"""A film as one SVG: a strip of its frames, its cuts, and below them a curve for each task, all on one axis of time.

Colours are classes of `chart.css`, which a page links and a file of its own carries within. Texts are escaped here.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from artray.film.curves import Scores
from artray.film.timeline import Curve

COLOURS = 10

_WIDTH, _LEFT, _RIGHT = 1200, 44, 16
_PLOT = _WIDTH - _LEFT - _RIGHT
_PANEL, _HEAD, _LINE = 150, 34, 20
_GAP = 18
_CUTS = 12
_POINTS = 1100  # of a curve: more than pixels would only make the file larger
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_NAME = 28  # characters of a class's name


@dataclass(frozen=True, slots=True)
class Still:
    """A frame of the strip.

    Attributes:
        second: When it is seen.
        data: A small JPEG.
        href: The frame itself; empty: no link.
    """

    second: float
    data: bytes
    href: str = ""


def film_chart(
    title: str,
    duration: float,
    seconds: npt.NDArray[np.float64],
    curves: Sequence[Curve],
    *,
    cuts: Sequence[float] = (),
    damaged: Sequence[tuple[float, float]] = (),
    strip: Sequence[Still] = (),
    aspect: float = 16 / 9,
    style: str = "",
) -> str:
    """The chart.

    Args:
        title: What a reader who does not see it is told.
        duration: Of the film, in seconds.
        seconds: The moments of the curves, (n,).
        curves: One panel each.
        cuts: Seconds.
        damaged: Stretches in which nothing can be seen, from second to second.
        strip: Frames, evenly over the film.
        aspect: A frame's width by its height.
        style: CSS that the file carries; empty where a page links it.
    """
    span = max(duration, 1e-3)

    def across(second: float) -> float:
        return _LEFT + _PLOT * min(max(second / span, 0), 1)

    pieces: list[str] = []
    down = 0.0
    if strip:
        slot = _PLOT / len(strip)
        high = min(slot / aspect, 120.0)
        pieces += _strip(strip, slot, high)
        down += high + 4
    top = down
    body: list[str] = []
    down += _CUTS
    for curve in curves:
        down = _panel(body, curve, seconds, down, across)
    bottom = down
    for begin, end in damaged:
        wide = max(across(end) - across(begin), 1.5)
        pieces.append(
            f'<rect class="damaged" x="{across(begin):.1f}" y="{top:.1f}" width="{wide:.1f}" '
            f'height="{bottom - top:.1f}"><title>{clock(begin)}–{clock(end)}: can’t be seen</title></rect>'
        )
    pieces += [
        f'<path class="cut" d="M{across(cut):.1f},{top:.1f}v{_CUTS - 2}"><title>cut at {clock(cut)}</title></path>'
        for cut in cuts
    ]
    pieces += body
    for second in _ticks(span):
        anchor = "start" if second == 0 else "middle"
        pieces.append(
            f'<text class="tick" x="{across(second):.1f}" y="{bottom + 16:.1f}" text-anchor="{anchor}">'
            f"{clock(second)}</text>"
        )
    height = bottom + 24
    role = "group" if any(still.href for still in strip) else "img"  # of an image links are not told
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="film-chart" viewBox="0 0 {_WIDTH} {height:.0f}" role="{role}" '
        f'aria-label="{escape(title)}" width="{_WIDTH}" height="{height:.0f}">'
    )
    return head + (f"<style>{style}</style>" if style else "") + "".join(pieces) + "</svg>"


def clock(second: float) -> str:
    """A moment as people write it.

    Example:
        >>> clock(75), clock(3723.5)
        ('1:15', '1:02:03.5')
    """
    tenths = round(second * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest // 10:02d}" + (f".{rest % 10}" if rest % 10 else "")
    return f"{hours}:{minutes:02d}:{text}" if hours else f"{minutes}:{text}"


def _strip(strip: Sequence[Still], slot: float, high: float) -> Iterator[str]:
    for number, still in enumerate(strip):
        x = _LEFT + number * slot
        image = (
            f'<image x="{x:.1f}" y="0" width="{slot - 2:.1f}" height="{high:.1f}" preserveAspectRatio="xMidYMid slice" '
            f'href="data:image/jpeg;base64,{base64.b64encode(still.data).decode()}"><title>{clock(still.second)}'
            "</title></image>"
        )
        yield f'<a href="{escape(still.href)}">{image}</a>' if still.href else image


def _panel(
    pieces: list[str],
    curve: Curve,
    seconds: npt.NDArray[np.float64],
    down: float,
    across: Callable[[float], float],
) -> float:
    """A task's curves, added to the parts; where the panel ends."""
    top = down + _HEAD
    pieces.append(f'<text class="task" x="{_LEFT}" y="{down + 24:.1f}">{escape(curve.task)}</text>')
    single = curve.exclusive and len(curve.classes) == 2
    order = _shown(curve)
    if not single:
        top = _legend(pieces, curve, order, top, len(curve.task))
    base = top + _PANEL

    def line(values: npt.NDArray[np.float64], at: npt.NDArray[np.float64]) -> str:
        drawn, begun = [], False
        for second, value in zip(at.tolist(), values.tolist(), strict=True):
            if value == value:  # not NaN
                drawn.append(f"{'L' if begun else 'M'}{across(second):.1f},{base - value * _PANEL:.1f}")
            begun = value == value
        return "".join(drawn)

    for value, name in ((0, "0"), (0.5, "0.5"), (1, "1")):
        y = base - value * _PANEL
        pieces.append(f'<path class="grid-line" d="M{_LEFT},{y:.1f}H{_LEFT + _PLOT}"/>')
        pieces.append(f'<text class="tick" x="{_LEFT - 7}" y="{y:.1f}" dy=".32em" text-anchor="end">{name}</text>')
    at, means = _points(seconds, curve.smoothed)
    raw_at, raw = _points(seconds, curve.scores)
    if single:
        values = means[:, 0]
        middle = base - 0.5 * _PANEL
        crossed_at, crossed = _with_crossings(at, values, 0.5)
        for colour, side in ((0, np.maximum(crossed, 0.5)), (1, np.minimum(crossed, 0.5))):
            for area in _areas(side):
                edge = line(side[area], crossed_at[area])
                begin, end = across(crossed_at[area.start]), across(crossed_at[area.stop - 1])
                back = f"L{end:.1f},{middle:.1f}L{begin:.1f},{middle:.1f}Z"
                pieces.append(f'<path class="area s{colour}" d="{edge}{back}"/>')
        pieces.append(f'<path class="raw" d="{line(raw[:, 0], raw_at)}"/>')
        pieces.append(f'<path class="line" d="{line(values, at)}"/>')
        for name, y, colour in ((curve.classes[0], top + 14, 0), (curve.classes[1], base - 6, 1)):
            pieces.append(f'<text class="pole s{colour}" x="{_LEFT + 6}" y="{y:.1f}">{escape(_short(name))}</text>')
    else:
        for colour, number in enumerate(order):
            name = escape(curve.classes[number])
            if len(order) <= 4:
                pieces.append(f'<path class="raw s{colour}" d="{line(raw[:, number], raw_at)}"/>')
            pieces.append(f'<path class="line s{colour}" d="{line(means[:, number], at)}"><title>{name}</title></path>')
    return base + _GAP


def _shown(curve: Curve) -> list[int]:
    """The classes that are drawn, in the model's order: all, or of many those that rise highest."""
    if len(curve.classes) <= COLOURS:
        return list(range(len(curve.classes)))
    highest = np.nan_to_num(curve.smoothed).max(axis=0, initial=0)
    return sorted(np.argsort(-highest, kind="stable")[:COLOURS].tolist())


def _legend(pieces: list[str], curve: Curve, order: Sequence[int], top: float, title: int) -> float:
    """The classes' names with their colours, right of the task's; where the panel may begin."""
    x, y = _LEFT + 24 + 10.5 * title, top - 10
    names = [_short(curve.classes[number]) for number in order]
    if len(order) < len(curve.classes):
        names.append(f"and {len(curve.classes) - len(order)} more")
    for colour, name in enumerate(names):
        wide = 34 + 7 * len(name)
        if x + wide > _WIDTH and x > _LEFT:
            x, y = _LEFT, y + _LINE
        if colour < len(order):
            pieces.append(f'<path class="key s{colour}" d="M{x:.1f},{y - 4:.1f}h16"/>')
        pieces.append(f'<text class="tick" x="{x + 21:.1f}" y="{y:.1f}">{escape(name)}</text>')
        x += wide
    return y + 10


def _areas(values: npt.NDArray[np.float64]) -> list[slice]:
    """Stretches of known values."""
    known = np.concatenate([[False], ~np.isnan(values), [False]])
    edges = np.flatnonzero(np.diff(known.astype(int)))
    return [slice(begin, end) for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)]


def _with_crossings(
    at: npt.NDArray[np.float64], values: npt.NDArray[np.float64], level: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The points of a line and those in which it crosses a level."""
    first, then = values[:-1] - level, values[1:] - level
    crossing = np.flatnonzero(first * then < 0)
    share = first[crossing] / (first[crossing] - then[crossing])
    between = at[crossing] + share * (at[crossing + 1] - at[crossing])
    return np.insert(at, crossing + 1, between), np.insert(values, crossing + 1, level)


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _ticks(span: float) -> list[float]:
    step = next((step for step in _STEPS if span / step <= 12), 28_800)
    return [float(second) for second in range(0, int(span) + 1, step)]


def _points(seconds: npt.NDArray[np.float64], values: Scores) -> tuple[npt.NDArray[np.float64], Scores]:
    """No more points than can be told apart: the means of equal numbers of neighbours."""
    step = -(-len(seconds) // _POINTS)
    if step <= 1:
        return seconds, values
    edges = np.arange(0, len(seconds), step)
    counts = np.add.reduceat(~np.isnan(values), edges, axis=0)
    sums = np.add.reduceat(np.nan_to_num(values), edges, axis=0)
    sizes = np.diff(np.append(edges, len(seconds)))
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return np.add.reduceat(seconds, edges) / sizes, means
