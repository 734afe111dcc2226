"""The museum's file comes back as it was, with columns more."""

import csv
from io import BytesIO, StringIO

import openpyxl
import pyarrow as pa
import pytest

from artray.catalogs.catalog import Reading, read_bytes
from artray.catalogs.widened import key_column, widened
from artray.errors import InputError

ROWS = [
    ["Inventarnr.", "Titel", "Künstler"],
    ["1", 'Ein "Bild"', "Käthe Kollwitz"],
    ["2", "zwei\nZeilen; und mehr", "Ö"],
    ["3", "", "Ü"],
]


def text(delimiter: str, end: str) -> str:
    out = StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(ROWS)
    return out.getvalue()


def add(
    data: bytes, name: str, cells: dict[int, list[str]], columns: tuple[str, ...] = ("style", "score")
) -> tuple[bytes, int]:
    return widened(data, name, read_bytes(data, name, Reading(list_texts=False)), columns, cells)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "mac_roman"])
def test_encoding_separator_and_line_ends_stay(delimiter, end, encoding):
    padded = text(delimiter, end) + "".join(
        f"{n}{delimiter}Äpfel für Fräulein Müller{delimiter}Grün{end}" for n in range(9, 40)
    )
    data = padded.encode(encoding)
    written, lost = add(data, "c.csv", {0: ["Kubismus", "0.5"], 1: ["a;b,c\td", '"']})
    assert lost == 0
    found = list(csv.reader(StringIO(written.decode(encoding), newline=""), delimiter=delimiter))
    assert found[0] == [*ROWS[0], "style", "score"]
    assert found[1] == [*ROWS[1], "Kubismus", "0.5"]
    assert found[2] == [*ROWS[2], "a;b,c\td", '"']
    assert found[3] == [*ROWS[3], "", ""]
    assert written.startswith(data[:4])
    nothing, _ = add(data, "c.csv", {}, columns=())
    assert nothing == data


def test_lines_above_the_header_short_records_and_hints_stay():
    lines = 'sep=;\r\nid;title;date;place\r\n1;"a";1900;x\r\n2;b\r\n\r\n3;c;1902;y'
    written, _ = add(lines.encode(), "c.csv", {1: ["Cubism", ".5"]})
    assert written.decode() == (
        'sep=;\r\nid;title;date;place;style;score\r\n1;"a";1900;x;;\r\n2;b;;;Cubism;.5\r\n\r\n3;c;1902;y;;'
    )


def test_letters_that_the_encoding_lacks_are_counted():
    data = ("id,titel\n" + "".join(f"{n},für Käthe, größer\n".replace(", g", " g") for n in range(30))).encode("cp1252")
    written, lost = add(data, "c.csv", {0: ["浮世絵", "x"]})
    assert lost == 1
    assert "???" in written.decode("cp1252")


def test_damaged_bytes_stay_as_they_are():
    data = "id,title\n1,für\n2,x\n".encode() + b"3,\xff\xfe\n" + "4,Käthe und größer\n".encode() * 5
    written, _ = add(data, "c.csv", {0: ["a", "b"]})
    assert b"3,\xff\xfe,,\n" in written


def test_a_workbook_keeps_its_cells_and_formulas():
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Objekte"
    for row in (["id", "title", "sum"], [1, "a", "=1+1"], [2, "b", None]):
        sheet.append(row)
    book.create_sheet("other")["A1"] = "kept"
    data = BytesIO()
    book.save(data)
    written, _ = add(data.getvalue(), "c.xlsx", {1: ["=HYPERLINK(1)", "0.5"]})
    found = openpyxl.load_workbook(BytesIO(written))
    rows = [[cell.value for cell in row] for row in found["Objekte"].iter_rows()]
    assert rows[0] == ["id", "title", "sum", "style", "score"]
    assert rows[1] == [1, "a", "=1+1", None, None]
    assert rows[2] == [2, "b", None, "=HYPERLINK(1)", "0.5"]
    assert found["Objekte"]["D3"].data_type == "s"
    assert found["other"]["A1"].value == "kept"


@pytest.mark.parametrize("columns", [("id", "title"), ("id", "place")])
def test_a_workbooks_sheets_have_their_own_cells(columns):
    book = openpyxl.Workbook()
    book.active.title = "Read me"
    for title, names, numbers in (("O'Neill's", ("id", "title"), (1, 2)), ("Né", columns, (3, 4, 5))):
        sheet = book.create_sheet(title)
        for row in (names, *((number, f"of {number}") for number in numbers)):
            sheet.append(row)
    data = BytesIO()
    book.save(data)
    is_one_table = columns == ("id", "title")
    written, _ = add(data.getvalue(), "c.xlsx", {1: ["b"], **({3: ["d"]} if is_one_table else {})}, ("style",))
    found = openpyxl.load_workbook(BytesIO(written))
    assert found["Read me"].max_column == 1
    assert [cell.value for cell in found["O'Neill's"]["C"]] == ["style", None, "b"]
    assert found["Né"].max_column == (3 if is_one_table else 2)
    if is_one_table:
        assert [cell.value for cell in found["Né"]["C"]] == ["style", None, "d", None]


@pytest.mark.parametrize("name", ["c.csv", "c.xlsx"])
def test_a_table_that_lies_on_its_side_is_refused(name):
    rows = [["id", "w1", "w2"], ["title", "a", "b"], ["file", "1.jpg", "2.jpg"], ["date", "1900", "1901"]]
    data = "".join(",".join(row) + "\n" for row in rows).encode()
    if name == "c.xlsx":
        book, written = openpyxl.Workbook(), BytesIO()
        for row in rows:
            book.active.append(row)
        book.save(written)
        data = written.getvalue()
    with pytest.raises(InputError, match="lies on its side"):
        add(data, name, {0: ["x", "y"]})


def test_the_column_with_the_ids_is_found():
    catalog = read_bytes(b"n,key\n1,a\n2,b\n3,c\n", "c.csv", Reading())
    assert key_column(catalog, pa.array(["b", "c", "1"])) == "key"
    with pytest.raises(InputError, match="no column of it holds"):
        key_column(catalog, pa.array(["z"]))
    with pytest.raises(InputError, match="only"):
        widened(b"[]", "c.json", catalog, ["x"], {})
