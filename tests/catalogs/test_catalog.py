"""Catalogue readers: each on a small file of the published layout, and on what museums' exports do to it."""

import csv
import gzip
import io
import json
import re
import zipfile
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artray.catalogs.catalog import Catalog, read_catalog
from artray.catalogs.delimited import _well_formed_records, find_delimiter
from artray.errors import InputError

SHARED = Path(__file__).parents[3] / "shared"


def read(data: bytes | str, name: str = "works.csv", **options) -> Catalog:
    return read_catalog(io.BytesIO(data.encode() if isinstance(data, str) else data), name, **options)


def problems(catalog: Catalog) -> dict[str, tuple[int, ...]]:
    return {problem.what: problem.lines for problem in catalog.problems}


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


# -- delimited text ----------------------------------------------------------------------------------------------------

TATE = (
    "id,acno,title,artist,date,start_year,classification,medium,dimensions,movements,emotions,subjects,thumbnail_url,url\n"
    "3,T07799,A Fishing Boat in Dieppe Harbour,Christopher Wood,1929,1929,painting,Oil paint on canvas,"
    '"support: 650 x 810 x 19 mm\nframe: 743 x 904 x 70 mm",,,"places > cities, towns|nature > sea",'
    "http://www.tate.org.uk/art/images/work/T/T07/T07799_8.jpg,http://www.tate.org.uk/art/artworks/t07799\n"
    "4,T12038,Zebra and Parachute,Christopher Wood,1930,1930,painting,Oil paint on canvas,,,,,,\n"
)


def test_tate_layout() -> None:
    catalog = read(TATE, "tate_artworks_flat.csv")
    assert catalog.table.num_rows == 2
    assert set(catalog.table.schema.types) == {pa.string()}
    assert catalog.table["acno"].to_pylist() == ["T07799", "T12038"]
    assert catalog.table["dimensions"][0].as_py() == "support: 650 x 810 x 19 mm\nframe: 743 x 904 x 70 mm"
    assert catalog.table["thumbnail_url"][1].as_py() is None
    assert catalog.lines.tolist() == [2, 4]
    assert problems(catalog) == {"column 'movements' is empty": (1,), "column 'emotions' is empty": (1,)}


def test_gzip_reads_the_same() -> None:
    assert read(gzip.compress(TATE.encode()), "tate.csv.gz").table.equals(read(TATE).table)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared data")
def test_all_of_tate() -> None:
    path = SHARED / "data" / "tate_artworks_flat.csv.gz"
    with path.open("rb") as file:
        catalog = read_catalog(file, path.name)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert catalog.table.num_rows == len(rows) == 69_202
    for column in ("acno", "url", "subjects"):
        assert catalog.table[column].to_pylist() == [row[column].strip() or None for row in rows]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encodings_and_delimiters(encoding: str, delimiter: str) -> None:
    rows = [
        ["id", "title", "artist"],
        ["1", "Tête, « à gauche »; 1,5 m | esquisse", "Dürer"],
        ["2", "x", "Žižka" if "utf" in encoding else "Brâncuşi"[:3]],
    ]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    table = read(text.getvalue().encode(encoding)).table
    assert [table.column_names, *[list(row.values()) for row in table.to_pylist()]] == rows


def test_a_damaged_byte_does_not_spoil_the_other_accents() -> None:
    catalog = read("id,artist\n1,Dürer\n2,Brâncuși\n3,".encode() + b"Caf\xe9\n")
    assert catalog.table["artist"].to_pylist() == ["Dürer", "Brâncuși", "Caf\N{REPLACEMENT CHARACTER}"]
    assert problems(catalog) == {"unreadable characters, now \N{REPLACEMENT CHARACTER}": (4,)}


def test_line_endings_of_all_systems() -> None:
    for end in ("\n", "\r\n", "\r"):
        catalog = read(f"id,title{end}1,a{end}{end}2,b{end}")
        assert catalog.table.to_pylist() == [{"id": "1", "title": "a"}, {"id": "2", "title": "b"}]
        assert catalog.lines.tolist() == [2, 4]


def test_excel_separator_hint() -> None:
    catalog = read("sep=;\r\nid;title\r\n1;a,b\r\n")
    assert catalog.table.to_pylist() == [{"id": "1", "title": "a,b"}]
    assert catalog.lines.tolist() == [3]


