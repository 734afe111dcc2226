"""The page of a comparison: figures side by side, what lies between any two models, and works on which they differ.

One static page, `comparison.html`, made as the pages of evaluations are (see `artray.report.evaluation`): no server, no
internet, no script, and strangers' names are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

import pyarrow as pa

from artray.classifiers.metrics import thinned
from artray.comparison.chance import ChanceTest
from artray.comparison.differences import Breakdown, Records, differing
from artray.comparison.results import BY_GROUPS, BY_WORKS, FIGURES, Figure, Interval, Pair, Results
from artray.comparison.subjects import Works
from artray.comparison.words import FIGURE_NAMES, few_groups, p_text, part_text, verdict
from artray.images.encoding import jpeg
from artray.images.pictures import DecodeSize, read_pictures
from artray.report.charts import COLOURS, Series, line_chart
from artray.report.sections import section, static_page, table
from artray.storage import Location, remove_written

WORKS = 24
_CLASSES = 12  # curves of as many
_ROWS = 40  # of a breakdown
_THUMBNAIL = 360


def write_page(out: Location, told: Results, broken_down: Sequence[Breakdown], records: Records) -> Location:
    """Write the page, over an older one if there is one.

    Args:
        out: The folder.
        told: What came out.
        broken_down: Accuracies by artist, decade, ….
        records: What is known of the works.

    Returns:
        The page.
    """
    for style in ("page.css", "evaluation.css"):
        (out / style).write_bytes(files("artray.report").joinpath(style).read_bytes())
    (out / "comparison.css").write_bytes(files("artray.comparison").joinpath("comparison.css").read_bytes())
    works = told.works
    apart = differing(works)
    pictures = _pictures(works, [int(at) for at in apart[:WORKS]], out)
    task = works.subjects[0].bundle.task
    page = static_page(
        task,
        sections=[
            _figures(told),
            _pairs(told),
            _chance(told),
            _curves(told),
            _calibration(told),
            _classes(told),
            *_breakdowns(broken_down, [model.name for model in told.models]),
            _works(told, apart.tolist(), pictures, records),
        ],
        styles=("page.css", "evaluation.css", "comparison.css"),
        kind="evaluation comparison",
        eyebrow="Models compared",
        lead=_lead(told),
        about=escape("; ".join(f"{model.name}: {model.model_id}" for model in told.models)),
        suffix=": comparison",
    )
    file = out / "comparison.html"
    file.write_bytes(page)
    return file


def _lead(told: Results) -> str:
    sentences = [
        f"{len(told.models)} models on the same {len(told.works):,} works, {escape(part_text(told.works.part))}."
    ]
    sentences += [escape(verdict(pair, told.works.grouped)) for pair in told.pairs[:3]]
    if len(told.pairs) > 3:
        sentences.append("The others are below.")
    return " ".join(sentences)


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def _bounds(interval: Interval | None) -> str:
    if interval is None or None in interval:
        return ""
    return f"{_number(interval[0])} to {_number(interval[1])}"


def _figures(told: Results) -> str:
    grouped = told.works.grouped
    header = ["", "learned from"]
    header += [FIGURE_NAMES[FIGURES[0]], "95 %, works", *(["95 %, groups"] if grouped else [])]
    for name in FIGURES[1:]:
        header += [FIGURE_NAMES[name], f"95 %, {BY_GROUPS if grouped else BY_WORKS}"]
    header += ["ROC area", "calibration error"]
    rows = []
    for model in told.models:
        row = [model.name, f"{model.learned_from:,}"]
        first = model.figures[FIGURES[0]]
        row += [_number(first.value), *(_bounds(interval) for interval in first.intervals.values())]
        for name in FIGURES[1:]:
            row += [_number(model.figures[name].value), _bounds(_widest(model.figures[name], grouped))]
        rows.append([*row, _number(model.macro_roc_auc), _number(model.calibration_error)])
    hint = (
        f"Intervals by drawing the works again {told.resamples:,} times, the same works for all models"
        + (
            f"; and by drawing whole groups ({told.groups:,} of them, as the split kept them together), which holds "
            "for new artists"
            if grouped
            else ""
        )
        + f". Always giving the same label would be right for {told.majority_share:.0%}."
    )
    if note := few_groups(told):
        hint += f" {escape(note)}"
    quiet = [at for at, name in enumerate(header) if name.startswith("95 %")]
    return section("figures", "Figures", hint, table(header, rows, 2, quiet))


def _pairs(told: Results) -> str:
    if not told.pairs:
        return ""
    grouped = told.works.grouped
    header = ["", "accuracy", "95 %, works"]
    header += ["95 %, groups"] if grouped else []
    header += ["right alone", "McNemar p", "Holm"]
    header += ["groups p", "Holm"] if grouped else []
    header += ["odds", "95 %", "balanced", "95 %, " + (BY_GROUPS if grouped else BY_WORKS)]
    rows = [_pair(pair, grouped) for pair in told.pairs]
    hint = (
        "First minus second. Right alone: works that only the first, and only the second, has right; the odds are one "
        "divided by the other. McNemar's test is exact and takes works for independent of each other. "
    )
    if grouped:
        hint += "The test by groups swaps the two models for whole groups: it is the one to go by. "
    if len(told.pairs) > 1:
        hint += f"Holm: corrected, since {len(told.pairs)} pairs are looked at. "
    hint += "A large p is no proof that two models are alike: look at the interval."
    return section("pairs", "Between any two", hint, table(header, rows, 1, (2, 3) if grouped else (2,)))


def _pair(pair: Pair, grouped: bool) -> list[str]:
    accuracy, balanced = pair.differences["accuracy"], pair.differences["balanced_accuracy"]
    test = pair.mcnemar
    ends = "" if not test.first + test.second else f"{test.interval[0]:.2f} to " + _end(test.interval[1])
    row = [f"{pair.first} − {pair.second}", _number(accuracy.value), _bounds(accuracy.intervals[BY_WORKS])]
    row += [_bounds(accuracy.intervals[BY_GROUPS])] if grouped else []
    row += [f"{test.first} : {test.second}", p_text(test.p), p_text(pair.mcnemar_holm)]
    if grouped and pair.groups_p is not None and pair.groups_holm is not None:
        row += [p_text(pair.groups_p), p_text(pair.groups_holm)]
    return [*row, _number(test.odds, 2), ends, _number(balanced.value), _bounds(_widest(balanced, grouped))]


def _end(value: float | None) -> str:
    return "∞" if value is None else f"{value:.2f}"


def _widest(figure: Figure, grouped: bool) -> Interval:
    return figure.intervals[BY_GROUPS if grouped else BY_WORKS]


def _chance(told: Results) -> str:
    header = ["", "balanced accuracy", "p, works", "p, groups as a whole", "p, within groups", "expected within groups"]
    rows = [[model.name, *_chance_row(model.chance)] for model in told.models]
    movable = told.models[0].chance.movable
    hint = "True labels change places at random, and what the models said stays: how often is chance as good? "
    hint += (
        f"Within groups only {movable:,} of the works can change places, those in groups of two labels or more."
        if movable
        else "No group has works of two labels, so nothing can be said of what a model knows beyond the group."
        if told.works.grouped
        else ""
    )
    return section("chance", "Better than chance?", hint, table(header, rows, 1))


def _chance_row(test: ChanceTest) -> list[str]:
    return [
        _number(test.value),
        p_text(test.works),
        *("–" if p is None else p_text(p) for p in (test.blocks, test.within)),
        _number(test.expected),
    ]


def _curves(told: Results) -> str:
    classes = told.works.classes
    shown = [] if len(classes) < 3 and not told.works.multilabel else classes[:_CLASSES]
    charts = [("All classes together", {model.name: model.roc for model in told.models})]
    charts += [(name, {model.name: model.rocs[name] for model in told.models}) for name in shown]
    figures = []
    for title, curves in charts:
        series = [
            Series(name, thinned(points), number % COLOURS)
            for number, (name, points) in enumerate(curves.items())
            if points is not None
        ]
        if series:
            series.append(Series("", [(0.0, 0.0), (1.0, 1.0)], dashed=True))
            chart = line_chart(f"ROC, {title}", series, "false positive rate", "true positive rate")
            figures.append(f"<figure><figcaption>{escape(title)}</figcaption>{chart}</figure>")
    hint = "" if len(shown) == len(classes) or not shown else f"The first {_CLASSES} of {len(classes)} classes."
    return section("curves", "ROC curves", hint, f'<div class="charts">{"".join(figures)}</div>') if figures else ""


def _calibration(told: Results) -> str:
    series = [Series("", [(0.0, 0.0), (1.0, 1.0)], dashed=True)]
    for number, model in enumerate(told.models):
        points = [(bin["confidence"], bin["accuracy"]) for bin in model.calibration if bin["n"]]
        series.append(Series(model.name, points, number % COLOURS, marked=True))
    chart = line_chart("Calibration", series, "score", "share that is right")
    hint = "Of works with a score of .8, eight of ten should be right: on the dashed line scores mean what they say."
    return section("calibration", "What a score means", hint, f'<div class="charts"><figure>{chart}</figure></div>')


def _classes(told: Results) -> str:
    header = ["class", "works"]
    for model in told.models:
        header += [f"F1, {model.name}", "ROC area"]
    rows = []
    for name in told.works.classes:
        row = [name, f"{told.models[0].per_class[name]['support']:,}"]
        for model in told.models:
            row += [_number(model.per_class[name]["f1"]), _number(model.per_class[name]["roc_auc"])]
        rows.append(row)
    return section("classes", "Per class", "", table(header, rows, 0, range(3, len(header), 2)))


def _breakdowns(rows: Sequence[Breakdown], names: Sequence[str]) -> list[str]:
    sections: list[str] = []
    for column in dict.fromkeys(row.column for row in rows):
        rows_of_column = [row for row in rows if row.column == column]
        header = [column, "works"]
        for name in names:
            header += [f"accuracy, {name}", "95 %"]
        cells = []
        for row in rows_of_column[:_ROWS]:
            cell = [row.value, f"{row.n:,}"]
            for accuracy, (low, high) in zip(row.accuracy, row.intervals, strict=True):
                cell += [_number(accuracy), _bounds((low, high))]
            cells.append(cell)
        more = (
            f" The {_ROWS} with most works of {len(rows_of_column):,}: breakdown.csv has all."
            if len(rows_of_column) > _ROWS
            else ""
        )
        hint = f"Few works tell little: look at the intervals (Clopper and Pearson).{more}"
        sections.append(
            section(
                f"by-{len(sections)}", f"By {escape(column)}", hint, table(header, cells, 1, range(3, len(header), 2))
            )
        )
    return sections


def _pictures(works: Works, rows: Sequence[int], out: Location) -> Mapping[str, str]:
    """The files with works' pictures, by object_id."""
    remove_written(out / "comparison", [r"\d{3,}\.jpg"])
    shown = pa.table(
        {
            "object_id": pa.array([works.object_ids[row] for row in rows], pa.string()),
            "image_uri": pa.array([works.image_uris[row] for row in rows], pa.string()),
        }
    )
    size = DecodeSize(_THUMBNAIL, "inside")
    pictures: dict[str, str] = {}
    for batch in read_pictures(shown, [size]):
        ids = batch.rows["object_id"].to_pylist()
        for row, picture in zip(batch.readable, batch.images[size], strict=True):
            path = f"comparison/{len(pictures):03d}.jpg"  # numbered: an object_id may hold anything
            (out / path).write_bytes(jpeg(picture, quality=82))
            pictures[ids[row]] = path
    return pictures


