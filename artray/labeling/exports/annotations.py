"""W3C Web Annotations: a collection and its pages, as JSON-LD files that lie side by side.

    collection.json       AnnotationCollection: how many, the first page and the last
    page-000001.json …    AnnotationPage: at most `PAGE` annotations

A label is an annotation on its picture: on the IIIF canvas or image where the feature table has a column for it (a name
with `canvas` or `iiif` in it), else on the picture's address. Its motivation is `tagging`; of an uncertain label it is
`questioning`. Of several labels of a work each is one; where none is sure enough to be said, the most likely is
questioned. The body names the concept (AAT) and the label as text. A detected object is an annotation on a region
of the picture. `score` is ITS 2.0's confidence. Pictures without a label have no annotation.

What somebody said of a label is an annotation of its own, with the motivation `assessing`: its creator is the person,
its generator artray, its bodies the label that is right and what the person decided (accepted, corrected, rejected).
Where only accepted labels go out, these are the only ones.

Sources: Web Annotation Data Model (https://www.w3.org/TR/annotation-model/), Media Fragments (region).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

import artray
from artray.job import Counts
from artray.labeling.exports.files import dumped, whole_files
from artray.labeling.exports.source import BATCH, UNCERTAIN, LabelledTask, Lookup, Source, iri, rebatched, shortest, utc

PAGE = 5_000
CONTEXT = [
    "http://www.w3.org/ns/anno.jsonld",
    {
        "score": {
            "@id": "http://www.w3.org/2005/11/its/rdf#taConfidence",
            "@type": "http://www.w3.org/2001/XMLSchema#double",
        }
    },
]
_COLUMNS = ("object_id", "image_uri", "label", "label_uri", "score", "model_id", "labeled_at")
_SEVERAL = ("labels", "scores")  # read only where there may be several labels: scores of all classes are many

Annotation = dict[str, Any]


def write_annotations(source: Source, folder: Path, *, least_score: float = 0.5) -> Counts:
    """Write the collection into a folder, over an older one.

    Args:
        source: The labels; objects with their boxes are taken from the column `objects` of its features.
        folder: Its other files stay.
        least_score: Detected objects with a lower score are left out.
    """
    total = pages = 0
    counted = {"labels": 0, "objects": 0}

    def count(kind: str, annotations: Iterable[Annotation]) -> Iterator[Annotation]:
        for annotation in annotations:
            counted[kind] += 1
            yield annotation

    def both() -> Iterator[Annotation]:
        targets = source.lookup(source.column("canvas", "iiif"))
        for task in source.tasks:
            yield from count("labels", _labels(source, task, targets))
        if not any(task.only_accepted for task in source.tasks):
            yield from count("objects", _objects(source, least_score))

    with whole_files(folder, [r"collection\.json", r"page-\d{6,}\.json"]) as scratch:
        annotations = both()
        items = list(islice(annotations, PAGE))
        while items or not pages:
            following = list(islice(annotations, PAGE))
            pages += 1
            page = {
                "@context": CONTEXT,
                "id": _page(source, pages),
                "type": "AnnotationPage",
                "partOf": _collection(source),
                "startIndex": total,
                **({"prev": _page(source, pages - 1)} if pages > 1 else {}),
                **({"next": _page(source, pages + 1)} if following else {}),
            }
            with (scratch / f"page-{pages:06d}.json").open("w", encoding="utf-8") as file:
                # An annotation a line: the file can be read by people and by tools for lines.
                lines = ",\n".join(map(dumped, items))
                file.write(f'{dumped(page)[:-1]}, "items": [\n{lines}\n]}}\n')
            total += len(items)
            items = following
        collection = {
            "@context": CONTEXT,
            "id": _collection(source),
            "type": "AnnotationCollection",
            "label": f"Labels by artray: {', '.join(task.name for task in source.tasks)}",
            "total": total,
            "first": _page(source, 1),
            "last": _page(source, pages),
        }
        (scratch / "collection.json").write_text(dumped(collection) + "\n", encoding="utf-8")
    return {"file": str(folder / "collection.json"), "rows": total, "pages": pages, **counted}


def _collection(source: Source) -> str:
    return f"{source.base_uri}/annotations/collection.json" if source.base_uri else "collection.json"


def _page(source: Source, number: int) -> str:
    """Relative to the file it stands in where there is no base: the pages find each other wherever they lie."""
    name = f"page-{number:06d}.json"
    return f"{source.base_uri}/annotations/{name}" if source.base_uri else name


def _labels(source: Source, task: LabelledTask, targets: Lookup | None) -> Iterator[Annotation]:
    for table in task.batches((*_COLUMNS, *_SEVERAL) if task.multilabel else _COLUMNS):
        table = table.filter(pc.is_valid(table["label"]))
        canvases = targets.of(table["object_id"]) if targets else [None] * len(table)
        for row, canvas in zip(table.to_pylist(), canvases, strict=True):
            uncertain = row["decision"] == UNCERTAIN
            if row["review"]:
                yield _assessment(source, task, row, _target(canvas, row["image_uri"]))
            for said in () if task.only_accepted else task.said(row):
                body = [_tag(said.label)]
                uris = [uri for uri in (said.uri, *task.elsewhere(said.label)) if uri]
                body += [{"type": "SpecificResource", "source": uri, "purpose": "classifying"} for uri in uris]
                name = f"{task.name}/{row['object_id']}"
                yield {
                    "id": source.uri("annotation", f"{name}/{said.label}" if task.multilabel else name),
                    "type": "Annotation",
                    "motivation": "questioning" if uncertain else "tagging",
                    "created": utc(row["labeled_at"]),
                    "generator": _software(source, row["model_id"]),
                    **({} if said.score is None else {"score": shortest(said.score)}),
                    "body": body,
                    "target": _target(canvas, row["image_uri"]),
                }


def _assessment(source: Source, task: LabelledTask, row: Annotation, target: str) -> Annotation:
    """What somebody said of a work's label."""
    given = row["reviewed_label"]
    body = [_tag(name) for name in task.several(given)] if given is not None else []
    decided = {"type": "TextualBody", "value": row["review"], "format": "text/plain", "purpose": "assessing"}
    person = {"id": source.person(row["reviewer"]), "type": "Person"}
    return {
        "id": source.uri("annotation", f"{task.name}/{row['object_id']}/review"),
        "type": "Annotation",
        "motivation": "assessing",
        **({"created": row["reviewed_at"]} if row["reviewed_at"] else {}),
        "creator": {**person, "name": row["reviewer"]} if row["reviewer"] else person,
        "generator": _software(source, row["model_id"]),
        "body": [*body, decided],
        "target": target,
    }


