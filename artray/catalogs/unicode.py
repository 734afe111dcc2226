"""Unicode's normal form of many strings, letters without accents, and what a table of UTF-8 can hold."""

import unicodedata
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

_Text = TypeVar("_Text", str, str | None)


def as_utf8(text: _Text) -> _Text:
    """Text with `?` for what UTF-8, and so a table, can't hold: half a surrogate pair, as JSON's escapes can write."""
    return text and text.encode("utf-8", "replace").decode()


def composed(value: Any) -> Any:
    """What a user says, texts in lists and mappings too, in the form NFC, which a catalogue's names have."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, dict):
        return {composed(key): composed(item) for key, item in value.items()}
    return [composed(item) for item in value] if isinstance(value, list) else value


def without_accents(text: str) -> str:
    """A text's letters, taken apart (NFKD), without what stands above, below or through them.

    >>> without_accents("Déco №")
    'Deco No'
    """
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def nfc(strings: pa.Array) -> pa.Array:
    """Strings in Unicode's form NFC, in which `ü` is one character; null stays null.

    Not by Arrow's `utf8_normalize`: before pyarrow 26 its NFC was NFD.
    """
    other = pc.fill_null(pc.invert(pc.string_is_ascii(strings)), False)
    if not pc.any(other, min_count=0).as_py():
        return strings
    normal = [unicodedata.normalize("NFC", string) for string in strings.filter(other).to_pylist()]
    return pc.replace_with_mask(strings, other, pa.array(normal, strings.type))
