"""Joins of rows to pictures: each way, what it must refuse, and nothing multiplied or lost."""

import base64
import random
import string
import unicodedata
from urllib.parse import quote

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artray.catalogs.columns import Mapping, ready_mapping
from artray.catalogs.matching import Match, match
from artray.catalogs.name_keys import repair
from artray.errors import InputError


def pictures(*paths: str) -> pa.Table:
    return pa.table({"path": pa.array(paths, pa.string()), "size": pa.array(range(len(paths)), pa.int64())})


def rows(**columns: list[str | None]) -> pa.Table:
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def joined(found: Match) -> dict[str, int]:
    """Row of each picture that has one."""
    return {row["path"]: row["row"] for row in found.table.to_pylist() if row["row"] is not None}


def by_file(paths: list[str], files: list[str | None]) -> Match:
    return match(pictures(*paths), rows(file=files), Mapping(file="file"))


# -- by file -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "file", "method"),
    [
        ("images/a.jpg", "images/a.jpg", "file"),
        ("images/A.JPG", "Images/a.jpg", "file, other spelling"),
        ("images/Dürer.jpg", "images/Du\u0308rer.jpg", "file, other spelling"),
        ("images/Du\u0308rer.jpg", "images/DÜRER.jpg", "file, other spelling"),
        ("a b é.jpg", "a%20b%20%C3%A9.jpg", "file, other spelling"),
        ("a%20b.jpg", "a b.jpg", "file, other spelling"),
        ("06_Rococo/x/1.jpg", "06_Rococo\\x\\1.jpg", "file, other spelling"),
        ("images/a.jpg", "./images//a.jpg", "file, other spelling"),
        ("scans/2020/images/a.jpg", "images/a.jpg", "file, other folder"),
        ("scans/a.jpg", "a.jpg", "file, other folder"),
        ("a.jpg", "export/images/a.jpg", "file, other folder"),
        ("images/a.jpg", "images/a.tif", "file, other suffix"),
        ("images/T07799.jpg", "T07799", "file, other suffix"),
        ("Albrecht_Du╠Иrer_1.jpg", "Albrecht_Dürer_1.jpg", "file, repaired name"),
        ("x/Albrecht_Du╠êrer_1.jpg", "Albrecht_Dürer_1.jpg", "file, repaired name"),
        ("x/1915_500_web.jpg", "1915/500 web.tif", "file, other separators"),
        ("000012.jpg", "12", "file, zeros in front"),
    ],
)
def test_a_file_however_it_is_spelled(path: str, file: str, method: str) -> None:
    found = by_file(["other.png", path], ["nothing.jpg", file])
    assert joined(found) == {path: 1}
    assert found.report.methods == {method: 1}
    assert found.table["method"].to_pylist() == [None, method]
    assert found.missing.to_pylist() == [{"row": 0, "column": "file", "value": "nothing.jpg"}]
    assert found.report.pictures_unmatched.examples == ("other.png",)


def test_the_exact_name_comes_first() -> None:
    found = by_file(["a.jpg", "A.jpg", "x/a.jpg", "a.tif"], ["A.jpg", "a.tif", "x/a.jpg", "a.jpg"])
    assert joined(found) == {"a.jpg": 3, "A.jpg": 0, "x/a.jpg": 2, "a.tif": 1}
    assert found.report.methods == {"file": 4}


@pytest.mark.parametrize(
    ("paths", "file"),
    [
        (["cubism/001.jpg", "dada/001.jpg"], "001.jpg"),  # which of them?
        (["dada/001.jpg"], "cubism/001.jpg"),  # the row says another folder
        (["a.jpg", "A.JPG"], "x/A.jpg"),
        (["a.jpg", "a.png"], "a.tif"),
        (["12.jpg"], "112.jpg"),
        (["01.jpg", "001.jpg"], "1"),
        (["x_1.jpg", "y/x 1.jpg"], "x-1.jpg"),
    ],
)
def test_a_name_in_doubt_decides_nothing(paths: list[str], file: str) -> None:
    found = by_file(paths, [file])
    assert joined(found) == {}
    assert found.report.rows_missing.count + found.report.names_crowded.count == 1
    assert found.report.pictures_unmatched.count == len(paths)


