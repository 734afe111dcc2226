import os
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from artray.errors import ArtrayError, InputError
from artray.storage import (
    FileInfo,
    Location,
    ReadError,
    digest,
    keep_apart,
    list_column,
    read_many,
    refuse_other_job,
    remove_written,
    stack_lists,
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


LISTS = arrays.arrays(
    st.sampled_from(["u1", "u8", "f4"]), arrays.array_shapes(min_dims=2, max_side=4), elements=st.integers(0, 255)
)


@given(LISTS)
def test_list_columns_hold_an_arrays_rows(values):
    column = list_column(values)
    column.validate(full=True)
    assert column.to_pylist() == values.tolist()
    assert not any("fixed" in name for name in str(column.type).split("<"))


def test_list_columns_of_no_rows():
    assert list_column(np.empty((0, 5, 3), "f4")).type == pa.list_(pa.list_(pa.float32()))
    assert stack_lists(list_column(np.empty((0, 3), "u8")), "x", 3).shape == (0, 3)
    assert stack_lists(pa.chunked_array([], pa.list_(pa.float32())), "x").shape == (0, 0)


@given(LISTS, st.sampled_from(["", "fixed", "large"]), st.data())
def test_lists_of_any_kind_and_cut_are_stacked(values, kind, data):
    """Those of earlier releases have a fixed size."""
    wanted = pa.from_numpy_dtype(values.dtype)
    for length in values.shape[:0:-1]:
        wanted = {"": pa.list_(wanted), "fixed": pa.list_(wanted, length), "large": pa.large_list(wanted)}[kind]
    column = pa.array(values.tolist(), wanted)
    start, cut, end = sorted(data.draw(st.lists(st.integers(0, len(values)), min_size=3, max_size=3)))
    found = stack_lists(pa.chunked_array([column[start:cut], column[cut:end]]), "x")
    assert found.dtype == values.dtype
    expected = values.reshape(len(values), -1)[start:end]
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("rows", "width", "message"),
    [
        ([[1], [2, 3], [4, 5, 6]], None, "different lengths"),
        ([[[1, 2], [3]], [[4], [5, 6]]], None, "different lengths"),
        ([[[1, 2], None], [[4, 5], [5, 6]]], None, "different lengths"),
        ([[1, 2], [3, 4]], 3, "holds 2 numbers a row, not 3"),
        ([[1, 2], None], None, "has no value in 1 rows"),
        ([["a"], ["b"]], None, "is not numeric"),
    ],
)
def test_lists_that_can_not_be_stacked(rows, width, message):
    column = pa.array(rows)
    for parts in (column, pa.chunked_array([column[:1], column[1:]])):
        with pytest.raises(InputError, match=f"column 'x' .*{message}"):
            stack_lists(parts, "x", width)


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


def test_remove(tmp_path):
    make(tmp_path, "a/b/c", "a/d", "e")
    Location.parse(str(tmp_path / "a")).remove()
    Location.parse(str(tmp_path / "e")).remove()
    Location.parse(str(tmp_path / "nothing")).remove()
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
    remove_written(Location.parse(tmp_path / "a [b]"), OWN)
    assert [name for name in below(tmp_path / "a [b]") if "." in name] == sorted(THEIRS)
    assert not (tmp_path / "a [b]/folds/3").exists()
    make(tmp_path / "c", *own)
    remove_written(Location.parse(tmp_path / "c"), OWN)
    assert below(tmp_path) == ["a [b]", *(f"a [b]/{name}" for name in below(tmp_path / "a [b]")), "c"]
    remove_written(Location.parse(tmp_path / "nothing"), OWN)
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
            remove_written(Location.parse(folder), OWN)
        except KeyboardInterrupt:
            assert (folder / "_plan.json").exists()
    if removed:
        assert removed[0] == "_run.json"
    assert len(removed) == last
    remove_written(Location.parse(folder), OWN)
    assert below(folder) == []


@pytest.mark.parametrize(
    ("out", "places", "datasets", "rows", "reason"),
    [
        ("work/in", {"--model": "work/in"}, {}, False, "is the place of --model"),
        ("work/x/../in/", {}, {"--data": "work/in"}, False, "is the place of --data"),
        ("link", {"--images": "work/in"}, {}, False, "is the place of --images"),
        (
            "work/in/out",
            {},
            {"--data": ["other", "work/in"]},
            False,
            "lies within --data {tmp_path}/work/in and would be read as",
        ),
        (
            "work",
            {},
            {"--manifest": "work/in"},
            True,
            "--manifest {tmp_path}/work/in lies within it and would be read as",
        ),
        ("work", {}, {"--manifest": "work/in/manifest.parquet"}, True, "lies within it"),
        ("s3://museum/in/out", {}, {"--data": "s3://museum/in/"}, False, "lies within --data"),
        ("work", {"--images": "work/in"}, {}, False, "--images {tmp_path}/work/in lies within it"),
        ("work", {}, {"--data": "work/in"}, False, "--data {tmp_path}/work/in lies within it"),
        ("work/in/out", {"--images": "work/in"}, {}, True, "lies within --images {tmp_path}/work/in"),
        ("link/out", {"--images": "work/in/"}, {}, False, "lies within --images"),
        ("file://{tmp_path}/work/in/../in/out", {"--images": "work/in"}, {}, False, "lies within --images"),
        ("s3://museum/in", {"--images": "s3://museum"}, {}, False, "lies within --images"),
        # Nothing is mixed or lost.
        ("work", {}, {"--data": "work/in/manifest.parquet"}, False, None),
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

    def located(inputs):
        return {
            flag: given and ([*map(Location.parse, given)] if isinstance(given, list) else Location.parse(given))
            for flag, given in inputs.items()
        }

    place = Location.parse(out.format(tmp_path=tmp_path))
    if reason is None:
        keep_apart(place, located(places), located(datasets), rows=rows)
        return
    with pytest.raises(InputError) as raised:
        keep_apart(place, located(places), located(datasets), rows=rows)
    assert str(raised.value).startswith(f"--out {place}: ")
    assert reason.format(tmp_path=tmp_path) in str(raised.value)


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
        ("bundle.json", "{}", "model"),
        ("generator.json", "{}", "generator"),
        ("_requests.parquet", "", "download"),
    ],
)
def test_another_jobs_folder_is_told(tmp_path, name, text, job):
    refuse_other_job(Location.parse(tmp_path), "works")
    (tmp_path / name).write_text(text)
    refuse_other_job(Location.parse(tmp_path), job)
    with pytest.raises(InputError) as raised:
        refuse_other_job(Location.parse(tmp_path), "works")
    said = f"holds the output of another job ({job}, by its {name}); give another --out"
    assert str(raised.value) == f"{tmp_path}: {said}"


def test_notes_beside_a_datasets_files_are_not_read(tmp_path):
    for number in (1, 2):
        Location.parse(str(tmp_path / f"task=a/part-{number}.parquet")).write_table(pa.table({"number": [number]}))
    for name in ("task=a/a-notes.txt", "task=a/z-notes.txt"):
        make(tmp_path, name)
        rows = Location.parse(str(tmp_path)).dataset().to_table().to_pylist()
        assert rows == [{"number": 1, "task": "a"}, {"number": 2, "task": "a"}]


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
