"""What people said of works: a label, who said it and when, and what a model had said before."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal, TypeAlias

import pyarrow as pa

Decision: TypeAlias = Literal["accepted", "corrected", "rejected"]
"""The model's label was right; another one is; none of them is right."""

HISTORY = ("reviewer", "reviewed_at", "decision")
"""What a table says of a label that somebody has looked at, each in a column of its own."""

_SPACES = re.compile(r"\s+")
_FRACTION, _ZONE = re.compile(r"[.,](\d{1,6})\d*"), re.compile(r"([+-]\d{2})(\d{2})\Z")


@dataclass(frozen=True, slots=True)
class Statement:
    """What somebody said of a work.

    Attributes:
        label: The label, or several as one cell; None: none is right.
        predicted: What a model had said; None: not known.
        reviewer: Who says so; None: not known.
        reviewed_at: When, with a time zone; None: not known.
    """

    label: str | None
    predicted: str | None = None
    reviewer: str | None = None
    reviewed_at: datetime | None = None

    @property
    def decision(self) -> Decision:
        """Of what the model had said."""
        return decision(self.label, self.predicted)

    @property
    def at(self) -> str | None:
        """When, as ISO 8601 in UTC."""
        if self.reviewed_at is None:
            return None
        return self.reviewed_at.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Annotation:
    """A statement as a file has it, where it may not be known yet which work and task it is about.

    Attributes:
        said: What was said.
        object_id: Of which work; None: only `target` or `name` tells.
        task: Of which task; None: only the label tells.
        target: The address of the picture or of its canvas.
        name: The address of the statement itself.
    """

    said: Statement
    object_id: str | None = None
    task: str | None = None
    target: str | None = None
    name: str | None = None


def decision(label: str | None, predicted: str | None) -> Decision:
    """What a reviewer decided about a model's label.

    >>> decision("Cubism", "Cubism"), decision("Cubism", "Rococo"), decision(None, "Rococo")
    ('accepted', 'corrected', 'rejected')
    """
    if label is None:
        return "rejected"
    return "accepted" if label == predicted else "corrected"


def cell_of(labels: Sequence[str]) -> str | None:
    """Several labels in one cell, as `targets.separate` reads them; None where there is none."""
    if not labels:
        return None
    if len(labels) > 1 and any(";" in name or name.startswith("[") or name != name.strip() for name in labels):
        return json.dumps(list(labels), ensure_ascii=False)
    return "; ".join(labels)


def folded(object_id: str) -> str:
    """An id as they are compared: files went through programs that compose letters and trim spaces; ids did not."""
    return unicodedata.normalize("NFC", object_id).strip()


def one_line(text: str | None) -> str | None:
    """A name as it is shown, on one line; None where nothing is left of it."""
    return _SPACES.sub(" ", text).strip()[:200] or None if text else None


def moment(text: str | None) -> datetime | None:
    """When something was said, by ISO 8601; None where that can't be read."""
    text = (text or "").strip().replace("Z", "+00:00")
    # Python 3.10 reads three or six digits of a second, and zones with a colon.
    text = _FRACTION.sub(lambda match: f".{match[1]:0<6}", text, count=1)
    try:
        at = datetime.fromisoformat(_ZONE.sub(r"\1:\2", text))
        at = at if at.tzinfo else at.replace(tzinfo=timezone.utc)
        at.astimezone(timezone.utc)  # the first and the last year have moments that no other zone has
    except (ValueError, OverflowError):
        return None
    return at


def history_columns(ids: Sequence[str], statements: Mapping[str, Statement]) -> dict[str, pa.Array]:
    """The columns `HISTORY` of a table with these works; null where nobody has looked."""
    wanted = {folded(object_id): said for object_id, said in statements.items()}
    said = [wanted.get(folded(object_id)) for object_id in ids]
    columns = {
        "reviewer": [each and each.reviewer for each in said],
        "reviewed_at": [each and each.at for each in said],
        "decision": [each and each.decision for each in said],
    }
    return {name: pa.array(values, pa.string()) for name, values in columns.items()}


def statements_of(table: pa.Table, column: str) -> Iterator[tuple[str, Statement]]:
    """What a table's history columns say of a label column, by work."""
    names = [f"{column}_{name}" for name in HISTORY]
    if any(name not in table.column_names for name in (*names, column)):
        return
    rows = zip(*(table[name].to_pylist() for name in ("object_id", column, *names)), strict=True)
    for object_id, label, reviewer, at, decided in rows:
        if decided is None:
            continue
        text = cell_of(label) if isinstance(label, list) else label
        said = None if decided == "rejected" or not text else text
        yield object_id, Statement(said, said if decided == "accepted" else None, one_line(reviewer), moment(at))
