"""Records in JSON as museums' systems and APIs give it: a list, lines, one object, or answers that hold a list below.

A document is one JSON value of a file. A document is a record, or it is an answer of an API: then its records are in
the only list of objects below it, and all answers of a catalogue hold theirs in the same place. Where there are several
such lists the user is asked.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from artray.catalogs import iiif_manifests
from artray.catalogs.cells import AddProblem, Lines, Number, Raw
from artray.catalogs.encodings import Decoded
from artray.catalogs.json_documents import Document, Repeated, documents
from artray.errors import InputError

_LOOKED_AT = 100  # records
_DEPTH = 4  # levels below an answer in which its list is looked for

# Names as they are compared: lower case, letters and digits only.
_OF_A_RECORD = frozenset(
    (
        "id", "objectid", "objectnumber", "inventorynumber", "accessionnumber", "acno", "identifier", "recordid",
        "uuid", "uid", "title", "name", "titel", "titre", "titulo", "titolo", "filename", "file", "systemnumber",
    )
)  # fmt: skip
_LISTS = frozenset(
    (
        "data", "records", "record", "results", "result", "objects", "items", "artworks", "artobjects", "rows",
        "hits", "docs", "member", "members", "works", "features", "graph", "entries", "value", "values", "response",
        "list", "collection", "ordereditems", "artobject", "elements", "content", "documents", "objectlist",
        "itemlist",
    )
)  # fmt: skip
_CERTAIN = frozenset(("data", "records", "results", "artworks", "artobjects", "objects"))
_WRAPPERS = ("_source", "attributes", "properties", "fields")  # Elasticsearch, JSON:API, GeoJSON, Airtable
_BESIDE = frozenset(("included", "facets", "aggregations", "links", "errors", "warnings", "shards", "facetcounts"))


def records(documents: Sequence[Document], form: str, problem: AddProblem, path: str | None = None) -> Raw:
    """The records of documents, a row each.

    Args:
        documents: The documents.
        form: How they were read, in words.
        problem: Takes what is left out.
        path: Where the list of records lies in each document, `response.items`, if the user says so.

    Raises:
        InputError: There are none, or several lists that may hold them.
    """
    if path is None and (manifests := _manifests(documents)):
        return iiif_manifests.canvases(manifests, form, problem)
    alone = len(documents) == 1 and isinstance(documents[0][1], dict)
    if len(documents) == 1:
        _, only = documents[0]
        if isinstance(only, dict) and path is None and (columns := _columns(only)):
            lines: Lines = np.arange(1, len(next(iter(columns.values()))) + 1)
            return Raw(list(columns), list(columns.values()), lines, f"{form}, one list a column")
        if isinstance(only, dict) and path is None and _is_keyed(only):
            only = [{"key": key, **value} for key, value in only.items()]
        if isinstance(only, list):
            if not only:
                raise InputError("holds an empty list, and no records")
            documents = list(enumerate(only, 1))
        elif not isinstance(only, dict):
            raise InputError("is neither a list of objects nor an object of lists")
    # Files, lines or answers may hold a list each.
    documents = [(line, item) for line, value in documents for item in (value if isinstance(value, list) else (value,))]
    objects = [(line, value) for line, value in documents if isinstance(value, dict)]
    others = [line for line, value in documents if not isinstance(value, dict)]
    if others and not objects:
        raise InputError("holds no JSON object")
    problem("entries that are not a JSON object, left out", others)
    where = path if path is not None else _where(objects, alone=alone)
    classes = _classes([value for _, value in objects])
    if where:
        objects, form = _below(objects, where, problem), f"{form}, records in {where}"
    cut = [line for line, value in objects if _is_data_set_row(value) and value.get("truncated_cells")]
    problem("rows with cells that the server has cut short (truncated_cells)", cut)
    rows = [value for _, value in objects]
    while _are_wrapped(rows):
        rows = [next(iter(row.values())) for row in rows]
    if any(_unwrapped(row) != row for row in rows[:_LOOKED_AT]):
        rows = [_unwrapped(row) for row in rows]
    for name, of_column in classes.items():
        for row in rows:
            if isinstance(cell := row.get(name), Number):
                row[name] = of_column.get(cell, cell)
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = np.asarray([line for line, _ in objects], np.int64)
    return Raw(names, [[row.get(name) for row in rows] for name in names], lines, form)


def _manifests(documents: Sequence[Document]) -> list[tuple[int, Any]]:
    """All documents, where they are IIIF manifests; else none."""
    items = [(line, item) for line, value in documents for item in (value if isinstance(value, list) else (value,))]
    return items if items and all(iiif_manifests.is_iiif(item) for _, item in items) else []


def _columns(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """An object of columns, each a list, or as pandas writes one; None for any other."""
    values = list(content.values())
    if set(content) >= {"columns", "data"} and all(isinstance(row, list) for row in content["data"] or [0]):
        names, rows = content["columns"], content["data"]
        if (
            isinstance(names, list)
            and all(isinstance(n, str) for n in names)
            and {len(row) for row in rows} == {len(names)}
        ):
            return {name: [row[column] for row in rows] for column, name in enumerate(names)}
    if values and all(isinstance(value, list) for value in values):
        if any(isinstance(item, dict) for value in values for item in value):
            return None
        lengths = {len(value) for value in values}
        if len(lengths) > 1:
            raise InputError("its lists, one a column, have different lengths")
        return dict(content) if len(content) > 1 or lengths != {0} else None
    if values and all(isinstance(value, dict) for value in values):
        keys = [*values[0]]
        if keys and keys == [str(index) for index in range(len(keys))] and all([*value] == keys for value in values):
            return {name: [*value.values()] for name, value in content.items()}
    return None


def _is_keyed(content: Mapping[str, Any]) -> bool:
    """Whether an object holds nothing but records, each under its number."""
    values = list(content.values())
    if len(values) < 2 or not all(isinstance(value, dict) and value for value in values):
        return False
    return all(map(_is_record, values)) or all(value.keys() == values[0].keys() for value in values)


def _where(objects: Sequence[tuple[int, dict[str, Any]]], *, alone: bool) -> str:
    """The path below answers of an API in which their records lie; empty where the objects are records themselves.

    Args:
        objects: The answers or records.
        alone: Whether it is one object, in no list.

    Raises:
        InputError: There are several lists of objects, or an object is neither record nor answer.
    """
    values = [value for _, value in objects]
    if all(_is_data_set(value) for value in values):
        return "rows"
    single = alone and len(values) == 1
    if any(_is_record(value) for value in values[:_LOOKED_AT]):
        # A list of records with a title of its own.
        inner = [
            name
            for name, items in (values[0].items() if single else ())
            if _folded(name) in _CERTAIN
            and isinstance(items, list)
            and all(isinstance(i, dict) and _is_record(i) for i in items)
        ]
        return inner[0] if len(inner) == 1 and values[0][inner[0]] else ""
    lists: dict[str, int] = {}
    for value in values:
        for path, items in _lists_of_objects(value):
            lists[path] = lists.get(path, 0) + len(items)
    if len(lists) > 1:
        wanted = {path: size for path, size in lists.items() if path.count(".") == min(map(_depth, lists))}
        if not single and not any(_folded(path.split(".")[0]) in _LISTS for path in lists):
            return ""
        if len(wanted) > 1 or not single:
            shown = ", ".join(f"{path} ({size:,})" for path, size in islice(lists.items(), 8))
            first = next(iter(lists))
            raise InputError(f"holds {len(lists)} lists of objects: {shown}; --records says which (--records {first})")
        lists = wanted
    if not lists:
        return "" if not single else _single(values[0])
    (path,) = lists
    return path if single or _folded(path.rpartition(".")[2]) in _LISTS else ""


def _depth(path: str) -> int:
    return path.count(".")


def _single(content: dict[str, Any]) -> str:
    """Where the one record of an answer lies that holds no list."""
    below = [key for key, value in content.items() if isinstance(value, dict) and _is_record(value)]
    if len(below) == 1:
        return below[0]
    lists = any(
        isinstance(value, list) and len(value) > 1 for value in content.values()
    )  # of numbers, as searches give
    if not content or lists or all(isinstance(value, (dict, list)) for value in content.values()):
        raise InputError("is neither a list of objects nor an object of lists")
    return ""


def _is_record(value: Mapping[str, Any]) -> bool:
    """Whether an object is a work: it has a number or a title of its own."""
    return any(
        isinstance(cell, str) and cell and not (_folded(name) == "id" and "://" in cell)
        for name, cell in value.items()
        if _folded(name) in _OF_A_RECORD and not name.startswith("@")
    )


def _folded(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _lists_of_objects(value: Mapping[str, Any], above: str = "", depth: int = 0) -> Iterator[tuple[str, list[Any]]]:
    for name, below in value.items():
        path = f"{above}{name}"
        if _folded(name) in _BESIDE:
            continue
        if isinstance(below, list) and any(isinstance(item, dict) for item in below):
            yield path, below
        elif isinstance(below, dict) and depth < _DEPTH and not _is_record(below):
            yield from _lists_of_objects(below, f"{path}.", depth + 1)


def _below(
    objects: Iterable[tuple[int, dict[str, Any]]], path: str, problem: AddProblem
) -> list[tuple[int, dict[str, Any]]]:
    """The objects of the lists at a path, by their place in all of them."""
    items: list[tuple[int, dict[str, Any]]] = []
    empty: list[int] = []
    others: list[int] = []
    number = 0
    for line, value in objects:
        list_or_object = _at(value, path)
        if not list_or_object:
            empty.append(line)
        for item in list_or_object if isinstance(list_or_object, list) else [list_or_object]:
            number += 1
            if isinstance(item, dict):
                items.append((number, item))
            elif list_or_object:
                others.append(number)
    if not items:
        raise InputError(f"--records {path}: there is no list of objects in that place")
    problem(f"answers without records in {path}", empty)
    problem("entries that are not a JSON object, left out", others)
    return items


def _at(value: Any, path: str) -> Any:
    """What lies at a path; a name may hold a dot itself."""
    path = path.replace("[]", "")
    if isinstance(value, dict):
        if path in value:
            return value[path]
        for name in value:
            if path.startswith(f"{name}.") and (value_there := _at(value[name], path[len(name) + 1 :])) is not None:
                return value_there
    return None


# Rows of a data set as Hugging Face's viewer answers: each wrapped, its classes by number, their names beside.


def _is_data_set(value: Mapping[str, Any]) -> bool:
    rows = value.get("rows")
    return isinstance(rows, list) and bool(rows) and all(isinstance(r, dict) and _is_data_set_row(r) for r in rows)


def _is_data_set_row(value: Mapping[str, Any]) -> bool:
    return "row_idx" in value and isinstance(value.get("row"), dict)


def _classes(answers: Sequence[Mapping[str, Any]]) -> dict[str, dict[Any, str]]:
    """The names of classes by their numbers, of columns that hold classes."""
    found: dict[str, dict[Any, str]] = {}
    for answer in answers:
        features = answer.get("features") if _is_data_set(answer) else None
        for feature in features if isinstance(features, list) else ():
            kind = feature.get("type") if isinstance(feature, dict) else None
            if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and isinstance(kind.get("names"), list):
                found[str(feature.get("name"))] = {Number(index): str(text) for index, text in enumerate(kind["names"])}
    return found


def _are_wrapped(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether each row is nothing but an object that holds the record: {"record": {…}}, or a node of GraphQL."""
    if len({tuple(row) for row in rows}) != 1 or len(rows[0]) != 1:
        return False
    inner = [next(iter(row.values())) for row in rows]
    return all(isinstance(value, dict) for value in inner) and any(map(_is_record, inner))


