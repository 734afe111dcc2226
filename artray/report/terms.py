"""Words by which the page's works can be found: which works a model that knows words finds most like each.

    data/terms.js   globalThis.artrayTerms = JSON.parse('{width, terms: [text], vectors, works, places}')

    width    numbers of a vector
    vectors  of the terms, signed bytes (terms × width) in base64, each vector scaled to its largest number
    works    of the works that have an embedding, likewise (places × width)
    places   which works these are, by their place on the page

The browser compares a word with every work by the cosine. A byte for a number is enough: a cosine is off by some
thousandths. The file is loaded when somebody looks for a word, and not before.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Terms:
    """What the page is given.

    Attributes:
        terms: The words.
        vectors: (terms, d) of them.
        object_ids: Works with an embedding of the same model.
        works: (object_ids, d) of these.
    """

    terms: Sequence[str]
    vectors: Vectors
    object_ids: Sequence[str]
    works: Vectors

    def as_json(self, place_of: dict[str, int]) -> dict[str, Any]:
        """The contents of the file.

        Args:
            place_of: The place of each work that is on the page, by its object_id.
        """
        rows = [row for row, name in enumerate(self.object_ids) if name in place_of]
        return {
            "width": int(self.vectors.shape[1]),
            "terms": list(self.terms),
            "vectors": packed(self.vectors),
            "works": packed(self.works[rows]),
            "places": [place_of[self.object_ids[row]] for row in rows],
        }


def as_bytes(vectors: Vectors) -> npt.NDArray[np.int8]:
    """Vectors as signed bytes, each scaled so that its largest number is 127: their directions stay, roughly."""
    largest = np.abs(vectors).max(axis=1, keepdims=True) if vectors.size else np.ones((len(vectors), 1))
    return np.asarray(np.rint(vectors * (127 / np.where(largest > 0, largest, 1))), np.int8)


def packed(vectors: Vectors) -> str:
    """The same in base64."""
    return base64.b64encode(as_bytes(vectors).tobytes()).decode("ascii")
