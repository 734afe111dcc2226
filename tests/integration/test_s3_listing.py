"""Listing a real bucket: many pages, folders side by side."""

import threading

import pytest
from botocore.utils import parse_timestamp

from artray.collection import s3, storage


@pytest.fixture(scope="module")
def objects(s3_bucket: str) -> dict[str, bytes]:
    """Five folders, one with more objects than a page holds, some deep, and files beside them."""
    names = [f"a/{number:05d}.jpg" for number in range(1200)]
    names += [f"{folder}/{year}/{number}.jpg" for folder in "bcd" for year in (2001, 2002) for number in range(30)]
    names += ["top.jpg", "e/deep/er/still/one.jpg", ".hidden/x.jpg", "b/[odd] *?.jpg"]
    root = f"{s3_bucket}/listing".removeprefix("s3://")
    files = {f"{root}/{name}": name.encode() for name in names}
    fs, _ = storage.filesystem(s3_bucket)
    fs.pipe(files)
    return files


def test_every_object_is_listed_once_in_order(s3_bucket: str, objects: dict[str, bytes]) -> None:
    found = [info.uri for info in storage.list_files(f"{s3_bucket}/listing")]
    assert found == sorted(f"s3://{name}" for name in objects if "/.hidden/" not in name)
    assert {info.size for info in storage.list_files(f"{s3_bucket}/listing/a")} == {len("a/00000.jpg")}


def test_a_prefix_is_no_other_prefix_that_begins_alike(s3_bucket: str, objects: dict[str, bytes]) -> None:
    assert list(storage.list_files(f"{s3_bucket}/listing/a/00")) == []
    assert len(list(storage.list_files(f"{s3_bucket}/listing/b/2001"))) == 30


def test_what_a_job_has_written_is_removed_and_nothing_else(s3_bucket: str) -> None:
    own = ["_run.json", "part-000000.parquet", "folds/0/model.keras"]
    theirs = ["notes.txt", "part-0.parquet", "x/_run.json"]
    for name in (*own, *theirs):
        storage.write_bytes(f"{s3_bucket}/written [a]*/{name}", b"")
    storage.write_bytes(f"{s3_bucket}/written a/_run.json", b"")
    storage.remove_written(f"{s3_bucket}/written [a]*", [r"_run\.json", r"part-\d{6,}\.parquet", r"folds/\d+/[^/]+"])
    left = [info.uri.removeprefix(f"{s3_bucket}/") for info in storage.list_files(s3_bucket)]
    assert [name for name in left if name.startswith("written")] == [
        *(f"written [a]*/{name}" for name in sorted(theirs)),
        "written a/_run.json",
    ]


def test_folders_are_asked_side_by_side(
    s3_bucket: str, objects: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fs, root = storage.filesystem(f"{s3_bucket}/listing")
    meeting = threading.Barrier(4, timeout=20)  # breaks, and fails the test, unless four listings run at once
    original = type(fs).list_objects

    def list_objects(self, folder):  # type: ignore[no-untyped-def]
        if folder.rsplit("/", 1)[-1] in "abcd":
            meeting.wait()
        return original(self, folder)

    monkeypatch.setattr(type(fs), "list_objects", list_objects)
    assert len(storage._find_s3(fs, root)) == len(objects)


@pytest.mark.parametrize(
    "value",
    ["2026-03-01T10:20:30.000Z", "2026-03-01T10:20:30Z", "Sun, 01 Mar 2026 10:20:30 GMT", "1772360430", 1772360430],
)
def test_dates_are_read_as_by_botocore(value: str | int) -> None:
    assert s3._timestamp(value) == parse_timestamp(value)
