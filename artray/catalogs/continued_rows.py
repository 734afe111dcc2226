"""Rows that go on with the record above: of a group of pictures only the first row holds what is said of the work.

    id,title,file           1,Sea,1_front.jpg and 1,Sea,1_back.jpg are meant
    1,Sea,1_front.jpg
    ,,1_back.jpg

Such rows look like pictures that nobody has described yet, so the record's cells are taken for them only where the
pictures' names say that they are the same work's; else it is said.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.cells import AddProblem, Lines
from artray.catalogs.columns import IMAGE_SUFFIX
from artray.catalogs.name_keys import Flags
from artray.catalogs.workbook import in_sheet
from artray.errors import first_of

_KEYS = 3  # columns tried
_SHARE = 0.9
_LOOKED_AT = 20_000  # rows, for what a column's cells are like
_LAST = re.compile(r"[^\w]*_?(?:[^\W\d_]+|\d+)$")  # what differs between views: a number, a word or a letter


def fill_down(table: pa.Table, lines: Lines, problem: AddProblem, *, sheet: str | None = None) -> pa.Table:
    """The table with the cells of the record above in rows that go on with it.

    Args:
        table: Strings, null where a cell is empty.
        lines: Of its rows.
        problem: Takes what was filled, or may have to be.
        sheet: The column that says on which of several sheets a row stands: no record goes on from one to the next.
    """
    if sheet is None:
        return _filled(table, lines, problem)
    of = table[sheet].combine_chunks()
    ends = [*np.flatnonzero(np.asarray(pc.not_equal(of[1:], of[:-1]))) + 1, len(of)]
    rest = table.drop_columns([sheet])
    sheets = [
        _filled(rest.slice(start, end - start), lines[start:end], in_sheet(of[start].as_py(), problem))
        for start, end in zip([0, *ends], ends, strict=False)
    ]
    return pa.concat_tables(sheets).append_column(sheet, of)


def _filled(table: pa.Table, lines: Lines, problem: AddProblem) -> pa.Table:
    empty = {
        name: np.asarray(pc.is_null(column).to_numpy(), bool)
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    parted = next(filter(None, (_parted(table, empty, key) for key in _keys(table, empty))), None)
    if parted is None:
        return table
    key, whole, varied = parted
    begins = int(np.argmin(empty[key]))  # rows above the first record go on with none
    goes_on = empty[key] & (np.arange(len(table)) > begins)
    head = np.maximum.accumulate(np.where(empty[key], -1, np.arange(len(table))))
    head[:begins] = np.arange(begins)
    shown = first_of([repr(name) for name in varied], 3)
    pictures = next((name for name in varied if _names_pictures(table[name], goes_on)), None)
    if pictures is None or not _same_works(table[key], table[pictures], goes_on, head):
        what = f"rows with {shown} alone may go on with the record above; write its cells into them if so"
        problem(what, lines[goes_on])
        return table
    for name in whole:
        filled = table[name].combine_chunks().take(pa.array(head))
        table = table.set_column(table.column_names.index(name), name, pa.chunked_array([filled]))
    problem(f"rows with {shown} alone go on with the record above, its cells taken for them", lines[goes_on])
    return table


def _keys(table: pa.Table, empty: dict[str, Flags]) -> list[str]:
    """Columns that may tell records apart: no value stands twice, and rows below the first have none."""
    found: list[str] = []
    for name, none in sorted(empty.items(), key=lambda item: bool(item[1][:1].any())):  # best from the first row on
        may_be = len(found) < _KEYS and none.any() and none[int(np.argmin(none)) :].any()
        # Most columns are told by their first rows.
        if may_be and _all_differ(table[name].slice(0, 1000)) and _all_differ(table[name]):
            found.append(name)
    return found


def _all_differ(column: pa.ChunkedArray) -> bool:
    return bool(pc.count_distinct(column).as_py() == len(column) - column.null_count > 0)


def _parted(table: pa.Table, empty: dict[str, Flags], key: str) -> tuple[str, list[str], list[str]] | None:
    """The columns of whole records, which are empty where the key is, and the others, if it can be so."""
    goes_on = empty[key]
    whole = [name for name, none in empty.items() if none[goes_on].all() and not none.all()]
    varied = [name for name, none in empty.items() if not none[goes_on].all()]
    told = [name for name in whole if name != key and 2 * int(empty[name][~goes_on].sum()) < int((~goes_on).sum())]
    return (key, whole, varied) if varied and told and len(varied) <= len(whole) else None


def _names_pictures(column: pa.ChunkedArray, goes_on: Flags) -> bool:
    cells = column.filter(pa.array(goes_on)).slice(0, _LOOKED_AT)
    named = pc.match_substring_regex(cells, rf"{IMAGE_SUFFIX}|^https?://")
    return int(pc.sum(named).as_py() or 0) >= _SHARE * len(cells)


def _same_works(keys: pa.ChunkedArray, pictures: pa.ChunkedArray, goes_on: Flags, head: Flags) -> bool:
    """Whether pictures are called as those of the record above, and not as those of other records."""
    names = [_stem(name) for name in pictures.to_pylist()]
    numbers = keys.to_pylist()
    at = np.flatnonzero(goes_on).tolist()
    works: dict[str, set[int]] = {}
    same = []
    for row in {*at, *(int(head[row]) for row in at)}:
        works.setdefault(_work(names[row]), set()).add(int(head[row]))
    for row in at:
        of_record = int(head[row])
        number = _flat(numbers[of_record])
        begins = bool(re.match(rf"{re.escape(number)}(?![0-9])", _flat(names[row]))) if number else False
        work = _work(names[row])
        alike = bool(work) and (work == names[of_record] or (work == _work(names[of_record]) and len(works[work]) == 1))
        same.append(begins or alike)
    return sum(same) >= _SHARE * len(same)


def _stem(name: str | None) -> str:
    text = re.sub(r"[?#].*$", "", name or "").replace("\\", "/").rpartition("/")[2]
    return re.sub(IMAGE_SUFFIX, "", text).lower()


def _work(stem: str) -> str:
    return _LAST.sub("", stem)


def _flat(text: str | None) -> str:
    return re.sub(r"[\W_]+", "_", (text or "").lower()).strip("_")
