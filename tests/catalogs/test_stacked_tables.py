"""Two tables in one file or sheet: the first is read, and what is left is counted; or nothing is read."""

import io

import openpyxl
import pytest

from artray.catalogs.catalog import Catalog, read_catalog
from artray.errors import InputError

WORKS = ["id,title,artist,image", *(f"{n},Sea {n},Maker {n},a{n}.jpg" for n in range(6))]
MAKERS = ["name,born", *(f"Maker {n},18{n}0" for n in range(4))]


def read(rows: list[str], suffix: str, **options) -> Catalog:
    if suffix == ".csv":
        return read_catalog(io.BytesIO("\n".join(rows).encode()), "c.csv", **options)
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append([int(cell) if cell.isdigit() else cell or None for cell in row.split(",")])
    file = io.BytesIO()
    book.save(file)
    return read_catalog(io.BytesIO(file.getvalue()), "c.xlsx", **options)


def said(catalog: Catalog) -> str:
    return " / ".join(map(str, catalog.problems))


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
@pytest.mark.parametrize(
    ("below", "number"),
    [
        (["", *MAKERS], 5),
        ([",,,", *(f"{row},," for row in MAKERS)], 5),
        (["", "Artists", *MAKERS], 6),
        (["Artists", *MAKERS], 6),
        (["", "name,born,died,place,url", *(f"M {n},18{n}0,19{n}0,Paris,http://m.test/{n}" for n in range(4))], 5),
        (["", "artist_id,name,born,place", *(f"{n},M {n},18{n}0,Paris" for n in range(4))], 5),
        (["", "name,country,movement,note", *(f"M {n},France,Cubism,x" for n in "abcd")], 5),
        (["", "name,country", *(f"M {n},France" for n in "abcd")], 5),
        (["", *MAKERS, "", "place,country", *(f"P{n},F" for n in range(4))], 10),
        (["", "name,born", "Maker 1,1890"], 2),
    ],
)
def test_the_first_table_is_read_and_what_is_left_is_counted(below: list[str], number: int, suffix: str) -> None:
    catalog = read([*WORKS, *below], suffix)
    assert catalog.table.column_names == ["id", "title", "artist", "image"]
    assert catalog.table["image"].to_pylist() == [f"a{n}.jpg" for n in range(6)]
    (problem,) = [item for item in catalog.problems if "another table" in item.what]
    header = next(line for line, row in enumerate([*WORKS, *below], 1) if line > 7 and "," in row.strip(","))
    assert f"--header-line {header} reads it" in problem.what
    assert problem.count == number


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_the_second_can_be_read_and_is_asked_for_where_it_is_the_larger(suffix: str) -> None:
    assert read([*WORKS, "", *MAKERS], suffix, header_line=9).table.column_names == ["name", "born"]
    note = ["key,value,note", "exported,2021,x", "by,Registrar,y", ""]
    with pytest.raises(InputError, match=r"two tables, and the second, from line 5 .* is the larger: --header-line 5"):
        read([*note, *WORKS], suffix)
    assert len(read([*note, *WORKS], suffix, header_line=5).table) == 6


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
@pytest.mark.parametrize(
    "rows",
    [
        [WORKS[0], "Paintings,,,", *WORKS[1:4], "", "Prints,,,", *WORKS[4:]],
        [*WORKS[:4], "", "", *WORKS[4:]],
        [*WORKS[:4], "", *(f"{n},Untitled,unknown,n{n}.tif" for n in "789")],
        [*WORKS[:4], "", WORKS[0], *WORKS[4:]],
        ["Works", "", *WORKS],
    ],
)
def test_rows_below_a_blank_one_that_go_on_as_those_above(rows: list[str], suffix: str) -> None:
    assert "another table" not in said(read(rows, suffix))


def test_blank_lines_within_cells_begin_nothing() -> None:
    rows = [WORKS[0], *(f'{n},"Sea\n\nname,born\nM,1890",Maker {n},a{n}.jpg' for n in range(6))]
    catalog = read(rows, ".csv")
    assert (len(catalog.table), said(catalog)) == (6, "")


def test_lines_are_records_where_cells_hold_several() -> None:
    makers = ["name,born", '"Maker\n1",1890', "Maker 2,1891"]
    catalog = read([*WORKS, "", *makers], ".csv")
    assert catalog.problems[0].lines == (9, 10, 12)
