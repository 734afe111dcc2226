import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.collection import storage
from artray.collection.storage import ReadError
from artray.errors import ArtrayError, InputError


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
        ("file:///mnt/scans", "/mnt/scans"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a b/é/", "s3://bucket/a b/é"),
    ],
)
def test_normalize(uri, normal):
    assert storage.normalize(uri) == normal
    assert storage.normalize(normal) == normal


def test_normalize_of_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert storage.normalize("pictures/") == str(tmp_path / "pictures")
    assert storage.normalize(Path("pictures")) == str(tmp_path / "pictures")
    assert storage.normalize("~/pictures") == str(tmp_path / "home" / "pictures")


@pytest.mark.parametrize("uri", ["gs://bucket/a", "https://museum.org/a.jpg", "s3://", "s3:///", "S3://bucket"])
def test_normalize_refuses(uri):
    with pytest.raises(InputError, match=uri):
        storage.normalize(uri)


def test_list_files_in_the_order_of_names_without_hidden_ones(tmp_path):
    visible = ["a/b/c.jpg", "a.jpg", "a/z.jpg", "B.jpg", "ü.jpg", "_a.jpg", "a b.txt", "no suffix"]
    make(tmp_path, *visible, ".DS_Store", ".git/x.jpg", "a/.thumbs/x.jpg", "a/.x.jpg")
    found = list(storage.list_files(str(tmp_path)))
    assert [info.uri for info in found] == sorted(str(tmp_path / name) for name in visible)
    assert [info.size for info in found] == [Path(info.uri).stat().st_size for info in found]


def test_list_files_below_a_hidden_folder(tmp_path):
    root = make(tmp_path / ".cache" / "scans", "a.jpg")
    assert [info.uri for info in storage.list_files(str(root))] == [str(root / "a.jpg")]


def test_version_changes_with_the_file(tmp_path):
    make(tmp_path, "a.jpg", "b.jpg")
    before = [info.version for info in storage.list_files(str(tmp_path))]
    assert before == [info.version for info in storage.list_files(str(tmp_path))]
    os.utime(tmp_path / "a.jpg", (1, 1.5))
    after = [info.version for info in storage.list_files(str(tmp_path))]
    assert after == ["mtime:1.500000", before[1]]


def test_list_files_of_no_folder(tmp_path):
    make(tmp_path, "file")
    for name in ("nothing", "file"):
        with pytest.raises(InputError, match=f"{name}: no such folder"):
            storage.list_files(str(tmp_path / name))
    (tmp_path / "empty").mkdir()
    assert list(storage.list_files(str(tmp_path / "empty"))) == []


def test_read_many_has_each_failure_in_its_place(tmp_path, monkeypatch):
    make(tmp_path, "a.jpg", "b.jpg", "locked.jpg", "folder/x.jpg")
    read_bytes = Path.read_bytes

    def guarded(path: Path) -> bytes:
        if path.name == "locked.jpg":  # root may read everything, so a mode would not do
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", guarded)
    names = ["b.jpg", "gone.jpg", "locked.jpg", "folder", "a.jpg/x.jpg", "nul\0.jpg", "a.jpg", "b.jpg"]
    found = storage.read_many([str(tmp_path / name) for name in names])
    state = [item if isinstance(item, bytes) else item.status for item in found]
    assert state == [b"b.jpg", "missing", "denied", "missing", "missing", "failed", b"a.jpg", b"b.jpg"]
    assert found[1] == ReadError("missing", "not found")
    assert found[2] == ReadError("denied", "permission denied")
    assert all("\n" not in item.message for item in found if isinstance(item, ReadError))


def test_read_many_of_nothing():
    assert storage.read_many([]) == []


def test_read_bytes(tmp_path):
    make(tmp_path, "a.jpg")
    assert storage.read_bytes(str(tmp_path / "a.jpg")) == b"a.jpg"
    with pytest.raises(InputError) as raised:
        storage.read_bytes(str(tmp_path / "gone.jpg"))
    assert str(raised.value) == f"{tmp_path / 'gone.jpg'}: not found"
    with pytest.raises(InputError):
        storage.read_bytes(str(tmp_path))


def test_faults_of_our_own_are_not_called_the_users(tmp_path):
    with pytest.raises(TypeError):
        storage.write_bytes(str(tmp_path / "a"), "text")  # type: ignore[arg-type]
    assert below(tmp_path) == []


@given(st.binary(max_size=1000), st.binary(max_size=1000))
def test_write_bytes_round_trip(tmp_path_factory, first, second):
    folder = tmp_path_factory.mktemp("written")
    uri = str(folder / "a" / "b.bin")
    for data in (first, second):
        storage.write_bytes(uri, data)
        assert storage.read_bytes(uri) == data
    assert below(folder) == ["a", "a/b.bin"]


