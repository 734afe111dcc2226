"""What a download makes of a catalogue's rows and of the bytes that come; the pass itself is tested in integration."""

import base64
import hashlib
import re
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.download.fetching import Fetched
from artray.download.station import RESULT, DownloadOptions, _by_turns, _wanted, file_names, object_ids, store
from artray.errors import InputError
from tests.download.museum_server import picture

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(st.lists(IDS, unique=True))
def test_file_names_are_safe_and_collide_nowhere(ids: list[str]) -> None:
    names = file_names(ids)
    assert len({name.lower() for name in names}) == len(ids)
    for object_id, name in zip(ids, names, strict=True):
        assert re.fullmatch(r"[A-Za-z0-9_.%=~-]+", name)
        assert not name.startswith(".")
        assert len(name) + len(".tif") <= 255
        if "~" not in name:
            assert unquote(name) == object_id


def test_file_names_tell_cases_and_long_names_apart() -> None:
    upper, lower, other = file_names(["N01234", "n01234", "N5"])
    assert upper.lower() != lower.lower()
    assert upper.startswith("N01234~")
    assert other == "N5"
    long = file_names(["x" * 400 + "a", "x" * 400 + "b", "../../etc/passwd", "a~b", ".hidden", "..", "1939/1/2"])
    assert long[0] != long[1]
    assert long[2:] == ["%2E.%2F..%2Fetc%2Fpasswd", "a%7Eb", "%2Ehidden", "%2E.", "1939%2F1%2F2"]


@given(
    st.lists(
        st.tuples(
            st.none() | st.sampled_from(["1", "2", "1/a", "1/a#2", "x.example/a"]),
            st.none() | st.sampled_from(["Water Lilies", "1"]),
            st.sampled_from(
                ["http://x.example/a.jpg", "https://x.example/a.png", "http://x.example/b/a.jpg", "http://y"]
            ),
        )
    )
)
def test_ids_are_equal_only_for_the_same_record_and_address(rows: list[tuple[str | None, str | None, str]]) -> None:
    ids = object_ids([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])
    url_of = dict(zip(ids, (url for _, _, url in rows), strict=True))
    assert all(url_of[new] == url for new, (_, _, url) in zip(ids, rows, strict=True))
    assert len(set(zip(rows, ids, strict=True))) == len(set(rows))
    numbers = [own for own, _, _ in rows]
    if None not in numbers and len(set(numbers)) == len(numbers):
        assert ids == numbers


def test_where_ids_come_from() -> None:
    urls = ["http://m.example/1.jpg", "http://m.example/2.jpg", "http://m.example/3.png", "http://m.example/iiif/4"]
    assert object_ids(["7", None, None, "8"], ["Nana", "Olympia", None, "Nana"], urls) == [
        "7",
        base64.urlsafe_b64encode(b"Olympia").decode(),
        "m.example/3",
        "8",
    ]
    sides = ["http://m.example/a/recto.jpg", "http://m.example/a/verso.jpg", "http://m.example/b/recto.jpg"]
    assert object_ids(["7"] * 4, [None] * 4, [*sides, sides[0]]) == ["7/recto", "7/verso", "7/recto#2", "7/recto"]


def test_further_addresses_of_a_row_change_no_id() -> None:
    urls = ["http://m.example/1.jpg", "http://m.example/2.jpg"]
    more = [(0, "http://m.example/back.jpg"), (0, "http://m.example/x/back.jpg"), (1, urls[1]), (1, urls[0])]
    ids = object_ids(["7", "8"], [None] * 2, urls, more)
    assert ids == ["7", "8", "7/back", "7/back#2", "8", "8/1"]
    assert object_ids(["7", "7"], [None] * 2, urls, [(1, urls[0]), (0, "http://m.example/2.png")]) == [
        "7/1",
        "7/2",
        "7/1",
        "7/2#2",
    ]


def wanted(tmp_path: Path, catalog: str, **options: object) -> dict[str, str]:
    (tmp_path / "c.csv").write_text(catalog)
    given = DownloadOptions(catalog=str(tmp_path / "c.csv"), out=str(tmp_path / "out"), **options)
    table, without = _wanted(given, given.out / "pictures")
    assert without == 1
    return dict(zip(table["object_id"].to_pylist(), table["url"].to_pylist(), strict=True))


