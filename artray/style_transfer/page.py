"""The page of a style transfer: works beside what was made of them, by strength, and how that was judged.

Static: no server, no internet, no script.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa

from artray.images.digital_source import changed_by
from artray.images.encoding import png
from artray.images.pictures import DecodeSize, Picture, read_pictures
from artray.report.sections import section, static_page, table
from artray.storage import Location, remove_written

WRITTEN = (
    r"index\.html",
    r"(page|evaluation|transfer)\.css",
    r"page/(style-\d+|\d+-(content|\d+))\.png",
)
"""The files below `OUT`, as `storage.remove_written` takes them; not the pictures."""

_WORKS = 24  # on the page
_STYLES = 6
_SIDE = DecodeSize(256, "inside")


def write_page(
    title: str,
    out: Location,
    made: pa.Table,
    originals: Mapping[str, str | None],
    styles: Sequence[str],
    *,
    scores: Mapping[str, Any],
    lead: str,
    generator: str,
) -> Location:
    """Write `index.html` and its pictures.

    Args:
        title: The heading.
        out: The job's place.
        made: Rows of `transferring.STATE`, work by work, strengths in one order.
        originals: The address of each content's picture.
        styles: Addresses of some works of the style.
        scores: As of `scores.scores_of`.
        lead: A sentence about what was done; HTML.
        generator: What made the pictures.

    Returns:
        The place of the page to open.
    """
    strengths = [row["strength"] for row in scores["strengths"]]
    rows = made.to_pylist()
    works = [rows[start : start + len(strengths)] for start in range(0, len(rows), len(strengths))]
    good = [work for work in works if all(row["image_uri"] for row in work)]
    step = max(1, -(-len(good) // _WORKS))
    shown = good[::step]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "page").mkdir()
        source = changed_by(generator)
        lines = []
        addresses = [
            uri for work in shown for uri in (originals[work[0]["content"]], *(row["image_uri"] for row in work))
        ]
        pictures = _pictures(addresses)
        for number, work in enumerate(shown):
            cells = []
            for column, told in enumerate(["as it is", *(f"strength {strength:g}" for strength in strengths)]):
                picture = next(pictures)
                if picture is None:
                    cells.append("<td></td>")
                    continue
                name = f"page/{number:02d}-{column if column else 'content'}.png"
                (folder / name).write_bytes(png(picture, source=source if column else None))
                alt = f"{work[0]['content']}, {told}"
                cells.append(f'<td><img src="{name}" alt="{escape(alt, quote=True)}" loading="lazy"></td>')
            lines.append(f'<tr><th scope="row"><bdi>{escape(work[0]["content"])}</bdi></th>{"".join(cells)}</tr>')
        swatches = []
        for number, picture in enumerate(_pictures(list(styles[:_STYLES]))):
            if picture is not None:
                name = f"page/style-{number}.png"
                (folder / name).write_bytes(png(picture))
                swatches.append(f'<li><img src="{name}" alt="A work of the style" loading="lazy"></li>')
        heads = "".join(f'<th scope="col">{head}</th>' for head in ("as it is", *(f"{one:g}" for one in strengths)))
        grid = f'<div class="scroll" tabindex="0"><table class="grid"><thead><tr><td></td>{heads}</tr></thead>'
        grid += f"<tbody>{''.join(lines)}</tbody></table></div>"
        hint = f"{len(shown):,} of {len(works):,} works." if len(shown) < len(works) else ""
        sections = [
            section("style", "Works of the style", "", f'<ul class="swatches">{"".join(swatches)}</ul>')
            if swatches
            else "",
            section("pictures", "By strength", hint, grid),
            _judged(scores),
            _failed(rows),
        ]
        for name, room in (("page", "report"), ("evaluation", "report"), ("transfer", "style_transfer")):
            text = files(f"artray.{room}").joinpath(f"{name}.css").read_text("utf-8")
            (folder / f"{name}.css").write_text(text, encoding="utf-8")
        (folder / "index.html").write_bytes(
            static_page(
                title,
                sections=sections,
                styles=["page.css", "evaluation.css", "transfer.css"],
                kind="evaluation transfer",
                eyebrow="Style transfer",
                lead=lead,
                about=f"Made by {escape(generator)}. These pictures are no works: each says so in its XMP.",
            )
        )
        remove_written(out, WRITTEN)
        out.upload(folder)
    return out / "index.html"


def _pictures(uris: Sequence[str | None]) -> Iterator[Picture | None]:
    """Pictures in their order, None where one can't be read."""
    rows = pa.table({"image_uri": pa.array(uris, pa.string())})
    for pictures_read in read_pictures(rows, [_SIDE]):
        images = dict(zip(pictures_read.readable, pictures_read.images[_SIDE], strict=True))
        yield from (images.get(row) for row in range(len(pictures_read.rows)))


_COLUMNS = {
    "style_distance_before": "style, before",
    "style_distance": "after",
    "nearer": "nearer",
    "content_distance": "content",
    "score_before": "score, before",
    "score_after": "after",
    "labelled_before": "so labelled, before",
    "labelled_after": "after",
    "changed": "other label",
}
_SHARES = {"nearer", "labelled_before", "labelled_after", "changed"}


def judged_rows(scores: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The table of scores by strength: its header, and a row a strength; figures that nobody has are left out."""
    rows = scores["strengths"]
    there = [name for name in _COLUMNS if any(row.get(name) is not None for row in rows)]
    header = ["strength", "pictures", *(_COLUMNS[name] for name in there)]
    return header, [
        [f"{row['strength']:g}", f"{row['pictures']:,}", *(_shown(name, row.get(name)) for name in there)]
        for row in rows
    ]


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0%}" if name in _SHARES else f"{value:.3f}"


def _judged(scores: Mapping[str, Any]) -> str:
    header, rows = judged_rows(scores)
    if len(header) == 2:
        return ""
    hint = []
    if scores["judge"]:
        hint.append(
            f"Style and content as {escape(scores['judge'])} sees them, by which nothing was made: how far the Gram "
            "matrices are from the style’s (0: the same), in how many pictures that fell, and how far a picture is "
            "from its work, place by place (0: the same)."
        )
    if told := scores.get("classifier"):
        of = f" of the class {escape(told['class'])}" if told["class"] else ""
        hint.append(
            f"What {escape(told['model_id'])}, trained on works, says{of}: its mean score, and how many got it."
        )
        if told["doubt"]:
            hint.append(f"Beware: {escape(told['doubt'])}.")
    return section("scores", "Judged by others", " ".join(hint), table(header, rows, 3))


def _failed(rows: Sequence[Mapping[str, Any]]) -> str:
    failed = {row["content"]: row for row in rows if row["status"] != "ok"}
    if not failed:
        return ""
    lines = [[content, row["status"], row["error"] or ""] for content, row in list(failed.items())[:50]]
    hint = f"{len(failed):,} of the works." + (" The first 50." if len(failed) > 50 else "")
    return section("failed", "Could not be read", hint, table(["work", "status", "why"], lines, 1))
