"""Pictures that are views of one work, by their names: `w1_front` and `w1_back`, `1985.20.15` and `1985.20.15a`.

Words (front, verso, detail) say so wherever they stand, and so does a size in pixels at the end, `w1-300x200`. A number
or a letter at the end says so only after a name that has a number already, and only where views are counted from the
first: `1985.20_1`, `1985.20_2`. In `degas_1`, `degas_2` it counts works.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from artray.catalogs.name_keys import SIZE, Flags, flags, flat, last_part, normal, without_suffix

_WORDS = (
    "recto|verso|front|fnt|back|bck|left|right|top|bottom|bot|side|rear|detail|details|det|overall|obverse|obv|reverse|rev"
    "|avers|revers|vorderseite|rückseite|rueckseite|seite|face|dos|devant|derrière|derriere|fronte|retro|voorkant"
    "|achterkant|framsida|baksida|copy|kopie|copie|copia|web|print|full|large|small|thumb|thumbnail|hires|highres|lowres"
    "|original|cropped|view|image|img|page|framed|unframed|frame|before|after|ir|uv|xray|raking|signature|inscription"
)
_MOST = 12  # views of one work by number or letter; more are a count of works
_MOST_BY_WORD = 30
_FEW_BASES, _MANY_EACH = 10, 8  # class1_1 to class3_10: a few names of many pictures each are classes, not works
_MAY_BE_VIEW = (
    rf"(?i)(?:^|[ _.(/-])(?:{_WORDS})[ _-]?[0-9]{{0,2}}(?:[ _.)-]|$)"
    r"|[_-](?:[0-9]+x[0-9]+|scaled)$|@[234]x$|[0-9] ?(?:of|von|de|di|van|av) ?[0-9]"
    r"|[0-9][^/]*(?:[ _-][pv]?[0-9]{1,2}|\([0-9]{1,2}\))$|[0-9][ _-]?[a-hrv]$"
)
_WITHOUT_WORD = (
    (SIZE, ""),
    (rf"([^/])(?:_(?:{_WORDS}))+$", r"\1"),
    (rf"([0-9][^/]*)_(?:{_WORDS})_?[0-9]{{1,3}}$", r"\1"),
    (r"([0-9][^/]*)_[0-9]{1,2}_?(?:of|von|de|di|van|av)_?[0-9]{1,2}$", r"\1"),
    (rf"([0-9][^/]*)_(?:{_WORDS})[0-9]{{0,2}}(_[^/]*)$", r"\1\2"),
    (rf"(^|/)(?:{_WORDS})_([^/]*[0-9][^/]*)$", r"\1\2"),
)
_COUNTED = (r"^(?P<base>.*[0-9][^/]*)_[pv]?(?P<view>[0-9]{1,2})$", r"^(?P<base>.*[0-9])_?(?P<view>[a-hrv])$")
_YEAR = r"(?:^|/)[^0-9/]*(?:1[0-9]|20)[0-9]{2}$"  # what follows a year alone is a month or a count
_RECTO, _VERSO = 18, 22  # r and v, as places in the alphabet


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

    for pattern in _COUNTED:
        at = np.flatnonzero(flags(pc.match_substring_regex(keys, pattern)))
        bases_and_views = pc.extract_regex(keys.take(pa.array(at)), pattern)
        bases, views = pc.struct_field(bases_and_views, "base"), pc.struct_field(bases_and_views, "view")
        alone = pc.is_in(bases, value_set=keys) if len(at) else pa.array([], pa.bool_())
        if pc.count_distinct(bases).as_py() == len(at) and not pc.any(alone, min_count=0).as_py():
            continue
        own_numbers = flat(numbers.take(pa.array(at)).cast(pa.large_string()))
        other = ~flags(pc.equal(flat(last_part(keys.take(pa.array(at)))), own_numbers))
        at, bases, views, alone = at[other], *(values.filter(pa.array(other)) for values in (bases, views, alone))
        # A year is one only among years: where most numbers are others, w1950_1 is a view of w1950.
        years = flags(pc.match_substring_regex(bases, _YEAR))
        counted = _counts_views(bases, views, flags(alone))
        if 2 * years.sum() >= len(at):
            counted &= ~years
        where = np.zeros(len(ties), bool)
        where[at[counted]] = True
        keys = pc.replace_with_mask(keys, pa.array(where), bases.filter(pa.array(counted)))
        is_view |= where
    tied = pc.is_in(keys, value_set=pc.unique(keys.filter(pa.array(is_view))))
    at = np.flatnonzero(flags(tied))
    codes = np.asarray(pc.dictionary_encode(keys.take(pa.array(at))).indices.to_numpy(), np.int64)
    _, first, inverse, sizes = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    few = sizes[inverse] <= _MOST_BY_WORD
    ties[at[few]] = at[first][inverse][few]
    return ties


def _counts_views(bases: pa.Array, views: pa.Array, base_is_there: Flags) -> Flags:
    """Whether numbers or letters are those of one work's views: counted from the first, without a gap, and few.

    Args:
        bases: What stands before them, the same for views of one work.
        views: Numbers, or letters in small.
        base_is_there: Whether a picture is called as the base alone.
    """
    if not len(bases):
        return np.zeros(0, bool)
    codes = np.asarray(pc.dictionary_encode(bases).indices.to_numpy(), np.int64)
    count = int(codes.max()) + 1
    is_number = flags(pc.match_substring_regex(views, "^[0-9]+$"))
    encoded = pc.dictionary_encode(views)
    texts = encoded.dictionary.to_pylist()
    numbers_of = np.array([int(text) if text.isdigit() else ord(text) - ord("a") + 1 for text in texts], np.int64)
    view_numbers = numbers_of[np.asarray(encoded.indices.to_numpy(), np.int64)]
    base, view = np.divmod(np.unique(codes * 128 + view_numbers), 128)
    number = np.bincount(base, minlength=count)
    first, last, sides = np.full(count, 128), np.full(count, -1), np.ones(count, bool)
    np.minimum.at(first, base, view)
    np.maximum.at(last, base, view)
    np.logical_and.at(sides, base, (view == _RECTO) | (view == _VERSO))
    there = np.zeros(count, bool)
    there[codes] = base_is_there
    in_order = (first <= np.where(there, 2, 1)) & (last - first == number - 1)
    letters = np.zeros(count, bool)
    letters[codes] = ~is_number
    good = (in_order | (sides & letters)) & ((number > 1) | there) & (number <= _MOST)
    by_number = good & ~letters & (number > 1)
    if 0 < by_number.sum() < _FEW_BASES and number[by_number].mean() >= _MANY_EACH:
        good &= ~by_number
    return np.asarray(good[codes], bool)
