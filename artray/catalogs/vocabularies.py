"""Vocabularies by name or file: those that come with artray, YAML files, and museums' own thesauri."""

from __future__ import annotations

from artray.errors import InputError
from artray.storage import Location
from artray.vocabulary import Vocabulary, load_vocabulary, parse_vocabulary, vocabularies
from artray.vocabulary.thesaurus import SKOS, parse_thesaurus

_YAML = (".yaml", ".yml")
_THESAURI = (".csv", *SKOS)


def read_vocabulary(name: str) -> Vocabulary:
    """A vocabulary.

    Args:
        name: Of one that comes with artray, or where a file lies: YAML, CSV or SKOS.

    Raises:
        InputError: There is none, or it can't be read.
    """
    if name.lower().endswith(_THESAURI):
        return parse_thesaurus(Location.parse(name).read_bytes(), name)
    if name.lower().endswith(_YAML):
        return parse_vocabulary(Location.parse(name).read_bytes().decode(errors="replace"), name)
    if name not in vocabularies():
        raise InputError(
            f"there is no vocabulary {name!r}, but {', '.join(vocabularies())}; the name of a file must end in "
            f"{', '.join((*_YAML, *_THESAURI))}"
        )
    return load_vocabulary(name)
