"""What programs write around the lines of a table: quotes around whole records, lines of dashes, comments."""

import io

import pytest

from artray.catalogs.catalog import Catalog, read_catalog

ROWS = [f"{n},T{n},w{n}.jpg" for n in range(8)]


def read(text: str, name: str = "c.csv", **options) -> Catalog:
    return read_catalog(io.BytesIO(text.encode()), name, **options)


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
    ],
)
def test_tables_drawn_with_dashes(frame: tuple[list[str], str, list[str]]) -> None:
    above, form, below = frame
    catalog = read("\n".join([*above, *(form.format(row.replace(",", " | ")) for row in ROWS), *below]) + "\n", "c.txt")
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
