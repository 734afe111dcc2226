"""Figures at print size, as SVG, PDF and PNG: told apart in grey too, fonts inside, equal bytes for equal numbers.

matplotlib draws them (`pip install 'artray[paper]'`), by its objects alone: nothing of a user's own settings is read or
changed. Colours are Okabe and Ito's, which the colour-blind can tell apart; each model also has its own line and mark.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from artray.classifiers.metrics import one_hot, roc_auc, thinned
from artray.comparison.curve import Curve
from artray.comparison.differences import DECADE, Breakdown
from artray.comparison.results import BY_GROUPS, BY_WORKS, Results
from artray.comparison.words import unseen_text

FORMATS = ("svg", "pdf", "png")
COLUMN, PAGE = 85 / 25.4, 174 / 25.4
"""Inches: the width of a journal's column, and of two."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
_MARKS = "osD^vPX"
_DPI = 300
_LEAST = 5  # works behind a point
_CELLS = 20  # of a confusion matrix in which numbers have room
_DATE = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}, "png": {"Software": None}}
_STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "svg.fonttype": "path",  # a page without the font shows it all the same
    "svg.hashsalt": "artray",
    "pdf.fonttype": 42,
    "savefig.dpi": _DPI,
    "text.parse_math": False,  # a class may be called $x$
    "figure.constrained_layout.use": True,
}


@dataclass(frozen=True)
class Drawing:
    """One figure.

    Attributes:
        name: Of its files.
        caption: What it shows; it may cite.
        files: Format → bytes.
    """

    name: str
    caption: str
    files: dict[str, bytes]


NO_MATPLOTLIB = "they need matplotlib: pip install 'artray[paper]' (--no-figures leaves them out)"


def has_matplotlib() -> bool:
    """Whether figures can be drawn."""
    return importlib.util.find_spec("matplotlib") is not None


def drawings(told: Results, broken_down: Sequence[Breakdown]) -> list[Drawing]:
    """All figures that there is something to show in; matplotlib must be there."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a name in a script that the font lacks
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        drawn = [_performance(told), *([_differences(told)] if told.pairs else []), _roc(told), _calibration(told)]
        drawn += [_confusion(told, at) for at in range(len(told.models))] + [_classes(told)]
        decades = [row for row in broken_down if row.column == DECADE and row.value != "unknown" and row.n >= _LEAST]
        return drawn + ([_decades(told, decades)] if len(decades) > 1 else [])


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(1, columns)


def _drawing(name: str, caption: str, figure: Any) -> Drawing:
    files = {}
    for kind in FORMATS:
        sink = io.BytesIO()
        figure.savefig(sink, format=kind, metadata=_DATE[kind])
        files[kind] = sink.getvalue()
    return Drawing(name, caption, files)


def _look(at: int) -> dict[str, Any]:
    """Of a model's line."""
    return {"color": COLOURS[at % len(COLOURS)], "linestyle": _LINES[at % len(_LINES)]}


def _by(told: Results) -> str:
    return BY_GROUPS if told.works.grouped else BY_WORKS


def _unit(told: Results) -> str:
    return f"whole groups ({told.groups:,})" if told.works.grouped else "works"


def _rows(axis: Any, names: Sequence[str]) -> None:
    """Names along the vertical axis, the first on top."""
    axis.set_yticks(range(len(names)), [_short(name) for name in names])
    axis.set_ylim(len(names) - 0.5, -0.5)


def _short(name: str, most: int = 24) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _interval(axis: Any, at: float, value: float | None, ends: tuple[float | None, float | None], look: int) -> None:
    low, high = ends
    colour, mark = COLOURS[look % len(COLOURS)], _MARKS[look % len(_MARKS)]
    if low is not None and high is not None:
        axis.plot([low, high], [at, at], color=colour, linewidth=1.2)
    if value is not None:
        axis.plot([value], [at], marker=mark, color=colour, markersize=4.5, linestyle="none")


