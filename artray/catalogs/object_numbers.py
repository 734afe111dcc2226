"""Numbers of works as museums and spreadsheets write them: `1,234`, `1985.20.15a-c`, `/90402/RP_P_1`."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.name_keys import Indices, any_true

_THOUSANDS = r"^[0-9]{1,3}(?:[,.'’\s\x{a0}\x{202f}][0-9]{3})+$"
_PARTS = r"^(?P<base>.*[0-9])(?P<first>[a-z])[_ ]*[-–—/][_ ]*(?P<last>[a-z])$"


def other_forms(ids: pa.Array) -> Iterator[tuple[str, pa.Array]]:
    """Other forms in which a column's ids may name pictures, where all ids are of one kind; each with a way's name."""
    if len(ids) == ids.null_count:
        return
    if pc.all(pc.match_substring_regex(ids, r"^[0-9]+[.,]0$")).as_py():
        # Numbers that a program took for decimal fractions.
        yield "id, whole number", pc.replace_substring_regex(ids, "[.,]0$", "")
    marked = pc.match_substring_regex(ids, _THOUSANDS)
    if any_true(marked) and pc.all(pc.or_(marked, pc.match_substring_regex(ids, "^[0-9]{1,3}$"))).as_py():
        yield "id, without marks of thousands", pc.replace_substring_regex(ids, "[^0-9]", "")
    if pc.all(pc.match_substring_regex(ids, "^/.*[^/]$")).as_py():  # Europeana's
        yield "id, its last part", pc.replace_substring_regex(ids, "^.*/", "")
    elif pc.all(pc.match_substring_regex(ids, "^(?i:ark|urn|hdl|doi|oai|info):.*[^/:]$")).as_py():  # ark:/12148/btv1b5
        yield "id, its last part", pc.replace_substring_regex(ids, "^.*[/:]", "")


def parts_of_sets(ids: pa.Array) -> tuple[Indices, pa.Array]:
    """The parts of sets that have one number: `1985.20.15a-c` is 1985.20.15a, 1985.20.15b and 1985.20.15c.

    Args:
        ids: In small letters.

    Returns:
        The place of each part's set among the ids, and its number.
    """
    at = np.flatnonzero(pc.fill_null(pc.match_substring_regex(ids, _PARTS), False).to_numpy(zero_copy_only=False))
    sets = pc.extract_regex(ids.take(pa.array(at)), _PARTS).to_pylist()
    rows: list[int] = []
    numbers: list[str] = []
    for row, of_set in zip(at.tolist(), sets, strict=True):
        letters = [chr(code) for code in range(ord(of_set["first"]), ord(of_set["last"]) + 1)]
        rows += [row] * len(letters)
        numbers += [of_set["base"] + letter for letter in letters]
    return np.array(rows, np.int64), pa.array(numbers, ids.type)
