"""Where records begin and end in a text file: titles above, no header, one cell short, totals below."""

import csv
import io
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from artray.catalogs.catalog import Catalog, read_catalog
from artray.errors import InputError

ROWS = [f"19{n:02d}.{n},Maker {n % 4},{'Cubism' if n % 2 else 'Fauvism'},19{n:02d}.{n}.jpg" for n in range(12)]
HEADER = "Accession No.,Artist,Style,Image file"


def read(text: str, name: str = "c.csv", **options) -> Catalog:
    return read_catalog(io.BytesIO(text.encode()), name, **options)


def said(catalog: Catalog) -> str:
    return " / ".join(map(str, catalog.problems))


@pytest.mark.parametrize(
    "above",
    [
        ['"Collection report"', '"Printed on 03/02/2021, by Registrar"', ""],
        ["Collection report,,,", ",,,"],
        ["Report:,works on paper,,"],
        ["Museum of X", "", "12 objects"],
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_titles_above_the_header(above: list[str], end: str) -> None:
    catalog = read(end.join([*above, HEADER, *ROWS]) + end)
    assert catalog.table.column_names == HEADER.split(",")
    assert len(catalog.table) == 12
    assert catalog.lines[0] == len(above) + 2
    assert "above the header, left out" in said(catalog)


def test_titles_above_cells_divided_by_semicolons() -> None:
    catalog = read("Collection report, 2021\n\n" + "\n".join([HEADER, *ROWS]).replace(",", ";"))
    assert catalog.table.column_names == HEADER.split(",")


def test_an_ordinary_header_is_left_alone() -> None:
    catalog = read("\n".join([HEADER, *ROWS]))
    assert (len(catalog.table), catalog.problems) == (12, ())
    sparse = read("id,title,artist,note\n" + "".join(f"{n},,,\n" for n in range(9)) + "9,a,b,c\n")
    assert sparse.table.column_names == ["id", "title", "artist", "note"]
    assert len(sparse.table) == 10


@pytest.mark.parametrize("mark", [",", "\t", ";", " "])
@pytest.mark.parametrize("first", [0, 1])
def test_a_header_one_cell_short_as_r_writes_it(first: int, mark: str) -> None:
    rows = [f'"{first + n}","h{n:02d}","A title","Cubism"' for n in range(8)]
    catalog = read("\n".join(['"object_id","title","style"', *rows]).replace(",", mark) + "\n")
    assert catalog.table.column_names == ["row", "object_id", "title", "style"]
    assert catalog.table["object_id"].to_pylist()[0] == "h00"
    assert len(catalog.table) == 8
    assert "the first column is now 'row'" in said(catalog)


@pytest.mark.parametrize(
    "text",
    [
        "id,title,price\n" + "".join(f"{n},A,12,5\n" for n in range(1, 9)),  # decimal commas
        "id,title,style\n" + "".join(f"h{n},A,Cubism,x\n" for n in range(8)),
        "id,title,x\n" + "".join(f"h{n},A,B,C,D\n" for n in range(8)),
    ],
)
def test_rows_longer_than_the_header_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"most rows have more cells .* than the header in line 1") as caught:
        read(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "id,title\n" + "".join(f"{n},A,B,C,D\n" for n in range(8)),
        "id,title\n" + "".join(f"{m},{m}a,{m}b,Cubism,x\n" for m in ("Monet", "Manet", "Morisot", "Matisse")),
        "id,title\n" + "".join(f"{m},{m}a,{m}b,{m}c,{m}d\n" for m in ("Monet", "Manet", "Morisot", "Matisse")),
    ],
)
def test_a_record_is_not_taken_for_a_header_below_titles(text: str) -> None:
    with pytest.raises(InputError, match="say with --header-line which line is the header"):
        read(text)


def test_records_without_a_header() -> None:
    catalog = read("".join(f'"h{n:02d}","Maker {n}","Cubism","h{n:02d}.jpg"\n' for n in range(10)))
    assert catalog.table.column_names == ["column_1", "column_2", "column_3", "column_4"]
    assert catalog.table["column_4"].to_pylist()[0] == "h00.jpg"
    assert catalog.lines.tolist() == list(range(1, 11))
    assert "no header: line 1 looks like a record (h00)" in said(catalog)


