"""Sheets as a person sees them, and what would take the machine's memory refused."""

import gzip
import io
import zipfile
from collections.abc import Callable
from datetime import date, datetime

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from artray.catalogs.catalog import Catalog, read_catalog
from artray.catalogs.number_formats import shown_date, shown_number
from artray.errors import InputError


def read(change: Callable[[openpyxl.Workbook, Worksheet], object], **options) -> Catalog:
    book = openpyxl.Workbook()
    assert book.active is not None
    change(book, book.active)
    stream = io.BytesIO()
    book.save(stream)
    stream.seek(0)
    return read_catalog(stream, "c.xlsx", **options)


def rows(sheet: Worksheet, *content: list[object]) -> None:
    for row in content:
        sheet.append(row)


def said(catalog: Catalog) -> list[str]:
    return [str(problem) for problem in catalog.problems]


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (1956.1, "0.00", "1956.10"),
        (1956.1, "0.0", "1956.1"),
        (1957.01, "0.00", "1957.01"),
        (42, "000000", "000042"),
        (3.0, "0.0", "3.0"),
        (3.0, "General", "3"),
        (0.1 + 0.2, "General", "0.3"),
        (1234567, "#,##0", "1234567"),
        (1234.5, "#,##0.00", "1234.50"),
        (0.5, "0%", "50%"),
        (0.125, "0.0%", "12.5%"),
        (12, '"Inv. "0000', "Inv. 0012"),
        (1956010, r"0000\.000", "1956.010"),
        (195610, "0000-00", "1956-10"),
        (-5, "0.00_);[Red](0.00)", "(5.00)"),
        (-5, "0", "-5"),
        (2.5, "0", "3"),
        (7, "@", "7"),
        (1.5, "# ?/?", "1.5"),
        (12345.678, "0.00E+00", "12345.678"),
        (1.25, '0.00 "cm"', "1.25 cm"),
        (10**20, "0", "1" + "0" * 20),
    ],
)
def test_numbers_by_their_formats(value: float, code: str, text: str) -> None:
    assert shown_number(value, code) == text


def test_dates_by_their_formats() -> None:
    day = datetime(1929, 5, 3, 3, 4)
    shown = [shown_date(day, code) for code in ("yyyy", "mm/yyyy", "yyyy.m.d", "dd/mm/yyyy hh:mm")]
    assert shown == ["1929", "1929-05", "1929-05-03", "1929-05-03T03:04:00"]
    assert shown_date(date(1929, 1, 2), "General") == "1929-01-02"


def test_cells_with_formats() -> None:
    def change(book: openpyxl.Workbook, sheet: Worksheet) -> None:
        rows(sheet, ["Accession number", "Style"], [1956.1, "Cubism"], [1956.12, "Fauvism"])
        for line in (2, 3):
            sheet.cell(line, 1).number_format = "0.00"

    assert read(change).table["Accession number"].to_pylist() == ["1956.10", "1956.12"]


def test_dates_that_were_numbers_are_said() -> None:
    def change(book: openpyxl.Workbook, sheet: Worksheet) -> None:
        rows(
            sheet,
            ["Accession number", "made"],
            [datetime(1912, 5, 3), date(1900, 1, 1)],
            ["1912.13.1", date(1901, 1, 1)],
        )

    assert said(read(change)) == [
        "column 'Accession number' holds dates, which may have been numbers; now as 1912-05-03: 1 (line 2)"
    ]


def test_dates_that_are_all_numbers_there_were_are_said_and_dates_are_not() -> None:
    def change(book: openpyxl.Workbook, sheet: Worksheet) -> None:
        day = datetime(1912, 5, 3)
        rows(sheet, ["object_id", "InvNr", "accession_date", "seen"], [day, day, day, day], [day, day, day, day])

    assert [text.split(" holds")[0] for text in said(read(change))] == ["column 'object_id'", "column 'InvNr'"]


def test_hidden_rows_are_said() -> None:
    def change(book: openpyxl.Workbook, sheet: Worksheet) -> None:
        rows(sheet, ["id", "title"], ["a", "Sea"], ["b", "Sky"])
        sheet.row_dimensions[3].hidden = True

    assert said(read(change)) == ["rows that are hidden in the sheet, read too: 1 (line 3)"]


def test_links_are_read() -> None:
    def change(book: openpyxl.Workbook, sheet: Worksheet) -> None:
        rows(sheet, ["id", "Image", "Page", "Mail"], ["1", "view", "http://x.test/1", "x"], ["2", "view", None, None])
        sheet["B2"].hyperlink = "scans/img_100.jpg"
        sheet["B3"].hyperlink = "https://x.test/a%20b.jpg?x=1&y=2"
        sheet["C2"].hyperlink = "http://x.test/1"
        sheet["D2"].hyperlink = "mailto:a@b.test"

    catalog = read(change)
    assert catalog.table.column_names == ["id", "Image", "Page", "Mail", "Image link"]
    assert catalog.table["Image link"].to_pylist() == ["scans/img_100.jpg", "https://x.test/a%20b.jpg?x=1&y=2"]
    assert said(catalog) == ["column 'Image' holds links, their targets are column 'Image link': 2"]


