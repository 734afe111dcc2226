"""The label dataset as its readers see it: whole at every moment.

    OUT/
      _run.json                        the current run: what it did, and the files of each task's labels
      _runs/RUN/TASK.parquet           labels, never changed once they are written
      _runs/RUN/_pictures.parquet      which pictures, in which version, they were computed from
      task=TASK/labels.parquet         the same labels for plain readers: hard links, on S3 and elsewhere copies

A run writes its files, then `_run.json`, in one step (a rename, or one PUT): this is the commit. Then the files of
`task=TASK/` take the place of their predecessors, each in one step, and files that neither this run nor the one before
names are removed. A run that is killed before the commit has changed nothing; one that is killed after it is brought to
its end by the next.

What is promised, on folders and on S3:

- `read_labels` gives all tasks as of one run, and its files stay until the run after the next one.
- Who reads `task=*/*.parquet` (pandas, DuckDB, Spark, ...) finds in each task's folder one file, which is whole: each
  picture once, of one run or of the one before. While several tasks are being replaced, some may be one run ahead; the
  column `run_id` tells. Who has a local file open keeps the old one; who is reading an object on S3 that is replaced
  gets an error (its ETag has changed) or, where the client doesn't check that, should use `read_labels`.

What is assumed: one run at a time writes to OUT (a second one is noticed at its commit, and refused), and nobody else
writes to it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from artray.bundles.description import TASK
from artray.errors import ArtrayError, InputError
from artray.labeling.contract import ADDED, LABELS, METADATA_KEY, LabelDataset
from artray.storage import RUN, Location, explained
from artray.storage.scratch import scratch_beside

RUNS = "_runs"
PICTURES = "_pictures.parquet"
LABELS_FILE = "labels.parquet"

_File = Annotated[str, Field(pattern=rf"^{RUNS}/\w[^/]*/\w[^/]*$")]  # below OUT, whoever wrote the `_run.json`


_OWN = re.compile(rf"{RUNS}/[^/]+/[^/]+\.parquet")


class TaskLabels(BaseModel):
    """One task's labels in a run.

    Attributes:
        run_id: The run that wrote them.
        model_id: The model they are from.
        source: What of the bundle they depend on (see `artray.labeling.models.identity`).
        rows: How many.
        labels: Their file, below OUT.
        pictures: The file that says from which pictures, below OUT.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    model_id: str
    source: str
    rows: int
    labels: _File
    pictures: _File


