"""The labels as a data set to publish: `data/TASK.parquet`.

It has the contract's columns, `scores` as a list of (label, score), which every reader of Parquet knows, a column
`decision`: `label` or `uncertain`, and what people said of the labels: `review`, `reviewed_label`, `reviewer` and
`reviewed_at` (see `reviews`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from artray.labeling.contract import LABELS
from artray.labeling.exports.files import whole_files
from artray.labeling.exports.reviews import REVIEW
from artray.labeling.exports.source import DECISION, UNCERTAIN, Source

DATA = "data"
_SCORES = pa.list_(pa.struct([pa.field("label", pa.string(), nullable=False), pa.field("score", pa.float32())]))
SCHEMA = pa.schema(
    [*(item.with_type(_SCORES) if item.name == "scores" else item for item in LABELS), DECISION, *REVIEW]
)


@dataclass(frozen=True)
class TaskFile:
    """One task's file.

    Attributes:
        task: The task.
        file: Its path in the data set.
        size: Its bytes.
        sha256: Its checksum.
        rows: How many rows it has.
        labelled: Rows with a label that is not uncertain.
        labels: Rows of each label that is said, without the uncertain ones.
        uncertain: Rows with an uncertain label.
        models: The bundles that gave the labels.
        labeled_at: When the newest of them was given.
        doubts: Why nothing that these bundles say can be relied on.
    """

    task: str
    file: str
    size: int
    sha256: str
    rows: int
    labelled: int
    labels: Counter[str]
    uncertain: int
    models: tuple[str, ...]
    labeled_at: datetime | None
    doubts: Sequence[str] = ()

    @property
    def unlabelled(self) -> int:
        """Rows of pictures that could not be read."""
        return self.rows - self.uncertain - self.labelled


def write_dataset(source: Source, folder: Path) -> list[TaskFile]:
    """Write each task's file; the folder's other files stay."""
    with whole_files(folder / DATA, [r"[a-z0-9][a-z0-9_-]*\.parquet"]) as scratch:
        return [_write_task(source, number, scratch) for number in range(len(source.tasks))]


def _write_task(source: Source, number: int, folder: Path) -> TaskFile:
    task = source.tasks[number]
    path = folder / f"{task.name}.parquet"  # a task's name is letters, digits, _ and -
    labels: Counter[str] = Counter()
    uncertain = labelled = rows = 0
    models: set[str] = set()
    times: list[datetime] = []
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for table in task.batches(LABELS.names):
            decision = table[DECISION.name]
            kept = table["labels"].filter(pc.fill_null(pc.not_equal(decision, UNCERTAIN), False))
            labelled += len(kept)
            counted = pc.value_counts(pc.list_flatten(kept)).to_pylist()
            labels.update({item["values"]: item["counts"] for item in counted})
            uncertain += pc.sum(pc.equal(decision, UNCERTAIN)).as_py() or 0
            rows += len(table)
            times.append(pc.max(table["labeled_at"]).as_py())
            models |= set(pc.unique(table["model_id"]).to_pylist())
            scores = table["scores"].cast(_SCORES)
            writer.write_table(table.set_column(table.column_names.index("scores"), "scores", scores).cast(SCHEMA))
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return TaskFile(
        task=task.name,
        file=f"{DATA}/{path.name}",
        size=path.stat().st_size,
        sha256=digest.hexdigest(),
        rows=rows,
        labelled=labelled,
        labels=labels,
        uncertain=uncertain,
        models=tuple(sorted(models)),
        labeled_at=max(times, default=None),
        doubts=list(task.doubts.values()),
    )
