"""Pictures that are views of one work, by their names: `w1_front` and `w1_back`, `1985.20.15` and `1985.20.15a`.

Words (front, verso, detail) say so wherever they stand. A number or a letter at the end says so only after a name that
has a number already, and only where the views are counted from the first: `1985.20_1`, `1985.20_2`. In `degas_1`,
`degas_2` it counts works.
"""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from artray.catalogs.name_keys import flags, flat, last_part, normal, without_suffix

_WORDS = (
    "recto|verso|front|fnt|back|bck|left|right|top|bottom|bot|side|rear|detail|details|det|overall|obverse|obv|reverse|rev"
    "|avers|revers|vorderseite|rückseite|rueckseite|seite|face|dos|devant|derrière|derriere|fronte|retro|voorkant"
    "|achterkant|framsida|baksida|copy|web|print|full|large|small|thumb|thumbnail|hires|original|cropped"
)
_MOST = 12  # views of one work by number or letter; more are a count of works
_MOST_BY_WORD = 30
_MAY_BE_VIEW = (
    rf"(?i)(?:^|[ _.(/-])(?:{_WORDS})[ _-]?[0-9]{{0,2}}(?:[ _.)-]|$)"
    r"|[0-9][^/]*(?:[ _-][0-9]{1,2}|\([0-9]{1,2}\))$|[0-9][ _-]?[a-hrv]$"
)
_WITHOUT_WORD = (
    (rf"([^/])_(?:{_WORDS})_?[0-9]{{0,2}}$", r"\1"),
    (rf"([0-9][^/]*)_(?:{_WORDS})[0-9]{{0,2}}(_[^/]*)$", r"\1\2"),
    (rf"(^|/)(?:{_WORDS})_([^/]*[0-9][^/]*)$", r"\1\2"),
)
_YEAR = r"(?:^|/)[^0-9/]*(?:1[0-9]|20)[0-9]{2}_[0-9]{1,2}$"  # what follows a year alone is a month or a count


def view_ties(paths: pa.Array, numbers: pa.Array) -> NDArray[np.int64]:
    """Pictures that are views of one work.

    Args:
        paths: The pictures', below the collection's folder.
        numbers: The museum's number of each one's work, null where there is none. A picture called by its own number
            is no counted view of another.

    Returns:
        Shape (n,): equal for views of one work, different for all others.
    """
    ties = np.arange(len(paths))
    stems = without_suffix(paths.cast(pa.large_string()))
    if not pc.any(pc.match_substring_regex(stems, _MAY_BE_VIEW), min_count=0).as_py():
        return ties
    names = pc.utf8_rtrim(pc.replace_substring_regex(normal(stems), r"[ ()_-]+", "_"), "_")
    keys = names
    for pattern, rest in _WITHOUT_WORD:
        keys = pc.replace_substring_regex(keys, pattern, rest)
    is_view = flags(pc.not_equal(keys, names))

    own = pc.fill_null(pc.equal(flat(last_part(stems)), flat(numbers.cast(pa.large_string()))), False)
    not_counted = pc.or_(own, pc.match_substring_regex(keys, _YEAR))
    for pattern in (r"^(?P<base>.*[0-9][^/]*)_(?P<view>[0-9]{1,2})$", r"^(?P<base>.*[0-9])_?(?P<view>[a-hrv])$"):
        fits = pc.and_(pc.match_substring_regex(keys, pattern), pc.invert(not_counted))
        at = np.flatnonzero(flags(fits))
        parts = pc.extract_regex(keys.take(pa.array(at)), pattern)
        bases = pc.struct_field(parts, "base")
        alone = flags(pc.is_in(bases, value_set=keys))
        views: defaultdict[str, list[tuple[str, bool, int]]] = defaultdict(list)
        for base, view, there, row in zip(
            bases.to_pylist(), pc.struct_field(parts, "view").to_pylist(), alone.tolist(), at.tolist(), strict=True
        ):
            views[base].append((view, there, row))
        counted = {base: rows for base, rows in views.items() if _counts_views({v for v, _, _ in rows}, rows[0][1])}
        rows = np.array(sorted(row for found in counted.values() for *_, row in found), np.int64)
        is_view[rows] = True
        base_of = {row: base for base, found in counted.items() for *_, row in found}
        where = np.zeros(len(ties), bool)
        where[rows] = True
        keys = pc.replace_with_mask(keys, pa.array(where), pa.array([base_of[row] for row in rows], keys.type))
    tied = pc.is_in(keys, value_set=pc.unique(keys.filter(pa.array(is_view))))
    at = np.flatnonzero(flags(tied))
    codes = np.asarray(pc.dictionary_encode(keys.take(pa.array(at))).indices.to_numpy(), np.int64)
    _, first, inverse, sizes = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    few = sizes[inverse] <= _MOST_BY_WORD
    ties[at[few]] = at[first][inverse][few]
    return ties


def _counts_views(views: set[str], base_is_there: bool) -> bool:
    """Whether numbers or letters are those of one work's views: counted from the first, without a gap, and few."""
    if len(views) > _MOST or (len(views) < 2 and not base_is_there):
        return False
    if views <= {"r", "v"}:
        return True
    counts = sorted({int(view) if view.isdigit() else ord(view) - ord("a") + 1 for view in views})
    return counts[0] <= (2 if base_is_there else 1) and counts[-1] - counts[0] == len(counts) - 1