@pytest.mark.parametrize("step", ["write_bytes", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, step, error):
    uri = str(tmp_path / "labels.parquet")
    storage.write_bytes(uri, b"old")
    write = Path.write_bytes

    def fail(path: Path, argument: object) -> None:
        if step == "write_bytes":
            write(path, b"ne")  # the disk is full in the middle
        raise error

    monkeypatch.setattr(Path, step, fail)
    with pytest.raises(ArtrayError if isinstance(error, OSError) else KeyboardInterrupt) as raised:
        storage.write_bytes(uri, b"new")
    monkeypatch.undo()
    if isinstance(error, OSError):
        assert "no space left on the disk" in str(raised.value)
        assert not isinstance(raised.value, InputError)  # exit status 1: the input is not at fault
    assert storage.read_bytes(uri) == b"old"
    assert below(tmp_path) == ["labels.parquet"]


def test_readers_see_the_old_file_or_the_new_one(tmp_path):
    uri = str(tmp_path / "a.bin")
    contents = [bytes([number]) * 200_000 for number in range(2)]
    storage.write_bytes(uri, contents[0])
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            storage.write_bytes(uri, contents[number % 2])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [storage.read_bytes(uri) for _ in range(100)]
    finally:
        stop.set()
        writer.join()
    assert set(seen) <= set(contents)


def test_ensure_writable(tmp_path):
    storage.ensure_writable(str(tmp_path / "new" / "out"))
    assert below(tmp_path) == ["new", "new/out"]


@pytest.mark.parametrize("place", ["file", "file/out", "file/deeper/out"])
def test_ensure_writable_below_a_file(tmp_path, place):
    make(tmp_path, "file")
    with pytest.raises(InputError) as raised:
        storage.ensure_writable(str(tmp_path / place))
    assert str(raised.value).startswith(f"{tmp_path / place}: can't be written to: ")
    assert "\n" not in str(raised.value)
    assert below(tmp_path) == ["file"]


def test_ensure_writable_in_a_read_only_folder(tmp_path, monkeypatch):
    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(InputError) as raised:
        storage.ensure_writable(str(tmp_path / "out"))
    assert str(raised.value) == f"{tmp_path / 'out'}: can't be written to: permission denied"


def test_tables_round_trip(tmp_path):
    table = pa.table({"object_id": ["a", "b", None], "size": [1, None, 3]})
    uri = str(tmp_path / "out" / "manifest.parquet")
    storage.write_table(uri, table)
    assert storage.dataset(uri).to_table() == table
    assert pq.ParquetFile(uri).metadata.row_group(0).column(0).compression == "ZSTD"


def test_dataset_of_a_folder(tmp_path):
    for number, name in enumerate(["task=b/x.parquet", "task=a/x.parquet", "_staging/x.parquet", ".x.parquet"]):
        storage.write_table(str(tmp_path / name), pa.table({"number": [number]}))
    storage.write_bytes(str(tmp_path / "_run.json"), b"{}")
    rows = storage.dataset(str(tmp_path)).to_table().to_pylist()
    assert sorted((row["task"], row["number"]) for row in rows) == [("a", 1), ("b", 0)]
    below_a_hidden_name = storage.dataset(str(tmp_path / "_staging")).to_table()
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
        storage.dataset(str(tmp_path / place))
    assert str(raised.value).startswith(f"{tmp_path / place}: {reason}")
    assert "\n" not in str(raised.value)


def test_remove(tmp_path):
    make(tmp_path, "a/b/c", "a/d", "e")
    storage.remove(str(tmp_path / "a"))
    storage.remove(str(tmp_path / "e"))
    storage.remove(str(tmp_path / "nothing"))
    assert below(tmp_path) == []


OWN = (r"_run\.json", r"part-\d{6,}\.parquet", r"folds/\d+/model\.keras", r"_plan\.json")
THEIRS = [
    "part-1.parquet",
    "part-000001.parquet.bak",
    "notes/_run.json",
    "folds/a/model.keras",
    "mypart-000001.parquet",
]


def test_what_a_job_has_written_is_removed_and_nothing_else(tmp_path):
    own = ["_run.json", "_plan.json", "part-000001.parquet", "part-1000000.parquet", "folds/3/model.keras"]
    make(tmp_path / "a [b]", *own, *THEIRS)
    storage.remove_written(str(tmp_path / "a [b]"), OWN)
    assert [name for name in below(tmp_path / "a [b]") if "." in name] == sorted(THEIRS)
    assert not (tmp_path / "a [b]/folds/3").exists()
    make(tmp_path / "c", *own)
    storage.remove_written(str(tmp_path / "c"), OWN)
    assert below(tmp_path) == ["a [b]", *(f"a [b]/{name}" for name in below(tmp_path / "a [b]")), "c"]
    storage.remove_written(str(tmp_path / "nothing"), OWN)
    assert not (tmp_path / "nothing").exists()


@given(st.integers(0, 9))
def test_what_is_removed_first_is_gone_before_the_rest_wherever_a_job_is_killed(tmp_path_factory, last):
    folder = make(
        tmp_path_factory.mktemp("out"), "_run.json", *(f"part-00000{n}.parquet" for n in range(7)), "_plan.json"
    )
    unlink, removed = Path.unlink, []

    def killed(path: Path, missing_ok: bool) -> None:
        if len(removed) == last:
            raise KeyboardInterrupt
        removed.append(path.name)
        unlink(path, missing_ok)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        try:
            storage.remove_written(str(folder), OWN)
        except KeyboardInterrupt:
            assert (folder / "_plan.json").exists()
    if removed:
        assert removed[0] == "_run.json"
    assert len(removed) == last
    storage.remove_written(str(folder), OWN)
    assert below(folder) == []


@pytest.mark.parametrize(
    ("out", "places", "datasets", "rows", "reason"),
    [
        ("work/in", {"--model": "work/in"}, {}, False, "is the place of --model"),
        ("work/x/../in/", {}, {"--data": "work/in"}, False, "is the place of --data"),
        ("link", {"--images": "work/in"}, {}, False, "is the place of --images"),
        ("work/in/out", {}, {"--data": ["other", "work/in"]}, False, "lies within --data work/in and would be read as"),
        ("work", {}, {"--manifest": "work/in"}, True, "--manifest work/in lies within it and would be read as"),
        ("work", {}, {"--manifest": "work/in/manifest.parquet"}, True, "lies within it"),
        ("s3://museum/in/out", {}, {"--data": "s3://museum/in/"}, False, "lies within --data"),
        # Nothing is mixed or lost.
        ("work", {"--images": "work/in"}, {"--data": "work/in"}, False, None),
        ("work/in/out", {"--images": "work/in"}, {}, True, None),
        ("work/in/_out", {}, {"--data": "work/in"}, True, None),
        ("work", {}, {"--manifest": "work/_plan/rows.parquet"}, True, None),
        ("work/in-2", {}, {"--data": "work/in", "--features": None}, True, None),
        ("s3://museum/out", {}, {"--data": "s3://museum/in"}, True, None),
    ],
)
def test_an_output_is_apart_from_the_inputs(tmp_path, monkeypatch, out, places, datasets, rows, reason):
    make(tmp_path, "work/in/manifest.parquet")
    (tmp_path / "link").symlink_to(tmp_path / "work" / "in")
    monkeypatch.chdir(tmp_path)
    if reason is None:
        storage.keep_apart(out, places, datasets, rows=rows)
        return
    with pytest.raises(InputError) as raised:
        storage.keep_apart(out, places, datasets, rows=rows)
    assert str(raised.value).startswith(f"--out {out}: ")
    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("name", "text", "job"),
    [
        ("_run.json", '{"job": "patches", "counts": {}}', "patches"),
        ("_plan.json", '{"job": "patches", "chunks": []}', "patches"),
        # Of earlier versions.
        ("_run.json", '{"counts": {"rows": 3}}', "manifest"),
        ("_run.json", '{"run_id": "r", "tasks": {}}', "labels"),
        ("_run.json", '{"arguments": {"features": []}, "counts": {}}', "features"),
        ("_plan.json", '{"settings": {"arguments": {"per_image": 3}}, "chunks": []}', "patches"),
        ("_plan.json", '{"settings": {"arguments": {"models": [], "features": null}}}', "labels"),
        ("_run.json", '{"arguments": {"generator": "sha"}, "model_id": "m"}', "generated"),
        ("_run.json", "years of work", "not artray's"),
        ("_run.json", '{"years": "of work"}', "not artray's"),
    ],
)
def test_another_jobs_folder_is_told(tmp_path, name, text, job):
    storage.refuse_other_job(str(tmp_path), "works")
    (tmp_path / name).write_text(text)
    storage.refuse_other_job(str(tmp_path), job)
    with pytest.raises(InputError) as raised:
        storage.refuse_other_job(str(tmp_path), "works")
    said = f"holds the output of another job ({job}, by its {name}); give another --out"
    assert str(raised.value) == f"{tmp_path}: {said}"


