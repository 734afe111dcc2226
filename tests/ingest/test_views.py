"""Views of one work, by their pictures' names."""

import pyarrow as pa
import pytest

from artray.ingest.views import view_ties


def tied(paths: list[str], numbers: list[str | None] | None = None) -> list[int]:
    """For each picture the place of the first that is tied to it."""
    ties = view_ties(pa.array(paths, pa.string()), pa.array(numbers or [None] * len(paths), pa.string())).tolist()
    return [ties.index(tie) for tie in ties]


@pytest.mark.parametrize(
    "paths",
    [
        ["w0_front.jpg", "w0_back.jpg"],
        ["x/37.1 recto.tif", "x/37.1-VERSO.jpg", "x/37.1.jpg"],
        ["vase_front.jpg", "vase_back.jpg"],
        ["PS1_37.102_Fnt_DD_T02.jpg", "PS1_37.102_Back_DD_T02.jpg", "PS1_37.102_Det_DD_T02.jpg"],
        ["1985.20.15.jpg", "1985.20.15a.jpg", "1985.20.15_recto.jpg", "1985.20.15 copy.jpg", "1985.20.15(1).jpg"],
        ["w12_1.jpg", "w12_2.jpg", "w12_3.jpg"],
        ["w12.jpg", "w12_2.jpg"],
        ["w12-01.jpg", "w12-02.jpg"],
        ["12r.jpg", "12v.jpg"],
        ["37.1a.jpg", "37.1b.jpg"],
        ["1915.500_web.jpg", "1915.500_print.tif"],
        ["recto_37.jpg", "verso_37.jpg"],
        ["w12_detail1.jpg", "w12_detail_2.jpg", "w12.jpg"],
        ["w12-front-hires.jpg", "w12-back-hires.jpg", "w12 left side.jpg"],
        ["w12_p1.jpg", "w12_p2.jpg"],
        ["w12_page_001.jpg", "w12_page_002.jpg"],
        ["w12_1of3.jpg", "w12_2of3.jpg", "w12 3 of 3.jpg"],
        ["w12_framed.jpg", "w12_unframed.jpg", "w12 - Kopie.jpg", "w12_UV.jpg"],
        ["w12@2x.jpg", "w12.jpg", "w12-1024x768.jpg"],
    ],
)
def test_views_of_one_work(paths: list[str]) -> None:
    assert tied([*paths, "38.7.jpg"]) == [0] * len(paths) + [len(paths)]


@pytest.mark.parametrize(
    "paths",
    [
        ["degas_1.jpg", "degas_2.jpg"],
        ["INV_0001.jpg", "INV_0002.jpg"],
        ["2020_01.jpg", "2020_02.jpg"],
        ["scan-2020-1.jpg", "scan-2020-2.jpg"],
        ["w12_3.jpg", "w12_7.jpg"],
        [f"album12_{n}.jpg" for n in range(1, 30)],
        [f"class{c}_{n}.jpg" for c in (1, 2, 3) for n in range(1, 11)],
        ["x/w0_front.jpg", "y/w0_back.jpg"],
        ["front.jpg", "back.jpg"],
        ["sea 30x40.jpg", "sea 50x60.jpg"],
        ["37.15.jpg", "37.16.jpg"],
        ["37b.jpg", "37d.jpg"],
        ["gc-01.jpg", "gc-02.jpg"],
        [f"detail_{n}.jpg" for n in range(40)],
        [f"portrait_face_{n}.jpg" for n in range(20)],
        [f"album1_detail{n}.jpg" for n in range(40)],
    ],
)
def test_works_that_are_only_called_alike(paths: list[str]) -> None:
    assert tied(paths) == list(range(len(paths)))


def test_a_number_among_others_is_no_year() -> None:
    assert tied(["w812_1.jpg", "w812_2.jpg", "w1950_1.jpg", "w1950_2.jpg", "w7_1.jpg"]) == [0, 0, 2, 2, 4]


def test_a_picture_called_by_its_own_number_is_no_view() -> None:
    assert tied(["1939-1-1.jpg", "1939-1-2.jpg"], ["1939/1/1", "1939.1.2"]) == [0, 1]
    assert tied(["1939-1-1.jpg", "1939-1-2.jpg"], ["1939/1", "1939/1"]) == [0, 0]


def test_the_order_of_pictures_does_not_matter() -> None:
    paths = ["a1_front.jpg", "b2_1.jpg", "a1.jpg", "c.jpg", "b2_2.jpg"]
    assert tied(paths) == [0, 1, 0, 3, 1]
    assert tied(paths[::-1]) == [0, 1, 2, 0, 2]
    assert tied([]) == []
