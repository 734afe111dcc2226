"""Delimited text."""

import csv
import gzip
import io
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artray.catalogs.catalog import read_catalog
from artray.catalogs.delimited import _well_formed_records, find_delimiter
from artray.errors import InputError
from tests.catalogs.read import problems, read

SHARED = Path(__file__).parents[3] / "shared"
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


@pytest.mark.slow
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


# Without what begins a note below a table, or a list: whether `{0}` is one depends on the rest of its column.
cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\v\x1d\ufeff\ufffd*†©[({"), max_size=8)


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


@pytest.mark.slow
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
