"""IIIF manifests (Presentation API 2 and 3) as a catalogue: a row for each canvas, with its picture's address."""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from artray.catalogs.cells import AddProblem, Raw
from artray.errors import InputError

_MANIFEST, _COLLECTION = ("Manifest", "sc:Manifest"), ("Collection", "sc:Collection")
_MOST_PAGES = 10  # of a work, for which `columns.guess_mapping` takes it for one
_TAG = re.compile(r"<[^<>]*>")


def is_iiif(value: Any) -> bool:
    """Whether a document is a manifest, or a collection of such."""
    return isinstance(value, Mapping) and _type(value) in (*_MANIFEST, *_COLLECTION) and "label" in value


def canvases(documents: Sequence[tuple[int, Any]], form: str, problem: AddProblem) -> Raw:
    """The canvases of manifests, a row each.

    Columns: `id` of the canvas, `work_id` and `title` of the manifest, `page` (the canvas's label), `image_url`, and
    what both say in `metadata`, each under its label (`title (metadata)` if that is called like one of these).

    Args:
        documents: The manifests, with their places.
        form: How they were read, in words.
        problem: Takes canvases that show no picture, or several.

    Raises:
        InputError: They are collections, which only name manifests, or show no picture.
    """
    rows: list[dict[str, str | None]] = []
    none: list[int] = []
    several: list[int] = []
    for _, manifest in documents:
        if _type(manifest) in _COLLECTION:
            count = len(manifest.get("items") or manifest.get("manifests") or manifest.get("members") or [])
            raise InputError(f"is an IIIF collection, which only names {count:,} manifests: save those into a folder")
        for canvas in _canvases(manifest):
            pictures = list(_pictures(canvas))
            rows.append(
                {
                    "id": _id(canvas),
                    "work_id": _id(manifest),
                    "title": _text(manifest.get("label")),
                    "page": _text(canvas.get("label")),
                    "image_url": pictures[0] if pictures else None,
                }
            )
            said = _metadata(manifest) | _metadata(canvas)
            own_names = set(rows[-1])
            rows[-1] |= {f"{name} (metadata)" if name in own_names else name: text for name, text in said.items()}
            if len(pictures) != 1:
                (several if pictures else none).append(len(rows))
    if len(none) == len(rows):
        raise InputError(f"is an IIIF manifest, and none of its {len(rows):,} canvases shows a picture")
    problem("canvases without a picture", none)
    problem("canvases that show several pictures, the first taken", several)
    if len(rows) > _MOST_PAGES * len(documents):  # else the column is taken for the work's number by itself
        problem("many pages of one work: --split-by work_id keeps them in one part")
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = np.arange(1, len(rows) + 1, dtype=np.int64)
    return Raw(names, [[row.get(name) for row in rows] for name in names], lines, f"{form}, canvases of IIIF manifests")


def _type(value: Mapping[str, Any]) -> Any:
    return value.get("type", value.get("@type"))


def _id(value: Mapping[str, Any]) -> str | None:
    identifier = value.get("id", value.get("@id"))
    return identifier if isinstance(identifier, str) else None


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, Mapping):
            yield item


def _metadata(value: Mapping[str, Any]) -> dict[str, str]:
    """What is said under each label; where one is there several times, all of it."""
    said: dict[str, list[str]] = {}
    for item in _objects(value.get("metadata")):
        name, text = _text(item.get("label")), _text(item.get("value"))
        if name and text:
            said.setdefault(name, []).append(text)
    return {name: "|".join(dict.fromkeys(texts)) for name, texts in said.items()}


def _canvases(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "sequences" in manifest:  # version 2; further sequences are other orders of the same
        for sequence in list(_objects(manifest["sequences"]))[:1]:
            yield from _objects(sequence.get("canvases"))
    else:
        yield from _objects(manifest.get("items"))


def _pictures(canvas: Mapping[str, Any]) -> Iterator[str]:
    """The addresses of what is painted on a canvas; of a choice the first."""
    painted = [note.get("resource") for note in _objects(canvas.get("images"))]
    for page in _objects(canvas.get("items")):
        painted += [note.get("body") for note in _objects(page.get("items"))]
    for body in painted:
        for shown in list(_objects(body))[:1]:
            if _type(shown) in ("Choice", "oa:Choice"):
                shown = next(_objects(shown.get("items") or shown.get("default")), shown)
            service = next(_objects(shown.get("service")), {})
            if address := _id(shown):
                yield address
            elif address := _id(service):
                size = "full" if "@id" in service else "max"
                yield f"{address.rstrip('/')}/full/{size}/0/default.jpg"


def _text(value: Any) -> str | None:
    """A text in the first of its languages, English before others; several values joined by `|`."""
    if isinstance(value, Mapping):
        value = value.get("en", value.get("@value", next(iter(value.values()), None)))
    values = value if isinstance(value, list) else [value]
    texts = [_text(each) if isinstance(each, Mapping) else each for each in values]
    return "|".join(html.unescape(_TAG.sub("", str(text))).strip() for text in texts if text is not None) or None
