"""Croissant 1.1: a data set described so that search engines find it and `mlcroissant` reads its rows.

Source: http://mlcommons.org/croissant/1.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import artray
from artray.job import Counts
from artray.labeling.exports.dataset import TaskFile
from artray.labeling.exports.files import dumped, whole_file
from artray.labeling.exports.source import Source, utc

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""What the specification asks for: the names as they are used below and by readers."""

FIELDS = {
    "object_id": ("sc:Text", "The museum's number of the object"),
    "image_uri": ("sc:Text", "Where the picture that was labelled lies"),
    "label": ("sc:Text", "The most likely class; none where the picture could not be read"),
    "labels": ("sc:Text", "All labels of the work: that class, or where it may have several each that is sure enough"),
    "label_uri": ("sc:Text", "The class in the Getty's Art & Architecture Thesaurus, where it is known"),
    "score": ("sc:Float", "The label's score, 0 to 1, calibrated on works not trained on"),
    "decision": (
        "sc:Text",
        "label, or uncertain: the score is below the task's threshold, the work looks like none of the "
        "classes, or nothing is said",
    ),
    "model_id": ("sc:Text", "The model that gave the label"),
    "run_id": ("sc:Text", "The run that gave the label"),
    "labeled_at": ("sc:DateTime", "When the run began"),
    "status": ("sc:Text", "ok, or why the picture has no label"),
    "error": ("sc:Text", "The reader's own words where it has none"),
    "review": (
        "sc:Text",
        "accepted, corrected (another label is right), rejected (none is), or nothing",
    ),
    "reviewed_label": ("sc:Text", "The label that the reviewer gave"),
    "reviewer": ("sc:Text", "Who looked at it"),
    "reviewed_at": ("sc:Text", "When, as ISO 8601"),
    "learned_from": ("sc:Boolean", "Whether the model was made with this work, where the model says so"),
    "novelty": ("sc:Float", "How little the work looks like any of the classes, 0 to 1, where the model knows"),
}
"""Column to its type and meaning; `scores`, every class's score, is in the files only."""
ARRAYS = ("labels",)


def write_croissant(source: Source, dataset: Sequence[TaskFile], folder: Path, license: str | None) -> Counts:
    """Write `croissant.json` beside the data.

    Args:
        source: The labels.
        dataset: Their files.
        folder: Where the files lie.
        license: Of the data set.
    """
    tasks = ", ".join(item.task for item in dataset)
    models = ", ".join(dict.fromkeys(model for item in dataset for model in item.models))
    version = source.run.get("artray", artray.__version__)
    newest = max((item.labeled_at for item in dataset if item.labeled_at), default=None)
    content: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": "artray-labels",
        "description": f"Labels of a museum's pictures, given by artray's classifiers: {tasks}.",
        "version": "1.0.0",
        "keywords": ["art", "museum", "image classification", *(item.task for item in dataset)],
        "isLiveDataset": False,
        "creator": {"@type": "sc:Organization", "name": f"artray {version}"},
        "citeAs": f"Labels of {tasks} by artray {version}, models {models}",
        "distribution": [_file(item) for item in dataset],
        "recordSet": [_records(item) for item in dataset],
    }
    if newest:
        content["datePublished"] = utc(newest)
    if license:
        content["license"] = license_url(license)
    if source.base_uri:
        content["url"] = source.base_uri
    path = folder / "croissant.json"
    with whole_file(path) as scratch:
        scratch.write_text(dumped(content) + "\n", encoding="utf-8")
    return {"file": str(path), "rows": sum(item.rows for item in dataset)}


def license_url(license: str) -> str:
    """A licence as Croissant wants it: by an address where we know one."""
    return f"https://spdx.org/licenses/{license.upper()}.html" if license.startswith("cc") else license


def _file(item: TaskFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": item.file,
        "name": item.file,
        "contentUrl": item.file,
        "contentSize": f"{item.size} B",
        "encodingFormat": "application/x-parquet",
        "sha256": item.sha256,
    }


def _records(item: TaskFile) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": item.task,
        "name": item.task,
        "description": " ".join([f"One record a picture: its label of the task {item.task}.", *item.doubts]),
        "key": {"@id": f"{item.task}/object_id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{item.task}/{name}",
                "name": name,
                "description": description,
                "dataType": kind,
                **({"isArray": True, "arrayShape": "-1"} if name in ARRAYS else {}),
                "source": {"fileObject": {"@id": item.file}, "extract": {"column": name}},
            }
            for name, (kind, description) in FIELDS.items()
        ],
    }
