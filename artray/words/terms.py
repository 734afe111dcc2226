"""Words that a page can be searched by: each with its vector, made once where keras-hub is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from artray.errors import InputError
from artray.features.columns import matrix
from artray.storage import Location, explained, list_column
from artray.words.prompts import PLACE

if TYPE_CHECKING:
    from artray.models.hub import HubBackbone  # with Keras comes TensorFlow

TEMPLATES = (PLACE, f"a painting of {PLACE}")
_KEY = "artray"
_BLOCK = 256

Vectors = npt.NDArray[np.float32]


def read_words(file: Location) -> list[str]:
    """The words of a text file, one a line; empty lines and those that begin with `#` are left out.

    Raises:
        InputError: It can't be read, is no text, or has no words.
    """
    try:
        lines = file.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: must be text in UTF-8, a word a line") from error
    words = [word for word in map(str.strip, lines) if word and not word.startswith("#")]
    if not words:
        raise InputError(f"{file}: has no words; one a line is wanted")
    return list(dict.fromkeys(words))


def word_vectors(backbone: HubBackbone, words: Sequence[str], templates: Sequence[str] = TEMPLATES) -> Vectors:
    """(words, d), each of length 1: the mean over templates of what the backbone makes of the texts."""
    vectors = []
    for start in range(0, len(words), _BLOCK):
        some = words[start : start + _BLOCK]
        texts = [template.replace(PLACE, word) for word in some for template in templates]
        each = backbone.text_embeddings(texts).reshape(len(some), len(templates), -1).mean(axis=1)
        vectors.append(each / np.linalg.norm(each, axis=1, keepdims=True))
    return np.asarray(np.concatenate(vectors), np.float32)


def write_terms(file: Location, words: Sequence[str], vectors: Vectors, notes: dict[str, Any]) -> None:
    """Words with their vectors, as Parquet: `term` and `embedding`, and in its metadata what made them."""
    table = pa.table({"term": pa.array(words, pa.string()), "embedding": list_column(vectors)})
    file.write_table(table.replace_schema_metadata({_KEY: json.dumps(notes)}))


def read_terms(file: Location) -> tuple[list[str], Vectors, dict[str, Any]]:
    """Words, their vectors (words, d), and what made them.

    Raises:
        InputError: It is no such file.
    """
    wrong = InputError(f"{file}: not words of prepare-backbone --words: it has no columns term and embedding")
    fs, path = file.arrow_filesystem()
    with explained(file):
        try:
            with fs.open_input_file(path) as source:
                table = pq.read_table(source)
        except pa.ArrowInvalid as error:
            raise wrong from error
    if not {"term", "embedding"} <= set(table.column_names) or not len(table):
        raise wrong
    notes = json.loads((table.schema.metadata or {}).get(_KEY.encode(), b"{}"))
    return table["term"].to_pylist(), matrix(table["embedding"], "embedding"), notes
