"""Rows and pictures joined by address, by title (A1), by folder (A4), and by all ways in turn."""

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
from artray.catalogs.matching import match
from artray.catalogs.name_keys import repair
from artray.errors import InputError
from tests.catalogs.matched import by_file, joined, pictures, rows


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
