"""Names of pictures as they are compared, whole columns at a time."""

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.columns import IMAGE_SUFFIX
from artray.catalogs.garbled import ENTITY, UNSEEN, without_entities
from artray.catalogs.unicode import nfc

_YEAR = "^(1[0-9]|20)[0-9]{2}$"
_WIDE = r"[\x{3000}\x{ff01}-\x{ff5e}]"  # letters, digits and marks as East Asian programs write them
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}

Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def strings(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return array.cast(pa.large_string())  # a million paths and their keys can pass 2 GiB


def flags(values: pa.Array) -> Flags:
    """Booleans, False for null."""
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), bool)


def any_true(values: pa.Array) -> bool:
    """Whether any of the booleans is true."""
    return bool(pc.any(values, min_count=0).as_py())


def equal_or_null(ours: pa.Array, theirs: pa.Array) -> Flags:
    """Where two columns are equal, or both null."""
    return flags(pc.or_kleene(pc.equal(ours, theirs), pc.and_(pc.is_null(ours), pc.is_null(theirs))))


def map_where(values: pa.Array, where: pa.Array, function: Callable[[str], str | None]) -> pa.Array:
    """Apply a Python function to the values where a condition holds."""
    where = pc.fill_null(where, False)
    if not pc.any(where, min_count=0).as_py():
        return values
    changed = pa.array([function(value) for value in values.filter(where).to_pylist()], values.type)
    return pc.replace_with_mask(values, where, changed)


def normal(paths: pa.Array) -> pa.Array:
    """Paths as they are compared: `/`, no percent-encoding, NFC, lower case, no full width, nothing unseen, no `./`."""
    keys = pc.replace_substring(paths, "\\", "/")
    keys = map_where(keys, pc.match_substring_regex(keys, "%[0-9A-Fa-f]{2}"), unquote)
    if any_true(pc.match_substring(keys, "&")):  # a catalogue's are mended, a file's may be as they were there
        keys = map_where(keys, pc.match_substring_regex(keys, ENTITY), without_entities)
    if any_true(pc.match_substring_regex(keys, _WIDE)):
        keys = map_where(keys, pc.match_substring_regex(keys, _WIDE), lambda key: key.translate(_NARROW))
    keys = pc.utf8_lower(nfc(keys))
    if any_true(pc.match_substring_regex(keys, UNSEEN)):
        keys = pc.replace_substring_regex(keys, UNSEEN, "")
    if any_true(pc.match_substring_regex(keys, r"(^|/)\.?/")):
        keys = pc.replace_substring_regex(keys, r"/(?:\.?/)+", "/")
        keys = pc.replace_substring_regex(keys, r"^\./", "")
    return keys


def repair(name: str) -> str:
    """Undo UTF-8 that was read as a DOS or Windows code page, once or twice: `Du╠Иrer` and `DuΓòá├¬rer` are `Dürer`.

    A name that is not such a case comes back as it is.
    """
    for _ in range(2):
        for encoding in ("cp437", "cp866", "cp1252", "cp850"):  # most of what 1252 makes of it, 850 reads otherwise
            try:
                sound = name.encode(encoding).decode("utf-8")
            except UnicodeError:
                continue
            if sound.isprintable():
                name = sound
                break
    return unicodedata.normalize("NFC", name)


def repaired(keys: pa.Array, originals: pa.Array) -> pa.Array:
    """The keys that there are, with those of repaired names in the place of their own."""
    foreign = pc.and_(pc.is_valid(keys), pc.fill_null(pc.invert(pc.string_is_ascii(originals)), False))
    if not pc.any(foreign, min_count=0).as_py():
        return keys
    return pc.if_else(foreign, normal(map_where(originals, foreign, repair)), keys)


def without_suffix(keys: pa.Array) -> pa.Array:
    """Names without a picture's suffix."""
    return pc.replace_substring_regex(keys, IMAGE_SUFFIX, "")


SIZE = r"(?:[-_](?:[0-9]{3,5}x[0-9]{2,5}|[0-9]{2,5}x[0-9]{3,5}|scaled)|@[234]x)$"
"""What web systems write behind the name of a copy of another size. 30x40 is a work's size in centimetres."""


def without_size(keys: pa.Array) -> pa.Array:
    """Normal names without suffix, and without the size in pixels of a smaller copy."""
    return pc.replace_substring_regex(keys, SIZE, "")


def whole_of_copies(keys: pa.Array) -> pa.Array:
    """The names of the pictures of which others name smaller copies; null for others."""
    return _where_found(keys, rf"^(.*){SIZE}", r"\1")


def last_part(keys: pa.Array) -> pa.Array:
    """Paths without their folders."""
    return pc.replace_substring_regex(keys, "^.*/", "")


def depth(keys: pa.Array) -> Indices:
    """How many folders each path has, -1 for null."""
    return np.asarray(pc.fill_null(pc.count_substring(keys, "/"), -1).to_numpy(), np.int64)


def parent(keys: pa.Array, level: int) -> pa.Array:
    """The folder that a picture lies in (level 1), the one above it (level 2) and so on; null where there is none."""
    return _where_found(keys, r"^(?:.*/)?([^/]+)" + "/[^/]+" * level + "$", r"\1")


