"""Paths into cells that hold objects, and lists written as text."""

import io
import json

import pyarrow as pa
import pytest

from artray.catalogs.catalog import read_catalog
from artray.catalogs.columns import Mapping, guess_mapping
from artray.catalogs.lists import read_list_texts
from artray.catalogs.nested import holds_objects, objects_in_labels, paths_in, with_paths
from artray.errors import InputError

MOVEMENTS = [
    [{"era": {"id": 415, "name": "20th century"}, "id": 7, "name": "Cubism"}],
    [{"id": 8, "name": "Fauvism"}, {"id": 7, "name": "Cubism"}],
    [],
    None,
]
WORKS = [{"acno": f"X{n}", "title": f"T{n}", "movements": value} for n, value in enumerate(MOVEMENTS)]


def table() -> pa.Table:
    return read_catalog(io.BytesIO(json.dumps(WORKS).encode()), "c.json").table


def test_a_path_is_a_column() -> None:
    found = with_paths(table(), ["movements[].name", "movements.era.name", "title", "nothing.there"])
    assert found["movements[].name"].to_pylist() == ["Cubism", "Fauvism|Cubism", None, None]
    assert found["movements.era.name"].to_pylist() == ["20th century", None, None, None]
    assert found.column_names == [*table().column_names, "movements[].name", "movements.era.name"]


def test_paths_are_found() -> None:
    assert set(paths_in(table(), "movements")) == {
        "movements[].name",
        "movements[].id",
        "movements[].era.name",
        "movements[].era.id",
    }
    assert paths_in(table(), "title") == []
    assert not holds_objects(table()["title"])


def test_objects_as_python_writes_them() -> None:
    works = pa.table({"genres": ["[{'id': 18, 'name': 'Drama'}, {'id': 3, 'name': \"L'Été\"}]", "[]", "{'id"] * 2})
    assert with_paths(works, ["genres[].name"])["genres[].name"].to_pylist()[:3] == ["Drama|L'Été", None, None]


def test_the_name_inside_is_guessed() -> None:
    mapping = guess_mapping(table()).mapping
    assert mapping.labels == {"style": "movements[].name"}
    assert mapping.separator == "|"
    makers = pa.table(
        {"id": ["1", "2"], "creators": ['[{"id": 3, "description": "A"}]', '[{"id": 4, "description": "B"}]']}
    )
    assert guess_mapping(makers).mapping.artist == "creators[].description"


def test_a_path_that_is_not_there_is_named_with_those_like_it() -> None:
    with pytest.raises(InputError, match=r"no column 'movements\[\]\.nam'; it has 'movements\[\]\.name'"):
        Mapping(labels={"style": "movements[].nam"}).complete(table())


def test_a_label_column_of_objects_is_said() -> None:
    (line,) = objects_in_labels(table(), {"style": "movements", "genre": "title"})
    assert line.startswith("style: column 'movements' holds objects; --label style=PATH takes")
    assert "movements[].name" in line


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["['Cubism', 'Fauvism']", "['Realism']", "[]", None], ["Cubism|Fauvism", "Realism", None, None]),
        (['["A","B"]', '["C"]', '["D", null]'], ["A|B", "C", "D"]),
        (["['Cubism' 'Pop Art']", "['Realism'\n 'Dada']"], ["Cubism|Pop Art", "Realism|Dada"]),
        (["('A', 'B')", "('C',)", "plain"], ["A|B", "C", "plain"]),
        (["['Dürer', \"L'Été\"]"] * 2, ["Dürer|L'Été"] * 2),
        (['{Cubism,"Abstract, late"}', "{Dada}", "{NULL}"], ["Cubism|Abstract, late", "Dada", None]),
        (["array(['A', 'B'], dtype=object)", "array(['C'\n 'D'], dtype='<U6')"], ["A|B", "C|D"]),
        (["{'B', 'A'}", "frozenset({'C'})", "set()"], ["A|B", "C", None]),
        (['c("A", "B")', 'c("C")', "character(0)"], ["A|B", "C", None]),
        (["[Cubism, Dada]", "[Cubism]", "[]"], ["Cubism|Dada", "Cubism", None]),
    ],
)
def test_lists_written_as_text(cells: list[str | None], values: list[str | None]) -> None:
    said: list[str] = []
    read = read_list_texts(pa.table({"x": pa.array(cells, pa.string())}), lambda what, lines=None: said.append(what))
    assert read["x"].to_pylist() == values
    assert said == ["column 'x' holds lists written as text, their values are now joined by '|'"]


@pytest.mark.parametrize(
    "cells",
    [
        ["[1900]", "[1901]"],
        ["[Untitled]", "[Study]"],
        ["[Landscape, with cows]", "[The sea, calm]"],
        ["['Untitled']", "Sea", "Lake", "Wood"],
        ["(after Monet)", "()", "('x"],
        ["['a', __import__('os')]", "['b', 1]"],
    ],
)
def test_what_is_no_list_stays(cells: list[str]) -> None:
    def refuse(what: str, lines: object = None) -> None:
        pytest.fail(what)

    assert read_list_texts(pa.table({"x": cells}), refuse)["x"].to_pylist() == cells
