"""Names of files that a catalogue holds: which are not followed, and those of another machine."""

from collections.abc import Mapping
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.columns import IMAGE_SUFFIX
from artray.catalogs.name_keys import Flags, any_true, flags, map_where, normal, without_suffix

# In the order in which they are looked for; a name is refused for the first that fits.
UNUSABLE_FILE = {
    "control characters": r"[\x00-\x1f\x7f]",
    "an address, not a file": r"^[A-Za-z][A-Za-z0-9+.-]*://",
    "absolute": r"^(/|[A-Za-z]:/|~)",
    "leaves the folder": r"(^|/)\.\.(/|$)",
}
"""What is refused: why, and the pattern that says so."""

_ROOT = r"^(?:(?i:file):/+(?:[A-Za-z]:/+)?|[A-Za-z]:/+|~?/+|(?:\./)*(?:\.\./)+)"
_SHARE = 0.9
_LEAST = 3


_AROUND = (r"""^["'“”‘’]+|["'“”‘’]+$""", rf"(?i)({IMAGE_SUFFIX.removeprefix('(?i)').removesuffix('$')})[?#].*$")


def bare(names: pa.Array) -> pa.Array:
    """Names of files without quotes around them, and without what an address has behind its file: `a.jpg?v=2`."""
    quotes, query = _AROUND
    if any_true(pc.match_substring_regex(names, quotes)):
        names = pc.replace_substring_regex(names, quotes, "")
    behind = pc.match_substring_regex(names, query)
    if any_true(behind):
        whole = pc.or_(pc.invert(behind), pc.match_substring_regex(names, IMAGE_SUFFIX))  # a.tif#2.jpg
        names = pc.if_else(whole, names, pc.replace_substring_regex(names, query, r"\1"))
    return names


def beside_records(names: pa.Array, folders: pa.Array, paths: pa.Array) -> pa.Array:
    """Names of files with the folders of their own catalogue files before them, where these are meant.

    A catalogue may be a file in each folder of pictures (as `metadata.csv` in `train/` and `test/`), with names as
    they are there. So they are meant for all names of a folder if that finds as many of them as they do as they stand.

    Args:
        names: Of files, null for none.
        folders: In which folder each name's file lies, below that of the pictures; empty: in that itself.
        paths: The pictures'.
    """
    below = pc.binary_join_element_wise(folders.cast(names.type), names, pa.scalar("/", names.type))
    below = pc.if_else(pc.equal(folders, ""), names, below)
    there = without_suffix(normal(paths))
    beside, plain = (flags(pc.is_in(without_suffix(normal(each)), value_set=there)) for each in (below, names))
    codes = pc.dictionary_encode(folders)
    folder = np.asarray(codes.indices.to_numpy(), np.int64)
    by_folder = [np.bincount(folder, weights=hits, minlength=len(codes.dictionary)) for hits in (beside, plain)]
    meant = (by_folder[0] > 0) & (by_folder[0] >= by_folder[1])
    return pc.if_else(pa.array(meant[folder]), below, names)


def refuse(names: pa.Array, unusable: Mapping[str, str]) -> tuple[pa.Array, dict[str, Flags]]:
    r"""Which names are not followed, and why.

    A collection system writes `R:\Scans\12.tif` or `\\server\scans\12.tif` into every row: folders of another
    machine, as in names that begin with other folders, and so the root is taken away. A single such name among others
    says that something is wrong.

    Args:
        names: Of files or addresses, null for none.
        unusable: A pattern for each reason, `UNUSABLE_FILE` for one.

    Returns:
        The names, without a root that all have; and for each reason that is met which of them it concerns.
    """
    # What is hidden by back-slashes or percent-encoding is looked for too.
    plain = pc.replace_substring(names, "\\", "/")
    plain = map_where(plain, pc.match_substring_regex(plain, "%[0-9A-Fa-f]{2}"), unquote)
    if unusable is UNUSABLE_FILE:
        rooted = pc.match_substring_regex(plain, _ROOT)
        count = int(np.count_nonzero(flags(rooted)))
        if count >= max(_LEAST, _SHARE * (len(plain) - plain.null_count)):
            plain = pc.replace_substring_regex(plain, _ROOT, "")
            names = pc.if_else(rooted, plain, names)
    bad = np.zeros(len(names), bool)
    reasons: dict[str, Flags] = {}
    for reason, pattern in unusable.items():
        hit = flags(pc.match_substring_regex(plain, pattern)) & ~bad
        if hit.any():
            reasons[reason] = hit
        bad |= hit
    return names, reasons