def test_a_name_that_fits_several_pictures_is_not_missing() -> None:
    found = by_file(["full/a.jpg", "thumb/a.jpg", "full/b.jpg"], ["a.jpg", "b.jpg", "c.jpg"])
    assert joined(found) == {"full/b.jpg": 1}
    assert (found.report.names_crowded.count, found.report.names_crowded.examples) == (1, ("a.jpg",))
    assert found.missing["value"].to_pylist() == ["c.jpg"]
    assert "names that fit several pictures, which get no row by them: 1 (a.jpg)" in found.report.lines()


def test_short_numbers_and_a_letter_where_they_find_most() -> None:
    names = [f"{n:04d}{side}.jpg" for n in range(5) for side in "rv"]
    ids = rows(id=[str(n) for n in range(5)])
    found = match(pictures(*names), ids, Mapping(object_id="id"))
    assert joined(found) == {name: int(name[:4]) for name in names}
    assert joined(match(pictures("3a.jpg", *(f"{n}x.jpg" for n in range(50, 60))), ids, Mapping(object_id="id"))) == {}


def test_a_suffix_behind_another() -> None:
    found = by_file(["a.tif.jpg", "b.tif.jpg", "c.jpg"], ["a.tif", "b.tif", "c.jpg"])
    assert joined(found) == {"a.tif.jpg": 0, "b.tif.jpg": 1, "c.jpg": 2}


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("../secret/a.jpg", "leaves the folder"),
        ("x/../../a.jpg", "leaves the folder"),
        ("..\\a.jpg", "leaves the folder"),
        ("%2e%2e/a.jpg", "leaves the folder"),
        ("/etc/a.jpg", "absolute"),
        ("C:\\scans\\a.jpg", "absolute"),
        ("\\\\server\\a.jpg", "absolute"),
        ("~/a.jpg", "absolute"),
        ("file:///a.jpg", "an address, not a file"),
        ("a.jpg\0.png", "control characters"),
        ("a%00.jpg", "control characters"),
        ("a\n.jpg", "control characters"),
    ],
)
def test_names_that_must_not_be_followed(file: str, reason: str) -> None:
    found = by_file(["a.jpg", "secret/a.jpg", "etc/a.jpg", "scans/a.jpg"], [file])
    assert joined(found) == {}
    assert {key: sample.count for key, sample in found.report.refused.items()} == {f"file: {reason}": 1}
    assert found.report.rows_missing.count == 0
    assert found.report.rows_unnamed == 1
    assert all(character.isprintable() for line in found.report.lines() for character in line)


@pytest.mark.parametrize(
    "root", ["R:\\Scans\\", "\\\\server\\scans\\", "/mnt/scans/", "file:///C:/scans/", "../scans/", "~/"]
)
def test_a_root_that_all_names_have_is_another_machines(root: str) -> None:
    paths = [f"1900/{n}.jpg" for n in range(4)]
    found = by_file(paths, [f"{root}1900\\{n}.tif" for n in range(5)])
    assert joined(found) == {path: n for n, path in enumerate(paths)}
    assert not found.report.refused
    (missing,) = found.missing["value"].to_pylist()
    assert missing.endswith("1900/4.tif")
    assert not missing.startswith(("/", ".", "~", "R:"))


def test_dots_in_names_are_no_way_out() -> None:
    assert joined(by_file(["a..b.jpg", "x/...jpg"], ["a..b.jpg", "x/...jpg"])) == {"a..b.jpg": 0, "x/...jpg": 1}


# -- several of one ----------------------------------------------------------------------------------------------------


def test_two_rows_for_one_picture() -> None:
    catalog = rows(
        id=["1", "2", "3", "4", "5", "6"],
        file=["a.jpg", "a.jpg", "b.jpg", "b.jpg", "c.jpg", "c.jpg"],
        style=["Dada", "Dada", "Dada", "Cubism", None, None],
        title=["recto", "verso", "x", "x", "y", "z"],
    )
    paths = pictures("a.jpg", "b.jpg", "c.jpg")
    mapping = Mapping(file="file", labels={"style": "style"})
    found = match(paths, catalog, mapping)
    assert joined(found) == {"a.jpg": 0, "c.jpg": 4}
    assert found.table.num_rows == 3
    assert found.report.pictures_shared.examples == ("a.jpg", "c.jpg")
    assert found.report.pictures_disputed.examples == ("b.jpg",)
    assert found.report.rows_matched == 4
    assert found.report.rows_disputed == 2
    assert found.missing.num_rows == 0  # the picture is there
    assert any("disagree: 1 (b.jpg)" in line for line in found.report.lines())

    found = match(paths, catalog, mapping.model_copy(update={"on_conflict": "first"}))
    assert joined(found) == {"a.jpg": 0, "b.jpg": 2, "c.jpg": 4}

    found = match(paths, catalog, Mapping(file="file", object_id="id"))  # without labels every column must agree
    assert joined(found) == {}


