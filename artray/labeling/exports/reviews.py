"""What people said of labels, beside the labels: by work, as columns of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.statements import Statement, folded
from artray.catalogs.targets import separate

REVIEW = [pa.field(name, pa.string()) for name in ("review", "reviewed_label", "reviewer", "reviewed_at")]
"""`review`: accepted, corrected (another label is right) or rejected (none is); null where nobody has looked."""
KEPT = ("accepted", "corrected")


class Reviews:
    """A task's statements.

    Args:
        said: By object_id.
        multilabel: Whether a work may have several labels.
    """

    def __init__(self, said: Mapping[str, Statement], *, multilabel: bool):
        self._multilabel = multilabel
        self._ids = pa.array([folded(object_id) for object_id in said], pa.string())
        words = list(said.values())
        # A cell that holds a separator alone names no label.
        given = (each.label if each.label and self.several(each.label) else None for each in words)
        self._label = pa.array(given, pa.string())
        self._reviewer = pa.array([each.reviewer for each in words], pa.string())
        self._at = pa.array([each.at for each in words], pa.string())

    def __len__(self) -> int:
        """How many works somebody has looked at."""
        return len(self._ids)

    def beside(self, table: pa.Table) -> pa.Table:
        """Rows with the columns `REVIEW`.

        Args:
            table: `object_id` and `labels`.
        """
        if not len(self):
            for item in REVIEW:
                table = table.append_column(item, pa.nulls(len(table), item.type))
            return table
        indices = pc.index_in(pc.utf8_trim_whitespace(pc.utf8_normalize(table["object_id"], form="NFC")), self._ids)
        label = self._label.take(indices)
        decisions = self._decisions(table, indices.to_pylist(), label.to_pylist())
        columns = [decisions, label, self._reviewer.take(indices), self._at.take(indices)]
        for item, values in zip(REVIEW, columns, strict=True):
            table = table.append_column(item, values)
        return table

    def _decisions(self, table: pa.Table, indices: Sequence[int | None], labels: Sequence[str | None]) -> pa.Array:
        found: list[str | None] = [None] * len(indices)
        there = [row for row, index in enumerate(indices) if index is not None]
        model = table["labels"].take(pa.array(there, pa.int64())).to_pylist()
        for row, said in zip(there, model, strict=True):
            label = labels[row]
            same = label is not None and sorted(self.several(label)) == sorted(said or ())
            found[row] = "rejected" if label is None else "accepted" if same else "corrected"
        return pa.array(found, pa.string())

    def several(self, label: str) -> list[str]:
        """The labels of a cell."""
        return list(separate(label)) if self._multilabel else [label]

    def accepted(self, table: pa.Table, uri: Callable[[str], str | None]) -> pa.Table:
        """The rows whose label a person has accepted or given, with this label for the model's.

        The score is the model's of the label; null where the label is none of its classes.

        Args:
            table: With the columns `REVIEW`, `label`, `labels`, `label_uri`, `score` and `scores`.
            uri: Gives the URI of a label's concept.
        """
        table = table.filter(pc.is_in(table["review"], pa.array(KEPT)))
        rows = table.select(["label", "label_uri", "scores", "reviewed_label"]).to_pylist()
        labels = [self.several(row["reviewed_label"]) for row in rows]
        first = [names[0] for names in labels]
        scores = [dict(row["scores"] or ()).get(name) for row, name in zip(rows, first, strict=True)]
        uris = [row["label_uri"] if row["label"] == name else uri(name) for row, name in zip(rows, first, strict=True)]
        for name, values in (("label", first), ("labels", labels), ("label_uri", uris), ("score", scores)):
            at = table.column_names.index(name)
            table = table.set_column(at, name, pa.array(values, table.schema.field(name).type))
        return table