def test_notes_beside_a_datasets_files_are_not_read(tmp_path):
    for number in (1, 2):
        storage.write_table(str(tmp_path / f"task=a/part-{number}.parquet"), pa.table({"number": [number]}))
    for name in ("task=a/a-notes.txt", "task=a/z-notes.txt"):
        make(tmp_path, name)
        rows = storage.dataset(str(tmp_path)).to_table().to_pylist()
        assert rows == [{"number": 1, "task": "a"}, {"number": 2, "task": "a"}]


def test_folders_go_up_and_down(tmp_path):
    make(tmp_path / "here", "a.json", "b/c.bin")
    storage.upload_folder(tmp_path / "here", str(tmp_path / "there"))
    storage.download_folder(str(tmp_path / "there"), tmp_path / "back")
    assert below(tmp_path / "back") == ["a.json", "b", "b/c.bin"]
    assert (tmp_path / "back/b/c.bin").read_bytes() == b"b/c.bin"


parts = st.lists(st.binary(max_size=8), max_size=4)


@given(parts, parts)
def test_fingerprint_tells_parts_apart(first, second):
    assert (storage.fingerprint(*first) == storage.fingerprint(*second)) == (first == second)


def test_fingerprint_is_the_same_everywhere():
    assert storage.fingerprint() != storage.fingerprint(b"")
    assert storage.fingerprint(b"model", b"") == "0b4e1317a7e61d305312b515"