def test_a_delimiter_inside_cells_only_is_none() -> None:
    assert find_delimiter("title;price\na,b,c,d;1,5\ne,f,g,h;2,5\n") == ";"


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ('2,"The "Night" Watch",1642', 'The "Night" Watch'),
        ('2,"The "Night, dark" Watch",1642', 'The "Night, dark" Watch'),
        ('2,"Untitled,1642', '"Untitled'),
        ('2,"Untitled,"1642"', '"Untitled'),
    ],
)
def test_a_broken_quote_costs_at_most_its_own_row(line: str, title: str) -> None:
    catalog = read(f'id,title,year\n1,a,1600\n{line}\n3,"b, c",1700\n4,"d\ne",1800\n')
    rows = {row["id"]: row["title"] for row in catalog.table.to_pylist()}
    assert rows == {"1": "a", "2": title, "3": "b, c", "4": "d\ne"}
    assert problems(catalog) == {"broken quotes, taken as letters": (3,)}


def test_a_row_that_cannot_be_trusted_is_left_out_and_named() -> None:
    catalog = read('id,title,year\n1,"open, and, never closed,1642\n2,b,1700\n')
    assert catalog.table["id"].to_pylist() == ["2"]
    assert problems(catalog) == {"broken quotes that hide where the cells end, rows left out": (2,)}


def test_rows_with_too_many_or_too_few_cells() -> None:
    catalog = read("id,title,year\n1,Sea, with boats,1900\n2,b\n3,c,1901,,\n")
    assert catalog.table["title"].to_pylist() == ["b", "c"]
    assert catalog.table["year"].to_pylist() == [None, "1901"]
    assert problems(catalog) == {
        "rows with more cells than the header, left out": (2,),
        "rows with fewer cells than the header, the rest left empty": (3,),
    }


def test_quotes_inside_unquoted_cells_are_letters() -> None:
    catalog = read('id,size\n1,5" x 7"\n2,"12"" x 14"""\n3,7" wide\n4,8" wide\n5,9" wide\n6,"a\nb"\n')
    assert catalog.table["size"].to_pylist() == ['5" x 7"', '12" x 14"', '7" wide', '8" wide', '9" wide', "a\nb"]
    assert catalog.lines.tolist() == [2, 3, 4, 5, 6, 7]
    assert not catalog.problems


def test_nul_and_huge_cells() -> None:
    catalog = read("id,title\n1,a\0b\n2," + "x" * 10_000_000 + "\n")
    assert catalog.table["title"][0].as_py() == "a\N{REPLACEMENT CHARACTER}b"
    assert len(catalog.table["title"][1].as_py()) == 10_000_000
    assert problems(catalog) == {
        "NUL characters, now \N{REPLACEMENT CHARACTER}": (2,),
        "cells longer than 1 MiB, kept": (3,),
    }


def test_headers_without_names_or_twice() -> None:
    catalog = read("id,title,title,\n1,a,b,\n")
    assert catalog.table.to_pylist() == [{"id": "1", "title": "a", "title_2": "b"}]
    assert problems(catalog) == {"a second column 'title', now 'title_2'": (1,)}


def test_empty_rows_and_columns() -> None:
    catalog = read("id,note,title\n1,,a\n , ,\n2, ,b\n")
    assert catalog.table["id"].to_pylist() == ["1", "2"]
    assert catalog.table["note"].null_count == 2
    assert problems(catalog) == {"empty rows, left out": (3,), "column 'note' is empty": (1,)}


def test_formulas_stay_text_and_are_named() -> None:
    catalog = read('id,title\n1,"=WEBSERVICE(""http://x"")"\n2,b\n')
    assert catalog.table["title"][0].as_py() == '=WEBSERVICE("http://x")'
    assert problems(catalog) == {"cells with a formula, kept as text": (2,)}