def test_links_by_formula_are_read() -> None:
    def change(book: openpyxl.Workbook, sheet: Worksheet) -> None:
        rows(sheet, ["id", "Image"], ["1", '=HYPERLINK("scans/1.jpg","view")'])

    assert read(change).table["Image link"].to_pylist() == ["scans/1.jpg"]


def test_titles_above_merged_cells_and_totals() -> None:
    def change(book: openpyxl.Workbook, sheet: Worksheet) -> None:
        rows(sheet, ["Collection report"], [], ["id", "Artist", "Style"], ["1", "Monet", "a"], ["2", None, "b"])
        rows(sheet, ["3", "Manet", "a"], [None, "Total: 3"])
        sheet.merge_cells("A1:C1")
        sheet.merge_cells("B4:B5")

    catalog = read(change)
    assert catalog.table["Artist"].to_pylist() == ["Monet", "Monet", "Manet"]
    assert catalog.lines.tolist() == [4, 5, 6]
    assert said(catalog) == [
        "merged cells, their value taken for each of their rows: 1 (line 5)",
        "line above the header, left out: 1 ('Collection report')",
        "rows below the records, left out: 1 (line 7)",
    ]


def test_the_first_sheet_that_is_seen_and_holds_a_table_is_read() -> None:
    def change(book: openpyxl.Workbook, sheet: Worksheet) -> None:
        rows(sheet, ["Export of 2021"], ["by the registrar"])
        old, works = book.create_sheet("old"), book.create_sheet("works")
        rows(old, ["id", "x"], ["1", "y"])
        old.sheet_state = "hidden"
        rows(works, ["id", "x"], ["2", "z"])

    catalog = read(change)
    assert catalog.form == "workbook, sheet 'works'"
    assert said(catalog) == ["sheets not read ('Sheet', 'old'): 2 (line 1, 1)"]
    assert read(change, sheet="old").table["id"].to_pylist() == ["1"]


def test_a_cover_sheet_of_two_columns_is_passed_over() -> None:
    def change(book: openpyxl.Workbook, sheet: Worksheet) -> None:
        rows(sheet, ["Exported by", "NN"], ["Records", "2"], ["Query", "all"])
        rows(book.create_sheet("works"), ["id", "title", "maker"], ["1", "a", "b"], ["2", "c", "d"])

    assert read(change).form == "workbook, sheet 'works'"


def test_columns_without_a_name_move_nothing() -> None:
    def change(book: openpyxl.Workbook, sheet: Worksheet) -> None:
        rows(sheet, ["id", "title"], [1, "Sea", "a note"], [2, "Lake", "another"])

    assert read(change).table.to_pylist()[0] == {"id": "1", "title": "Sea", "column_3": "a note"}


def test_the_header_can_be_said() -> None:
    def change(book: openpyxl.Workbook, sheet: Worksheet) -> None:
        rows(sheet, ["a", "b"], ["id", "title"], [1, "x"])

    assert read(change, header_line=2).table.to_pylist() == [{"id": "1", "title": "x"}]
    assert len(read(change, header_line=0).table) == 3


def test_what_unpacks_to_too_much_is_refused() -> None:
    bomb = gzip.compress(b"id,title\n" + b"1,x\n" * 300_000)
    assert len(bomb) < 10_000
    with pytest.raises(
        InputError, match="unpacks to more; larger than 1,048,576 bytes: --max-catalog-mb raises"
    ) as caught:
        read_catalog(io.BytesIO(bomb), "c.csv.gz", max_bytes=1 << 20)
    assert "\n" not in str(caught.value)

    book, stream = openpyxl.Workbook(), io.BytesIO()
    book.save(stream)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/x.bin", bytes(2 << 20))
    with pytest.raises(InputError, match=r"unpacks to .* bytes, more than 1,048,576: --max-catalog-mb"):
        read_catalog(io.BytesIO(stream.getvalue()), "c.xlsx", max_bytes=1 << 20)


def test_a_header_of_two_rows_of_merged_cells() -> None:
    def fill(book: openpyxl.Workbook, sheet: Worksheet) -> None:
        sheet.append(["Inv.Nr.", "Artist", None, "Image", None])
        sheet.append([None, "Name", "Life", "Name", "Size"])
        for n in range(6):
            sheet.append([f"19{n:02d}.1", f"Maker {n}", f"18{n:02d}", f"{n}.jpg", n])
        for area in ("A1:A2", "B1:C1", "D1:E1"):
            sheet.merge_cells(area)

    catalog = read(fill)
    assert catalog.table.column_names == ["Inv.Nr.", "Artist Name", "Life", "Image Name", "Size"]
    assert len(catalog.table) == 6
    assert catalog.table["Image Name"].to_pylist() == [f"{n}.jpg" for n in range(6)]
