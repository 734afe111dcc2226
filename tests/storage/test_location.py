import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.errors import ArtrayError, InputError
from artray.storage import (
    FileInfo,
    Location,
    ReadError,
    digest,
    read_many,
)
from artray.storage.listings import find_objects
from artray.storage.s3 import LISTED


def below(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*"))


def make(folder: Path, *names: str) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return folder


@pytest.mark.parametrize(
    ("uri", "normal"),
    [
        ("/mnt/scans/", "/mnt/scans"),
        ("/mnt//scans/.", "/mnt/scans"),
        ("/mnt/old/../scans/x/..", "/mnt/scans"),
        ("/../mnt/scans", "/mnt/scans"),
        ("file://localhost/mnt/x/../scans/", "/mnt/scans"),
        ("file:///mnt/scans", "/mnt/scans"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a b/é/", "s3://bucket/a b/é"),
    ],
)
def test_a_location_has_one_spelling(uri, normal):
    assert str(Location.parse(uri)) == normal
    assert str(Location.parse(normal)) == normal


@pytest.mark.parametrize(
    ("uri", "name", "below"),
    [
        ("/mnt/scans", "a/b.jpg", "/mnt/scans/a/b.jpg"),
        ("/", "a.jpg", "/a.jpg"),
        ("s3://bucket", "/a.jpg", "s3://bucket//a.jpg"),
        ("s3://bucket/scans", "/../b//c.jpg", "s3://bucket/scans//../b//c.jpg"),
    ],
)
def test_a_location_below_another(uri, name, below):
    assert str(Location(uri) / name) == below


def test_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert str(Location.parse("pictures/")) == str(tmp_path / "pictures")
    assert str(Location.parse(Path("pictures"))) == str(tmp_path / "pictures")
    assert str(Location.parse("~/pictures")) == str(tmp_path / "home" / "pictures")


@pytest.mark.parametrize("uri", ["gs://bucket/a", "https://museum.org/a.jpg", "s3://", "s3:///", "S3://bucket"])
def test_what_is_no_location_is_refused(uri):
    with pytest.raises(InputError, match=uri):
        Location.parse(uri)


def test_above_a_link_is_where_it_leads(tmp_path):
    (tmp_path / "far" / "scans").mkdir(parents=True)
    (tmp_path / "near").symlink_to(tmp_path / "far" / "scans")
    assert str(Location.parse(tmp_path / "near" / ".." / "manifest")) == str(tmp_path / "far" / "manifest")
    assert str(Location.parse(tmp_path / "near" / "manifest")) == str(tmp_path / "near" / "manifest")


@pytest.mark.parametrize(
    "uri",
    ["s3://AKIA:wJal/rXUt+n@museum/a", "s3://AKIA:p@ss@museum/a", "https://me:wJal@museum.org/a", "gs://wJal@b/a"],
)
def test_keys_in_an_address_are_refused_and_never_told(uri):
    with pytest.raises(InputError, match=r"\*\*\*@(museum|b).*keys have no place in an address") as raised:
        Location.parse(uri)
    assert not any(secret in str(raised.value) for secret in ("wJal", "AKIA", "p@ss"))


def test_list_files_in_the_order_of_names_without_hidden_ones(tmp_path):
    visible = ["a/b/c.jpg", "a.jpg", "a/z.jpg", "B.jpg", "ü.jpg", "_a.jpg", "a b.txt", "no suffix"]
    make(tmp_path, *visible, ".DS_Store", ".git/x.jpg", "a/.thumbs/x.jpg", "a/.x.jpg")
    found = list(Location.parse(str(tmp_path)).list_files())
    assert [info.uri for info in found] == sorted(str(tmp_path / name) for name in visible)
    assert [info.size for info in found] == [Path(info.uri).stat().st_size for info in found]


def test_list_files_below_a_hidden_folder(tmp_path):
    root = make(tmp_path / ".cache" / "scans", "a.jpg")
    assert [info.uri for info in Location.parse(str(root)).list_files()] == [str(root / "a.jpg")]


def test_a_folder_that_may_not_be_read_is_counted_and_said(tmp_path, monkeypatch, capsys):
    make(tmp_path, "a/1.jpg", "b/2.jpg", "c/d/3.jpg", "c/4.jpg")
    scandir = os.scandir

    def guarded(folder):  # root may read everything, so a mode would not do
        if str(folder).endswith(("/b", "/d")) or (root_closed and str(folder) == str(tmp_path)):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    root_closed = False
    monkeypatch.setattr(os, "scandir", guarded)
    found = [info.uri for info in Location.parse(tmp_path).list_files()]
    assert found == [f"{tmp_path}/a/1.jpg", f"{tmp_path}/c/4.jpg"]
    assert f"left out, folders that may not be read: 2 ('{tmp_path}/b')" in capsys.readouterr().err
    root_closed = True
    with pytest.raises(InputError, match=f"{tmp_path}: permission denied"):
        Location.parse(tmp_path).list_files()


def test_a_prefix_that_may_not_be_listed_is_counted_and_said(capsys):
    class Objects:
        def list_objects(self, folder):
            if folder.endswith("closed"):
                raise PermissionError("Access Denied")
            if folder == "museum":
                return LISTED.empty_table(), ["museum/open", "museum/closed"]
            return self.walk_objects(folder), []

        def walk_objects(self, folder):
            return pa.table([[f"{folder}/a.jpg"], [3], ["e"]], schema=LISTED)

    found = list(find_objects(Objects(), "museum"))
    assert found == [FileInfo("s3://museum/open/a.jpg", 3, "e")]
    assert "left out, folders that may not be read: 1 ('s3://museum/closed')" in capsys.readouterr().err
    with pytest.raises(PermissionError):
        find_objects(Objects(), "museum/closed")


def test_version_changes_with_the_file(tmp_path):
    make(tmp_path, "a.jpg", "b.jpg")
    before = [info.version for info in Location.parse(str(tmp_path)).list_files()]
    assert before == [info.version for info in Location.parse(str(tmp_path)).list_files()]
    os.utime(tmp_path / "a.jpg", (1, 1.5))
    after = [info.version for info in Location.parse(str(tmp_path)).list_files()]
    assert after == [f"mtime:1.500000 size:{len('a.jpg')}", before[1]]
    (tmp_path / "a.jpg").write_bytes(b"longer")
    os.utime(tmp_path / "a.jpg", (1, 1.5))
    assert [info.version for info in Location.parse(str(tmp_path)).list_files()] == ["mtime:1.500000 size:6", before[1]]


def test_list_files_of_no_folder(tmp_path):
    make(tmp_path, "file")
    for name in ("nothing", "file"):
        with pytest.raises(InputError, match=f"{name}: no such folder"):
            Location.parse(str(tmp_path / name)).list_files()
    (tmp_path / "empty").mkdir()
    assert list(Location.parse(str(tmp_path / "empty")).list_files()) == []


def test_read_many_has_each_failure_in_its_place(tmp_path, monkeypatch):
    make(tmp_path, "a.jpg", "b.jpg", "locked.jpg", "folder/x.jpg")
    read_bytes = Path.read_bytes

    def guarded(path: Path) -> bytes:
        if path.name == "locked.jpg":  # root may read everything, so a mode would not do
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", guarded)
    names = ["b.jpg", "gone.jpg", "locked.jpg", "folder", "a.jpg/x.jpg", "nul\0.jpg", "a.jpg", "b.jpg"]
    found = read_many([str(tmp_path / name) for name in names])
    state = [item if isinstance(item, bytes) else item.status for item in found]
    assert state == [b"b.jpg", "missing", "denied", "missing", "missing", "failed", b"a.jpg", b"b.jpg"]
    assert found[1] == ReadError("missing", "not found")
    assert found[2] == ReadError("denied", "permission denied")
    assert all("\n" not in item.message for item in found if isinstance(item, ReadError))


def test_keys_in_a_manifests_addresses_are_not_told():
    uri = "s3://AKIA:wJal@museum/a.jpg"
    assert read_many([uri, uri]) == [ReadError("denied", "keys in the address")] * 2


def test_read_many_of_nothing():
    assert read_many([]) == []


@pytest.mark.parametrize("text", ["{", "[" * 200_000, '"\\ud800', "\xff"])
def test_json_that_is_none_is_one_line(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"a\.json: not JSON: [^\n]+$"):
        Location.parse(tmp_path / "a.json").read_json()


def test_read_bytes(tmp_path):
    make(tmp_path, "a.jpg")
    assert Location.parse(str(tmp_path / "a.jpg")).read_bytes() == b"a.jpg"
    with pytest.raises(InputError) as raised:
        Location.parse(str(tmp_path / "gone.jpg")).read_bytes()
    assert str(raised.value) == f"{tmp_path / 'gone.jpg'}: not found"
    with pytest.raises(InputError):
        Location.parse(str(tmp_path)).read_bytes()


def test_faults_of_our_own_are_not_called_the_users(tmp_path):
    with pytest.raises(TypeError):
        Location.parse(str(tmp_path / "a")).write_bytes("text")  # type: ignore[arg-type]
    assert below(tmp_path) == []


@given(st.binary(max_size=1000), st.binary(max_size=1000))
def test_write_bytes_round_trip(tmp_path_factory, first, second):
    folder = tmp_path_factory.mktemp("written")
    uri = str(folder / "a" / "b.bin")
    for data in (first, second):
        Location.parse(uri).write_bytes(data)
        assert Location.parse(uri).read_bytes() == data
    assert below(folder) == ["a", "a/b.bin"]


@pytest.mark.parametrize("step", ["write_bytes", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, step, error):
    uri = str(tmp_path / "labels.parquet")
    Location.parse(uri).write_bytes(b"old")
    write = Path.write_bytes

    def fail(path: Path, argument: object) -> None:
        if step == "write_bytes":
            write(path, b"ne")  # the disk is full in the middle
        raise error

    monkeypatch.setattr(Path, step, fail)
    with pytest.raises(ArtrayError if isinstance(error, OSError) else KeyboardInterrupt) as raised:
        Location.parse(uri).write_bytes(b"new")
    monkeypatch.undo()
    if isinstance(error, OSError):
        assert "no space left on the disk" in str(raised.value)
        assert not isinstance(raised.value, InputError)  # exit status 1: the input is not at fault
    assert Location.parse(uri).read_bytes() == b"old"
    assert below(tmp_path) == ["labels.parquet"]


def test_readers_see_the_old_file_or_the_new_one(tmp_path):
    uri = str(tmp_path / "a.bin")
    contents = [bytes([number]) * 200_000 for number in range(2)]
    Location.parse(uri).write_bytes(contents[0])
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            Location.parse(uri).write_bytes(contents[number % 2])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [Location.parse(uri).read_bytes() for _ in range(100)]
    finally:
        stop.set()
        writer.join()
    assert set(seen) <= set(contents)


def test_ensure_writable(tmp_path):
    Location.parse(str(tmp_path / "new" / "out")).ensure_writable()
    assert below(tmp_path) == ["new", "new/out"]


@pytest.mark.parametrize("place", ["file", "file/out", "file/deeper/out"])
def test_ensure_writable_below_a_file(tmp_path, place):
    make(tmp_path, "file")
    with pytest.raises(InputError) as raised:
        Location.parse(str(tmp_path / place)).ensure_writable()
    assert str(raised.value).startswith(f"{tmp_path / place}: can't be written to: ")
    assert "\n" not in str(raised.value)
    assert below(tmp_path) == ["file"]


def test_ensure_writable_in_a_read_only_folder(tmp_path, monkeypatch):
    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(InputError) as raised:
        Location.parse(str(tmp_path / "out")).ensure_writable()
    assert str(raised.value) == f"{tmp_path / 'out'}: can't be written to: permission denied"


def test_tables_round_trip(tmp_path):
    table = pa.table({"object_id": ["a", "b", None], "size": [1, None, 3]})
    uri = str(tmp_path / "out" / "manifest.parquet")
    Location.parse(uri).write_table(table)
    assert Location.parse(uri).dataset().to_table() == table
    assert pq.ParquetFile(uri).metadata.row_group(0).column(0).compression == "ZSTD"


def test_dataset_of_a_folder(tmp_path):
    for number, name in enumerate(["task=b/x.parquet", "task=a/x.parquet", "_staging/x.parquet", ".x.parquet"]):
        Location.parse(str(tmp_path / name)).write_table(pa.table({"number": [number]}))
    Location.parse(str(tmp_path / "_run.json")).write_bytes(b"{}")
    rows = Location.parse(str(tmp_path)).dataset().to_table().to_pylist()
    assert sorted((row["task"], row["number"]) for row in rows) == [("a", 1), ("b", 0)]
    below_a_hidden_name = Location.parse(str(tmp_path / "_staging")).dataset().to_table()
    assert below_a_hidden_name["number"].to_pylist() == [2]


@pytest.mark.parametrize(
    ("files", "place", "reason"),
    [
        ([], "nothing", "not found"),
        (["a/notes.txt"], "a", "not a Parquet dataset"),
        (["a/x.parquet"], "a/x.parquet", "not a Parquet dataset"),
        (["a/_run.json", "a/.x.parquet"], "a", "holds no Parquet files"),
        ([], ".", "holds no Parquet files"),
    ],
)
def test_dataset_of_junk(tmp_path, files, place, reason):
    make(tmp_path, *files)
    with pytest.raises(InputError) as raised:
        Location.parse(str(tmp_path / place)).dataset()
    assert str(raised.value).startswith(f"{tmp_path / place}: {reason}")
    assert "\n" not in str(raised.value)


def test_folders_go_up_and_down(tmp_path):
    make(tmp_path / "here", "a.json", "b/c.bin")
    Location.parse(str(tmp_path / "there")).upload(tmp_path / "here")
    Location.parse(str(tmp_path / "there")).download(tmp_path / "back")
    assert below(tmp_path / "back") == ["a.json", "b", "b/c.bin"]
    assert (tmp_path / "back/b/c.bin").read_bytes() == b"b/c.bin"


parts = st.lists(st.binary(max_size=8), max_size=4)


@given(parts, parts)
def test_fingerprint_tells_parts_apart(first, second):
    assert (digest(*first) == digest(*second)) == (first == second)


def test_fingerprint_is_the_same_everywhere():
    assert digest() != digest(b"")
    assert digest(b"model", b"") == "0b4e1317a7e61d305312b515"
