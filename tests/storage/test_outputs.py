"""What a job may write over, what it removes, and what it leaves."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.errors import InputError
from artray.storage import (
    Location,
    keep_apart,
    refuse_other_job,
    remove_scratch,
    remove_written,
)


def below(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*"))


def make(folder: Path, *names: str) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
    return folder


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


def test_a_scratch_folder_goes_unless_files_of_others_are_in_it(tmp_path):
    make(tmp_path / "a", "k/work.parquet", "k/parts/part-000001.parquet")
    (tmp_path / "a/empty/deep").mkdir(parents=True)
    make(tmp_path / "b", "k/work.parquet", "k/parts/mine.parquet", "thesis.txt")
    names = (r"k/work\.parquet", r"k/parts/part-\d{6,}\.parquet")
    for name in ("a", "b", "nothing"):
        remove_scratch(Location.parse(tmp_path / name), names)
    assert below(tmp_path) == ["b", "b/k", "b/k/parts", "b/k/parts/mine.parquet", "b/thesis.txt"]


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