class Published(BaseModel):
    """`_run.json`: a run's files, and with them its metadata.

    Attributes:
        schema_version: Of the labels' contract.
        run_id: The run.
        tasks: By name, also those that only an earlier run has labelled.
        previous: Files of the run before, for those who still read them.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    schema_version: Literal[1] = 1
    run_id: str
    tasks: dict[Annotated[str, Field(pattern=TASK)], TaskLabels]  # a folder is called so
    previous: list[str] = []

    def files(self) -> list[str]:
        """Of all tasks, below OUT."""
        return sorted({file for task in self.tasks.values() for file in (task.labels, task.pictures)})


def read_published(out: Location) -> Published | None:
    """The current run; None where nothing has been published yet.

    Raises:
        InputError: There is something else, or it can't be read.
    """
    uri = out / RUN
    if not uri.exists():
        return None
    try:
        return Published.model_validate_json(uri.read_bytes())
    except ValidationError as error:
        raise InputError(f"{out}: holds something other than labels ({RUN} is another job's)") from error


def read_labels(uri: str | os.PathLike[str] | Location) -> pads.Dataset:
    """All tasks' labels as of one run, with the column `task`; of `task=NAME/` folders alone, what they hold.

    Labels of earlier releases have all columns too (see `contract.LabelDataset`).

    Args:
        uri: The labels' folder or s3:// prefix, as the command line takes it too.

    Raises:
        InputError: There are none.
    """
    labels = Location.parse(uri)
    published = read_published(labels)
    if published is None:
        dataset = labels.dataset()
        lacking = [name for name in (*LABELS.names, "task") if name not in (*ADDED, *dataset.schema.names)]
        if lacking:
            raise InputError(f"{uri}: not labels: there is no column {', '.join(lacking)}")
        schema = dataset.schema
        if "labels" not in schema.names:
            schema = schema.insert(schema.get_field_index("label") + 1, LABELS.field("labels"))
        for before, name in (("error", "novelty"), ("novelty", "learned_from")):
            if name not in schema.names:
                schema = schema.insert(schema.get_field_index(before) + 1, LABELS.field(name))
        return LabelDataset(list(dataset.get_fragments()), schema, dataset.format, dataset.filesystem)
    fs, path = labels.arrow_filesystem()
    dataset = pads.FileSystemDataset.from_paths(
        [f"{path}/{task.labels}" for task in published.tasks.values()],
        schema=LABELS.append(pa.field("task", pa.string())),
        format=pads.ParquetFileFormat(),
        filesystem=fs,
        partitions=[pads.field("task") == name for name in published.tasks],
    )
    return LabelDataset(list(dataset.get_fragments()), dataset.schema, dataset.format, dataset.filesystem)


def labelled_pictures(uri: Location) -> pa.Table | None:
    """The pictures that labels were computed from: `object_id`, `image_uri` and `version`, each object_id once.

    Where tasks know an object in several versions, the newest run's counts. None: there are labels, but no run.
    """
    published = read_published(uri)
    if published is None:
        return None
    newest = sorted(published.tasks.values(), key=lambda task: task.run_id, reverse=True)
    files = dict.fromkeys(task.pictures for task in newest)
    table = pa.concat_tables([(uri / file).dataset().to_table() for file in files])
    if len(files) > 1:
        table = table.group_by("object_id", use_threads=False).aggregate([("image_uri", "first"), ("version", "first")])
        table = table.rename_columns(["object_id", "image_uri", "version"])
    return table


@contextmanager
def parquet_writer(uri: Location, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A Parquet file (zstd) written piece by piece, for places that no reader looks at yet.

    Raises:
        InputError: It can't be written.
        ArtrayError: The disk is full.
    """
    fs, path = uri.filesystem()
    with explained(uri):
        if isinstance(fs, LocalFileSystem):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        with fs.open(path, "wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
            yield writer


def commit(out: Location, published: Published, before: Published | None) -> None:
    """Make a run's files the current ones.

    Raises:
        ArtrayError: Another run has been published since this one began.
        InputError: OUT can't be written.
    """
    now = read_published(out)
    fs, path = out.filesystem()
    if (now and now.run_id) != (before and before.run_id) or not all(
        fs.exists(f"{path}/{file}") for file in published.files()
    ):
        raise ArtrayError(f"{out}: another run has published meanwhile; the same command takes its labels into account")
    text = json.dumps(published.model_dump(), indent=1, ensure_ascii=False)
    (out / RUN).write_bytes(text.encode())
    settle(out, published)


def discard(out: Location, run_id: str, *, committing: bool) -> None:
    """Make room: remove the files of a run that failed before its commit.

    Args:
        out: The labels' place.
        run_id: The run.
        committing: Whether it failed in its commit: on S3 its files then stay until the next one, for a `_run.json`
            that seemed to fail may yet arrive.
    """
    files = out / RUNS / run_id
    now = read_published(out)
    if (now is None or now.run_id != run_id) and not (committing and out.is_s3):
        with suppress(OSError, InputError):  # what is in the way of the run may be in the way of this too
            files.remove()


def settle(out: Location, published: Published | None) -> None:
    """Bring to its end what a run that was killed has left; nothing where it has come to its end."""
    if published:
        _show(out, published)
    _tidy(out, published)


def _show(out: Location, published: Published) -> None:
    """Bring the files that plain readers see up to the current run, each in one step; nothing where they are."""
    for name, task in published.tasks.items():
        source, target = out / task.labels, out / f"task={name}" / LABELS_FILE
        if _notes(target) != _notes(source):
            _replace(source, target)


def _notes(uri: Location) -> Mapping[bytes, bytes] | None:
    """What a labels file says of itself, its run's id among it."""
    fs, path = uri.arrow_filesystem()
    try:
        with fs.open_input_file(path) as file:
            metadata: Mapping[bytes, bytes] = pq.read_metadata(file).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return None
    return {METADATA_KEY.encode(): metadata.get(METADATA_KEY.encode(), b"")}


def _replace(source: Location, target: Location) -> None:
    fs, path = source.filesystem()
    _, target_path = target.filesystem()
    with explained(target):
        if not isinstance(fs, LocalFileSystem):
            fs.cp_file(path, target_path)  # by the server, and in one step
            return
        Path(target_path).parent.mkdir(parents=True, exist_ok=True)
        with scratch_beside(Path(target_path)) as scratch:
            try:
                os.link(path, scratch)
            except OSError:  # a file system without hard links
                shutil.copyfile(path, scratch)
            scratch.replace(target_path)


def _tidy(out: Location, published: Published | None) -> None:
    """Remove what neither the current run nor the one before names: older runs' tables, and what killed ones left."""
    keep = {*published.files(), *published.previous} if published else set()
    fs, path = (out / RUNS).filesystem()
    if not fs.exists(path):
        return
    for file in fs.find(path):
        name = file[len(path) - len(RUNS) :]
        if name not in keep and _OWN.fullmatch(name):
            fs.rm_file(file)
    if isinstance(fs, LocalFileSystem):
        for folder in Path(path).iterdir():
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