def test_two_pictures_for_one_row() -> None:
    catalog = rows(acno=["T07799", "T12038"])
    found = match(pictures("T07799_8.jpg", "T07799_9.jpg", "T07799.jpg"), catalog, Mapping(object_id="acno"))
    assert joined(found) == {"T07799_8.jpg": 0, "T07799_9.jpg": 0, "T07799.jpg": 0}
    assert found.report.rows_shared.count == 1
    assert found.report.rows_shared.examples == ("T07799",)
    assert found.report.rows_matched == 1


# -- by id -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "object_id", "method"),
    [
        ("Impressionism/IM00420.jpg", "IM00420", "id"),
        ("x/im00420.jpg", "IM00420", "id, other spelling"),
        ("1939-1-2.jpg", "1939/1/2", "id, other spelling"),
        ("T07799_8.jpg", "T07799", "id at the name's beginning"),
        ("1999.12.3-a_verso.tif", "1999.12.3", "id at the name's beginning"),
        ("tate T07799.jpg", "T07799", "id at the name's end"),
        ("1985.20.15.detail.jpg", "1985.20.15", "id at the name's beginning"),
        ("1985.20.15-2.jpg", "1985.20.15", "id at the name's beginning"),
        ("43653_1.jpg", "43653", "id at the name's beginning"),
        ("web_43653.jpg", "43653", "id at the name's end"),
        ("3.jpg", "3", "id"),
        ("000003.jpg", "3", "id, zeros in front"),
        ("3.jpg", "0003", "id, zeros in front"),
        ("inv_0012.jpg", "INV 12", "id, zeros in front"),
        ("1985.20.15a.jpg", "1985.20.15", "id and a letter"),
    ],
)
def test_an_id_in_the_name(path: str, object_id: str, method: str) -> None:
    found = match(pictures("zz.jpg", path), rows(id=["unknown", object_id]), Mapping(object_id="id"))
    assert joined(found) == {path: 1}
    assert found.report.methods == {method: 1}


@pytest.mark.parametrize(
    ("path", "object_id"), [("photo_3.jpg", "3"), ("IM004200.jpg", "IM00420"), ("blue_sea.jpg", "blue")]
)
def test_an_id_that_may_be_chance(path: str, object_id: str) -> None:
    assert joined(match(pictures(path), rows(id=[object_id]), Mapping(object_id="id"))) == {}


def test_ids_that_are_one_number_but_for_their_zeros_decide_nothing() -> None:
    found = match(pictures("001.jpg", "02.jpg"), rows(id=["1", "01", "2"]), Mapping(object_id="id"))
    assert joined(found) == {"02.jpg": 2}
    assert found.report.pictures_disputed.examples == ("001.jpg",)
    assert joined(match(pictures("001.jpg", "01.jpg"), rows(id=["1"]), Mapping(object_id="id"))) == {}


def test_ids_of_another_spelling_must_be_one_id() -> None:
    """The labels agree, but these are two works."""
    catalog = rows(id=["1939/1", "1939.1"], style=["Dada", "Dada"])
    found = match(pictures("1939-1.jpg"), catalog, Mapping(object_id="id", labels={"style": "style"}))
    assert joined(found) == {}
    assert found.report.pictures_disputed.count == 1


def test_a_letter_is_no_view_where_ids_have_letters() -> None:
    found = match(pictures("1985.15a.jpg", "1985.15.jpg"), rows(id=["1985.15", "1985.16b"]), Mapping(object_id="id"))
    assert joined(found) == {"1985.15.jpg": 0}


def test_whole_numbers_written_as_decimal_fractions() -> None:
    found = match(pictures("1234.jpg", "0012.jpg"), rows(id=["1234.0", "12.0", None]), Mapping(object_id="id"))
    assert found.report.methods == {"id, whole number": 1, "id, zeros in front": 1}
    # Here they are what the museum writes.
    found = match(pictures("1934.jpg", "1934.0.jpg"), rows(id=["1934.0", "1934.2"]), Mapping(object_id="id"))
    assert joined(found) == {"1934.0.jpg": 0}


