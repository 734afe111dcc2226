"""Unicode's normal form of many strings."""

import unicodedata

import pyarrow as pa
import pyarrow.compute as pc


def nfc(strings: pa.Array) -> pa.Array:
    """Strings in Unicode's form NFC, in which `ü` is one character; null stays null.

    Not by Arrow's `utf8_normalize`: before pyarrow 26 its NFC was NFD.
    """
    other = pc.fill_null(pc.invert(pc.string_is_ascii(strings)), False)
    if not pc.any(other, min_count=0).as_py():
        return strings
    normal = [unicodedata.normalize("NFC", string) for string in strings.filter(other).to_pylist()]
    return pc.replace_with_mask(strings, other, pa.array(normal, strings.type))
