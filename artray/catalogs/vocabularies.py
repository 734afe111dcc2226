"""Vocabularies by name or file: those that come with artray, YAML files, and museums' own thesauri."""

from __future__ import annotations

from artray.storage import Location
from artray.vocabulary import Vocabulary, load_vocabulary, parse_vocabulary
from artray.vocabulary.thesaurus import SKOS, parse_thesaurus


def read_vocabulary(name: str) -> Vocabulary:
    """A vocabulary.

    Args:
        name: Of one that comes with artray, or where a file lies: YAML, CSV or SKOS.

    Raises:
        InputError: There is none, or it can't be read.
    """
    if name.lower().endswith((".csv", *SKOS)):
        return parse_thesaurus(Location.parse(name).read_bytes(), name)
    if name.endswith((".yaml", ".yml")):
        return parse_vocabulary(Location.parse(name).read_bytes().decode(errors="replace"), name)
    return load_vocabulary(name)
