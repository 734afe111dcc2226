"""The page of one task's agreement: how far people agree, who does not, on which classes and on which works.

One static page a task, `agreement-TASK.html`, with its pictures in a folder of that name, made as the pages of
evaluations are (see `artray.report.evaluation`): no server, no internet, no script, and strangers' names are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.agreement.annotators import Judgement
from artray.agreement.figures import Agreement, Figure, Figures, by_kappa, not_counted
from artray.images.encoding import jpeg
from artray.images.pictures import DecodeSize, read_pictures
from artray.report.charts import COLOURS, Cell, heat_map, square
from artray.report.sections import section, static_page, table
from artray.storage import Location, remove_written

WORKS = 24
_NAMES = 40  # rows of a square
_ROWS = 200  # of the table of annotators
_THUMBNAIL = 360
_LEVELS = {"nominal": "labels are alike or not", "ordinal": "labels are ranks", "interval": "labels are numbers"}


def write_page(out: Location, told: Figures, manifest: pa.Table | None, least: float) -> Location:
    """Write a task's page, over an older one if there is one.

    Args:
        out: The folder.
        told: Its figures.
        manifest: `object_id`, `image_uri` and, where it is known, `title`, of works to be shown with their pictures.
        least: From which kappa on an annotator is consistent.

    Returns:
        The page.
    """
    annotations = told.annotations
    name = f"agreement-{annotations.task}"
    for room, style in (
        ("artray.report", "page.css"),
        ("artray.report", "evaluation.css"),
        ("artray.agreement", "agreement.css"),
    ):
        (out / style).write_bytes(files(room).joinpath(style).read_bytes())
    works = most_disagreed(told, WORKS)
    titles, pictures = _pictures([annotations.objects[work] for work in works], out, name, manifest)
    sections = [
        _figures(told),
        _annotators(told, least),
        _pairs(told),
        _classes(told),
        _confusion(told),
        _works(told, works, titles, None if manifest is None else pictures),
        _left_out(told),
    ]
    page = static_page(
        annotations.task,
        sections=sections,
        styles=("page.css", "evaluation.css", "agreement.css"),
        kind="evaluation agreement",
        eyebrow="How far people agree",
        lead=_lead(told),
        about=f"{len(annotations.label):,} labels, of each annotator the first of a work.",
        suffix=": agreement",
    )
    file = out / f"{name}.html"
    file.write_bytes(page)
    return file


def most_disagreed(told: Figures, most: int) -> list[int]:
    """The works that people disagree on most, as places in `objects`; of equals those with more annotations first."""
    apart, sizes = told.consensus.disagreement, told.consensus.votes.sum(axis=1)
    known = np.flatnonzero(np.nan_to_num(apart) > 0)
    order = np.lexsort((known, -sizes[known], -apart[known]))
    return [int(work) for work in known[order][:most]]


def _lead(told: Figures) -> str:
    annotations, level = told.annotations, told.annotations.level
    sentences = [
        f"{len(annotations.annotators):,} people labelled {len(annotations.objects):,} works. "
        + _alpha(told.all.alpha[level])
    ]
    consistent = sum(one.consistent for one in told.judgements)
    if told.consistent is not None:
        sentences.append(
            f"{consistent:,} of them label consistently; among these alpha is {_strong(told.consistent.alpha[level])}."
        )
    elif consistent == len(annotations.annotators):
        sentences.append("All of them label consistently.")
    elif consistent >= 2:
        sentences.append(f"{consistent:,} of them label consistently; they have no work in common.")
    else:
        sentences.append("No two of them label consistently, so all are taken together.")
    return " ".join(sentences)


def _alpha(figure: Figure) -> str:
    return f"Krippendorff's alpha is {_strong(figure)}, where 0 would be chance and 1 full agreement."


def _strong(figure: Figure) -> str:
    told = f"<strong>{_number(figure.value)}</strong>"
    return told + (f" (95 % interval {_range(figure)})" if figure.interval else "")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _range(figure: Figure) -> str:
    return _bounds(figure.interval)


def _bounds(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else f"{_number(bounds[0])} to {_number(bounds[1])}"


def _figures(told: Figures) -> str:
    groups: list[tuple[str, Agreement]] = [("all annotators", told.all)]
    if told.consistent is not None:
        groups.append(("consistent ones", told.consistent))
    header = ["", *(cell for name, _ in groups for cell in (name, "95 %"))]
    rows = []
    for level in told.all.alpha:
        figures = [group.alpha[level] for _, group in groups]
        rows.append([f"Krippendorff's alpha ({_LEVELS[level]})", *_cells(figures)])
    rows.append(["Fleiss' kappa", *_cells([group.fleiss for _, group in groups])])
    for what, numbers in (
        ("annotators", [group.annotators for _, group in groups]),
        ("works with two labels or more", [group.works for _, group in groups]),
        ("labels of them", [group.annotations for _, group in groups]),
    ):
        rows.append([what, *(cell for number in numbers for cell in (f"{number:,}", ""))])
    hint = "Intervals by drawing the works again."
    return section("figures", "Agreement", hint, f'<div class="numbers">{table(header, rows, 1, (2, 4))}</div>')


def _cells(figures: Sequence[Figure]) -> list[str]:
    return [cell for figure in figures for cell in (_number(figure.value), _range(figure))]


def _annotators(told: Figures, least: float) -> str:
    has_gold = any(one.gold for one in told.judgements)
    has_repeats = any(one.repeats for one in told.judgements)
    header = ["annotator", "", "kappa", "95 %", "alike", "works in common"]
    header += ["gold works", "right", "kappa to gold"] if has_gold else []
    header += ["labelled twice", "alike"] if has_repeats else []
    ordered = by_kappa(told.judgements)
    rows = []
    for one in ordered[:_ROWS]:
        row = [one.name, _verdict(one, least), _number(one.kappa), _bounds(one.interval), _share(one.share)]
        row.append(f"{one.works:,}")
        row += (
            [f"{one.gold:,}" if one.gold else "", _share(one.gold_share), _number(one.gold_kappa)] if has_gold else []
        )
        row += [f"{one.repeats:,}" if one.repeats else "", _share(one.repeats_share)] if has_repeats else []
        rows.append(row)
    hint = (
        "Kappa: how often another annotator gives the same work the same label, beyond chance. Whoever agreed least "
        f"left first, and the others were measured again without them, until all had a kappa of {least:g} or more."
    )
    if has_gold:
        hint += " Whoever labelled enough gold works is judged by these."
    if len(ordered) > _ROWS:
        hint += f" Shown are {_ROWS} of {len(ordered):,}; all are in annotators.csv."
    return section("annotators", "Who labels consistently", hint, table(header, rows, 2, (3,)))


def _verdict(one: Judgement, least: float) -> str:
    if one.consistent:
        return "consistent"
    return {
        "others": f"below {least:g}",
        "gold": f"below {least:g} on gold works",
        "repeats": "differs from themself",
        "too few works": "too few works",
    }[one.judged_by]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _pairs(told: Figures) -> str:
    annotations, two = told.annotations, told.pairs
    order = [one.name for one in by_kappa(told.judgements)][:_NAMES]
    if len(order) < 2:
        return ""
    index = {name: at for at, name in enumerate(order)}
    cells: list[list[Cell | None]] = [[None] * len(order) for _ in order]
    for at in range(len(two.works)):
        first, second = annotations.annotators[two.first[at]], annotations.annotators[two.second[at]]
        if first in index and second in index and np.isfinite(two.weighted[at]):
            value = float(two.weighted[at])
            told_in_words = f"{first} and {second}: kappa {_number(value)} ({two.works[at]:,} works in common"
            told_in_words += f", 95 % {_bounds(two.intervals[at])})" if two.intervals[at] else ")"
            for row, column in ((first, second), (second, first)):
                cells[index[row]][index[column]] = Cell(told_in_words, _number(value), min(1.0, max(0.0, value)))
    weighted = "" if annotations.level == "nominal" else "weighted "
    hint = (
        f"Cohen's {weighted}kappa of every two annotators, in the order of the table above. The darker, the more alike."
    )
    if len(told.judgements) > _NAMES:
        hint += f" Shown are {_NAMES} of {len(told.judgements):,}; all pairs are in pairs.csv."
    chart = square("Kappa of pairs", cells, order, "annotator", "annotator")
    return section("pairs", "Who agrees with whom", hint, _wide(chart))


def _wide(chart: str) -> str:
    return f'<div class="charts"><figure class="wide">{chart}</figure></div>'


def _classes(told: Figures) -> str:
    groups = [("alpha, all", told.all)]
    if told.consistent is not None:
        groups.append(("alpha, consistent", told.consistent))
    given = np.bincount(told.annotations.label, minlength=len(told.annotations.classes))
    header = ["class", "labels", *(cell for name, _ in groups for cell in (name, "95 %"))]
    rows = [
        [name, f"{given[at]:,}", *_cells([group.classes[name] for _, group in groups])]
        for at, name in enumerate(told.annotations.classes)
    ]
    hint = "Each class against all others: where alpha is low, people mean different things by it."
    numbers = f'<div class="numbers">{table(header, rows, 2 * len(groups), (3, 5))}</div>'
    return section("classes", "Which classes are clear", hint, numbers)


def _confusion(told: Figures) -> str:
    sums = told.confusion.sum(axis=1)
    shown = np.sort(np.argsort(-sums, kind="stable")[:_NAMES])
    shown = shown[sums[shown] > 0]
    if not len(shown):
        return ""
    matrix = told.confusion[np.ix_(shown, shown)].round().astype(int).tolist()
    names = [told.annotations.classes[at] for at in shown]
    hint = "Rows: a label that one annotator gave. Columns: what others gave to the same works; each label counts once."
    if told.used.sum() < len(told.used):
        hint += f" Of the {told.used.sum():,} consistent annotators."
    if len(shown) < (sums > 0).sum():
        hint += f" Shown are the {len(shown)} most frequent of {(sums > 0).sum():,}."
    chart = heat_map("Labels of one work", matrix, names, "one says", "others say")
    return section("confusion", "What one calls so, another calls …", hint, _wide(chart))


def _pictures(
    works: Sequence[str], out: Location, name: str, manifest: pa.Table | None
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """What works are called, and the files with their pictures, by object_id."""
    remove_written(out / name, [r"\d{3,}\.jpg"])
    if manifest is None or not works:
        return {}, {}
    shown = manifest.filter(pc.is_in(manifest["object_id"], pa.array(works, pa.string())))
    titles = {}
    if "title" in shown.column_names:
        both = zip(shown["object_id"].to_pylist(), shown["title"].to_pylist(), strict=True)
        titles = {object_id: title for object_id, title in both if title}
    size = DecodeSize(_THUMBNAIL, "inside")
    pictures: dict[str, str] = {}
    for batch in read_pictures(shown.select(["object_id", "image_uri"]), [size]):
        ids = batch.rows["object_id"].to_pylist()
        for row, picture in zip(batch.readable, batch.images[size], strict=True):
            path = f"{name}/{len(pictures):03d}.jpg"  # numbered: an object_id may hold anything
            (out / path).write_bytes(jpeg(picture, quality=82))
            pictures[ids[row]] = path
    return titles, pictures


def _works(told: Figures, works: Sequence[int], titles: Mapping[str, str], pictures: Mapping[str, str] | None) -> str:
    if not works:
        return section("works", "Works that people disagree on", "There is none.")
    items = []
    for work in works:
        name = told.annotations.objects[work]
        picture = ""
        if pictures is not None:
            shown = f'<img src="{escape(pictures[name])}" alt="" loading="lazy">' if name in pictures else ""
            picture = f'<div class="pair">{shown or "<p>no picture</p>"}</div>'
        items.append(
            f'<li>{picture}<div class="text"><p class="name" dir="auto">{escape(titles.get(name, name))}</p>'
            f"{_votes(told, work)}{_said(told, work)}</div></li>"
        )
    hint = "First those about which any two people differ most often."
    if told.used.sum() < len(told.used):
        hint += " Only the consistent annotators count."
    return section("works", "Works that people disagree on most", hint, f'<ul class="errors">{"".join(items)}</ul>')


def _votes(told: Figures, work: int) -> str:
    votes = told.consensus.votes[work]
    order = [int(at) for at in np.argsort(-votes, kind="stable") if votes[at]]
    bars, entries, left = [], [], 0.0
    for at in order:
        width = 100 * float(votes[at]) / float(votes.sum())
        colour, name = f"s{at % COLOURS}", told.annotations.classes[at]
        bars.append(f'<rect class="{colour}" x="{left:.2f}" y="0" width="{width:.2f}" height="1"/>')
        entries.append(f'<li><span class="key {colour}"></span><bdi>{escape(name)}</bdi> {votes[at]:,}</li>')
        left += width
    bar = f'<svg class="votes" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">{"".join(bars)}</svg>'
    return f'{bar}<ul class="said-by">{"".join(entries)}</ul>'


def _said(told: Figures, work: int) -> str:
    annotations, consensus = told.annotations, told.consensus
    if annotations.gold[work] >= 0:
        return f'<p class="verdict">known to be <bdi>{escape(annotations.classes[annotations.gold[work]])}</bdi></p>'
    if consensus.label[work] < 0:
        return '<p class="verdict">no label has most votes</p>'
    label = annotations.classes[consensus.label[work]]
    if consensus.label[work] == consensus.majority[work]:
        return f'<p class="verdict">taken as <bdi>{escape(label)}</bdi></p>'
    sure = consensus.model.classes[work].max()
    told_by = f"by Dawid and Skene's model ({sure:.0%})"
    return f'<p class="verdict">taken as <bdi>{escape(label)}</bdi>, {told_by}</p>'


def _left_out(told: Figures) -> str:
    """What does not count, in words."""
    lines = not_counted(told)
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return section("left-out", "What does not count", "", f'<ul class="left-out">{items}</ul>')
