"""Rows that name several pictures, in a cell (`w1_front.jpg; w1_back.jpg`) or in several columns."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.columns import IMAGE_SUFFIX
from artray.catalogs.name_keys import Flags, Indices, flags, last_part, normal, without_suffix

_SUFFIX = IMAGE_SUFFIX.removeprefix("(?i)").removesuffix("$")
# A comma belongs to many names, and so may any mark: where there are suffixes, only what follows one separates.
_AFTER_SUFFIX = re.compile(rf"(?i)({_SUFFIX})[\"']?\s*[,;|^\r\n]+\s*")
_HAS_SUFFIX = re.compile(rf"(?i){_SUFFIX}(?![a-z0-9])")
_MARKS = re.compile(r"\s*(?:[;|\r\n]|\^\^)+\s*")
_ADDRESSES = re.compile(r"(?i)[\s\"']*[,;|^\s]+[\"']?(?=https?://)")  # Omeka writes ^^
_MAY_BE_SEVERAL = rf"(?i)[;|^\r\n]|{_SUFFIX}[\"']?\s*,|^\[.*\]$"
# Marks that belong to names as well: they separate only where each part is a picture's name.
_DOUBTFUL = tuple(
    re.compile(mark)
    for mark in (
        r"\s*,\s*",
        r"\s*[&+#~•*]\s*",
        r"(?i)\s*<br\s*/?>\s*",
        r"\s+//?\s+",
        r"(?i)\s+(?:and|und|et|e|y|en|och|og|i)\s+",
        r"\s+",
    )
)


@dataclass(slots=True)
class Names:
    """What the rows' cells name, a name each; a row may have several.

    Attributes:
        rows: The row of each name, in the order of the rows.
        values: The names, null where a row has none.
        used: Which of them have found a picture.
        disputed: Which of them name a picture that another row claims, with other labels.
        column: In which of the columns each stands.
        crowded: Which of them fit several pictures, and so decided nothing.
    """

    rows: Indices
    values: pa.Array
    used: Flags
    disputed: Flags
    column: Indices
    crowded: Flags

    @classmethod
    def of(cls, values: pa.Array, rows: Indices | None = None) -> "Names":
        """Names that no picture was found for yet; one a row unless `rows` says of which row each is."""
        own_rows = np.arange(len(values)) if rows is None else rows
        none = np.zeros(len(values), bool)
        column = np.zeros(len(values), np.int64)
        return cls(own_rows, values, used=none, disputed=none.copy(), column=column, crowded=none.copy())

    @classmethod
    def together(cls, columns: Sequence["Names"]) -> "Names":
        """The names of several columns; of a column that says nothing in a row no name is left where another does."""
        if len(columns) == 1:
            return columns[0]
        rows = np.concatenate([names.rows for names in columns])
        values = pa.concat_arrays([names.values for names in columns])
        column = np.repeat(np.arange(len(columns)), [len(names.rows) for names in columns])
        said = flags(pc.is_valid(values))
        named = np.zeros(int(rows.max(initial=-1)) + 1, bool)
        named[rows[said]] = True
        at = np.flatnonzero(said | (~named[rows] & (column == 0)))
        at = at[np.argsort(rows[at], kind="stable")]
        names = cls.of(values.take(pa.array(at)), rows[at])
        names.column = column[at]
        return names


def split_names(cells: pa.Array, paths: pa.Array, separator: str | None, *, addresses: bool = False) -> Names:
    """The names in a column's cells; a cell that is itself a picture's name stays whole.

    Args:
        cells: One a row.
        paths: The pictures'.
        separator: What stands between several values of a cell, tried first. The usual marks (`;`, `|`, `^^`, a new
            line, a comma after a suffix) are known without it, and so is a list as JSON writes it. Commas, `&`, `+`
            and spaces separate where all parts are names of pictures.
        addresses: The cells hold addresses: what separates is followed by `http`.
    """
    # Cheap, and most cells have none.
    mark = pc.match_substring_regex(cells, r"[,;|^\s]" if addresses else r"[,;|^&+#~•*<\s\[]")
    candidate = flags(mark)
    if candidate.any():
        pattern = r"(?i)[,;|^\s].*https?://" if addresses else _MAY_BE_SEVERAL
        candidate[candidate] = flags(pc.match_substring_regex(cells.filter(mark), pattern))
    if separator:
        candidate |= flags(pc.match_substring(cells, separator))
    if not addresses:
        doubtful = _of_pictures(cells, np.flatnonzero(flags(mark) & ~candidate), paths)
        candidate[list(doubtful)] = True
    at = np.flatnonzero(candidate)
    if not len(at):
        return Names.of(cells)
    texts = cells.take(pa.array(at))
    stems = without_suffix(normal(paths))
    keys = without_suffix(normal(texts))
    whole = pc.or_(pc.is_in(keys, value_set=stems), pc.is_in(keys, value_set=last_part(stems)))
    at, texts = at[~flags(whole)], texts.filter(pc.invert(whole))
    known: dict[int, list[str]] = {} if addresses else doubtful
    names = [
        known.get(index) or _pieces(text, separator, addresses)
        for index, text in zip(at.tolist(), texts.to_pylist(), strict=True)
    ]
    counts = np.ones(len(cells), np.int64)
    counts[at] = [len(of_cell) for of_cell in names]
    rows = np.repeat(np.arange(len(cells)), counts)
    values = cells.take(pa.array(rows))
    split = np.zeros(len(cells), bool)
    split[at] = True
    several = pa.array([name for of_cell in names for name in of_cell], cells.type)
    return Names.of(pc.replace_with_mask(values, pa.array(split[rows]), several), rows)


def _of_pictures(cells: pa.Array, at: Indices, paths: pa.Array) -> dict[int, list[str]]:
    """The names in those cells that a doubtful mark cuts into names of pictures only."""
    if not len(at):
        return {}
    stems = without_suffix(normal(paths))
    texts = cells.take(pa.array(at))
    keys = without_suffix(normal(texts))
    first = pc.replace_substring_regex(normal(texts), r"[,&+#~•*<\s].*$", "")  # whole columns tell most cells: titles
    known = pc.unique(pa.concat_arrays([stems, last_part(stems)]))
    may_be = flags(pc.is_in(without_suffix(first), value_set=known)) & ~flags(pc.is_in(keys, value_set=known))
    at, texts = at[may_be], texts.filter(pa.array(may_be))
    found: dict[int, list[str]] = {}
    cut = [[mark.split(text) for mark in _DOUBTFUL] for text in texts.to_pylist()]
    flat = [name for of_cell in cut for names in of_cell for name in names]
    there = set(
        pc.filter(
            pa.array(flat, cells.type),
            pc.is_in(without_suffix(normal(pa.array(flat, cells.type))), value_set=known),
        ).to_pylist()
    )
    for index, ways in zip(at.tolist(), cut, strict=True):
        names = next((names for names in ways if len(names) > 1 and there.issuperset(names)), None)
        if names:
            found[index] = list(dict.fromkeys(names))
    return found


def _pieces(text: str, separator: str | None, addresses: bool) -> list[str | None]:
    """A cell's names, each once; [None] of a cell of nothing but marks."""
    if text.startswith("[") and text.endswith("]"):
        try:
            items = json.loads(text)
        except (ValueError, RecursionError):
            items = text[1:-1].replace("'", "").replace('"', "").split(",")
    elif addresses:
        mark = _ADDRESSES.pattern + (rf"|\s*{re.escape(separator)}\s*(?=https?://)" if separator else "")
        items = re.split(mark, text)
    elif separator and separator in text:
        items = text.split(separator)
    elif _HAS_SUFFIX.search(text):
        items = _AFTER_SUFFIX.sub(r"\1\0", text).split("\0") if "\0" not in text else [text]
    else:
        items = _MARKS.split(text)
    if len(items) == 1:
        return [text]
    names = [item.strip(" \t\r\n\"'") for item in items if isinstance(item, str)]
    return list(dict.fromkeys(name for name in names if name)) or [None]
