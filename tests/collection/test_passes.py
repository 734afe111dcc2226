import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artray.collection import passes, storage
from artray.collection.pictures import BATCH
from artray.errors import ArtrayError, InputError


@settings(deadline=None)
@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=5), st.integers(1, 64))
def test_chunks_are_whole_batches_and_hold_each_row_once(sizes, cpus):
    groups = [{"file": f"{number}", "group": 0, "count": size} for number, size in enumerate(sizes)]
    chunks = passes._cut(groups, cpus)
    for group in groups:
        own = [chunk for chunk in chunks if chunk["file"] == group["file"]]
        assert [chunk["start"] for chunk in own] == [sum(item["count"] for item in own[:n]) for n in range(len(own))]
        assert sum(chunk["count"] for chunk in own) == group["count"]
        if sum(sizes) >= 2 * cpus * BATCH:
            assert all(chunk["count"] % BATCH == 0 for chunk in own[:-1])
    assert all(0 < chunk["count"] <= 256 for chunk in chunks)
    assert len({chunk["part"] for chunk in chunks}) == len(chunks)


def test_chunks_begin_small_and_get_smaller_towards_the_end():
    """The last ones are a batch each: no actor works on while the others have nothing to do."""
    counts = [chunk["count"] for chunk in passes._cut([{"file": "", "group": 0, "count": 5000}], 2)]
    assert counts[:2] == [BATCH, BATCH]  # for each actor a small one first
    assert counts[2:] == sorted(counts[2:], reverse=True)
    assert counts[2:5] == [256] * 3
    assert counts[-2:] == [BATCH, 5000 % BATCH]


def test_a_small_collection_is_for_all_actors():
    counts = [chunk["count"] for chunk in passes._cut([{"file": "", "group": 0, "count": 48}], 4)]
    assert counts == [6] * 8