def _performance(told: Results) -> Drawing:
    figure, axes = _figure(PAGE, 0.7 + 0.28 * len(told.models), 2)
    for axis, name, title in zip(
        axes, ("accuracy", "balanced_accuracy"), ("accuracy", "balanced accuracy"), strict=True
    ):
        for at, model in enumerate(told.models):
            _interval(axis, at, model.figures[name].value, model.figures[name].intervals[_by(told)], at)
        _rows(axis, [model.name for model in told.models])
        axis.set_xlabel(title)
    axes[0].axvline(told.majority_share, color="0.4", linewidth=0.8, linestyle=":")
    axes[1].tick_params(labelleft=False)
    caption = (
        f"Accuracy and balanced accuracy on {len(told.works):,} works {unseen_text(told.works.part)}, with 95 % "
        f"intervals by drawing {_unit(told)} again [@efron]. Dotted: the accuracy of always giving the same label."
    )
    return _drawing("performance", caption, figure)


def _differences(told: Results) -> Drawing:
    figure, axis = _figure(COLUMN if len(told.pairs) < 8 else PAGE, 0.7 + 0.28 * len(told.pairs))
    for at, pair in enumerate(told.pairs):
        _interval(axis, at, pair.differences["accuracy"].value, pair.differences["accuracy"].intervals[_by(told)], 4)
    axis.axvline(0, color="0.4", linewidth=0.8, linestyle=":")
    _rows(axis, [f"{_short(pair.first, 14)} − {_short(pair.second, 14)}" for pair in told.pairs])
    axis.locator_params(axis="x", nbins=5)
    axis.set_xlabel("difference of accuracies")
    caption = (
        f"Differences of accuracies, first model minus second, with 95 % intervals by drawing {_unit(told)} again, the "
        "same for both [@efron]."
    )
    return _drawing("differences", caption, figure)


def _roc(told: Results) -> Drawing:
    figure, axis = _figure(COLUMN, COLUMN)
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=0.6)
    has = one_hot(told.works.true, len(told.works.classes)).astype(bool).ravel()
    for at, model in enumerate(told.models):
        if model.roc is not None:
            points = thinned(model.roc, 400)
            area = roc_auc(has, told.works.scores[at].ravel())
            axis.plot(*zip(*points, strict=True), label=f"{_short(model.name)} ({area:.3f})", **_look(at))
    axis.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.005))
    axis.set_aspect("equal")
    axis.legend(loc="lower right")
    caption = (
        "ROC curves of all classes together, each work and class one decision; in brackets the area under the curve."
    )
    return _drawing("roc", caption, figure)


