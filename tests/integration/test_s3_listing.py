"""Listing a real bucket: many pages, folders side by side."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artray.errors import InputError
from artray.ingest import listing
from artray.storage import Location, ReadError, read_many, remove_written, s3
from artray.storage.listings import _find_s3
from tests.integration import proxy as proxies
from tests.servers import S3Server


@pytest.fixture(scope="module")
def objects(s3_bucket: str) -> dict[str, bytes]:
    """Five folders, one with more objects than a page holds, some deep, and files beside them."""
    names = [f"a/{number:05d}.jpg" for number in range(1200)]
    names += [f"{folder}/{year}/{number}.jpg" for folder in "bcd" for year in (2001, 2002) for number in range(30)]
    names += ["top.jpg", "e/deep/er/still/one.jpg", ".hidden/x.jpg", "b/[odd] *?.jpg"]
    root = f"{s3_bucket}/listing".removeprefix("s3://")
    files = {f"{root}/{name}": name.encode() for name in names}
    fs, _ = Location.parse(s3_bucket).filesystem()
    fs.pipe(files)
    return files


def test_every_object_is_listed_once_in_order(s3_bucket: str, objects: dict[str, bytes]) -> None:
    found = [info.uri for info in Location.parse(f"{s3_bucket}/listing").list_files()]
    assert found == sorted(f"s3://{name}" for name in objects if "/.hidden/" not in name)
    assert {info.size for info in Location.parse(f"{s3_bucket}/listing/a").list_files()} == {len("a/00000.jpg")}


def test_a_prefix_is_no_other_prefix_that_begins_alike(s3_bucket: str, objects: dict[str, bytes]) -> None:
    assert list(Location.parse(f"{s3_bucket}/listing/a/00").list_files()) == []
    assert len(list(Location.parse(f"{s3_bucket}/listing/b/2001").list_files())) == 30


def test_what_a_job_has_written_is_removed_and_nothing_else(s3_bucket: str) -> None:
    own = ["_run.json", "part-000000.parquet", "folds/0/model.keras"]
    theirs = ["notes.txt", "part-0.parquet", "x/_run.json"]
    for name in (*own, *theirs):
        Location.parse(f"{s3_bucket}/written [a]*/{name}").write_bytes(b"")
    Location.parse(f"{s3_bucket}/written a/_run.json").write_bytes(b"")
    remove_written(
        Location.parse(f"{s3_bucket}/written [a]*"), [r"_run\.json", r"part-\d{6,}\.parquet", r"folds/\d+/[^/]+"]
    )
    left = [info.uri.removeprefix(f"{s3_bucket}/") for info in Location.parse(s3_bucket).list_files()]
    assert [name for name in left if name.startswith("written")] == [
        *(f"written [a]*/{name}" for name in sorted(theirs)),
        "written a/_run.json",
    ]


def test_folders_are_asked_side_by_side(
    s3_bucket: str, objects: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fs, root = Location.parse(f"{s3_bucket}/listing").filesystem()
    meeting = threading.Barrier(4, timeout=120)  # breaks, and fails the test, unless four listings run at once
    original = type(fs).list_objects

    def list_objects(self, folder):  # type: ignore[no-untyped-def]
        if folder.rsplit("/", 1)[-1] in "abcd":
            meeting.wait()
        return original(self, folder)

    monkeypatch.setattr(type(fs), "list_objects", list_objects)
    assert len(_find_s3(fs, root)) == len(objects)


class Bucket:
    """Stands in for the requests to AWS S3, which keeps every key as it is; the suite's server makes one slash of two.

    Answers `list_objects_v2` as its documentation says, three keys or folders a page.
    """

    async def call(self, method: str, **asked: str) -> dict[str, Any]:
        assert (method, asked["Bucket"]) == ("list_objects_v2", "museum")
        prefix, delimiter = asked["Prefix"], asked["Delimiter"]
        self.requests += 1
        assert self.requests < 1000, "listed for ever"
        entries = {}
        for key in sorted(key for key in self.keys if key.startswith(prefix)):
            name, cut, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else (key, "", "")
            entries[prefix + name + cut if cut else key] = "CommonPrefixes" if cut else "Contents"
        left = [entry for entry in entries if entry > asked.get("ContinuationToken", "")]
        page: dict[str, Any] = {"Contents": [], "CommonPrefixes": [], "IsTruncated": len(left) > 3}
        for entry in left[:3]:
            described = {"Key": entry, "Size": 1, "ETag": '"e"'} if entries[entry] == "Contents" else {"Prefix": entry}
            page[entries[entry]].append(described)
        if left:
            page["NextContinuationToken"] = left[:3][-1]
        return page

    def hold(self, *keys: str) -> None:
        self.keys = keys
        self.requests = 0


@pytest.fixture
def bucket(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    standing_in = Bucket()
    monkeypatch.setattr(s3.S3FileSystem, "_call_s3", lambda _, method, **asked: standing_in.call(method, **asked))
    return standing_in


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.sets(st.text("ab./", min_size=1, max_size=7), max_size=30))
def test_every_key_is_listed_once_whatever_its_slashes(bucket: Bucket, s3_bucket: str, keys: set[str]) -> None:
    bucket.hold(*keys)
    fs, root = Location.parse(s3_bucket).filesystem()
    expected = sorted(f"{root}/{key}" for key in keys if not key.endswith("/"))
    assert _find_s3(fs, root)["path"].to_pylist() == expected
    for key in keys:  # below a folder too
        folder = f"{root}/{key.strip('/')}" if key.strip("/") else root
        below = [path for path in expected if path.startswith(f"{folder}/")]
        assert _find_s3(fs, folder)["path"].to_pylist() == below


def test_pictures_lie_where_their_uris_say(bucket: Bucket, s3_bucket: str) -> None:
    keys = ["/a.jpg", "scans//a.jpg", "scans/./a.jpg", "scans/../b.jpg", "scans/a.jpg", "scans/a//", "//d//.h/c.jpg"]
    bucket.hold(*keys)
    expected = sorted(key for key in keys if not key.endswith("//") and ".h" not in key)
    found = listing.list_pictures(Location.parse(s3_bucket))["path"].to_pylist()
    assert found == expected
    uris = [str(Location.parse(s3_bucket) / path) for path in found]
    assert uris == [f"{s3_bucket}/{key}" for key in expected]
    assert [str(Location.parse(uri)) for uri in uris] == uris
    assert listing.list_pictures(Location.parse(f"{s3_bucket}/scans"))["path"].to_pylist() == [
        "../b.jpg",
        "./a.jpg",
        "/a.jpg",
        "a.jpg",
    ]


@pytest.fixture
def proxy(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[proxies.Proxy]:
    with proxies.running(s3_server.endpoint) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.endpoint)
        yield running


@pytest.mark.parametrize("key", ["slashes//a.jpg", "/slashes.jpg", "slashes/./a.jpg", "slashes/../a.jpg", "//a//b.jpg"])
def test_keys_are_asked_for_as_they_are(s3_bucket: str, proxy: proxies.Proxy, key: str) -> None:
    refused = "/." in key  # by the suite's server
    if not refused:
        Location.parse(f"{s3_bucket}/{key}").write_bytes(key.encode())
    (found,) = read_many([f"{s3_bucket}/{key}"])
    assert isinstance(found, ReadError) if refused else found == key.encode()
    assert proxy.requests["GET", f"museum/{key}"] == 1


def test_no_key_leads_out_of_a_folder(bucket: Bucket, s3_bucket: str, tmp_path: Path) -> None:
    bucket.hold("model/../../model.keras")
    with pytest.raises(InputError, match="a file can't have this name"):
        Location.parse(f"{s3_bucket}/model").download(tmp_path / "deep" / "model")
    assert list(tmp_path.rglob("*")) == []
