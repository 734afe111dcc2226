"""Tables that lie on their side."""

import pytest

from tests.catalogs.read import problems, read
from tests.catalogs.test_workbook_files import workbook

ROWS = [
    ["Inventarnummer", "1900.1", "1900.2", "1900.3"],
    ["Titel", "Mohnfeld", "Ansicht von Delft, mit Hafen", "Selbstbildnis"],
    ["Künstler", "Monet", "Vermeer", ""],
    ["Datierung", "1873", "um 1660", "1889"],
    ["Dateiname", "a.jpg", "b.jpg", "c.tif"],
]
RECORDS = [
    dict(zip((row[0] for row in ROWS), cells, strict=True)) for cells in zip(*(r[1:] for r in ROWS), strict=True)
]
TOLD = "lies on its side: its first column holds the columns' names, each other column is a row (3)"


def text(rows: list[list[str]], mark: str = ";") -> str:
    return "".join(mark.join(row) + "\n" for row in rows)


def records(catalog) -> list[dict[str, str]]:
    return [{name: cell or "" for name, cell in row.items()} for row in catalog.table.to_pylist()]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_text_file(mark: str) -> None:
    catalog = read(text(ROWS, mark))
    assert records(catalog) == RECORDS
    assert list(problems(catalog)) == [TOLD]
    assert catalog.lines.tolist() == [2, 3, 4]


def test_a_workbook_of_named_works() -> None:
    catalog = read(workbook([["", "Work 1", "Work 2", "Work 3"], *ROWS]), "x.xlsx")
    found = records(catalog)
    assert [row.pop("column_1") for row in found] == ["Work 1", "Work 2", "Work 3"]
    assert found == RECORDS


def test_one_work_a_field_a_line() -> None:
    catalog = read("id,17\ntitle,Haystacks\nartist,Monet\nfile,a.jpg\n")
    assert not any(told.startswith("no header") for told in problems(catalog))
    assert catalog.table.to_pylist() == [{"id": "17", "title": "Haystacks", "artist": "Monet", "file": "a.jpg"}]


@pytest.mark.parametrize(
    "standing",
    [
        "id,title,file\n1,Title,a.jpg\n2,Artist,b.jpg\n3,Date,c.jpg\n",
        "field,type,meaning\nid,text,the number\ntitle,text,of the work\nartist,text,who made it\n",
        "field,meaning\nid,the number\ntitle,of the work\nartist,who made it\n",
        "file,label\na.jpg,x\nb.jpg,y\n",
        "title,1,2,3\nHaystacks,4,5,6\nPoplars,7,8,9\n",
    ],
)
def test_tables_that_stand(standing: str) -> None:
    assert not any("side" in told for told in problems(read(standing)))


def test_a_header_that_is_said_is_one() -> None:
    assert read(text(ROWS), header_line=1).table.column_names[0] == "Inventarnummer"
    assert read(text(ROWS), header_line=1).table.num_rows == 4
