"""Catalogue readers: each on a small file of the published layout, and on what museums' exports do to it."""

import csv
import gzip
import io
import json

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from artray.errors import InputError
from tests.catalogs.read import problems, read


def test_text_that_is_not_utf8_is_repaired_or_left_out():
    """In names and cells, by JSON's and Excel's escapes, and by a Parquet writer that does not look."""
    catalog = read('[{"id": "\\ud800x", "\\udcff name": "b"}, {"id": "2"}]', "x.json")
    assert catalog.table.to_pylist() == [{"id": "?x", "? name": "b"}, {"id": "2", "? name": None}]
    book, sink = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["id", "n_xD800_"])
    book.active.append(["a_xDFFF_", "b"])
    book.save(sink)
    assert read(sink.getvalue(), "x.xlsx").table.to_pylist() == [{"id": "a?", "n?": "b"}]

    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a", b"\xff\xfe"]).buffers())
    columns = {
        "id": ["1", "2"],
        "flat": broken,
        "nested": pa.ListArray.from_arrays(pa.array([0, 1, 2]), broken),
        "seen": pa.array([[1], [2**62]], pa.list_(pa.timestamp("us"))),
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    catalog = read(sink.getvalue(), "x.parquet")
    assert catalog.table.to_pylist() == [
        {"id": "1", "flat": "a", "nested": "a", "seen": "1970-01-01T00:00:00.000001"},
        {"id": "2", "flat": None, "nested": None, "seen": None},
    ]
    unread = {f"column {name!r}: cells that can't be read, left empty": (2,) for name in ("flat", "nested", "seen")}
    assert problems(catalog) == unread


# -- JSON, Parquet, MATLAB ---------------------------------------------------------------------------------------------


def test_moma_json_layout() -> None:
    works = [
        {
            "Title": "Ferdinandsbrücke",
            "Artist": ["Otto Wagner", "Otto W."],
            "BeginDate": [1841],
            "ObjectID": 2,
            "Height (cm)": 48.60,
            "OnView": "",
        }
    ]
    for data, name in (
        (json.dumps(works), "a.json"),
        (json.dumps(works[0]) + "\n\n", "a.jsonl"),
        (json.dumps({"records": works}), "a.json"),
    ):
        table = read(data, name).table
        assert table.to_pylist() == [
            {
                "Title": "Ferdinandsbrücke",
                "Artist": "Otto Wagner|Otto W.",
                "BeginDate": "1841",
                "ObjectID": "2",
                "Height (cm)": "48.6",
                "OnView": None,
            }
        ]


def test_json_keeps_numbers_as_written() -> None:
    table = read('[{"id": 12345678901234567890123, "size": 1.10, "x": NaN, "y": {"a": [1]}}]', "x.json").table
    assert table.to_pylist() == [{"id": "12345678901234567890123", "size": "1.10", "x": None, "y": '{"a": ["1"]}'}]


def test_json_lists_by_column() -> None:
    assert read('{"id": [1, 2], "title": ["a", null]}', "x.json").table.to_pylist() == [
        {"id": "1", "title": "a"},
        {"id": "2", "title": None},
    ]
    with pytest.raises(InputError, match="different lengths"):
        read('{"id": [1, 2], "title": ["a"]}', "x.json")


def test_json_lines_that_are_none() -> None:
    catalog = read('{"id": 1}\n{"id": 2\n[3]\n{"id": "\\ud800"}\n', "x.ndjson")
    assert catalog.table["id"].to_pylist() == ["1", "?"]
    assert catalog.lines.tolist() == [1, 4]
    assert problems(catalog)["entries that are not a JSON object, left out"] == (2, 3)


@pytest.mark.parametrize("data", ["", "[", "3", '"x"', "[1, 2]", "[" * 100_000, "{}"])
def test_json_that_is_no_catalogue(data: str) -> None:
    with pytest.raises(InputError, match=r"^x\.json: ") as caught:
        read(data, "x.json")
    assert "\n" not in str(caught.value)


def test_parquet_types_become_text() -> None:
    table = pa.table(
        {
            "id": pa.array([1, None], pa.int64()),
            "year": pa.array([1929.0, float("nan")]),
            "artist": pa.array(["a", "b"]).dictionary_encode(),
            "tags": pa.array([["x", "y"], []]),
            "image": pa.array([b"\xff\xd8", None]),
            "__index_level_0__": pa.array([0, 1]),
        }
    )
    stream = io.BytesIO()
    pq.write_table(table, stream)
    catalog = read(stream.getvalue(), "x.parquet")
    assert catalog.table.to_pylist() == [
        {"id": "1", "year": "1929", "artist": "a", "tags": "x|y"},
        {"id": None, "year": None, "artist": "b", "tags": None},
    ]
    assert problems(catalog) == {"column 'image' is not text but binary, left out": (1,)}
    with pytest.raises(InputError, match="not a Parquet file"):
        read(b"PAR1", "x.parquet")


def test_pandora_mat_layout() -> None:
    scipy_io = pytest.importorskip("scipy.io")
    import numpy as np

    entries = np.empty((2, 1), object)
    for at, (path, movement, artist) in enumerate(
        [
            ("03_Northern_Renaissance\\hieronymus-bosch\\tempt-o1.jpg", 2, 3),
            ("14_Cubism\\Picasso_Pablo\\cafe.jpg", 13, 400),
        ]
    ):
        entries[at, 0] = np.array(
            [[(path, movement, artist)]], dtype=[("name", object), ("class", object), ("artist", object)]
        )
    stream = io.BytesIO()
    scipy_io.savemat(stream, {"imageListFile": entries})
    catalog = read(stream.getvalue(), "pandora18kMain_v2.mat")
    assert catalog.table.to_pylist() == [
        {"imageListFile": "03_Northern_Renaissance\\hieronymus-bosch\\tempt-o1.jpg", "class": "2", "artist": "3"},
        {"imageListFile": "14_Cubism\\Picasso_Pablo\\cafe.jpg", "class": "13", "artist": "400"},
    ]
    with pytest.raises(InputError, match="not a MATLAB file"):
        read(b"MATLAB 5.0", "x.mat")


# -- wrong use ---------------------------------------------------------------------------------------------------------


def test_what_is_no_catalogue() -> None:
    for name in ("works.pdf", "works", "works.xlsx.gz", "works.gz"):
        with pytest.raises(InputError, match="a catalogue is one of"):
            read("id\n1\n", name)
    with pytest.raises(InputError, match="empty"):
        read("")
    with pytest.raises(InputError, match="damaged gzip"):
        read("id\n1\n", "works.csv.gz")
    with pytest.raises(InputError, match="larger than 100 bytes"):
        read(gzip.compress(b"x" * 10_000), "works.csv.gz", max_bytes=100)


def test_links_without_quotes_around_them() -> None:
    rows = "".join(f'{n},=HYPERLINK("https://m.test/{n}.jpg","view"),T{n}\n' for n in range(3))
    catalog = read(f"nr,image,title\n{rows}")
    assert catalog.table["image link"].to_pylist() == [f"https://m.test/{n}.jpg" for n in range(3)]
    assert catalog.table["title"].to_pylist() == ["T0", "T1", "T2"]
    with pytest.raises(InputError, match="the quotes of most rows are broken, and hide where the cells end, the first"):
        read("nr,image,title\n" + "".join(f'{n},=X("a","b","c"),T{n}\n' for n in range(3)))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("{n}.jpg (https://m.test/{n}.jpg)", "{n}.jpg"),  # Airtable's
        ("<a href='https://m.test/{n}.jpg'>view</a>", None),
        ("<img alt='x' src='https://m.test/{n}.jpg' />", None),
        ("[view](https://m.test/{n}.jpg)", None),
    ],
)
def test_addresses_within_cells_are_a_column(cell: str, text: str | None) -> None:
    cells = [cell.format(n=n) for n in range(4)]
    catalog = read("nr;image\n" + "".join(f"{n};{cells[n]}\n" for n in range(4)))
    assert catalog.table["image link"].to_pylist() == [f"https://m.test/{n}.jpg" for n in range(4)]
    assert catalog.table["image"].to_pylist() == [(text or cell).format(n=n) for n in range(4)]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_links_and_texts_written_as_formulas_are_read_as_seen(mark: str) -> None:
    comma = ";" if mark == ";" else ","
    rows = [["Nr", "Image", "Mail"]]
    rows += [[f'="00{n}"', f'=HYPERLINK("https://m.test/{n}.jpg"{comma} "view {n}")', "x"] for n in range(4)]
    rows[2][2] = '=HYPERLINK("mailto:a@m.test","write ""us""")'
    rows[3][1] = '=HYPERLINK("https://m.test/2.jpg")'
    rows[4][2] = '=HYPERLINK(A1,"x")'
    file = io.StringIO()
    csv.writer(file, delimiter=mark).writerows(rows)
    catalog = read(file.getvalue())
    assert catalog.table["Nr"].to_pylist() == ["000", "001", "002", "003"]
    assert catalog.table["Image"].to_pylist() == ["view 0", "view 1", "https://m.test/2.jpg", "view 3"]
    assert catalog.table["Image link"].to_pylist() == [f"https://m.test/{n}.jpg" for n in range(4)]
    assert catalog.table["Mail"].to_pylist() == ["x", 'write "us"', "x", '=HYPERLINK(A1,"x")']
    assert [*map(str, catalog.problems)] == [
        "column 'Nr' holds texts written as formulas (=\"…\"), read as texts: 4 (line 2, 3, 4, 5)",
        "column 'Image' holds links, their targets are column 'Image link': 4",
        "cells with a formula, kept as text: 1 (line 5)",
    ]
