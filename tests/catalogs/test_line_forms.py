"""What programs write around the lines of a table: quotes around whole records, lines of dashes, comments."""

import pytest

from artray.catalogs.catalog import Catalog
from artray.errors import InputError
from tests.catalogs.read import read

ROWS = [f"{n},T{n},w{n}.jpg" for n in range(8)]


def said(catalog: Catalog) -> str:
    return " / ".join(map(str, catalog.problems))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_records_in_one_pair_of_quotes(end: str) -> None:
    rows = ['"id,title,image"', *(f'"{n},""Sea, {n}"",w{n}.jpg"' for n in range(8))]
    catalog = read(end.join(rows) + end)
    assert catalog.table.column_names == ["id", "title", "image"]
    assert catalog.table["title"].to_pylist()[0] == "Sea, 0"
    assert catalog.lines.tolist() == list(range(2, 10))
    assert "each row stands in quotes as a whole" in said(catalog)


def test_a_column_of_texts_in_quotes_stays() -> None:
    catalog = read('"title"\n' + "".join(f'"Sea{", calm" * n}"\n' for n in range(6)))
    assert catalog.table["title"].to_pylist()[2] == "Sea, calm, calm"


@pytest.mark.parametrize(
    "frame",
    [
        (["| id | title | image |", "|----|:-----:|-------|"], "| {} |", []),
        ([" id | title | image ", "----+-------+-------"], " {} ", ["(8 rows)"]),
        (["+----+----+----+", "| id | title | image |", "+----+----+----+"], "| {} |", ["+----+----+----+"]),
        (["id;title;image", "--;-----;-----"], "{}", []),
    ],
)
def test_tables_drawn_with_dashes(frame: tuple[list[str], str, list[str]]) -> None:
    above, form, below = frame
    mark = ";" if ";" in above[0] else " | "
    catalog = read("\n".join([*above, *(form.format(row.replace(",", mark)) for row in ROWS), *below]) + "\n", "c.txt")
    assert catalog.table.select(["id", "title", "image"]).to_pylist()[7] == {
        "id": "7",
        "title": "T7",
        "image": "w7.jpg",
    }
    assert len(catalog.table) == 8
    assert "lines of dashes, left out" in said(catalog)


def test_dashes_that_are_cells_stay() -> None:
    catalog = read("id,title,image\n" + "".join(f"{n},--,w{n}.jpg\n" for n in range(6)))
    assert catalog.table["title"].to_pylist() == ["--"] * 6
    assert len(read(f"{'-' * 20_000} works\nid,title\n1,a\n2,b\n").table) > 1  # at once


@pytest.mark.parametrize("comment", ["# exported 2021", "# by me, you, them", "## a, b, c, d"])
def test_comments_above_the_header(comment: str) -> None:
    catalog = read("\n".join([comment, "# on request", "id,title,image", *ROWS]))
    assert catalog.table.column_names == ["id", "title", "image"]
    assert (len(catalog.table), catalog.lines[0]) == (8, 4)
    assert "comments above the header, left out" in said(catalog)


@pytest.mark.parametrize("name", ["#", "# id", "#id"])
def test_a_header_that_begins_like_a_comment(name: str) -> None:
    catalog = read("\n".join([f"{name},title,image", *ROWS]))
    assert (catalog.table.column_names[0], len(catalog.table)) == (name, 8)


def test_records_that_all_begin_like_comments() -> None:
    assert len(read("#1 of the series,a.jpg\n#2 of the series,b.jpg\n").table) == 2


def test_rare_delimiters() -> None:
    rows = [{"id": "1", "title": "Sea"}, {"id": "2", "title": "Sky"}]
    for mark in "^~\x1f\x01":
        assert read(f"id{mark}title\n1{mark}Sea\n2{mark}Sky\n").table.to_pylist() == rows
    for mark in ("¦", "::", "   ", "\\t"):
        with pytest.raises(InputError, match=r"cells seem to be divided by .*: export it with commas"):
            read(f"id{mark}title\n1{mark}Sea\n2{mark}Sky\n")
    with pytest.raises(InputError, match="says that cells are divided by '¦': export"):
        read("sep=¦\nid¦title\n")
    # A column may be the only one.
    assert read("Title: all\nSea\nSky: blue\n").table.num_columns == 1
    assert read("https://m.test/1.jpg\nhttps://m.test/2.jpg\n").table.num_columns == 1
    assert read("schema:url\nhttps://m.test/1.jpg\nhttps://m.test/2.jpg\n").table.column_names == ["schema:url"]


def test_spaces_before_quotes() -> None:
    catalog = read('id, title, style\n1, "Sea, calm", "Cubism"\n2, "Sky", "Cubism"\n')
    assert catalog.table["title"].to_pylist() == ["Sea, calm", "Sky"]
    assert catalog.table["style"].to_pylist() == ["Cubism", "Cubism"]
    assert not catalog.problems
    kept = read('id,title\n1,"He said, ""Sea"", and left"\n2,"Sky, ""x"""\n').table
    assert kept["title"].to_pylist() == ['He said, "Sea", and left', 'Sky, "x"']


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b'[\n  {"id": "1"}]', "is JSON, not a table"),
        (b'{"id": "1"}\n', "is JSON, not a table"),
        (b"%PDF-1.4\nx\n", "is a PDF"),
        (b"PAR1\x15\x04", "is a Parquet file"),
        (b"SQLite format 3\0", "is a database"),
        (b"{\\rtf1\\ansi x}", "is a text document"),
    ],
)
def test_what_is_no_table_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(InputError, match=f"works.csv: {what}"):
        read(data)


def test_a_list_of_postgres_is_no_json() -> None:
    assert read('{"Cubism"},a.jpg\n{"Dada"},b.jpg\n').table["column_2"].to_pylist() == ["a.jpg", "b.jpg"]


def test_what_dos_writes_behind_a_text_is_no_record() -> None:
    catalog = read("id,title\n1,Sea\n\x1a\0\0\0")
    assert (len(catalog.table), catalog.problems) == (1, ())
