"""The page of a generator: what it made while it learned, how that went, how good it is, and what it may have copied.

Static like the page of an evaluation: no server, no internet, no script; charts are SVG in the page.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from artray.bundles.description import read_history
from artray.bundles.generator import ANIMATION, SAMPLES, GeneratorBundle, is_scored, load_generator_bundle, read_scores
from artray.engine.grids import RESULTS
from artray.gans.latent_walks import FOLDER, STRIPS, TRUNCATIONS
from artray.gans.sampling import GeneratorModel, in_task
from artray.gans.scores import CANDIDATES, HEADER, cells, class_lines, heading, memorisation
from artray.images.digital_source import generated_by
from artray.images.encoding import png
from artray.images.pictures import DecodeSize, Picture, read_pictures
from artray.report.charts import Series, line_chart
from artray.report.sections import section, static_page, table
from artray.storage import Location, remove_written

PAGE = "page"
_FILES = "pictures"
_WRITTEN = (
    rf"{_FILES}/(epoch-\d+|nearest-\d+-(generated|work)|interpolation|arithmetic|classes|truncation|samples)\.(png|webp)",
)
_COMPARED = (rf"{_FILES}/\d{{2,}}\.png",)
_SHEETS = 6
_CURVES: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("Losses", "loss", {"generator_loss": "generator", "discriminator_loss": "discriminator"}),
    ("The discriminator's mean score", "score", {"real_score": "of works", "fake_score": "of generated pictures"}),
    (
        "Lengths of the gradients",
        "length",
        {"generator_gradient": "generator", "discriminator_gradient": "discriminator"},
    ),
    ("Diversity of the samples", "diversity", {"diversity": ""}),
)
_STRIPS = {
    "interpolation.png": "Each row: from one latent to another in even steps.",
    "arithmetic.png": "Each row: three pictures, and the first less the second plus the third.",
    "classes.png": "Each row: one latent as each of the classes, {classes}.",
    "truncation.png": "Each row: one latent, from left to right truncated at {truncations}.",
}


def gan_page(bundle: Location, out: Location | None = None) -> Location:
    """Write the page of a generator bundle, over an older one if there is one.

    Args:
        bundle: URI of the generator bundle.
        out: Folder or s3:// prefix for the page; default: `page` in the bundle.

    Returns:
        The place of the page to open.

    Raises:
        InputError: It is no generator bundle, or `out` can't be written.
    """
    about = load_generator_bundle(bundle)
    history = read_history(bundle)
    scores = read_scores(bundle) if is_scored(bundle) else None
    out = out or bundle / PAGE
    title = " · ".join(filter(None, (about.config["model"]["name"], about.config["loss"]["name"])))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sections = [
            _samples(bundle, folder),
            _learning(history),
            _scores(scores) if scores else "",
            _copies(bundle, about, scores, folder) if scores else "",
            _latent(bundle, about, folder),
        ]
        _write(folder, title, _lead(about, history, scores), sections, _about(about))
        remove_written(out, _WRITTEN)
        out.upload(folder)
    return out / "index.html"


def comparison_page(comparison: Location) -> Location:
    """Write the page of a comparison of generators, `index.html` in its folder.

    Args:
        comparison: Where `artray.gans.comparison` has written.

    Returns:
        The place of the page to open.

    Raises:
        InputError: There is no finished comparison.
    """
    rows = (comparison / RESULTS).dataset().to_table().to_pylist()
    keys = list(rows[0])[: list(rows[0]).index("fid")]
    scores = read_scores(Location(next(row["run"] for row in rows if not row["error"])))
    header = [*keys, *HEADER, "training"]
    lines = [[*(str(row[key]) for key in keys), *cells(row), _minutes(row["seconds"])] for row in rows]
    rest = [""] * (len(keys) - 1)
    lines += [[CANDIDATES[name], *rest, *cells(scores["rows"][name]), ""] for name in ("works", "mean", "noise")]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sheets = []
        for row in rows:
            told = ", ".join(str(row[key]) for key in keys)
            if row["error"]:
                sheets.append(f"<li><p>{escape(told)}: {escape(row['error'])}</p></li>")
                continue
            name = f"{len(sheets):02d}.png"
            _copy(_sheets(Location(row["run"]))[-1], folder / _FILES / name)
            run = PurePosixPath(row["run"]).name
            link = f'<a href="runs/{escape(run)}/{PAGE}/index.html">{escape(told)}</a>'
            sheets.append(_figure(f"{_FILES}/{name}", f"{link}, epoch {row['epochs']}", told))
        sections = [
            section("scores", "Scores", _reading(scores), table(header, lines, len(keys))),
            section("samples", "The same latents, after training", "", f'<ul class="sheets">{"".join(sheets)}</ul>'),
        ]
        lead = escape(f"{len(rows)} generators from the same {scores['works']:,} works.")
        _write(folder, "Generators compared", lead, sections, "")
        remove_written(comparison, _COMPARED)
        comparison.upload(folder)
    return comparison / "index.html"


def _write(folder: Path, title: str, lead: str, sections: Iterable[str], about: str) -> None:
    styles = ("page.css", "evaluation.css", "gan.css")
    for static in styles:
        (folder / static).write_bytes(files("artray.report").joinpath(static).read_bytes())
    page = static_page(
        title,
        sections=sections,
        styles=styles,
        kind="evaluation",
        eyebrow="What was generated",
        lead=lead,
        about=escape(about),
    )
    (folder / "index.html").write_bytes(page)


def _lead(about: GeneratorBundle, history: Sequence[Mapping[str, Any]], scores: Mapping[str, Any] | None) -> str:
    text = (
        f"A generator of pictures of {about.size}×{about.size} pixels, "
        f"after {len(history):,} epochs of {about.data['train']:,} works."
    )
    if about.classes:
        text += f" Its classes are {', '.join(about.classes)}."
    if about.conditions:
        text += f" Pictures can be asked for by {', '.join(condition.name for condition in about.conditions)}."
    if scores:
        text += f" {_capital(memorisation(scores))}"
    return escape(text)


def _about(about: GeneratorBundle) -> str:
    return f"Generator {about.model_id}, {about.created_at}."


def _samples(bundle: Location, folder: Path) -> str:
    sheets = _sheets(bundle)
    if not sheets:
        return ""
    last = len(sheets) - 1
    chosen = sorted({round(number * last / (_SHEETS - 1)) for number in range(_SHEETS)})
    items = []
    for number in chosen:
        name = sheets[number].name
        _copy(sheets[number], folder / _FILES / name)
        epoch = f"Epoch {int(PurePosixPath(name).stem.rsplit('-', 1)[-1])}"
        items.append(_figure(f"{_FILES}/{name}", epoch, epoch))
    if (bundle / ANIMATION).exists():
        _copy(bundle / ANIMATION, folder / _FILES / ANIMATION)
        items.append(_figure(f"{_FILES}/{ANIMATION}", "All of them, one after the other", "All epochs"))
    hint = "The pictures of the same latents as it learned."
    return section("samples", "What it made", hint, f'<ul class="sheets">{"".join(items)}</ul>')


def _sheets(bundle: Location) -> list[Location]:
    """The places of the sheets of samples, by epoch."""
    return [Location(info.uri) for info in (bundle / SAMPLES).list_files()]


def _learning(history: Sequence[Mapping[str, Any]]) -> str:
    figures = []
    for title, y, keys in _CURVES:
        series = []
        for number, (key, name) in enumerate(keys.items()):
            points = [(float(epoch["epoch"]), _finite(epoch.get(key))) for epoch in history]
            drawn = [None if value is None else (at, value) for at, value in points]
            if any(drawn):
                series.append(Series(name, drawn, number, marked=len(drawn) == 1))
        if series:
            at = [point for line in series for point in line.points if point]
            last = max(point[0] for point in at)
            low, high = min(0.0, *(point[1] for point in at)), max(0.0, *(point[1] for point in at))
            room = 0.05 * (high - low) or 1.0
            y_range = (low - room if low < 0 else 0.0, high + room if high > 0 else 0.0)
            chart = line_chart(title, series, "epoch", y, x_range=(min(1.0, last - 1), last), y_range=y_range)
            figures.append(f"<figure><figcaption>{escape(title)}</figcaption>{chart}</figure>")
    hint = "Neither loss falls for ever: each network's task is made harder by what the other learns."
    return section("learning", "How it learned", hint, f'<div class="charts">{"".join(figures)}</div>')


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _scores(scores: Mapping[str, Any]) -> str:
    rows = [[_capital(title), *cells(scores["rows"][name])] for name, title in CANDIDATES.items()]
    tables = table(["", *HEADER], rows, 0)
    if scores.get("classes"):
        tables += table(["class", "works", "compared", *HEADER], class_lines(scores), 1)
    return section("scores", "How good it is", _reading(scores), tables)


def _reading(scores: Mapping[str, Any]) -> str:
    return escape(
        f"{_capital(heading(scores))}. FID and KID: lower is better. FID is too high with so few pictures, whatever "
        "they are of: one half of the works against the other shows by how much. Precision: how many pictures look "
        "like works; recall: how much of what the works are is made; density and coverage: the same, so that single "
        "far-off pictures count for less. Last: the share of pictures that are nearer to "
        "a work than that work is to any other."
    )


def _copies(bundle: Location, about: GeneratorBundle, scores: Mapping[str, Any], folder: Path) -> str:
    """The samples most like a work, each beside it."""
    nearest = scores["nearest"]
    numbers = [item["number"] for item in nearest]
    classes = [about.classes.index(item["class"]) for item in nearest] if about.classes else None
    if about.conditions:
        classes = [item["description"] for item in nearest]
    made = in_task(_numbered, bundle, numbers, scores["seed"], classes)
    works = _works([item["image_uri"] for item in nearest], about.size)
    items = []
    for index, (item, picture, work) in enumerate(zip(nearest, made, works, strict=True)):
        shown = []
        for kind, image in (("generated", picture), ("work", work)):
            if image is not None:
                path = f"{_FILES}/nearest-{index:02d}-{kind}.png"  # numbered: an object_id may hold anything
                (folder / path).parent.mkdir(exist_ok=True)
                source = generated_by(about.model_id) if kind == "generated" else None
                (folder / path).write_bytes(png(image, source=source))
                shown.append(f'<img src="{path}" alt="{kind}" title="{kind}" loading="lazy">')
        label = f"<p>asked for as <bdi>{escape(item['class'])}</bdi></p>" if item["class"] else ""
        items.append(
            f'<li><div class="pair">{"".join(shown)}</div><div class="text">'
            f'<p class="name" dir="auto">{escape(item["object_id"])}</p>'
            f'<p class="said">distance {item["distance"]:.3f}</p>{label}</div></li>'
        )
    usual = scores["distances"]
    hint = escape(
        f"Of {scores['samples']:,} samples those most like a training work, each beside it. Distances are of the "
        f"embedding (cosine); the median of a sample to its nearest work is {usual['samples']:.3f}, that of a work to "
        f"its nearest other work {usual['works']:.3f}. {_capital(memorisation(scores))}"
    )
    return section("copies", "Does it repeat what it has seen?", hint, f'<ul class="errors">{"".join(items)}</ul>')


def _numbered(bundle: Location, numbers: Sequence[int], seed: int, classes: Sequence[int] | None) -> list[Picture]:
    return list(GeneratorModel(bundle).numbered(numbers, seed, classes))


def _works(uris: Sequence[str | None], size: int) -> list[Picture | None]:
    """Works as the networks see them; None for those that can't be read (any more)."""
    decode_size, pictures_found = DecodeSize(size), []
    for pictures in read_pictures(pa.table({"image_uri": pa.array(uris, pa.string())}), [decode_size]):
        by_row = dict(zip(pictures.readable, pictures.images[decode_size], strict=True))
        pictures_found += [by_row.get(row) for row in range(len(pictures.rows))]
    return pictures_found


def _latent(bundle: Location, about: GeneratorBundle, folder: Path) -> str:
    items = []
    for name in STRIPS:
        file = bundle / FOLDER / name
        if file.exists():
            _copy(file, folder / _FILES / name)
            truncations = ", ".join(f"{number or 'nothing'}" for number in TRUNCATIONS[about.distribution])
            text = _STRIPS[name].format(classes=", ".join(about.classes), truncations=truncations)
            items.append(_figure(f"{_FILES}/{name}", escape(text), text))
    if not items:
        return ""
    hint = "Where pictures change step by step from one to another, it has learned more than a list of them."
    return section("latent", "Between its pictures", hint, f'<ul class="sheets wide">{"".join(items)}</ul>')


def _figure(path: str, caption: str, told: str) -> str:
    """A picture with a caption, which is HTML, and what is told of it, which is text."""
    image = f'<img src="{escape(path)}" alt="{escape(told)}" loading="lazy">'
    return f"<li><figure>{image}<figcaption>{caption}</figcaption></figure></li>"


def _copy(uri: Location, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(uri.read_bytes())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _minutes(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds / 60:.1f} min"