def flat(values: pa.Array) -> pa.Array:
    """Names whose letters and numbers alone are compared: 1939/1/2 and 1939-1-2 are both 1939_1_2."""
    keys = pc.replace_substring_regex(normal(values), r"[^\pL\pN]+", "_")
    return pc.utf8_trim(keys, "_")


def tokens(stems: pa.Array) -> pa.Array:
    """Normal names as `flat` has them, but numbers with dots in them, or two hyphens, are one token: `1915·500_web`.

    What follows a dot belongs to the number: 17.3.1234 is neither a view of 17.3 nor the work 1234.
    """
    keys = stems
    if any_true(pc.match_substring_regex(keys, "[0-9]-[0-9]+-[0-9]")):
        keys = pc.replace_substring_regex(keys, "([0-9]+)-([0-9]+)-([0-9]+)", r"\1·\2·\3")
    if any_true(pc.match_substring_regex(keys, r"(^|[^0-9])\.|\.([^0-9]|$)")):
        for _ in range(2):  # each number is the end of one match and the beginning of the next
            keys = pc.replace_substring_regex(keys, r"([0-9])\.([0-9])", r"\1·\2")
    else:
        keys = pc.replace_substring(keys, ".", "·")
    return pc.utf8_trim(pc.replace_substring_regex(keys, r"[^\pL\pN·]+", "_"), "_")


def number(keys: pa.Array) -> pa.Array:
    """Of flat keys that are one number, perhaps after letters, the number without zeros in front; null for others."""
    return _where_found(keys, r"^([^0-9_]*)_?0*([0-9]+)$", r"\1\2")


def behind_prefix(keys: pa.Array, ids: pa.Array) -> pa.Array:
    """The numbers of flat keys that nearly all begin with the same letters, such as a museum's; null for others.

    Args:
        keys: Of pictures' names.
        ids: Numbers without zeros in front. Where they count from 1 without a gap, a camera's numbers may be so too,
            and say nothing.
    """
    none = pa.nulls(len(keys), keys.type)
    numbers = np.unique([int(text) for text in pc.drop_null(ids).to_pylist() if text.isdecimal() and len(text) < 16])
    split = pc.drop_null(pc.extract_regex(keys, r"^(?P<prefix>[^0-9]+?)_?0*(?P<number>[0-9]+)$"))
    if len(numbers) < 2 or not len(split) or numbers[-1] - numbers[0] < 1.2 * len(numbers):
        return none
    counts = pc.value_counts(pc.struct_field(split, "prefix")).to_pylist()
    most = max(counts, key=lambda item: item["counts"])
    if 10 * most["counts"] < 9 * (len(keys) - keys.null_count):
        return none
    return _where_found(keys, rf"^{re.escape(most['values'])}_?0*([0-9]+)$", r"\1")


def before_letter(keys: pa.Array) -> pa.Array:
    """What stands before the letter in flat keys that end in a number and a letter, as views do (15a); else null."""
    return _where_found(keys, r"^(.*[0-9])[a-z]$", r"\1")


def before_view(keys: pa.Array, ids: pa.Array) -> pa.Array:
    """The numbers before the last part of flat keys of two parts, the second of a view: 000007_01; else null.

    A year is none (1905_02), nor is any where the last parts are works' numbers as well.

    Args:
        keys: Of pictures' names.
        ids: Numbers without zeros in front.
    """
    if finds_most(number(_where_found(keys, "^[^_]+_([^_]+)$", r"\1")), ids):
        return pa.nulls(len(keys), keys.type)
    numbers = number(_where_found(keys, "^([^_]+)_[^_]+$", r"\1"))
    return pc.if_else(pc.match_substring_regex(numbers, _YEAR), pa.scalar(None, keys.type), numbers)


def may_be_chance(keys: pa.Array) -> pa.Array:
    """Whether a key says too little to be taken for an id wherever it stands: short, without a number, or a year."""
    told = pc.and_(pc.greater_equal(pc.utf8_length(keys), 4), pc.match_substring_regex(keys, "[0-9]"))
    return pc.or_(pc.invert(told), pc.match_substring_regex(keys, _YEAR))


def finds_most(names: pa.Array, keys: pa.Array) -> bool:
    """Whether nearly all of pictures' names are keys of rows, and most keys are names: no chance does that."""
    different, known = (pc.drop_null(pc.unique(values)) for values in (names, keys))
    hits = int(np.count_nonzero(flags(pc.is_in(different, value_set=known))))
    return hits > 1 and 10 * hits >= 9 * len(different) and 2 * hits >= len(known)


def _where_found(keys: pa.Array, pattern: str, replacement: str) -> pa.Array:
    """The keys in which a pattern is found, replaced; null for others."""
    fits = pc.match_substring_regex(keys, pattern)
    if not any_true(fits):
        return pa.nulls(len(keys), keys.type)
    return pc.replace_substring_regex(pc.if_else(fits, keys, pa.scalar(None, keys.type)), pattern, replacement)
