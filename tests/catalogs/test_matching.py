"""Joins of rows to pictures: each way, what it must refuse, and nothing multiplied or lost."""

import pytest

from artray.catalogs.columns import Mapping
from artray.catalogs.matching import match
from tests.catalogs.matched import by_file, joined, pictures, rows

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


def test_a_suffix_before_the_last_is_part_of_the_name() -> None:
    assert joined(by_file(["a.tif#2.jpg", "b.jpg"], ["a.tif#2.jpg", "b.jpg?v=2"])) == {"a.tif#2.jpg": 0, "b.jpg": 1}


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


def test_a_number_before_another_that_may_be_no_id() -> None:
    ids = [str(year) for year in range(1901, 1907)]
    paths = [f"{year}_02.jpg" for year in range(1901, 1907)]
    assert joined(match(pictures(*paths), rows(id=ids), Mapping(object_id="id"))) == {}
    assert (
        joined(match(pictures("10_20.jpg", "30_40.jpg"), rows(id=["10", "20", "30", "40"]), Mapping(object_id="id")))
        == {}
    )
    assert joined(match(pictures("0007_02.jpg", "08_1.jpg"), rows(id=["7", "8"]), Mapping(object_id="id"))) == {
        "0007_02.jpg": 0,
        "08_1.jpg": 1,
    }


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