def test_secrets_are_masked_in_every_cell() -> None:
    catalog = read(
        "id,link,note\n"
        "1,https://me:hunter2@museum.test/a.jpg,see ftp://u:pw@x/y\n"
        "2,https://b.s3.test/a.jpg?X-Amz-Credential=AKIA1&X-Amz-Signature=abc&w=3,\n"
        "3,https://museum.test/a.jpg?sha=8e63&token=t0k3n,\n"
    )
    assert catalog.table["link"].to_pylist() == [
        "https://***@museum.test/a.jpg",
        "https://b.s3.test/a.jpg?X-Amz-Credential=***&X-Amz-Signature=***&w=3",
        "https://museum.test/a.jpg?sha=8e63&token=***",
    ]
    assert catalog.table["note"][0].as_py() == "see ftp://***@x/y"
    everything = repr(catalog.table.to_pylist()) + repr(catalog.problems)
    assert not any(secret in everything for secret in ("hunter2", "AKIA1", "t0k3n", "pw@"))
    assert problems(catalog) == {"URLs with a password or signature, replaced by ***": (2, 3, 4)}


def test_a_key_in_an_address_is_the_museums_number_and_no_secret() -> None:
    catalog = read("id,link\n1,https://museum.test/image?key=4900&size=2\n")
    assert catalog.table["link"][0].as_py() == "https://museum.test/image?key=4900&size=2"
    assert problems(catalog) == {}


def test_decomposed_accents_are_composed() -> None:
    assert read("id,artist\n1,Du\u0308rer\n").table["artist"][0].as_py() == "Dürer"


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\v\x1d\ufeff\ufffd"), max_size=8)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=12), st.sampled_from(",;\t|"))
def test_what_csv_writes_is_read_back(rows: list[list[str]], delimiter: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([["id", "title", "artist"], *rows])
    catalog = read(text.getvalue())

    def clean(cell: str) -> str | None:
        return read(json.dumps([{"cell": cell, "id": 1}]), "x.json").table["cell"][0].as_py() if cell else None

    expected = [cleaned for row in rows if any(cleaned := [clean(cell) for cell in row])]
    assert [list(row.values()) for row in catalog.table.to_pylist()] == expected


@settings(deadline=None)
@given(st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=12))
def test_both_ways_of_reading_agree(rows: list[list[str]]) -> None:
    """A damaged last line sends the whole file to the slow reader; the rows before it must come out the same."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([["id", "title"], *rows])
    whole = read(text.getvalue())
    damaged = read(text.getvalue() + '"broken" quote,end\n')
    assert damaged.table.num_rows == whole.table.num_rows + 1
    assert damaged.table.slice(0, whole.table.num_rows).to_pylist() == whole.table.to_pylist()
    assert damaged.lines.tolist()[:-1] == whole.lines.tolist()


@settings(deadline=None)
@given(st.text('a",\n', max_size=30))
def test_well_formed_as_the_csv_module_sees_it(text: str) -> None:
    """What passes for RFC 4180 must be read alike by a strict reader, with the same number of records."""
    records = _well_formed_records(text.encode(), ",")
    if records is not None:
        strict = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        assert len(strict) == len(records[0])


@settings(deadline=None)
@given(st.text('ab",\n', max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        catalog = read(f"id,title\n{text}")
    except InputError as error:
        if re.search("most rows (have more cells|are broken)", str(error)) and str(error).isprintable():
            return
        raise
    assert len(catalog.lines) == catalog.table.num_rows
    assert all(2 <= line <= text.count("\n") + 2 for line in catalog.lines)


# -- workbooks ---------------------------------------------------------------------------------------------------------


def workbook(rows: list[list[object]], **sheets: list[list[object]]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for title, content in sheets.items():
        sheet = book.create_sheet(title)
        for row in content:
            sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


THESIS_HEADER = ["Title", "Style", "Artist", "Genre", "Tags", "Emotion", "Image URL"]


def test_thesis_layout() -> None:
    catalog = read(
        workbook(
            [
                THESIS_HEADER,
                [
                    "The Fall of Lucifer",
                    "Romanticism",
                    "Gustave Dore",
                    None,
                    "angels",
                    "sadness",
                    "https://x.test/1.jpg",
                ],
            ]
        ),
        "emos.xlsx",
    )
    assert catalog.table.column_names == THESIS_HEADER
    assert catalog.table["Emotion"].to_pylist() == ["sadness"]
    assert catalog.table["Genre"].null_count == 1


def test_values_of_a_workbook_become_the_text_one_sees() -> None:
    rows = [
        ["a", "b", "c", "d"],
        [1929, 1929.5, date(1929, 1, 2), True],
        ["007", 3.0, datetime(1929, 1, 2, 3, 4), "#N/A"],
    ]
    catalog = read(workbook(rows), "x.xlsx")
    assert [list(row.values()) for row in catalog.table.to_pylist()] == [
        ["1929", "1929.5", "1929-01-02", "true"],
        ["007", "3", "1929-01-02T03:04:00", None],
    ]
    assert problems(catalog) == {
        "cells with a spreadsheet error, left empty": (3,),
        "column 'a' holds text, and numbers kept as text": (2,),
    }


def test_formulas_of_a_workbook() -> None:
    catalog = read(workbook([["id", "title"], [1, "=1+1"], [2, "b"]]), "x.xlsx")
    assert catalog.table["title"].to_pylist() == [None, "b"]
    assert problems(catalog) == {"formulas without a stored value, left empty": (2,)}


def test_sheets() -> None:
    data = workbook([], works=[[], ["id"], ["1"]], notes=[["id"], ["2"]])
    catalog = read(data, "x.xlsx")
    assert (catalog.table["id"].to_pylist(), catalog.lines.tolist()) == (["1"], [3])
    assert problems(catalog) == {"sheets not read ('Sheet', 'notes')": (1, 1)}
    assert read(data, "x.xlsx", sheet="notes").table["id"].to_pylist() == ["2"]
    with pytest.raises(InputError, match="no sheet 'Works'"):
        read(data, "x.xlsx", sheet="Works")
    with pytest.raises(InputError, match=r"only an \.xlsx file"):
        read("id\n1\n", sheet="works")


def rewrite(data: bytes, **changes) -> bytes:
    """A workbook with some parts changed (by the last word of their names) and new ones added."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            change = changes.pop(name.split("/")[-1].split(".")[0].strip("[]"), None)
            new.writestr(name, change(old.read(name)) if change else old.read(name))
        for name, change in changes.items():
            new.writestr(f"xl/{name}.xml", change(b""))
    return stream.getvalue()


