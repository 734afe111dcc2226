"""artray labels a museum's image collection, as batch jobs on Ray.

The walk of the data is a package a station: `artray.ingest` (pictures and records), `artray.features` and
`artray.patches` (numbers and squares cut from pictures), `artray.classifiers` and `artray.gans` (Keras models on Ray
Train), `artray.labeling` (labels as Parquet) and `artray.report` (pages for people). Below them lie the trades that
they share: `artray.storage`, `images`, `catalogs`, `models`, `bundles` and `engine`.

For programs and notebooks there are `open_collection`, `read_labels`, `load_bundle`, `embed`, `extract` and `run`; each
is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from artray.api.collections import Collection, open_collection, read_labels
    from artray.api.extraction import embed, extract
    from artray.api.prediction import Classifier, load_bundle
    from artray.api.stations import options, run
    from artray.errors import ArtrayError, InputError

__version__ = "0.1.0"

__all__ = [
    "ArtrayError",
    "Classifier",
    "Collection",
    "InputError",
    "embed",
    "extract",
    "load_bundle",
    "open_collection",
    "options",
    "read_labels",
    "run",
]

_PLACES = {
    "artray.api.collections": ("Collection", "open_collection", "read_labels"),
    "artray.api.extraction": ("embed", "extract"),
    "artray.api.prediction": ("Classifier", "load_bundle"),
    "artray.api.stations": ("options", "run"),
    "artray.errors": ("ArtrayError", "InputError"),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'artray' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
