"""The curator's corrections: the CSV that the page gives, as labels that count for more than the catalogue's.

    object_id, task, label, predicted, score, corrected_at

A confirmed label is a correction too: now it is known. An empty one says that none of the task's labels is right: the
work then has none. Of a task with several labels `label` holds all that are right (see `targets.separate`). Of several
corrections for one work and task the latest counts, by `corrected_at`, else by the order of files and rows. A
spreadsheet may have been at the file: any encoding, separator or form of table that a catalogue may have will do.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.compute as pc

from artray import console
from artray.catalogs.catalog import SAVE_ANEW, Reading
from artray.catalogs.folder import load_catalog
from artray.catalogs.formulas import unguard
from artray.catalogs.match_report import printable
from artray.catalogs.targets import separate
from artray.errors import InputError
from artray.storage import Location

_NEEDED = ("object_id", "task", "label")
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Corrections:
    """What curators said.

    Attributes:
        labels: By task, the label of each object_id; None where none is right.
        problems: What was left out, in words.
    """

    labels: Mapping[str, Mapping[str, str | None]]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Corrected:
    """A table's labels after the corrections.

    Attributes:
        labels: Strings, or lists of strings as in the table; null where a row has none.
        changed: Rows that had another label.
        added: Rows that had none.
        cleared: Rows whose label was taken away.
        confirmed: Rows that had this label.
        unknown: Ids of the corrections that no row has.
    """

    labels: pa.Array
    changed: int
    added: int
    cleared: int
    confirmed: int
    unknown: tuple[str, ...]

    def lines(self) -> list[str]:
        """The corrections as lines for a terminal."""
        counts = [f"{self.changed:,} changed", f"{self.added:,} added", f"{self.confirmed:,} confirmed"]
        if self.cleared:
            counts.append(f"{self.cleared:,} taken away")
        lines = [f"corrections: {', '.join(counts)}"]
        if self.unknown:
            shown = ", ".join(map(printable, self.unknown[:_EXAMPLES]))
            more = ", …" if len(self.unknown) > _EXAMPLES else ""
            lines.append(f"corrections of works that are not here: {len(self.unknown):,} ({shown}{more})")
        return lines


def read_corrections(uris: Sequence[Location]) -> Corrections:
    """Corrections from files, as the page or a spreadsheet saved them.

    Raises:
        InputError: A file can't be read, or lacks a column.
    """
    latest: dict[tuple[str, str], tuple[datetime, str | None]] = {}
    problems = []
    for uri in uris:
        catalog = load_catalog(uri, Reading(remedy=SAVE_ANEW, list_texts=False))  # see `targets.separate`
        table = catalog.table
        problems += [f"{uri}: {problem}" for problem in catalog.problems]
        lacking = [name for name in _NEEDED if name not in table.column_names]
        if lacking:
            raise InputError(f"{uri}: not corrections of the page: there is no column {', '.join(lacking)}")
        times = table["corrected_at"].to_pylist() if "corrected_at" in table.column_names else [None] * len(table)
        incomplete = 0
        for at, object_id, task, label in zip(times, *(table[name].to_pylist() for name in _NEEDED), strict=True):
            if object_id is None or task is None:
                incomplete += 1
                continue
            key, said = (unguard(task), unguard(object_id)), (_time(at), unguard(label) if label else None)
            if key not in latest or latest[key][0] <= said[0]:
                latest[key] = said
        if incomplete:
            problems.append(f"{uri}: {incomplete:,} rows without object_id or task, left out")
    labels: dict[str, dict[str, str | None]] = {}
    for (task, object_id), (_, label) in latest.items():
        labels.setdefault(task, {})[object_id] = label
    return Corrections(labels, tuple(problems))


def corrected(table: pa.Table, column: str, task: str, uris: Sequence[Location]) -> pa.Table:
    """A table with the corrections of a task in one of its columns, and a word about them.

    Raises:
        InputError: A file can't be read, has nothing about the task, or the column does not hold labels.
    """
    kind = table[column].type
    plain = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
    if not (pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_null(plain)):
        raise InputError(f"corrections are labels; the column {column!r} holds {kind}")
    found = read_corrections(uris)
    if task not in found.labels:
        raise InputError(f"no corrections of the task {task!r} (there are: {', '.join(found.labels) or 'none'})")
    result = correct(table, column, found.labels[task])
    for line in (*found.problems, *result.lines()):
        console.say(line)
    return table.set_column(table.column_names.index(column), column, result.labels)


def has_correction(ids: pa.ChunkedArray, corrections: Corrections, task: str) -> pa.ChunkedArray:
    """Which rows have a correction of a task, by their `object_id`: at least those to which `correct` gives one."""
    wanted = corrections.labels.get(task, {})
    folded = pc.utf8_trim_whitespace(pc.utf8_normalize(ids, form="NFC"))
    return pc.is_in(folded, value_set=pa.array([_folded(object_id) for object_id in wanted], ids.type))


def correct(table: pa.Table, column: str, labels: Mapping[str, str | None]) -> Corrected:
    """A label column with corrections in it.

    Args:
        table: Keyed by `object_id`; an id may stand in several rows (patches of a work).
        column: Its labels: text, or lists of it where a row may have several; a column that the table does not have is
            empty.
        labels: The corrections by object_id; None takes the label away.
    """
    ids = table["object_id"].to_pylist()
    kind = table[column].type if column in table.column_names else pa.string()
    kind = pa.list_(pa.string()) if pa.types.is_list(kind) or pa.types.is_large_list(kind) else pa.string()
    several = pa.types.is_list(kind)
    before = table[column].cast(kind).to_pylist() if column in table.column_names else [None] * len(ids)
    # The files went through programs that may have composed letters and trimmed spaces; the ids did not.
    wanted = {_folded(object_id): label for object_id, label in labels.items()} | dict(labels)
    after: list[str | list[str] | None] = []
    changed = added = cleared = confirmed = 0
    used = set()
    for object_id, old in zip(ids, before, strict=True):
        name = object_id if object_id in wanted else _folded(object_id)
        if name not in wanted:
            after.append(old)
            continue
        given = wanted[name]
        label = separate(given) if several and given is not None else given
        after.append(label)
        used.add(_folded(object_id))
        had = bool(old)
        same = sorted(old) == sorted(label) if several and old and label else old == label
        changed += had and label is not None and not same
        added += not had and label is not None
        cleared += had and label is None
        confirmed += had and same
    unknown = sorted(object_id for object_id in labels if _folded(object_id) not in used)
    return Corrected(
        labels=pa.array(after, kind),
        changed=changed,
        added=added,
        cleared=cleared,
        confirmed=confirmed,
        unknown=tuple(unknown),
    )


def _folded(object_id: str) -> str:
    return unicodedata.normalize("NFC", object_id).strip()


def _time(text: str | None) -> datetime:
    """When a correction was made; the earliest time where that can't be read, so that the order of rows decides."""
    try:
        at = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return datetime.min.replace(tzinfo=timezone.utc)
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)