def test_folders_called_by_the_ids() -> None:
    paths = ["scans/37.1/front.jpg", "scans/37.1/views/back.jpg", "scans/37.2/front.jpg", "scans/37.3/front.jpg"]
    found = match(pictures(*paths), rows(id=["37.1", "37.2", "37.3"]), Mapping(object_id="id"))
    assert found.table["row"].to_pylist() == [0, 0, 1, 2]


def test_folders_that_are_ids_by_chance() -> None:
    """Years and numbers of classes."""
    paths = [f"{folder}/{name}.jpg" for folder in ("2019", "2020", "1", "2") for name in "ab"]
    ids: list[str | None] = [str(number) for number in range(1, 3000)]
    assert joined(match(pictures(*paths), rows(id=ids), Mapping(object_id="id"))) == {}


def test_ids_that_stand_twice_or_not_at_all_are_said() -> None:
    catalog = rows(id=["d1", "d2", "d2", None], style=["Dada", "Dada", "Dada", "Dada"])
    found = match(pictures("d1.jpg", "d2.jpg"), catalog, Mapping(object_id="id", labels={"style": "style"}))
    assert found.table["row"].to_pylist() == [0, 1]
    assert "ids that stand twice or more: 1 (d2)" in found.report.lines()
    assert "rows without an id: 1" in found.report.lines()


# -- several pictures in a cell ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "separator"),
    [
        ("w0_front.jpg; w0_back.jpg", None),
        ("w0_front.jpg;w0_back.jpg;", ";"),
        ("w0_front.tif, w0_back.tif", None),
        ("w0_front.JPG|x/w0_back.jpg", None),
        ("w0_front\nw0_back", None),
        ("w0_front ; w0_back", None),
        ("w0_front.jpg + w0_back.jpg", "+"),
        ('["w0_front.jpg", "w0_back.jpg"]', None),
        ("['w0_front.jpg', 'w0_back.jpg']", None),
    ],
)
def test_several_files_in_a_cell(cell: str, separator: str | None) -> None:
    paths = pictures("w0_back.jpg", "w0_front.jpg", "w1.jpg")
    found = match(paths, rows(file=["w1.jpg", cell]), Mapping(file="file", separator=separator))
    assert found.table["row"].to_pylist() == [1, 1, 0]
    assert found.report.rows_shared.count == 1
    assert found.missing.num_rows == 0