def _tag(label: str) -> Annotation:
    return {"type": "TextualBody", "value": label, "format": "text/plain", "purpose": "tagging"}


def _objects(source: Source, least_score: float) -> Iterator[Annotation]:
    """The objects of the feature table, each on its region."""
    if source.features is None or "objects" not in source.features.schema.names:
        return
    canvas = source.column("canvas", "iiif")
    columns = list(dict.fromkeys(["object_id", "image_uri", "objects", *([canvas] if canvas else [])]))
    for table in rebatched(source.features.to_batches(columns=columns, batch_size=BATCH), BATCH):
        for row in table.filter(pc.is_valid(table["objects"])).to_pylist():
            for number, item in enumerate(row["objects"]):
                if item["score"] < least_score:
                    break  # they stand surest first
                yield {
                    "id": source.uri("annotation", f"objects/{row['object_id']}/{number}"),
                    "type": "Annotation",
                    "motivation": "tagging",
                    "generator": _software(source, "objects"),
                    "score": shortest(item["score"]),
                    "body": [
                        {
                            "type": "TextualBody",
                            "value": item["label"],
                            "format": "text/plain",
                            "language": "en",
                            "purpose": "tagging",
                        }
                    ],
                    "target": {
                        "type": "SpecificResource",
                        "source": _target(row[canvas] if canvas else None, row["image_uri"]),
                        "selector": {
                            "type": "FragmentSelector",
                            "conformsTo": "http://www.w3.org/TR/media-frags/",
                            "value": _region(item),
                        },
                    },
                }


def _region(item: dict[str, Any]) -> str:
    left, right = (min(max(item[name], 0.0), 1.0) for name in ("xmin", "xmax"))
    top, bottom = (min(max(item[name], 0.0), 1.0) for name in ("ymin", "ymax"))
    return "xywh=percent:" + ",".join(f"{100 * value:.4g}" for value in (left, top, right - left, bottom - top))


def _target(canvas: str | None, image_uri: str) -> str:
    return iri(canvas if canvas and canvas.startswith(("http://", "https://")) else image_uri)


def _software(source: Source, model_id: str) -> Annotation:
    return {
        "id": source.uri("model", model_id),
        "type": "Software",
        "name": f"artray {source.run.get('artray', artray.__version__)}, {model_id}",
    }