def test_only_a_cluster_that_others_began_may_give_the_pool_more_actors(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    pool = passes._pool(2, 50)
    assert (pool.min_size, pool.initial_size, pool.max_size) == (2, 2, 2)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    pool = passes._pool(2, 50)
    assert (pool.min_size, pool.initial_size, pool.max_size) == (1, 2, 50)


def test_what_a_worker_says_is_the_jobs_last_line(ray_session, tmp_path):
    """Without Ray's names and traces, and its kind, which decides the exit status."""

    class Worker:
        def __call__(self, rows: pa.Table) -> pa.Table:
            try:
                raise PermissionError
            except OSError as error:
                raise InputError("part-000000.parquet: permission denied") from error

    storage.write_table(f"{tmp_path}/manifest/m.parquet", pa.table({"object_id": ["a"], "image_uri": ["a.png"]}))
    with pytest.raises(ArtrayError) as raised:
        passes.run_pass("labels", f"{tmp_path}/manifest", f"{tmp_path}/out", Worker, {})
    assert (type(raised.value), str(raised.value)) == (InputError, "part-000000.parquet: permission denied")


GROUPS = [{"file": "manifest.parquet", "group": 0, "count": 500}]
SETTINGS = {"manifest": "m", "fingerprint": "f", "arguments": {"features": [], "decode_version": 1}}
OTHER = {**SETTINGS, "arguments": {"features": [{}], "decode_version": 1}}


@pytest.fixture
def out(tmp_path, monkeypatch):
    """A folder with a finished pass."""
    monkeypatch.setattr(passes.cluster, "cpus", lambda: 2)
    plan = passes._plan("features", str(tmp_path), SETTINGS, GROUPS, False)
    for chunk in plan["chunks"]:
        storage.write_table(str(tmp_path / chunk["part"]), pa.table({"object_id": ["a"]}))
    storage.write_bytes(str(tmp_path / "_run.json"), b'{"job": "features"}')
    return tmp_path


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_overwriting_removes_the_pass_and_nothing_of_the_users(out):
    (out / "notes.txt").write_text("years of work")
    storage.write_table(str(out / "_kept.parquet"), pa.table({"a": [1]}))
    (out / "pictures").mkdir()
    before = names(out)
    with pytest.raises(InputError, match="made from another manifest or with other options"):
        passes._plan("features", str(out), OTHER, GROUPS, False)
    assert names(out) == before
    assert passes._plan("features", str(out), SETTINGS, GROUPS, True)["settings"] == SETTINGS
    assert names(out) == before
    assert passes._plan("features", str(out), OTHER, GROUPS, True)["settings"] == OTHER
    assert names(out) == {"notes.txt", "_kept.parquet", "pictures", "_plan.json"}
    assert (out / "notes.txt").read_text() == "years of work"


@pytest.mark.parametrize("left", range(8))
def test_parts_of_other_options_are_never_adopted_wherever_a_removal_was_killed(out, monkeypatch, left):
    unlink = type(out).unlink
    removed = []

    def killed(path, missing_ok):
        if len(removed) == left:
            raise KeyboardInterrupt
        removed.append(path)
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(type(out), "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            passes._plan("features", str(out), OTHER, GROUPS, True)
    with pytest.raises(InputError, match="--overwrite"):
        passes._plan("features", str(out), OTHER, GROUPS, False)
    passes._plan("features", str(out), OTHER, GROUPS, True)
    assert names(out) == {"_plan.json"}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("file", ["manifest.parquet", "part-000999.parquet", "below/part-000000.parquet"])
def test_a_strangers_table_is_neither_removed_nor_taken_for_a_part(out, file, overwrite):
    storage.write_table(str(out / file), pa.table({"a": [1]}))
    before = names(out)
    for wanted in (SETTINGS, OTHER):
        with pytest.raises(InputError, match=f"holds {file}, not of this job"):
            passes._plan("features", str(out), wanted, GROUPS, overwrite)
    # Parts without a plan are a stranger's too.
    (out / "_plan.json").unlink()
    (out / "_run.json").unlink()
    with pytest.raises(InputError, match="not of this job"):
        passes._plan("features", str(out), SETTINGS, GROUPS, overwrite)
    assert names(out) == before - {"_plan.json", "_run.json"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_another_passes_folder_is_refused(out, overwrite):
    before = names(out)
    with pytest.raises(InputError, match=r"holds the output of another job \(features"):
        passes._plan("patches", str(out), OTHER, GROUPS, overwrite)
    assert names(out) == before


def test_a_plan_of_an_earlier_version_is_still_read(out):
    plan = json.loads((out / "_plan.json").read_text())
    del plan["job"]
    (out / "_plan.json").write_text(json.dumps(plan))
    (out / "_run.json").write_text(json.dumps({**SETTINGS, "counts": {}}))
    assert passes._plan("features", str(out), SETTINGS, GROUPS, False) == plan


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("place", ["work/manifest", "work", "work/manifest/features"])
def test_a_pass_does_not_write_where_its_manifest_is(tmp_path, place, overwrite):
    storage.write_table(
        f"{tmp_path}/work/manifest/manifest.parquet", pa.table({"object_id": ["a"], "image_uri": ["a"]})
    )
    with pytest.raises(InputError, match=r"^--out .*--manifest"):
        passes.run_pass("x", f"{tmp_path}/work/manifest", f"{tmp_path}/{place}", object, {}, overwrite=overwrite)
    assert [path.name for path in (tmp_path / "work" / "manifest").iterdir()] == ["manifest.parquet"]


@pytest.mark.parametrize(
    ("gpus", "nodes", "wanted"),
    [
        (True, [{"CPU": 16, "GPU": 1}, {"CPU": 32, "GPU": 4}, {"CPU": 4}], (5, {"num_cpus": 8, "num_gpus": 1})),
        (True, [{"CPU": 4}], (4, {"num_cpus": 1})),
        (False, [{"CPU": 4, "GPU": 1}], (4, {"num_cpus": 1})),
    ],
)
def test_each_gpu_gets_an_actor_with_its_share_of_the_cpus(monkeypatch, gpus, nodes, wanted):
    dead = {"Alive": False, "Resources": {"CPU": 64, "GPU": 8}}
    monkeypatch.setattr(passes.ray, "nodes", lambda: [{"Alive": True, "Resources": node} for node in nodes] + [dead])
    monkeypatch.setattr(passes.cluster, "cpus", lambda: sum(node["CPU"] for node in nodes))
    assert passes._actors(gpus) == wanted