@pytest.mark.parametrize("mark", [", ", ",", " ", " & ", "^^", "\n", ";", " / ", " und ", " AND "])
@pytest.mark.parametrize("suffix", ["", ".jpg"])
def test_names_between_doubtful_marks_that_are_all_pictures(mark: str, suffix: str) -> None:
    paths = [f"IMG_{n}.jpg" for n in range(6)]
    found = by_file(paths, [f"IMG_{n}{suffix}{mark}IMG_{n + 1}{suffix}" for n in (0, 2, 4)])
    assert joined(found) == {path: n // 2 for n, path in enumerate(paths)}
    assert found.missing.num_rows == 0


def test_doubtful_marks_stay_in_names() -> None:
    paths = ["a, b.jpg", "x.jpg", "y.jpg", "Rose & Blue.jpg", "Rose.jpg"]
    assert joined(by_file(paths, ["a, b.jpg", "x, gone.jpg", "Rose & Blue"])) == {"a, b.jpg": 0, "Rose & Blue.jpg": 2}


def test_addresses_between_carets() -> None:
    table = rows(url=["https://o.test/a.jpg^^https://o.test/b.jpg", "https://o.test/c.jpg"])
    assert joined(match(pictures("a.jpg", "b.jpg", "c.jpg"), table, Mapping(url="url"))) == {
        "a.jpg": 0, "b.jpg": 0, "c.jpg": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ids", "paths"),
    [
        (["1,230", "12", "1,234,567"], ["1230.jpg", "12.jpg", "1234567.jpg"]),
        (["1.230", "12", "13"], ["1230.jpg", "12.jpg", "13.jpg"]),
        (["1\u00a0230", "12", "13"], ["1230.jpg", "12.jpg", "13.jpg"]),
        (["/9/RP_1", "/9/RP_2", "/10/X"], ["RP_1.jpg", "RP_2.jpg", "X.jpg"]),
        (["Ａ－００１", "Ａ－００２", "Ａ－００３"], ["A-001.jpg", "a_002.jpg", "A-003.JPG"]),
    ],
)
def test_ids_in_other_forms(ids: list[str | None], paths: list[str]) -> None:
    found = match(pictures(*paths), rows(id=ids), Mapping(object_id="id"))
    assert joined(found) == {path: n for n, path in enumerate(paths)}


@pytest.mark.parametrize("ids", [["1.230", "1.2"], ["/9/a", "/10/a"], ["1915.500", "x"]])
def test_ids_in_other_forms_that_say_too_little(ids: list[str | None]) -> None:
    assert joined(match(pictures("1230.jpg", "a.jpg", "1915500.jpg"), rows(id=ids), Mapping(object_id="id"))) == {}


def test_numbers_behind_letters_that_all_names_begin_with() -> None:
    def found(*paths: str) -> dict[str, int]:
        return joined(match(pictures(*paths), rows(id=["1", "2", "30"]), Mapping(object_id="id")))

    assert found("NMK-0001.jpg", "NMK-0002.jpg", "x/NMK-0030.tif") == {
        "NMK-0001.jpg": 0,
        "NMK-0002.jpg": 1,
        "x/NMK-0030.tif": 2,
    }
    assert found("NMK-0001.jpg", "DSC-0002.jpg", "IMG-0030.jpg") == {}
    assert found("NMK-0101.jpg", "NMK-0002.jpg", "NMK-0130.jpg") == {}
    running = match(pictures("IMG_0001.jpg", "IMG_0002.jpg"), rows(id=["1", "2"]), Mapping(object_id="id"))
    assert joined(running) == {}


def test_a_smaller_copy_that_is_named_is_found_as_its_picture() -> None:
    paths = ["up/w1.jpg", "up/w2.jpg", "up/w3.jpg"]
    assert joined(by_file(paths, ["up/w1-300x200.jpg", "w2-scaled.jpg", "w3_30x40.jpg"])) == {paths[0]: 0, paths[1]: 1}
    addresses = rows(url=["https://m.test/up/w1-1024x683.jpg", "https://m.test/up/w2.jpg"])
    assert joined(match(pictures(*paths), addresses, Mapping(url="url"))) == {paths[0]: 0, paths[1]: 1}


def test_the_parts_of_a_set_under_one_number() -> None:
    ids: list[str | None] = ["1985.20.15a-c", "1985.20.16", "1985.20.17A–B", "1985.20.19a", "1985.20.1"]
    paths = ["1985.20.15a.jpg", "1985-20-15c.jpg", "1985.20.15d.jpg", "1985.20.17b.jpg", "1985.20.19a.jpg"]
    found = match(pictures(*paths), rows(id=ids), Mapping(object_id="id"))
    assert joined(found) == {paths[0]: 0, paths[1]: 0, paths[3]: 2, paths[4]: 3}


def test_of_several_files_those_that_are_not_there_are_named() -> None:
    cells: list[str | None] = ["a.jpg; gone.jpg", "b.jpg; c.jpg", "x.jpg;../y.jpg"]
    found = by_file(["a.jpg", "d.jpg"], cells)
    assert joined(found) == {"a.jpg": 0}
    named = [(row["row"], row["value"]) for row in found.missing.to_pylist()]
    assert named == [(0, "gone.jpg"), (1, "b.jpg"), (1, "c.jpg"), (2, "x.jpg")]
    assert found.report.rows_missing.count == 2
    assert found.report.names_missing.examples == ("gone.jpg",)
    assert found.report.refused["file: leaves the folder"].count == 1


def test_two_cells_that_name_one_picture_dispute_it() -> None:
    catalog = rows(file=["a.jpg; b.jpg", "c.jpg; a.jpg"], style=["Dada", "Pop Art"])
    found = match(pictures("a.jpg", "b.jpg", "c.jpg"), catalog, Mapping(file="file", labels={"style": "style"}))
    assert joined(found) == {"b.jpg": 0, "c.jpg": 1}
    assert found.report.pictures_disputed.examples == ("a.jpg",)


@pytest.mark.parametrize("name", ["Smith, John.jpg", "a;b.jpg", "x|y.jpg", "Smith, John.jpg, final.jpg"])
def test_a_name_with_a_mark_in_it_is_one_name(name: str) -> None:
    found = match(pictures(f"x/{name}", "b.jpg"), rows(file=[name]), Mapping(file="file", separator=","))
    assert joined(found) == {f"x/{name}": 0}


def test_several_addresses_in_a_cell() -> None:
    url = "https://m.test/i/a.jpg; https://m.test/full/843,/b.jpg | http://m.test/c,d.jpg"
    found = match(pictures("a.jpg", "b.jpg", "c,d.jpg"), rows(url=[url]), Mapping(url="url", separator=","))
    assert found.report.pictures_matched == 3


# -- by address --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("www.tate.org.uk/art/images/T07799_8.jpg", "http://www.tate.org.uk/art/images/T07799_8.jpg"),
        ("pictures/T07799_8.jpg", "http://www.tate.org.uk/art/images/work/T/T07/T07799_8.jpg"),
        ("T07799_8.png", "HTTPS://www.tate.org.uk/art/T07799_8.jpg?w=300#top"),
        ("a b.jpg", "https://museum.test/a%20b.jpg"),
        ("0f9c-11.jpg", "https://api.nga.gov/iiif/0f9c-11"),
        ("0f9c-11.jpg", "https://api.nga.gov/iiif/0f9c-11/full/!200,200/0/default.jpg"),
        ("0f9c-11.jpg", "https://api.nga.gov/iiif/0f9c-11/info.json"),
        ("m.test/i/0f9c-11/full/843,/0/default.jpg", "https://m.test/i/0f9c-11/full/843,/0/default.jpg"),
        ("tree/m.test/i/0f9c-11/full/843,/0/default.jpg", "https://m.test/i/0f9c-11/full/843,/0/default.jpg"),
        ("i/0f9c-11/full/200,/0/default.jpg", "https://m.test/i/0f9c-11/full/843,/0/default.jpg"),
        ("m.test_i_0f9c-11_full_843,_0_default.jpg", "https://m.test/i/0f9c-11/full/843,/0/default.jpg"),
        ("images_work_17.jpg", "https://m.test/images/work/17.png"),
        ("4900.jpg", "http://m.test/Image.aspx?irn=4900&size=Medium"),
        ("m.test/a.jpg", "https://m.test/a.jpg?token=1"),
    ],
)
def test_an_address(path: str, url: str) -> None:
    found = match(pictures("zz.jpg", path), rows(url=[None, url]), Mapping(url="url"))
    assert joined(found) == {path: 1}