@pytest.mark.parametrize(
    "text",
    ["1001,Sea\n1002,Lake\n1003,Wood\n", "a.jpg\nb.jpg\n", "Monet,https://x.test/1\nManet,https://x.test/2\n"],
)
def test_first_lines_that_are_records(text: str) -> None:
    assert len(read(text).table) == text.count("\n")


@pytest.mark.parametrize(
    "text",
    [
        "1001,2\n",
        "id,year\na1,1900\na2,1901\n",
        "year,Monet\n1900,x\n1901,y\n",
        "Title,Artist\nSea,Monet\nLake,Manet\n",
    ],
)
def test_first_lines_that_are_none(text: str) -> None:
    assert len(read(text).table) == text.count("\n") - 1


def test_the_user_has_the_last_word() -> None:
    numbers = "1001,Sea\n1002,Lake\n"
    assert read(numbers, header_line=1).table.column_names == ["1001", "Sea"]
    plain = "Sea,Monet\nLake,Manet\n"
    assert read(plain, header_line=0).table.to_pylist()[0] == {"column_1": "Sea", "column_2": "Monet"}
    assert read("a,b\nid,title\n1,x\n", header_line=2).table.to_pylist() == [{"id": "1", "title": "x"}]
    with pytest.raises(InputError, match="--header-line 9: that line is blank, or not among the first 200"):
        read(plain, header_line=9)
    with pytest.raises(InputError, match=r"--header-line 1: x\.json has no header"):
        read("[]", "x.json", header_line=1)


@pytest.mark.parametrize(
    "total",
    [
        *('"Total records: 12"', "Total,,,12", "Summe: 12;", "12 Datensätze", "Page 1 of 1", "Total", "(12 rows)"),
        *("12 rows in set (0.00 sec)", "Source: Museum of X,,,", "* by permission", "Lizenz: CC0", "© 2020 Museum"),
        *("Exported 2020-01-01 by A. B.", "Printed 2020-01-01 by A. B.", "Total,,12,12"),
    ],
)
def test_totals_below_are_no_records(total: str) -> None:
    catalog = read("\n".join([HEADER, *ROWS, "", total]) + "\n")
    assert len(catalog.table) == 12
    assert "lines below the records, left out" in said(catalog)
    assert catalog.problems[-1].lines == (15,)


@pytest.mark.parametrize(
    "last", ["Total eclipse,Maker,Cubism,x.jpg", "Sum,Maker 1,,x.jpg", "1912.9,,,", '"a\nTotal: 3",b,c,d']
)
def test_records_that_look_like_totals_stay(last: str) -> None:
    assert len(read("\n".join([HEADER, *ROWS, last]) + "\n").table) == 13


@pytest.mark.parametrize(
    "last", ["Printed cloth 12,1790", "*Untitled,1790", "12 works,1790", "Source: water,1790", "Sum,1912"]
)
def test_titles_that_look_like_totals_stay(last: str) -> None:
    assert len(read(f"title,year\nA,1900\nB,1901\nC,1902\n{last}\n").table) == 4


def test_subtotals_between_records_are_left_out() -> None:
    catalog = read("\n".join([HEADER, *ROWS[:6], "Subtotal: 6,,,", *ROWS[6:], "Total,,,12"]))
    assert len(catalog.table) == 12
    assert "rows that count those above, left out: 1 (line 8)" in said(catalog)
    kept = read("\n".join([HEADER, *ROWS, "Subtotal I,Maker 1,Cubism,x.jpg"]))
    assert len(kept.table) == 13


def test_a_list_for_training_is_divided_by_spaces() -> None:
    catalog = read("".join(f"train/w{n}.jpg {n % 2}\n" for n in range(8)), "train.txt")
    assert catalog.table.to_pylist()[1] == {"column_1": "train/w1.jpg", "column_2": "1"}
    assert len(read("".join(f"my picture {n}.jpg\n" for n in range(8))).table.column_names) == 1


