"""Several pictures in a cell."""

import pytest

from artray.catalogs.columns import Mapping
from artray.catalogs.matching import match
from tests.catalogs.matched import by_file, joined, pictures, rows


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


@pytest.mark.parametrize(
    "mark", [", ", ",", " ", " & ", "^^", "\n", ";", " / ", " // ", "#", "~", "<br>", "<br />", " • ", " und ", " AND "]
)
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
