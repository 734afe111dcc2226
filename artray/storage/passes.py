"""One pass over a manifest: chunks of rows in, Parquet parts out, on all the cluster's CPUs, resumable.

The pass is planned before it starts: the manifest's rows, in order, are cut into chunks, and chunk 17 becomes
`part-000017.parquet`, written whole or not at all. What is assumed: the manifest does not change during the pass (it
is recognised by its files' names, sizes and versions). What is promised: whatever process dies at whatever moment,
running the same command again does only the chunks whose part is missing, and the finished output holds each row of
the manifest exactly once. No list of finished ids has to be kept, in memory or anywhere else.

Each plan has an id, and each part says in its footer of which plan it is. So parts of another plan are never taken for
this one's, wherever a removal was killed; and where two runs with plans of their own meet in one folder, the plan that
was written last is carried out, and the run of the other ends and says why.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property, partial
from inspect import signature
from threading import Lock
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.util.metrics import Counter as Meter

import artray
from artray import cluster, console
from artray.errors import ArtrayError, InputError
from artray.job import Counts
from artray.storage import (
    PASS_FILES,
    PLAN,
    RUN,
    Location,
    dataset_digest,
    explained,
    keep_apart,
    refuse_other_job,
    refuse_other_rows,
    remove_written,
)
from artray.storage.chunks import cut_chunks
from artray.storage.gpus import Pipeline, StagedWorker, has_gpu, lanes
from artray.storage.nodes import check_nodes

_PART = re.compile(r"part-\d{6,}\.parquet")
_TALLY = "artray.statuses"
_PLAN_ID = "artray.plan"
_PLAN_HEAD = 512  # bytes of `_plan.json` in which its id stands
# Before it was an argument of the pool, it was one of the actor, which new versions warn of.
_NEW_POOLS = "max_concurrent_calls_per_actor" in signature(ray.data.ActorPoolStrategy).parameters
_ROUNDS = 3  # how often parts are done again that another run has written over


@dataclass(frozen=True)
class _Errand:
    """What all actors of a pass know; `plan_id` is None where the plan is of an earlier version."""

    title: str
    manifest: Location
    out: Location
    plan_id: str | None


class Worker(Protocol):
    """What a pass does to a chunk; made once in each Ray actor and called chunk by chunk."""

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The output's rows for some rows of the manifest; has a `status` column."""