def test_addresses_that_must_not_be_followed() -> None:
    urls = [
        "https://me:hunter2@museum.test/a.jpg",
        "https://me@museum.test/a.jpg",
        "ftp://museum.test/a.jpg",
        "a.jpg",
        "javascript:alert(1)//a.jpg",
        "https://b.test/a.jpg?X-Amz-Signature=***",
        "https://b.test/a.jpg\n",
    ]
    found = match(pictures("a.jpg"), rows(url=[*urls]), Mapping(url="url"))
    assert joined(found) == {}
    assert {reason: sample.count for reason, sample in found.report.refused.items()} == {
        "url: control characters": 1,
        "url: not http or https": 3,
        "url: a password in the address": 2,
        "url: a signature in the address": 1,
    }
    assert "hunter2" not in repr(found.report) + repr(found.missing.to_pylist())


def test_the_parameter_that_names_the_pictures() -> None:
    urls: list[str | None] = [f"https://m.test/Image?size=200&id={n}&v={n + 7}" for n in range(100, 110)]
    found = match(pictures(*[f"{n}.jpg" for n in range(100, 110)]), rows(u=urls), Mapping(url="u"))
    assert found.report.methods == {"url, its id=": 10}
    # Two parameters that name as many: neither is believed.
    urls = [f"https://m.test/Image?a={n}&b={10 - n}" for n in range(10)]
    assert joined(match(pictures(*[f"{n}.jpg" for n in range(1, 10)]), rows(u=urls), Mapping(url="u"))) == {}


def test_a_tree_of_iiif_addresses_in_two_sizes() -> None:
    paths = [f"m.test/i/{name}/full/{size},/0/default.jpg" for name in ("u1", "u2") for size in (200, 843)]
    urls: list[str | None] = ["https://m.test/i/u2/full/843,/0/default.jpg", None]
    assert joined(match(pictures(*paths), rows(u=urls), Mapping(url="u"))) == {paths[3]: 0}


