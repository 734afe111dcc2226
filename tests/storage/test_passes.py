import json
import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
import ray
from hypothesis import given, settings
from hypothesis import strategies as st

from artray import cluster
from artray.errors import ArtrayError, InputError
from artray.storage import Location, passes
from artray.storage.chunks import BATCH, cut_chunks


@settings(deadline=None)
@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=5), st.integers(1, 64), st.booleans())
def test_chunks_are_whole_batches_and_hold_each_row_once(sizes, actors, shared):
    groups = [{"file": f"{number}", "group": 0, "count": size} for number, size in enumerate(sizes)]
    chunks = cut_chunks(groups, actors, shared=shared)
    for group in groups:
        own = [chunk for chunk in chunks if chunk["file"] == group["file"]]
        assert [chunk["start"] for chunk in own] == [sum(item["count"] for item in own[:n]) for n in range(len(own))]
        assert sum(chunk["count"] for chunk in own) == group["count"]
        if sum(sizes) >= 2 * actors * BATCH:
            assert all(chunk["count"] % BATCH == 0 for chunk in own[:-1])
    assert all(0 < chunk["count"] <= 256 for chunk in chunks)
    assert len({chunk["part"] for chunk in chunks}) == len(chunks)


def test_chunks_begin_small_and_get_smaller_towards_the_end():
    """The last ones are a batch each: no actor works on while the others have nothing to do."""
    counts = [chunk["count"] for chunk in cut_chunks([{"file": "", "group": 0, "count": 5000}], 2)]
    assert counts[:2] == [BATCH, BATCH]  # for each actor a small one first
    assert counts[2:] == sorted(counts[2:], reverse=True)
    assert counts[2:5] == [256] * 3
    assert counts[-2:] == [BATCH, 5000 % BATCH]


def test_chunks_that_processes_share_stay_larger():
    counts = [chunk["count"] for chunk in cut_chunks([{"file": "", "group": 0, "count": 5000}], 1, shared=True)]
    assert counts[0] == BATCH  # something is there soon
    assert counts[1:] == sorted(counts[1:], reverse=True)
    assert counts[-3:-1] == [128, 128]
    assert 0 < counts[-1] <= 128


@pytest.mark.parametrize(
    ("staged", "gpu", "expected"),
    [(True, True, 128), (False, True, BATCH), (True, False, BATCH), (False, False, BATCH)],
)
def test_chunks_are_shared_of_staged_workers_beside_gpus(monkeypatch, tmp_path, staged, gpu, expected):
    resources = {"num_cpus": 16, "num_gpus": 1} if gpu else {"num_cpus": 1}
    monkeypatch.setattr(passes, "_actors", lambda gpus: (1, resources))
    groups = [{"file": "a", "group": 0, "count": 5000}]
    plan = passes._plan("features", Location.parse(tmp_path), SETTINGS, groups, False, gpus=True, staged=staged)
    assert plan["chunks"][-2]["count"] == expected


@pytest.mark.parametrize("shared", [False, True])
def test_a_small_collection_is_for_all_actors(shared):
    counts = [chunk["count"] for chunk in cut_chunks([{"file": "", "group": 0, "count": 48}], 4, shared=shared)]
    assert counts == [6] * 8