def run_pass(
    title: str,
    manifest: Location,
    out: Location,
    worker: type[Worker],
    arguments: Mapping[str, Any],
    *,
    overwrite: bool = False,
    gpus: bool = False,
    helps: Mapping[str, Any] | None = None,
) -> Counts:
    """Apply a worker to every row of a manifest and write what it returns as a Parquet dataset.

    Args:
        title: What the output is called: by the progress bar, and in `_plan.json` and `_run.json` as `job`.
        manifest: URI of a Parquet dataset with `object_id` and `image_uri`.
        out: URI of the folder for the parts, `_plan.json` and, once finished, `_run.json`.
        worker: The work; constructed in each actor with `arguments`.
        arguments: JSON values. They are the settings of the run: a folder that was begun with others is refused.
        overwrite: Remove what the pass has written there before instead of refusing it.
        gpus: Whether the work goes faster on a GPU. Where the cluster has some, each gets one actor with a share of its
            machine's CPUs; of a `StagedWorker` the CPUs' part is done by so many processes beside it (see
            `artray.storage.gpus`), and its other part called by several threads. Else each CPU gets an actor.
        helps: More arguments for the worker, which change how it comes to its rows but not what they are: they are no
            settings of the run.

    Returns:
        Counts: `rows` of the manifest, `ok` and `failed` rows of the output, `statuses`, `resumed` rows that were
        there already, `out`.

    Raises:
        InputError: The manifest can't be used, `out` can't be written, holds something else or lies where the manifest
            does, or a machine of the cluster can't do the work.
        ArtrayError: Another run has begun in `out` meanwhile, with a plan of its own.
    """
    keep_apart(out, {}, {"--manifest": manifest}, rows=True)
    chunks, rows_digest = _manifest_rows(manifest)
    out.ensure_writable()
    cluster.connect()
    check_nodes([manifest], [out])
    settings = {"manifest": str(manifest), "fingerprint": rows_digest, "arguments": dict(arguments)}
    staged = issubclass(worker, StagedWorker)
    plan = _plan(title, out, settings, chunks, overwrite, gpus=gpus, staged=staged)
    plan_id = plan.get("id")
    done = _finished_parts(out, plan)
    todo = [chunk for chunk in plan["chunks"] if chunk["part"] not in done]
    total = sum(chunk["count"] for chunk in plan["chunks"])
    resumed = total - sum(chunk["count"] for chunk in todo)
    statuses = _united(done.values())
    with console.bar(title, total, note="starting workers" if todo else "", done=resumed) as bar:
        if not todo:
            bar.advance(0, note="done before")
        for _ in range(_ROUNDS):
            errand = _Errand(title, manifest, out, plan_id)
            for summary in _run(todo, errand, worker, {**arguments, **(helps or {})}, gpus=gpus):
                statuses.update(dict(zip(summary["statuses"], summary["counts"], strict=True)))
                bar.advance(summary["rows"], note=_failures(statuses))
            if not todo:
                break
            # What another run wrote meanwhile, by a plan that is gone, is done again.
            done = _finished_parts(out, plan)
            todo = [chunk for chunk in plan["chunks"] if chunk["part"] not in done]
            statuses = _united(done.values())
    _check_plan(out, plan_id)
    if todo:
        raise ArtrayError(
            f"{out}: another run writes there too; wait for it, or end it, and run the same command again"
        )
    counts: Counts = {
        "rows": total,
        "ok": statuses["ok"],
        "failed": statuses.total() - statuses["ok"],
        "statuses": dict(statuses.most_common()),
        "resumed": resumed,
        "out": str(out),
    }
    finished = {"job": title, "artray": artray.__version__, "finished_at": _now(), **settings, "counts": counts}
    (out / RUN).write_json(finished)
    return counts


def actor_cpus() -> int:
    """How many CPUs the actor has in which a worker is called; 1 outside of actors."""
    context = ray.get_runtime_context() if ray.is_initialized() else None
    if context is None or context.worker.mode != ray.WORKER_MODE:
        return 1
    return max(1, int(context.get_assigned_resources().get("CPU", 1)))


def read_run(uri: Location) -> dict[str, Any]:
    """The metadata of a finished pass.

    Raises:
        InputError: There is none: the pass did not finish, or the folder is something else.
    """
    try:
        notes: dict[str, Any] = (uri / RUN).read_json()
    except (InputError, ValueError) as error:
        raise InputError(f"{uri}: has no {RUN}: not made by a finished artray job") from error
    return notes


def plan_of(schema: pa.Schema) -> str | None:
    """The id of the plan that a part is of; None: of a pass of an earlier version, or no part."""
    plan_id = (schema.metadata or {}).get(_PLAN_ID.encode())
    return None if plan_id is None else plan_id.decode()


def _manifest_rows(manifest: Location) -> tuple[list[dict[str, Any]], str]:
    """The manifest's row groups (file, row group, rows), and a digest of its files."""
    dataset = manifest.dataset()
    missing = {"object_id", "image_uri"} - set(dataset.schema.names)
    if missing:
        raise InputError(f"{manifest}: not a manifest: it has no column {', '.join(sorted(missing))}")
    groups = []
    for fragment in sorted(dataset.get_fragments(), key=lambda item: item.path):
        groups += [{"file": fragment.path, "group": group.id, "count": group.num_rows} for group in fragment.row_groups]
    if not sum(group["count"] for group in groups):
        raise InputError(f"{manifest}: has no rows")
    return groups, dataset_digest(dataset)