def test_the_same_last_part_decides_nothing() -> None:
    urls: list[str | None] = ["https://m.test/1/default.jpg", "https://m.test/2/default.jpg"]
    found = match(pictures("default.jpg"), rows(url=urls, title=["a", "b"]), Mapping(url="url"))
    assert joined(found) == {}
    assert found.report.pictures_disputed.count == 1


# -- by title (A1) -----------------------------------------------------------------------------------------------------


def base64_name(title: str) -> str:
    return base64.urlsafe_b64encode(title.encode()).decode() + ".jpg"


def thesis(*works: tuple[str, str, str]) -> pa.Table:
    titles, artists, emotions = (list(column) for column in zip(*works, strict=True))
    return rows(Title=titles, Artist=artists, Emotion=emotions)


THESIS = ready_mapping("thesis").model_copy(update={"url": None, "labels": {"emotion": "Emotion"}, "uppercase": ()})


def test_the_published_name() -> None:
    assert base64_name("The Fall of Lucifer") == "VGhlIEZhbGwgb2YgTHVjaWZlcg==.jpg"
    found = match(
        pictures("images/VGhlIEZhbGwgb2YgTHVjaWZlcg==.jpg"), thesis(("The Fall of Lucifer", "Doré", "SADNESS")), THESIS
    )
    assert found.report.methods == {"base64": 1}


def test_duplicate_titles_never_multiply_rows() -> None:
    four = "The Four Horsemen of the Apocalypse"
    catalog = thesis(
        (four, "Dürer", "ANGER"), (four, "Dürer", "ANGER"), ("Untitled", "A", "JOY"), ("Untitled", "B", "FEAR")
    )
    found = match(pictures(base64_name(four), base64_name("Untitled")), catalog, THESIS)
    assert found.table.num_rows == 2
    assert joined(found) == {base64_name(four): 0}
    assert found.report.pictures_shared.count == 1
    assert found.report.pictures_disputed.count == 1  # two different works named Untitled


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=40).filter(
            str.strip
        ),
        max_size=20,
    )
)
def test_every_title_is_found_once(titles: list[str]) -> None:
    unique = list({unicodedata.normalize("NFC", title.strip()).lower(): title for title in titles}.values())
    paths = [base64_name(title) for title in unique]
    catalog = thesis(*[(title, "A", "JOY") for title in unique]) if unique else rows(Title=[], Artist=[], Emotion=[])
    found = match(pictures(*paths), catalog, THESIS)
    assert joined(found) == {path: at for at, path in enumerate(paths)}


def test_names_cut_at_the_file_systems_limit() -> None:
    long = "The Arrival of the Ambassadors of " + "Dürer and " * 30
    cut = base64_name(long)[:251] + ".jpg"
    catalog = thesis((long, "A", "JOY"), ("The Arrival", "B", "FEAR"))
    found = match(pictures(cut), catalog, THESIS)
    assert joined(found) == {cut: 0}
    assert found.report.methods == {"base64, cut name": 1}
    assert found.report.names_too_long == 1

    twin = thesis((long + "x", "A", "JOY"), (long + "y", "B", "FEAR"))
    assert joined(match(pictures(cut), twin, THESIS)) == {}


def test_names_that_are_no_base64() -> None:
    found = match(
        pictures("foo(1).jpg", "a.jpg", "____.jpg", "=.jpg", "VGhl$.jpg"), thesis(("The", "A", "JOY")), THESIS
    )
    assert joined(found) == {}


# -- by folder (A4) ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder", ["Albrecht_Dürer", "Albrecht_Du\u0308rer", "Albrecht_Du╠Иrer", "Albrecht_Du╠êrer", "Albrecht_DuΓòá├¬rer"]
)
def test_best_artworks_of_all_time(folder: str) -> None:
    catalog = rows(
        id=["0", "1"], name=["Albrecht Dürer", "Edgar Degas"], genre=["Northern Renaissance", "Impressionism"]
    )
    paths = [
        f"images/{folder}/{folder}_1.jpg",
        f"images/{folder}/{folder}_2.jpg",
        "images/Edgar_Degas/Edgar_Degas_1.jpg",
    ]
    found = match(pictures(*paths), catalog, ready_mapping("best-artworks-of-all-time"))
    assert found.table["row"].to_pylist() == [0, 0, 1]
    assert found.report.rows_matched == 2