def test_a_header_in_the_middle_is_no_record() -> None:
    catalog = read("\n".join([HEADER, *ROWS[:6], HEADER, *ROWS[6:]]))
    assert len(catalog.table) == 12
    assert said(catalog) == "rows that repeat the header, left out: 1 (line 8)"


@pytest.mark.parametrize("start", ["PK\x03\x04", "\x1f\x8b", "<!DOCTYPE html>", "<?xml version='1.0'?>", "  <html>"])
def test_other_formats_under_a_name_of_text(start: str) -> None:
    with pytest.raises(InputError, match=r"^c\.csv: is .*not (a table of )?text: "):
        read_catalog(io.BytesIO(start.encode("latin-1") + b"x\ny,z\n"), "c.csv")


def test_blank_lines_decimal_commas_and_the_separators_hint() -> None:
    catalog = read('"sep=;"\r\nid;breite\r\n\r\n1;12,5\r\n\r\n2;13,5\r\n')
    assert catalog.table.to_pylist() == [{"id": "1", "breite": "12,5"}, {"id": "2", "breite": "13,5"}]
    assert catalog.lines.tolist() == [4, 6]


@pytest.mark.parametrize("name", ["c.tab", "c.txt", "c.tsv"])
def test_filemaker(name: str) -> None:
    text = "Inventar\tTitel\tStil\r" + "".join(f"f{n}\tErste\vzweite öl\tKubismus\x1dFauvismus\r" for n in range(8))
    catalog = read_catalog(io.BytesIO(text.encode("mac_roman")), name)
    assert catalog.form == "Mac Roman, cells separated by tab"
    assert catalog.table.to_pylist()[0] == {"Inventar": "f0", "Titel": "Erste\nzweite öl", "Stil": "Kubismus|Fauvismus"}
    assert len(catalog.table) == 8


def test_encoding_is_said_and_doubted() -> None:
    data = "id,x\n1,Café\n".encode("cp1252")
    assert "read as Windows-1252, not sure; --encoding says otherwise" in said(read_catalog(io.BytesIO(data), "c.csv"))
    catalog = read_catalog(io.BytesIO(data), "c.csv", encoding="cp1252")
    assert (catalog.form, catalog.problems) == ("cp1252, cells separated by ','", ())
    with pytest.raises(InputError, match=r"--encoding latin-1: c\.parquet is not text"):
        read_catalog(io.BytesIO(b""), "c.parquet", encoding="latin-1")