def test_addresses_in_several_columns_and_in_one_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = (
        "id,title,image_1,image_2,page\n"
        "7,Sea,http://m.test/a.jpg,http://m.test/b.jpg,http://m.test/7\n"
        "8,Lake,,http://m.test/c.jpg,http://m.test/8\n"
        "9,Wood,http://m.test/d.jpg; http://m.test/e.jpg,,http://m.test/9\n"
        "10,None,,,http://m.test/10\n"
    )
    both = {
        "7": "http://m.test/a.jpg",
        "7/b": "http://m.test/b.jpg",
        "8": "http://m.test/c.jpg",
        "9": "http://m.test/d.jpg",
        "9/e": "http://m.test/e.jpg",
    }
    assert wanted(tmp_path, catalog, url_column=["image_1", "image_2"]) == both
    assert "too; to fetch" not in capsys.readouterr().err
    with pytest.raises(InputError, match="no column 'image_3'"):
        wanted(tmp_path, catalog, url_column=["image_1", "image_3"])
    odd = catalog.replace("image_1", '"image, first"').replace("8,Lake,,", "8,Lake,http://m.test/f.jpg,")
    assert "7/b" not in wanted(tmp_path, odd, url_column="image, first")
    wanted(tmp_path, catalog.replace("image_1", "image_url").replace("8,Lake,,", "8,Lake,http://m.test/f.jpg,"))
    assert "addresses are in 'image_2' too; to fetch from all: --url-column image_url --url-column image_2" in (
        capsys.readouterr().err
    )


@given(st.lists(st.integers(0, 4), min_size=1))
def test_hosts_take_turns(hosts: list[int]) -> None:
    urls = [f"https://H{host}.example/{number}.jpg" for number, host in enumerate(hosts)]
    order = _by_turns(pa.chunked_array([urls]))
    assert sorted(order) == list(range(len(hosts)))
    asked = dict.fromkeys(hosts, 0)
    for row in order:
        # Nobody's turn comes twice before everybody who has rows left had one.
        assert asked[hosts[row]] == min(asked[host] for host in asked if asked[host] < hosts.count(host))
        asked[hosts[row]] += 1


@pytest.mark.parametrize(
    ("form", "suffix"), [("JPEG", "jpg"), ("PNG", "png"), ("TIFF", "tif"), ("WEBP", "webp"), ("GIF", "gif"),
                         ("BMP", "bmp"), ("JPEG2000", "jp2"), ("AVIF", "avif")]
)  # fmt: skip
def test_pictures_are_stored_under_the_suffix_of_what_they_are(tmp_path: Path, form: str, suffix: str) -> None:
    data = picture(0, form)
    row = store(Fetched("ok", data=data, etag='"e"'), f"{tmp_path}/pictures/N1")
    assert row == {
        "path": f"N1.{suffix}",
        "status": "ok",
        "error": None,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "etag": '"e"',
    }
    assert set(row) == set(RESULT.names) - {"object_id", "url"}
    assert (tmp_path / "pictures" / f"N1.{suffix}").read_bytes() == data


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"", "empty"), (b"<!doctype html><title>Not found</title>", "not_an_image"), (b"%PDF-1.7 ...", "unsupported"),
     (picture(0, "PNG")[:20], "truncated")],
)  # fmt: skip
def test_what_is_no_picture_is_not_stored(tmp_path: Path, data: bytes, status: str) -> None:
    row = store(Fetched("ok", data=data), f"{tmp_path}/N1")
    assert (row["status"], row["path"], row["sha256"]) == (status, None, None)
    assert row["error"]
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_a_row(tmp_path: Path) -> None:
    row = store(Fetched("missing", "m.example answers 404"), f"{tmp_path}/N1")
    assert (row["status"], row["error"], row["path"]) == ("missing", "m.example answers 404", None)


def test_a_place_that_can_t_be_written_to_ends_the_job(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="N1"):
        store(Fetched("ok", data=picture(0)), f"{tmp_path}/file/N1")