def test_repair_leaves_sound_names_alone() -> None:
    for name in ("Dürer", "Žižka", "葛飾北斎", "Кустодиев", "Æ", "plain", "Γ", "naïve café"):
        assert repair(name) == unicodedata.normalize("NFC", name)


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=0xC0, max_codepoint=0x17F, categories=["L"]), min_size=1, max_size=6))
def test_repair_undoes_a_misread_name(name: str) -> None:
    misread = unicodedata.normalize("NFD", name).encode("utf-8").decode("cp437")
    sound = unicodedata.normalize("NFC", name)
    assert repair(misread) in (sound, repair(sound))  # a name may look misread by itself


def test_pandora_list() -> None:
    catalog = rows(
        imageListFile=["03_Northern_Renaissance\\hieronymus-bosch\\tempt-o1.jpg"], **{"class": ["2"], "artist": ["3"]}
    )
    path = "Pandora_18k/03_Northern_Renaissance/hieronymus-bosch/tempt-o1.jpg"
    found = match(pictures(path, "Pandora_18k/06_Rococo/x/1.jpg"), catalog, ready_mapping("pandora18k"))
    assert joined(found) == {path: 0}
    assert found.table["movement"].to_pylist() == ["Northern_Renaissance", "Rococo"]
    assert found.table["artist_folder"].to_pylist() == ["hieronymus-bosch", "x"]


# -- the whole ---------------------------------------------------------------------------------------------------------

names = st.text(string.ascii_letters + "é%2. _", min_size=1, max_size=4)
paths_and_files = st.tuples(
    st.lists(st.lists(names, min_size=1, max_size=3).map("/".join), unique=True, max_size=8),
    st.lists(st.none() | st.lists(names, min_size=1, max_size=3).map("/".join), max_size=8),
)


@pytest.mark.slow
@settings(deadline=None)
@given(paths_and_files, st.randoms())
def test_every_picture_and_row_is_accounted_for(
    both: tuple[list[str], list[str | None]], shuffle: random.Random
) -> None:
    paths, files = both
    found = by_file(paths, files)
    report = found.report
    assert found.table["path"].to_pylist() == paths
    assert report.pictures_matched + report.pictures_unmatched.count + report.pictures_disputed.count == len(paths)
    assert report.rows_matched + report.rows_missing.count + report.rows_disputed + report.rows_unnamed == len(files)
    assert sum(report.methods.values()) == report.pictures_matched
    assert report.columns["file"][0] == sum(file is not None for file in files)
    for path, file in zip(paths, found.table["row"].to_pylist(), strict=True):
        if path in files and not any(c in path for c in "%~"):
            assert file == files.index(path)

    # The order of the listing does not matter.
    order = list(range(len(paths)))
    shuffle.shuffle(order)
    assert joined(by_file([paths[at] for at in order], files)) == joined(found)


def test_ways_follow_each_other() -> None:
    catalog = rows(
        id=["T001", "T002", "T003"], file=["a.jpg", None, "gone.jpg"], url=[None, "https://m.test/b.jpg", None]
    )
    found = match(
        pictures("a.jpg", "b.jpg", "T003_1.jpg", "d.jpg"), catalog, Mapping(object_id="id", file="file", url="url")
    )
    assert found.table["row"].to_pylist() == [0, 1, 2, None]
    assert found.missing.num_rows == 0
    assert found.report.lines() == [
        "pictures with a row: 3 of 4 (1 by file, 1 by url, 1 by id at the name's beginning)",
        "rows with a picture: 3 of 3",
        "pictures that no row names: 1 (d.jpg)",
    ]
    assert found.report.columns == {"id": (3, 3, 3), "file": (2, 2, 2), "url": (1, 1, 1)}


def test_nothing_to_join() -> None:
    assert by_file([], ["a.jpg"]).missing.num_rows == 1
    assert by_file(["a.jpg"], []).table["row"].to_pylist() == [None]
    assert by_file([], []).table.num_rows == 0
    with pytest.raises(InputError, match="no column 'x'"):
        match(pictures("a.jpg"), rows(file=["a.jpg"]), Mapping(file="x"))


@pytest.mark.slow
def test_hundred_thousand_names() -> None:
    count = 100_000
    paths = [f"scans/{n % 97}/Étude {n}.jpg" for n in range(count)]
    files: list[str | None] = [
        quote(path) if n % 3 == 0 else path.upper() if n % 3 == 1 else path for n, path in enumerate(paths)
    ]
    found = by_file(paths[::-1], files)
    assert found.table["row"].to_pylist() == list(range(count))[::-1]