def _works(told: Results, apart: Sequence[int], pictures: Mapping[str, str], records: Records) -> str:
    works = told.works
    if len(told.models) < 2:
        return ""
    if not apart:
        return section("works", "Works on which they differ", "There is none: all models say the same.")
    true, said = works.labels(works.true), [works.labels(given) for given in works.given]
    titles = records.columns.get("title")
    items = []
    for row in apart[:WORKS]:
        name = works.object_ids[row]
        shown = f'<img src="{escape(pictures[name])}" alt="" loading="lazy">' if name in pictures else ""
        title = (titles[row] if titles else None) or name
        lines = []
        for at, model in enumerate(told.models):
            right = bool(works.right[at][row])
            score = "" if works.multilabel else f" {works.scores[at][row, works.given[at][row]]:.0%}"
            lines.append(
                f'<li class="{"right" if right else "wrong"}"><span class="who"><bdi>{escape(model.name)}</bdi></span> '
                f"{'✓' if right else '✗'} <bdi>{escape(said[at][row] or 'nothing')}</bdi>{score}</li>"
            )
        items.append(
            f'<li><div class="pair">{shown or "<p>no picture</p>"}</div><div class="text">'
            f'<p class="name" dir="auto">{escape(title)}</p><p>is <bdi>{escape(true[row] or "nothing")}</bdi></p>'
            f'<ul class="answers">{"".join(lines)}</ul></div></li>'
        )
    hint = (
        f"{len(apart):,} of {len(works):,} works; first those that some have right, and of these where one is surest "
        "and wrong."
    )
    if len(apart) > WORKS:
        hint += f" The first {WORKS} are shown; differences.csv has all."
    return section("works", "Works on which they differ", hint, f'<ul class="errors">{"".join(items)}</ul>')