def _calibration(told: Results) -> Drawing:
    figure, axis = _figure(COLUMN, COLUMN + 0.16 * -(-len(told.models) // 2))
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=0.6)
    for at, model in enumerate(told.models):
        points = [(each["confidence"], each["accuracy"]) for each in model.calibration if each["n"] >= _LEAST]
        label = f"{_short(model.name)} ({model.calibration_error:.3f})"
        across, up = ([point[side] for point in points] for side in (0, 1))
        axis.plot(across, up, marker=_MARKS[at % len(_MARKS)], markersize=3.5, label=label, **_look(at))
    axis.set(xlabel="score", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    axis.set_aspect("equal")
    figure.legend(loc="outside upper center", ncols=2)
    caption = (
        f"Calibration: how often a label with a score is right, in 15 bins of equal width, those of {_LEAST} works or "
        "more; in brackets the expected calibration error of all [@guo]."
    )
    return _drawing("calibration", caption, figure)


def _confusion(told: Results, at: int) -> Drawing:
    model, classes = told.models[at], told.works.classes
    width = min(PAGE, max(COLUMN, 1.3 + 0.34 * len(classes)))
    figure, axis = _figure(width, width * 0.95)
    shares = [[count / max(sum(row), 1) for count in row] for row in model.confusion]
    axis.imshow(shares, cmap="Greys", vmin=0, vmax=1.15, aspect="equal")
    if len(classes) <= _CELLS:
        for row, counts in enumerate(model.confusion):
            for column, count in enumerate(counts):
                if count:
                    ink = "white" if shares[row][column] > 0.6 else "black"
                    axis.text(column, row, str(count), ha="center", va="center", fontsize=7, color=ink)
    axis.set_xticks(range(len(classes)), [_short(name, 16) for name in classes], rotation=45, ha="right")
    axis.set_yticks(range(len(classes)), [_short(name, 16) for name in classes])
    axis.set(xlabel="label given", ylabel="true class")
    for spine in axis.spines.values():
        spine.set_visible(True)
    caption = f"Confusion of classes by {model.name}: numbers of works, shaded by their share of the true class (row)."
    return _drawing(f"confusion-{at + 1}", caption, figure)


def _classes(told: Results) -> Drawing:
    classes = told.works.classes
    figure, axis = _figure(COLUMN, 0.9 + 0.24 * len(classes) + 0.14 * len(told.models))
    spread = 0.5 / max(len(told.models), 1)
    for at, model in enumerate(told.models):
        heights = [row + (at - (len(told.models) - 1) / 2) * spread for row in range(len(classes))]
        values = [model.per_class[name]["f1"] for name in classes]
        look = {"color": COLOURS[at % len(COLOURS)], "marker": _MARKS[at % len(_MARKS)]}
        axis.plot(values, heights, linestyle="none", markersize=4, label=_short(model.name), **look)
    _rows(axis, classes)
    axis.set(xlabel="F1", xlim=(0, 1.02))
    axis.grid(axis="y", color="0.9", linewidth=0.5)
    axis.set_axisbelow(True)
    if len(told.models) > 1:
        figure.legend(loc="outside upper center", ncols=min(3, len(told.models)))
    return _drawing("classes", f"F1 by class, on works {unseen_text(told.works.part)}.", figure)


def _decades(told: Results, rows: Sequence[Breakdown]) -> Drawing:
    figure, axis = _figure(PAGE, 2.3)
    spread = 0.6 / max(len(told.models), 1)
    for at, model in enumerate(told.models):
        columns = [column + (at - (len(told.models) - 1) / 2) * spread for column in range(len(rows))]
        values = [row.accuracy[at] for row in rows]
        ends = [
            [row.accuracy[at] - row.intervals[at][0] for row in rows],
            [row.intervals[at][1] - row.accuracy[at] for row in rows],
        ]
        look = {"color": COLOURS[at % len(COLOURS)], "marker": _MARKS[at % len(_MARKS)]}
        axis.errorbar(
            columns,
            values,
            yerr=ends,
            linestyle="none",
            markersize=3.5,
            elinewidth=0.8,
            label=_short(model.name),
            **look,
        )
    axis.set_xticks(range(len(rows)), [f"{row.value}\n{row.n:,}" for row in rows])
    axis.set(ylabel="accuracy", ylim=(0, 1.03), xlabel="decade, number of works")
    if len(told.models) > 1:
        figure.legend(loc="outside upper center", ncols=min(6, len(told.models)))
    return _drawing(
        "decades", f"Accuracy in decades of {_LEAST} works or more, with 95 % intervals [@clopper].", figure
    )


def curve_drawing(told: Curve) -> Drawing:
    """A learning curve with its forecast; matplotlib must be there."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure, axis = _figure(COLUMN, COLUMN * 0.75)
        works = [point.works for point in told.points]
        values = [point.accuracy for point in told.points]
        if told.forecast is not None:
            across, middle, low, high = told.forecast.T
            axis.fill_between(across, low, high, color="0.88", linewidth=0)
            axis.plot(across, middle, color="0.35", linestyle="--", linewidth=1)
        ends = [
            [max(0.0, point.accuracy - point.interval[0]) for point in told.points],  # what is rounded may be below
            [max(0.0, point.interval[1] - point.accuracy) for point in told.points],
        ]
        axis.errorbar(works, values, yerr=ends, color=COLOURS[0], marker="o", markersize=3.5, elinewidth=0.8)
        if told.needed is not None:
            axis.axhline(told.needed.target, color="0.4", linewidth=0.8, linestyle=":")
        axis.set(xlabel="labelled works", ylabel="accuracy", xlim=(0, None))
        caption = (
            "Learning curve: accuracy on the same test works by the number of labelled works learned from, with 95 % "
            "intervals. Dashed, with its 95 % band: a falling power of the number of works above a constant error, "
            "fitted to resampled points."
        )
        return _drawing("learning-curve", caption, figure)