def with_shared_strings(data: bytes, strings: bytes) -> bytes:
    """As Excel writes it: texts in a part of their own (openpyxl writes them into the cells)."""
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    override = b'<Override PartName="/xl/sharedStrings.xml" ContentType="' + kind + b'"/></Types>'
    return rewrite(
        data,
        Content_Types=lambda xml: xml.replace(b"</Types>", override),
        sharedStrings=lambda _: strings,
        sheet1=lambda xml: re.sub(rb't="inlineStr"><is><t>id</t></is>', b't="s"><v>0</v>', xml),
    )


STRINGS = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>number</t></si></sst>'
BILLION_LAUGHS = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


def test_shared_strings() -> None:
    assert read(with_shared_strings(workbook([["id"], ["1"]]), STRINGS), "x.xlsx").table.to_pylist() == [
        {"number": "1"}
    ]


@pytest.mark.parametrize("part", ["sheet1", "workbook", "styles", "sharedStrings"])
def test_hostile_xml_is_refused(part: str) -> None:
    """Or, where lxml is installed, which openpyxl takes for small parts: its entities are not expanded."""

    def change(xml: bytes) -> bytes:
        return BILLION_LAUGHS + xml[xml.index(b"?>") + 2 if xml.startswith(b"<?xml") else 0 :]

    data = workbook([["id"], ["1"]])
    hostile = with_shared_strings(data, change(STRINGS)) if part == "sharedStrings" else rewrite(data, **{part: change})
    if openpyxl.xml.LXML and part in ("workbook", "styles"):
        assert read(hostile, "x.xlsx").table.to_pylist() == read(data, "x.xlsx").table.to_pylist()
        return
    with pytest.raises(InputError, match=r"not a workbook that can be read .EntitiesForbidden"):
        read(hostile, "x.xlsx")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"id,title\n1,2\n", workbook([["id"], [1]])[:900]])
def test_no_workbook(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^x\.xlsx: ") as caught:
        read(data, "x.xlsx")
    assert "\n" not in str(caught.value)


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