def test_only_a_cluster_that_others_began_may_give_the_pool_more_actors(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    pool = passes._pool(2, 50)
    assert (pool.min_size, pool.initial_size, pool.max_size) == (2, 2, 2)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    pool = passes._pool(2, 50)
    assert (pool.min_size, pool.initial_size, pool.max_size) == (1, 2, 50)


@pytest.mark.parametrize("new", [False, True])
def test_an_actor_with_a_gpu_is_called_by_threads(monkeypatch, new):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert not passes._pool(2, 50).enable_true_multi_threading
    monkeypatch.setattr(passes, "_NEW_POOLS", new and passes._NEW_POOLS)
    pool = passes._pool(2, 50, 4)
    assert pool.enable_true_multi_threading
    if passes._NEW_POOLS:
        assert pool.max_concurrent_calls_per_actor == 4


def test_what_a_worker_says_is_the_jobs_last_line(ray_session, tmp_path):
    """Without Ray's names and traces, and its kind, which decides the exit status."""

    class Worker:
        def __call__(self, rows: pa.Table) -> pa.Table:
            try:
                raise PermissionError
            except OSError as error:
                raise InputError("part-000000.parquet: permission denied") from error

    Location.parse(f"{tmp_path}/manifest/m.parquet").write_table(pa.table({"object_id": ["a"], "image_uri": ["a.png"]}))
    with pytest.raises(ArtrayError) as raised:
        passes.run_pass("labels", Location.parse(f"{tmp_path}/manifest"), Location.parse(f"{tmp_path}/out"), Worker, {})
    assert (type(raised.value), str(raised.value)) == (InputError, "part-000000.parquet: permission denied")
    del raised
    # What failed leaves no CPU to wait for.
    cluster.connect()
    deadline = time.monotonic() + 60
    while ray.available_resources().get("CPU", 0) < ray.cluster_resources()["CPU"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


GROUPS = [{"file": "manifest.parquet", "group": 0, "count": 500}]
SETTINGS = {"manifest": "m", "fingerprint": "f", "arguments": {"features": [], "decode_version": 1}}
OTHER = {**SETTINGS, "arguments": {"features": [{}], "decode_version": 1}}


@pytest.fixture
def out(tmp_path, monkeypatch):
    """A folder with a finished pass."""
    monkeypatch.setattr(passes.cluster, "cpus", lambda: 2)
    plan = passes._plan("features", Location.parse(tmp_path), SETTINGS, GROUPS, False)
    for chunk in plan["chunks"]:
        Location.parse(str(tmp_path / chunk["part"])).write_table(pa.table({"object_id": ["a"]}))
    Location.parse(str(tmp_path / "_run.json")).write_bytes(b'{"job": "features"}')
    return tmp_path


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_overwriting_removes_the_pass_and_nothing_of_the_users(out):
    (out / "notes.txt").write_text("years of work")
    Location.parse(str(out / "_kept.parquet")).write_table(pa.table({"a": [1]}))
    (out / "pictures").mkdir()
    before = names(out)
    with pytest.raises(InputError, match="made from another manifest or with other options"):
        passes._plan("features", Location.parse(out), OTHER, GROUPS, False)
    assert names(out) == before
    assert passes._plan("features", Location.parse(out), SETTINGS, GROUPS, True)["settings"] == SETTINGS
    assert names(out) == before
    assert passes._plan("features", Location.parse(out), OTHER, GROUPS, True)["settings"] == OTHER
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
            passes._plan("features", Location.parse(out), OTHER, GROUPS, True)
    with pytest.raises(InputError, match="--overwrite"):
        passes._plan("features", Location.parse(out), OTHER, GROUPS, False)
    passes._plan("features", Location.parse(out), OTHER, GROUPS, True)
    assert names(out) == {"_plan.json"}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("file", ["manifest.parquet", "part-000999.parquet", "below/part-000000.parquet"])
def test_a_strangers_table_is_neither_removed_nor_taken_for_a_part(out, file, overwrite):
    Location.parse(str(out / file)).write_table(pa.table({"a": [1]}))
    before = names(out)
    for wanted in (SETTINGS, OTHER):
        with pytest.raises(InputError, match=f"holds {file}, not of this job"):
            passes._plan("features", Location.parse(out), wanted, GROUPS, overwrite)
    # Parts without a plan are a stranger's too.
    (out / "_plan.json").unlink()
    (out / "_run.json").unlink()
    with pytest.raises(InputError, match="not of this job"):
        passes._plan("features", Location.parse(out), SETTINGS, GROUPS, overwrite)
    assert names(out) == before - {"_plan.json", "_run.json"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_another_passes_folder_is_refused(out, overwrite):
    before = names(out)
    with pytest.raises(InputError, match=r"holds the output of another job \(features"):
        passes._plan("patches", Location.parse(out), OTHER, GROUPS, overwrite)
    assert names(out) == before


def test_a_plan_of_an_earlier_version_is_still_read(out):
    plan = json.loads((out / "_plan.json").read_text())
    del plan["job"]
    (out / "_plan.json").write_text(json.dumps(plan))
    (out / "_run.json").write_text(json.dumps({**SETTINGS, "counts": {}}))
    assert passes._plan("features", Location.parse(out), SETTINGS, GROUPS, False) == plan


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("place", ["work/manifest", "work", "work/manifest/features"])
def test_a_pass_does_not_write_where_its_manifest_is(tmp_path, place, overwrite):
    Location.parse(f"{tmp_path}/work/manifest/manifest.parquet").write_table(
        pa.table({"object_id": ["a"], "image_uri": ["a"]})
    )
    with pytest.raises(InputError, match=r"^--out .*--manifest"):
        passes.run_pass(
            "x",
            Location.parse(f"{tmp_path}/work/manifest"),
            Location.parse(f"{tmp_path}/{place}"),
            object,
            {},
            overwrite=overwrite,
        )
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


class Meter:
    def __init__(self, *_, **__):
        pass

    def set_default_tags(self, _):
        pass

    def inc(self, *_, **__):
        pass


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Passes run in this process, over a manifest of 40 rows in 6 chunks."""

    def run(chunks, errand, worker, arguments, *, gpus):
        actor = passes._ChunkActor(errand, worker, arguments)
        for chunk in chunks:
            yield from actor(pa.Table.from_pylist([chunk])).to_pylist()

    monkeypatch.setattr(passes, "_run", run)
    monkeypatch.setattr(passes, "Meter", Meter)
    monkeypatch.setattr(passes.cluster, "connect", lambda: None)
    monkeypatch.setattr(passes.cluster, "cpus", lambda: 3)
    monkeypatch.setattr(passes, "check_nodes", lambda *_: None)
    ids = [f"{number:02d}" for number in range(40)]
    Location.parse(tmp_path / "manifest.parquet").write_table(pa.table({"object_id": ids, "image_uri": ids}))
    return tmp_path


class Mark:
    """Writes whose run a row is of; `during` is called before each chunk."""

    during = staticmethod(lambda number: None)
    calls = 0

    def __init__(self, mark):
        self.mark = mark

    def __call__(self, rows):
        Mark.calls += 1
        Mark.during(Mark.calls)
        marks = pa.array([self.mark] * len(rows))
        return rows.append_column("mark", marks).append_column("status", pa.array(["ok"] * len(rows)))


class Alone(Mark):
    """Counts who is in it at once."""

    inside = most = 0

    def __call__(self, rows):
        Alone.inside += 1
        Alone.most = max(Alone.most, Alone.inside)
        found = super().__call__(rows)
        time.sleep(0.01)  # for another thread to come, if it could
        Alone.inside -= 1
        return found


def test_a_worker_that_is_not_staged_is_called_by_one_thread_at_a_time(here):
    manifest, out = (Location.parse(here / name) for name in ("manifest.parquet", "out"))
    out.ensure_writable()
    (out / "_plan.json").write_bytes(b'{"job": "features", "id": "1a"}')
    actor = passes._ChunkActor(passes._Errand("features", manifest, out, "1a"), Alone, {"mark": "a"})
    chunk = {"file": str(here / "manifest.parquet"), "group": 0, "count": 10}
    chunks = [
        pa.Table.from_pylist([{**chunk, "start": 10 * part, "part": f"part-{part:06d}.parquet"}]) for part in range(4)
    ]
    with ThreadPoolExecutor(4) as pool:
        assert sum(done["rows"][0].as_py() for done in pool.map(actor, chunks)) == 40
    assert Alone.most == 1


def marked(here, mark, overwrite=False, out=None):
    return passes.run_pass(
        "features",
        Location.parse(here / "manifest.parquet"),
        Location.parse(out or here / "out"),
        Mark,
        {"mark": mark},
        overwrite=overwrite,
    )


@pytest.fixture
def during(monkeypatch):
    """Sets what happens before the chunk with a number."""

    def at(number, act):
        def call(now):
            if now == number:
                monkeypatch.setattr(Mark, "during", lambda _: None)
                act()

        monkeypatch.setattr(Mark, "calls", 0)
        monkeypatch.setattr(Mark, "during", call)

    return at


def rows_of(here):
    table = Location.parse(here / "out").dataset().to_table()
    return sorted(table["object_id"].to_pylist()), set(table["mark"].to_pylist())


ALL = [f"{number:02d}" for number in range(40)]


@pytest.mark.parametrize("chunk", [1, 3, 6])
def test_two_runs_of_a_pass_never_mix_their_parts(here, during, chunk):
    during(chunk, lambda: marked(here, "second", overwrite=True))
    with pytest.raises(ArtrayError, match="another run has begun there with a plan of its own") as raised:
        marked(here, "first")
    assert not isinstance(raised.value, InputError)  # exit status 1
    assert rows_of(here) == (ALL, {"second"})
    assert marked(here, "second")["resumed"] == 40


def test_two_runs_of_a_pass_never_mix_their_parts_on_s3(here, during, s3_bucket):
    out = f"{s3_bucket}/two-runs"
    during(3, lambda: marked(here, "second", overwrite=True, out=out))
    with pytest.raises(ArtrayError, match="another run has begun there with a plan of its own"):
        marked(here, "first", out=out)
    table = Location.parse(out).dataset().to_table()
    assert (sorted(table["object_id"].to_pylist()), set(table["mark"].to_pylist())) == (ALL, {"second"})
    assert marked(here, "second", out=out)["resumed"] == 40


def test_of_two_runs_that_plan_at_once_one_is_carried_out(here, during, monkeypatch):
    """Both have seen an empty folder; the second cuts other chunks."""

    def second():
        with monkeypatch.context() as patch:
            patch.setattr(passes.cluster, "cpus", lambda: 1)
            (here / "out" / "_plan.json").rename(here / "plan.json")
            parts = list((here / "out").glob("part-*"))
            for part in parts:
                part.rename(here / part.name)
            plan = json.loads((here / "plan.json").read_text())
            passes._plan("features", Location.parse(here / "out"), plan["settings"], plan["chunks"][:2], False)
            for part in parts:
                (here / part.name).rename(here / "out" / part.name)

    during(2, second)
    with pytest.raises(ArtrayError, match="another run has begun"):
        marked(here, "first")
    assert not (here / "out" / "_run.json").exists()


def test_a_run_that_is_the_same_goes_on_beside_the_other(here, during):
    during(3, lambda: marked(here, "first"))
    assert marked(here, "first")["ok"] == 40
    assert rows_of(here) == (ALL, {"first"})


def test_parts_of_another_plan_are_done_again_and_those_beyond_it_removed(here, during):
    """A process of the run that lost writes after it has checked the plan."""
    out = here / "out"

    def late():
        strange = pa.table({"object_id": ["00"], "mark": ["lost"], "status": ["ok"]})
        strange = strange.replace_schema_metadata({"artray.plan": "0123456789abcdef", "artray.statuses": '{"ok": 1}'})
        for name in ("part-000000.parquet", "part-000009.parquet"):
            Location.parse(out / name).write_table(strange)

    during(6, late)
    assert marked(here, "first")["ok"] == 40
    assert rows_of(here) == (ALL, {"first"})
    late()
    assert marked(here, "first")["ok"] == 40
    assert rows_of(here) == (ALL, {"first"})


def test_parts_of_other_options_are_never_taken_for_a_plans_own(here, during, monkeypatch):
    marked(here, "first")
    with monkeypatch.context() as patch:  # as if nothing of the first run had been removed
        patch.setattr(passes, "remove_written", lambda *_: None)
        counts = marked(here, "second", overwrite=True)
    assert (counts["resumed"], counts["ok"]) == (0, 40)
    assert rows_of(here) == (ALL, {"second"})


def test_a_finished_pass_of_an_earlier_version_is_finished(here):
    marked(here, "first")
    plan = json.loads((here / "out" / "_plan.json").read_text())
    del plan["id"]
    (here / "out" / "_plan.json").write_text(json.dumps(plan))
    for part in (here / "out").glob("part-*.parquet"):
        table = Location.parse(part).dataset().to_table()
        notes = {key: value for key, value in table.schema.metadata.items() if key != b"artray.plan"}
        Location.parse(part).write_table(table.replace_schema_metadata(notes))
    assert marked(here, "first")["resumed"] == 40