def _plan(
    title: str,
    out: Location,
    settings: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    overwrite: bool,
    *,
    gpus: bool = False,
    staged: bool = False,
) -> dict[str, Any]:
    """The plan in the output folder if it is for the same run, else a new one."""
    uri = out / PLAN
    refuse_other_job(out, title)
    plan: dict[str, Any] = uri.read_json() if uri.exists() else {"chunks": []}
    own_files = {chunk["part"] for chunk in plan["chunks"]}
    strays = {name for name in out.names() if _PART.fullmatch(name) and name not in own_files}
    # Of a run that has lost its place and was killed before it could say so: those say so themselves.
    left = {name for name in strays if plan.get("id") and (_read_notes(out / name) or {}).get(_PLAN_ID)}
    refuse_other_rows(out, own_files | left)
    if plan["chunks"]:
        if plan["settings"] == settings:
            return plan
        if not overwrite:
            raise InputError(
                f"{out}: was made from another manifest or with other options; give another --out, or --overwrite"
            )
        remove_written(out, PASS_FILES)
    # Few actors have GPUs, and of a staged worker all of an actor's CPUs work on the same chunks.
    actors, resources = _actors(gpus)
    chunks = cut_chunks(groups, actors, shared=staged and "num_gpus" in resources)
    plan = {
        "job": title,
        "id": secrets.token_hex(8),  # among the first: see `_check_plan`
        "artray": artray.__version__,
        "started_at": _now(),
        "settings": settings,
        "chunks": chunks,
    }
    uri.write_bytes(json.dumps(plan).encode())
    return plan


def _failures(statuses: Counter[str]) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in statuses.most_common() if status != "ok") or " "