cell = st.one_of(
    st.sampled_from(["", "Cubism", "Total", "12", "1900", "a.jpg", "id", "x,y", "h01"]), st.text("ab1. ", max_size=4)
)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.lists(cell, min_size=1, max_size=5), min_size=1, max_size=12),
    st.lists(st.sampled_from(["Report", "", "By,me"]), max_size=2),
    st.booleans(),
)
def test_every_row_is_kept_or_counted(rows: list[list[str]], above: list[str], header: bool) -> None:
    """Whatever a file holds: no row is lost without a word, or nothing is read."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [*([line] for line in above), *([["id", "title", "style"]] if header else []), *rows]
    )
    filled = sum(any(cell.strip() for cell in row) for row in csv.reader(io.StringIO(text.getvalue())))
    assume(filled)
    try:
        catalog = read(text.getvalue())
    except InputError as error:
        assert str(error).isprintable()  # noqa: PT017
        return
    left_out = 0
    is_header = 1
    for problem in catalog.problems:
        if problem.what.startswith(("line above", "lines above")):
            left_out += int(re.search(r"left out: ([0-9]+)", problem.what)[1])
        elif "left out" in problem.what and not problem.what.startswith("empty rows"):
            left_out += problem.count
        elif problem.what.startswith("no header"):
            is_header = 0
        elif "are the header, put together" in problem.what:
            is_header = 2 if " and " in problem.what.partition(" are ")[0] else 3
    assert len(catalog.table) + left_out + is_header == filled


NAMES = ["Inv.Nr.", "Title", "Artist Name", "Artist Life", "Image File", "Image Name"]
GROUPED = [f"19{n:02d}.{n},W{n},Maker {n},18{n:02d},{n}.jpg,Picture {n}" for n in range(8)]


@pytest.mark.parametrize(
    "rows",
    [
        ["Inv.Nr.,Title,Artist,,Image,", ",,Name,Life,File,Name"],
        ["Inv.Nr.,,Artist,,Image,", ",Title,Name,Life,File,Name"],
        ["Inv.Nr.,Title,Artist,Artist,Image,Image", "Inv.Nr.,Title,Name,Life,File,Name"],
        [",Work,Artist,,Image,", "Inv.Nr.,Title,Name,Life,File,Name"],
        [",,Artist,,Image,", "Inv.Nr.,Title,Name,Life,File,Name"],
        ["Collection report,,,,,", "Inv.Nr.,Title,Artist,,Image,", ",,Name,Life,File,Name"],
    ],
)
@pytest.mark.parametrize("mark", [",", ";"])
def test_a_header_of_two_rows(rows: list[str], mark: str) -> None:
    catalog = read("\n".join([*rows, *GROUPED]).replace(",", mark))
    names = catalog.table.column_names
    # What stands once keeps its own name.
    assert names == ["Inv.Nr.", "Title", "Artist Name", "Life", "File", "Image Name"]
    assert len(catalog.table) == 8
    assert catalog.table["Inv.Nr."].to_pylist() == [f"19{n:02d}.{n}" for n in range(8)]
    assert catalog.lines.tolist() == list(range(len(rows) + 1, len(rows) + 9))
    assert f"lines {len(rows) - 1} and {len(rows)} are the header, put together" in said(catalog)
    second = read("\n".join([*rows, *GROUPED]).replace(",", mark), header_line=len(rows))
    assert len(second.table) == 8


@pytest.mark.parametrize(
    "rows",
    [
        ["Object,,Person,,Media,", "Ident.,,Artist,,Image,", "Inv.Nr.,Title,Name,Life,File,Name"],
        [
            "Object,Object,Person,Person,Media,Media",
            "Id,Id,Artist,Artist,Image,Image",
            "Inv.Nr.,Title,Name,Life,File,Name",
        ],
        ["Object,,,,Media,", "Inv.Nr.,Title,Artist,,Image,", ",,Name,Life,File,Name"],
        ["Museum,,,,Digital,", "Object,,Artist,,Image,", "Inv.Nr.,Title,Name,Life,File,Name"],
    ],
)
@pytest.mark.parametrize("title", [[], ["Report of objects,,,,,"]])
def test_a_header_of_three_rows(rows: list[str], title: list[str]) -> None:
    catalog = read("\n".join([*title, *rows, *GROUPED]))
    assert catalog.table.column_names == ["Inv.Nr.", "Title", "Artist Name", "Life", "File", "Image Name"]
    assert catalog.lines.tolist() == list(range(len(title) + 4, len(title) + 12))
    assert f"lines {len(title) + 1} to {len(title) + 3} are the header, put together" in said(catalog)


def test_a_group_ends_where_the_one_above_it_does() -> None:
    rows = ["Object,,,,Media,", "Artist,,Owner,,,", "Name,Life,Name,Life,File,Life"]
    names = read("\n".join([*rows, *GROUPED])).table.column_names
    assert names == ["Artist Name", "Artist Life", "Owner Name", "Owner Life", "File", "Life"]


def test_rows_that_are_no_second_header() -> None:
    rows = ["Nr,Title,Title,", *(f"{n},a{n} x,b{n} x,{'?' if n < 2 else n}" for n in range(9))]
    assert len(read("\n".join(rows)).table) == 9  # names that stand twice or are missing are an ordinary header's
    texts = ["Work,Work,Person,Person", "Title,Medium,Name,Place", *("a,b,c,d" for _ in range(4))]
    with pytest.raises(InputError, match=r"line 1 names several columns alike \(Work\), and line 2 may"):
        read("\n".join(texts))
    assert len(read("\n".join(texts), header_line=2).table) == 4


def test_rows_that_go_on_with_the_record_above() -> None:
    rows = ["id,title,artist,file,view"]
    for n in range(6):
        rows += [f"k{n},T{n},Maker {n},k{n}_1.jpg,front", f",,,k{n}_2.jpg,back"]
    rows.append(",,,k5_3.jpg,")
    catalog = read("\n".join(rows))
    assert catalog.table["title"].to_pylist() == [*(f"T{n}" for n in range(6) for _ in "ab"), "T5"]
    assert catalog.table["id"][-1].as_py() == "k5"
    assert catalog.table["view"].null_count == 1
    told = "rows with 'file', 'view' alone go on with the record above, its cells taken for them: 7 (line 3, 5, 7"
    assert told in said(catalog)


@pytest.mark.parametrize("name", ["IMG_{n}.jpg", "{n}.jpg", "https://m.test/scan?n={n}"])
def test_rows_that_may_be_pictures_nobody_has_described_are_said(name: str) -> None:
    rows = ["id,title,artist,file"]
    for n in range(6):
        rows += [f"k{n},T{n},Maker {n},{name.format(n=2 * n + 20)}", f",,,{name.format(n=2 * n + 21)}"]
    catalog = read("\n".join(rows))
    assert catalog.table["title"].null_count == 6
    assert "rows with 'file' alone may go on with the record above; write its cells into them if so: 6" in said(catalog)
    subjects = ["id,title,subject", *(row for n in range(5) for row in (f"{n},T{n},sea", ",,ship"))]
    assert "rows with 'subject' alone may go on with the record above" in said(read("\n".join(subjects)))


def test_a_second_line_of_names_or_units_is_said() -> None:
    rows = [f"{n},T{n},{n + 10},a{n}.jpg" for n in range(8)]
    for second in ("Object number,Title,Height,Image file", ",,cm,"):
        catalog = read("\n".join(["objectnumber,title,height,image", second, *rows]))
        told = "line 2 looks like names or units of the columns" in said(catalog)
        assert (len(catalog.table), told) == (9, second.startswith("Object"))
    both = ["Object number,Title,Height,Image file", "text,text,number,text"]
    told = said(read("\n".join(["objectnumber,title,height,image", *both, *rows])))
    assert "lines 2 and 3 look like names or units of the columns" in told
    unknown = read("\n".join(["id,title,height,image", "k1,Sea,unknown,lost", *rows]))
    assert "looks like names" not in said(unknown)


def test_files_put_together_with_their_marks() -> None:
    part = "\ufeffid,title\n" + "".join(f"{n},T{n}\n" for n in range(3))
    catalog = read(part + part)
    assert len(catalog.table) == 6
    assert "rows that repeat the header, left out: 1 (line 5)" in said(catalog)


def test_numbers_that_a_spreadsheet_has_spoilt_are_said() -> None:
    rows = [f"1.956E+11,{n + 1}-Dec,{n + 1}-Dec" for n in range(3)]
    told = said(read("\n".join(["barcode,Inv. No.,shown", *rows])))
    assert "column 'barcode' holds numbers cut to powers of ten" in told
    assert "column 'Inv. No.' holds dates that a spreadsheet may have made of numbers" in told
    assert "'shown' holds dates" not in told


def test_dates_among_numbers_are_said_in_text_too() -> None:
    rows = [f"1912.{n}.1,1912-05-0{n}" for n in range(1, 7)]
    told = said(read("\n".join(["object_id,accession_date", *rows, "1912-05-03,x"])))
    assert "column 'object_id' holds dates, which a spreadsheet may have made of numbers (1912.5.3)" in told
    assert "'accession_date' holds dates" not in told


def test_a_title_with_delimiters_is_no_header() -> None:
    rows = [f"k{n},Maker {n},S{n}" for n in range(8)]
    catalog = read("\n".join(["This export, made by TMS, has objects", "object_id,artist,style", *rows]))
    assert catalog.table.column_names == ["object_id", "artist", "style"]
    assert "line above the header, left out: 1 ('This export made by TMS has objects')" in said(catalog)
