"""Workbooks: layouts, sheets, hostile files."""

import io
import re
import zipfile
from datetime import date, datetime

import openpyxl
import pytest

from artray.errors import InputError
from tests.catalogs.read import problems, read


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


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"id,title\n1,2\n", "is text, not a workbook: let its name end in .csv"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", r"is an old workbook \(\.xls\), or one with a password"),
        (b"<table><tr></table>", "is HTML or XML, not a workbook"),
    ],
)
def test_what_is_called_a_workbook_and_is_none(data: bytes, what: str) -> None:
    with pytest.raises(InputError, match=what):
        read(data, "x.xlsx")


def test_sheets_of_the_same_columns_are_one_table() -> None:
    paintings = [["id", "title"], ["1", "Haystacks"], ["2", "Poplars"]]
    drawings = [["Drawings"], [], ["title", "id"], ["Hands", "3"]]
    data = workbook(paintings, Drawings=drawings, Notes=[["who", "what"], ["Ada", "checked"]])
    catalog = read(data, "x.xlsx")
    assert catalog.table.to_pylist() == [
        {"id": "1", "title": "Haystacks", "sheet": "Sheet"},
        {"id": "2", "title": "Poplars", "sheet": "Sheet"},
        {"id": "3", "title": "Hands", "sheet": "Drawings"},
    ]
    assert catalog.lines.tolist() == [2, 3, 4]
    assert "sheets with the same columns, read as one ('Sheet', 'Drawings'): 3 rows" in problems(catalog)
    assert "sheets not read ('Notes')" in problems(catalog)
    alone = read(data, "x.xlsx", sheet="Drawings", header_line=3)
    assert alone.table.to_pylist() == [{"title": "Hands", "id": "3"}]


def test_no_record_goes_on_from_one_sheet_to_the_next() -> None:
    header = ["id", "title", "artist", "file"]
    one = [
        header,
        *(row for n in range(6) for row in ([f"k{n}", f"T{n}", "M", f"k{n}_1.jpg"], [None] * 3 + [f"k{n}_2.jpg"])),
    ]
    two = [header, [None, None, None, "z_2.jpg"], ["z", "Z", "N", "z_1.jpg"]]
    table = read(workbook(one, More=two), "x.xlsx").table
    assert table["title"].to_pylist() == [*(f"T{n}" for n in range(6) for _ in "ab"), None, "Z"]
    assert table["sheet"].to_pylist() == ["Sheet"] * 12 + ["More"] * 2


def test_each_sheet_has_its_own_records_however_few() -> None:
    def rows(work: str) -> list[list[object]]:
        return [[work, "T", "M", f"{work}_1.jpg"], [None, None, None, f"{work}_2.jpg"]]

    header = ["id", "title", "artist", "file"]
    stray = [None, None, None, "a_3.jpg"]  # goes on with a record of the sheet before, or with none
    catalog = read(workbook([header, *rows("a")], Two=[header, stray, *rows("b"), *rows("c")]), "x.xlsx")
    assert catalog.table["id"].to_pylist() == ["a", "a", None, "b", "b", "c", "c"]
    told = "rows with 'file' alone go on with the record above, its cells taken for them"
    assert [each.what for each in catalog.problems][1:] == [f"sheet 'Sheet': {told}", f"sheet 'Two': {told}"]


def test_columns_of_one_name_or_of_none_stay_when_sheets_are_joined() -> None:
    header = ["id", "image", "image", None, None]
    rows = [header, ["1", "1a.jpg", "1b.jpg", "x", "y"]], [header, ["2", "2a.jpg", "2b.jpg", "z", None]]
    catalog = read(workbook(rows[0], More=rows[1]), "x.xlsx")
    assert catalog.table.to_pylist() == [
        {"id": "1", "image": "1a.jpg", "image_2": "1b.jpg", "column_4": "x", "column_5": "y", "sheet": "Sheet"},
        {"id": "2", "image": "2a.jpg", "image_2": "2b.jpg", "column_4": "z", "column_5": None, "sheet": "More"},
    ]