def _unwrapped(row: dict[str, Any]) -> dict[str, Any]:
    """A record out of what search engines, SPARQL endpoints and the like put around it and its cells."""
    if _is_data_set_row(row):
        row = row["row"]
    row = {name: _plain_cell(cell) if isinstance(cell, dict) else cell for name, cell in row.items()}
    for name in _WRAPPERS:
        inner = row.get(name)
        if isinstance(inner, dict) and inner and not any(key in inner for key in row if key not in ("id", "type")):
            rest = {key: value for key, value in row.items() if key != name}
            if all(
                not isinstance(value, (dict, list)) or key in ("links", "relationships", "geometry", "sort")
                for key, value in rest.items()
            ):
                return rest | {key: value for key, value in inner.items() if key not in rest}
    return row


def _plain_cell(cell: dict[str, Any]) -> Any:
    if "value" in cell and cell.keys() <= {"type", "value", "xml:lang", "datatype"} and "type" in cell:  # SPARQL's
        return cell["value"]
    if len(cell) == 1 and next(iter(cell)) in (
        "$oid",
        "$date",
        "$numberLong",
        "$numberInt",
        "$numberDouble",
    ):  # MongoDB's
        return next(iter(cell.values()))
    return cell


def read_json(decoded: Decoded, problem: AddProblem, *, by_line: bool, path: str | None = None) -> Raw:
    """The records of one file; see `records` and `json_documents.documents`.

    Raises:
        InputError: As there.
    """
    repeated = Repeated()
    read = documents(decoded.text, repeated, by_line=by_line)
    repeated.tell(problem)
    form = f"JSON{' lines' if by_line or len(read) > 1 else ''}, {decoded.encoding}"
    return records(read, form, problem, path)