def _finished_parts(out: Location, plan: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """The parts of a plan that are there, each with its pictures by status.

    Parts that a run with another plan has left beyond this one's are removed: they would be read as rows.
    """
    wanted = {chunk["part"] for chunk in plan["chunks"]}
    names = [name for name in out.names() if _PART.fullmatch(name)]
    with ThreadPoolExecutor(16) as pool:  # on S3 each is two requests
        notes_of = dict(zip(names, pool.map(lambda name: _read_notes(out / name), names), strict=True))
    for name in notes_of.keys() - wanted:
        if (notes_of[name] or {}).get(_PLAN_ID) is not None:
            (out / name).remove()
    return {
        name: notes["statuses"]
        for name, notes in notes_of.items()
        if name in wanted and notes is not None and notes[_PLAN_ID] == plan.get("id")
    }


def _read_notes(part_file: Location) -> dict[str, Any] | None:
    """What a part's footer says: its plan's id (null: of an earlier version), and its pictures by status.

    None: it is no part of a pass, or has gone.
    """
    fs, path = part_file.arrow_filesystem()
    try:
        with fs.open_input_file(path) as source:
            schema = pq.read_schema(source)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    notes = schema.metadata or {}
    if _TALLY.encode() not in notes:
        return None
    return {_PLAN_ID: plan_of(schema), "statuses": json.loads(notes[_TALLY.encode()])}


def _united(tallies: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for statuses in tallies:
        total.update(statuses)
    return total


def _check_plan(out: Location, plan_id: str | None) -> None:
    """See that the plan in a folder is still the one that is carried out; only its first bytes are read.

    Raises:
        ArtrayError: It is another, or none: another run has begun there.
    """
    fs, path = (out / PLAN).filesystem()
    with explained(out / PLAN):
        try:
            head = bytes(fs.cat_file(path, start=0, end=_PLAN_HEAD))
        except FileNotFoundError:  # removed by a run that begins with --overwrite
            head = b""
    match = re.search(rb'"id": "(\w+)"', head)
    if not head or (match[1].decode() if match else None) != plan_id:
        raise ArtrayError(
            f"{out}: another run has begun there with a plan of its own, and this one has stopped; "
            "let only one run write to a place"
        )


def _run(
    chunks: list[dict[str, Any]], errand: _Errand, worker: type[Worker], arguments: Mapping[str, Any], *, gpus: bool
) -> Iterator[dict[str, Any]]:
    """Have chunks worked on by actors; yields what each says of its chunk."""
    if not chunks:
        return
    actors, resources = _actors(gpus)
    calls = lanes(int(resources["num_cpus"])) if "num_gpus" in resources else 1
    summaries = ray.data.from_items(chunks, override_num_blocks=len(chunks)).map_batches(
        _ChunkActor,
        fn_constructor_args=(errand, worker, dict(arguments)),
        batch_size=1,
        batch_format="pyarrow",
        compute=_pool(min(actors, len(chunks)), len(chunks), calls),
        **resources,
        **({} if calls == 1 or _NEW_POOLS else {"max_concurrency": calls}),
    )
    with cluster.unwrapped_errors():
        yield from summaries.iter_rows()


def _pool(actors: int, chunks: int, calls: int = 1) -> ray.data.ActorPoolStrategy:
    """So many actors; on a cluster that others began more of them, as soon as its autoscaler makes room.

    Args:
        actors: How many.
        chunks: The most there can be.
        calls: How many chunks each works on at once, in threads.
    """
    how: dict[str, Any] = {"enable_true_multi_threading": True} if calls > 1 else {}
    if calls > 1 and _NEW_POOLS:
        how["max_concurrent_calls_per_actor"] = calls
    if not cluster.may_grow():
        return ray.data.ActorPoolStrategy(size=actors, **how)
    return ray.data.ActorPoolStrategy(min_size=1, initial_size=actors, max_size=chunks, **how)


def _actors(gpus: bool) -> tuple[int, dict[str, float]]:
    """How many actors, and what each asks for."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]] if gpus else []
    nodes = [node for node in alive if node.get("GPU", 0) >= 1]
    if not nodes:
        return cluster.cpus(), {"num_cpus": 1}
    share = min(int(node.get("CPU", 0) // node["GPU"]) for node in nodes)
    return sum(int(node["GPU"]) for node in nodes), {"num_cpus": max(1, share), "num_gpus": 1}


class _ChunkActor:
    """Reads a chunk's rows, has them worked on, writes the part and answers with what became of the pictures.

    With a GPU it is called by several threads, of which one at a time has its rows worked on, unless by a pipeline.
    """

    def __init__(self, errand: _Errand, worker: type[Worker], arguments: Mapping[str, Any]):
        # Threads of TensorFlow's own would only fight over the other actors' cores.
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(actor_cpus()))
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(actor_cpus()))
        # Without it TensorFlow takes a GPU's whole memory for itself.
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        cluster.quicken_keras()
        self._errand = errand
        self._making = Lock()
        self._turn: AbstractContextManager[object] = Lock()  # TensorFlow's functions must not be traced twice at once
        # Not made here: Ray would try a constructor that fails again and again, and hide why.
        self._make: Callable[[], Worker] = partial(worker, **arguments)
        if has_gpu() and issubclass(worker, StagedWorker):
            pipeline = Pipeline(worker, arguments, actor_cpus())  # which begins to prepare meanwhile
            self._make = lambda: pipeline
            self._turn = nullcontext()  # it deals with several threads by itself
        # Ray's dashboard and its Prometheus endpoint show it.
        self._pictures = Meter("artray_pictures", "Pictures worked on.", tag_keys=("job", "status"))
        self._pictures.set_default_tags({"job": errand.title})

    @cached_property
    def _work(self) -> Worker:
        return self._make()

    def __call__(self, chunks: pa.Table) -> pa.Table:
        (chunk,) = chunks.to_pylist()
        fs, _ = self._errand.manifest.arrow_filesystem()
        with fs.open_input_file(chunk["file"]) as source:
            group = pq.ParquetFile(source).read_row_group(chunk["group"])
        with self._making:
            work = self._work
        with self._turn:
            result = work(group.slice(chunk["start"], chunk["count"]))
        # By picture: of a picture's patches one tells its status.
        tally = Counter(dict(zip(result["object_id"].to_pylist(), result["status"].to_pylist(), strict=True)).values())
        notes = {**(result.schema.metadata or {}), _TALLY: json.dumps(tally)}
        if self._errand.plan_id is not None:  # the plan of an earlier version has none
            notes[_PLAN_ID] = self._errand.plan_id
        _check_plan(self._errand.out, self._errand.plan_id)
        (self._errand.out / chunk["part"]).write_table(result.replace_schema_metadata(notes))
        for status, number in tally.items():
            self._pictures.inc(number, tags={"status": status})
        return pa.table(
            {"rows": [chunk["count"]], "statuses": [list(tally.keys())], "counts": [list(tally.values())]},
        )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
