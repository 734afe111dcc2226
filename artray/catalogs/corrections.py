"""What curators said comes back, as labels that count for more than the catalogue's.

The page's CSV, which a spreadsheet may have been at (any encoding, separator or form of table that a catalogue may have
will do), or JSON lines with the same names:

    object_id, task, label, predicted, score, corrected_at, reviewer, reviewed_at, decision

The last three are history (see `artray.catalogs.statements`), and files of before have none. Label Studio's export
(`catalogs.label_studio`) and pages of W3C annotations (`catalogs.annotation_pages`) say the same in their ways, and so
does the plan of `sample-plan` when its column `label` has been filled in.

A confirmed label is a correction too: now it is known. An empty one says that none of the task's labels is right: the
work then has none. Of a task with several labels `label` holds all that are right (see `targets.separate`). Of several
corrections for one work and task the latest counts, by `reviewed_at` or `corrected_at`, else by the order of files and
rows, whoever made them and whichever model or run they are about; where people differ, it is said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from artray import console
from artray.catalogs import annotation_pages, label_studio
from artray.catalogs.catalog import SAVE_ANEW, SUFFIXES, Reading
from artray.catalogs.folder import load_catalog
from artray.catalogs.formulas import unguard
from artray.catalogs.match_report import printable
from artray.catalogs.statements import Annotation, Statement, folded, moment, one_line
from artray.catalogs.targets import separate
from artray.errors import InputError, count_of, first_of
from artray.storage import Location

_NEEDED = ("object_id", "task", "label")
_EXAMPLES = 3
_EMPTY = re.compile(r"column '\w+' is empty")
_PLAN = "chosen_for"  # a column that the plan of `sample-plan` has, and nothing else
_UNSEEN = ("label", "uncertain")  # what the exports say of a label before somebody has decided
_EARLIEST = datetime.min.replace(tzinfo=timezone.utc)
_PAGES = (".json", ".jsonld")


@dataclass(frozen=True, slots=True)
class Corrections:
    """What curators said.

    Attributes:
        labels: By task, the label of each object_id; None where none is right.
        problems: What was left out, or contradicts each other, in words.
        statements: By task and object_id, the same with who said it and when.
        unplaced: What names its work or task by addresses only: see `placed`.
    """

    labels: Mapping[str, Mapping[str, str | None]]
    problems: tuple[str, ...] = ()
    statements: Mapping[str, Mapping[str, Statement]] = field(default_factory=dict)
    unplaced: tuple[Annotation, ...] = ()

    def said(self, task: str) -> dict[str, Statement]:
        """What was said of a task's works, by object_id."""
        known = self.statements.get(task, {})
        return {key: known.get(key) or Statement(label) for key, label in self.labels.get(task, {}).items()}

    def reviewers(self, task: str) -> str:
        """Who said how much, for a terminal; empty where nobody is named."""
        counted = Counter(said.reviewer for said in self.said(task).values())
        named = [f"{printable(name)} {number:,}" for name, number in counted.most_common() if name]
        return first_of(named, _EXAMPLES)


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
        new: Labels that no row had before, where rows had some: a new class, or a misspelt one.
    """

    labels: pa.Array
    changed: int
    added: int
    cleared: int
    confirmed: int
    unknown: tuple[str, ...]
    new: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The corrections as lines for a terminal."""
        counts = [f"{self.changed:,} changed", f"{self.added:,} added", f"{self.confirmed:,} confirmed"]
        if self.cleared:
            counts.append(f"{self.cleared:,} taken away")
        lines = [f"corrections: {', '.join(counts)}"]
        if self.confirmed and not (self.changed or self.added or self.cleared):
            lines.append("the corrections only confirm: no label has changed")
        examples = {
            "corrections of works that are not here": self.unknown,
            "labels that no work had before": self.new,
        }
        for what, names in examples.items():
            if names:
                lines.append(f"{what}: {len(names):,} ({first_of([printable(name) for name in names], _EXAMPLES)})")
        return lines


def read_corrections(uris: Sequence[Location]) -> Corrections:
    """Corrections from files, as the page, a spreadsheet or another program saved them.

    Raises:
        InputError: A file can't be read, or lacks a column.
    """
    problems: list[str] = []
    annotations: list[Annotation] = []
    for uri in [file for given in uris for file in _files(given, problems)]:
        left_out: Counter[tuple[str, str]] = Counter()
        annotations += _read(uri, left_out, problems)
        problems += [f"{uri}: {count_of(number, what)} {why}, left out" for (what, why), number in left_out.items()]
    placed = [each for each in annotations if each.object_id is not None and each.task is not None]
    unplaced = tuple(each for each in annotations if each.object_id is None or each.task is None)
    return _latest(placed, problems, unplaced)


def placed(
    corrections: Corrections,
    table: pa.Table,
    tasks: Mapping[str, Iterable[str]],
) -> Corrections:
    """Corrections whose annotations name their works by address, with these works' ids.

    Args:
        corrections: As read.
        table: The works: `object_id`, `image_uri` and columns with `canvas` or `iiif` in their names, where there are.
        tasks: Each task's labels, by which an annotation without a task has one.
    """
    if not corrections.unplaced:
        return corrections
    spelt = {name: {label.casefold(): label for label in labels} for name, labels in tasks.items()}
    ids = table["object_id"].to_pylist()
    works: dict[str, str | None] = {}
    for name in table.column_names:
        if name == "image_uri" or any(word in name.casefold() for word in ("canvas", "iiif")):
            for object_id, address in zip(ids, table[name].to_pylist(), strict=True):
                if isinstance(address, str):  # an address of two works names neither
                    works[address] = object_id if works.get(address, object_id) == object_id else None
    # Of several labels of a work each has a name of its own, below the task's.
    wanted = {
        piece for each in corrections.unplaced if each.name for piece in (each.name, each.name.rpartition("/")[0])
    }
    has_urns = any(name.startswith("urn:uuid:") for name in wanted)
    names: dict[str, tuple[str, str]] = {}
    for asked in tasks:
        for key in ids:
            for plain_id in (f"{asked}/{key}", f"{asked}/{key}/review"):
                urn_or_id = annotation_pages.urn_of("annotation", plain_id) if has_urns else plain_id
                names |= {name: (asked, key) for name in (plain_id, urn_or_id) if name in wanted}
    found, left_out = [], Counter[str]()
    labels: dict[tuple[str, str, str | None], set[str | None]] = {}  # that somebody has given a work by annotations
    for each in corrections.unplaced:
        name = each.name or ""
        known = names.get(name) or names.get(name.rpartition("/")[0])
        task = known[0] if known else each.task
        object_id = known[1] if known else each.object_id or _work(each.target, works)
        label = each.said.label
        if task is None and label is not None:
            task, label = _task(label, spelt)
        if object_id is None:
            left_out["whose picture is not here"] += 1
        elif task is None:
            left_out["whose text is no label of any task (TASK: LABEL names one)"] += 1
        else:
            found.append(Annotation(replace(each.said, label=label), object_id, task))
            if each.name:
                labels.setdefault((task, object_id, each.said.reviewer), set()).add(label)
    problems = [f"{count_of(number, 'annotation')} {why}, left out" for why, number in left_out.items()]
    if several := sum(len(given) > 1 for given in labels.values()):
        problems.append(
            f"{count_of(several, 'work has', 'works have')} annotations of one person with different "
            "labels, of which the latest counts (several labels of a work are several bodies of one annotation)"
        )
    before = [
        Annotation(said, key, asked) for asked in corrections.labels for key, said in corrections.said(asked).items()
    ]
    return _latest([*before, *found], [*corrections.problems, *problems], ())


def _work(target: str | None, works: Mapping[str, str | None]) -> str | None:
    if target is None:
        return None
    decoded = unquote(target)
    return works.get(target) or works.get(decoded) or works.get(decoded.removeprefix("file://"))


def _task(label: str, tasks: Mapping[str, Mapping[str, str]]) -> tuple[str | None, str]:
    """The task that a text names, or whose label it is alone."""
    named, colon, rest = label.partition(":")
    if colon and named.strip() in tasks and rest.strip():
        label_there = rest.strip()
        return named.strip(), tasks[named.strip()].get(label_there.casefold(), label_there)
    asked = [name for name, labels in tasks.items() if label.casefold() in labels]
    return (asked[0], tasks[asked[0]][label.casefold()]) if len(asked) == 1 else (None, label)


def _files(uri: Location, problems: list[str]) -> list[Location]:
    """Of a folder of annotation pages the pages; else the place itself."""
    if uri.name.lower().endswith(_PAGES) or uri.is_file():
        return [uri]
    pages: list[Location] = []
    others = 0
    for name in sorted(uri.names()):
        page = annotation_pages.parsed((uri / name).read_bytes()) if name.lower().endswith(_PAGES) else None
        if page is None:
            others += name.lower().endswith(tuple(SUFFIXES))
        elif not annotation_pages.names_its_pages(page):
            pages.append(uri / name)
    if pages and others:
        files = count_of(others, "file that is no annotation page", "files that are no annotation pages")
        problems.append(f"{uri}: {files}, left out; give them by their names")
    return pages or [uri]


def _read(uri: Location, left_out: Counter[tuple[str, str]], problems: list[str]) -> Iterator[Annotation]:
    if uri.name.lower().endswith(_PAGES) and (page := annotation_pages.parsed(uri.read_bytes())) is not None:
        if annotation_pages.names_its_pages(page):
            raise InputError(f"{uri}: only names the pages of its annotations: give these, or their folder")
        for each in annotation_pages.read_page(page):
            if isinstance(each, str):
                left_out["annotation", each] += 1
            else:
                yield each
        return
    catalog = load_catalog(uri, Reading(remedy=SAVE_ANEW, list_texts=False))  # see `targets.separate`
    table = catalog.table
    # A reviewer who gives no name leaves a column empty, and nothing is lost.
    problems += [f"{uri}: {problem}" for problem in catalog.problems if not _EMPTY.match(str(problem))]
    if label_studio.list_column(table) is not None:
        for annotation in label_studio.read_statements(table):
            if annotation is None:
                left_out["annotation", "skipped by its annotator"] += 1
            else:
                yield annotation
        return
    is_plan = _PLAN in table.column_names
    if is_plan and "task" not in table.column_names:
        raise InputError(
            f"{uri}: a plan of sample-plan that names no task: give it a column 'task' (style in each row)"
        )
    lacking = [name for name in _NEEDED if name not in table.column_names]
    if lacking:
        raise InputError(f"{uri}: not corrections of the page: there is no column {', '.join(lacking)}")
    names = (*_NEEDED, "predicted", "reviewer", "reviewed_at", "corrected_at", "decision")
    columns = [table[name].to_pylist() if name in table.column_names else [None] * len(table) for name in names]
    for object_id, task, label, predicted, reviewer, reviewed_at, corrected_at, decision in zip(*columns, strict=True):
        if is_plan and not label:  # not "none of these", but not looked at
            left_out["work", "of the plan without a label"] += 1
            continue
        if object_id is None or task is None:
            left_out["row", "without object_id or task"] += 1
            continue
        if decision in _UNSEEN and not reviewer and not reviewed_at:
            left_out["label", "of a model that nobody has looked at"] += 1
            continue
        said = Statement(
            label=unguard(label) if label else None,
            predicted=unguard(predicted) if predicted else None,
            reviewer=one_line(unguard(reviewer)) if reviewer else None,
            reviewed_at=moment(reviewed_at) or moment(corrected_at),
        )
        yield Annotation(said, unguard(object_id), unguard(task))


def _latest(
    annotations: Sequence[Annotation], problems: Sequence[str], unplaced: tuple[Annotation, ...]
) -> Corrections:
    """Of each work and task the latest, and what people said differently."""
    latest: dict[tuple[str, str], Statement] = {}
    at_once: dict[tuple[str, str], set[str | None]] = {}  # what is said at the latest time, or at no time
    people: dict[tuple[str, str], dict[str, str | None]] = {}
    for each in sorted(annotations, key=lambda each: each.said.reviewed_at or _EARLIEST):
        assert each.task is not None
        assert each.object_id is not None
        key, said = (each.task, each.object_id), each.said
        if key in latest and latest[key].reviewed_at != said.reviewed_at:
            at_once.pop(key)
        latest[key] = said
        at_once.setdefault(key, set()).add(said.label)
        if said.reviewer:
            people.setdefault(key, {})[said.reviewer] = said.label
    differ = {key for key, words in people.items() if len(set(words.values())) > 1}
    twice = {key for key, labels in at_once.items() if len(labels) > 1} - differ
    told = [f"{works[0]}: people differ about {works[1]}; the latest word counts" for works in _by_task(differ, latest)]
    told += [
        f"{works[0]}: different labels, with one time or without any, are given to {works[1]}; the last in the files "
        "counts"
        for works in _by_task(twice, latest)
    ]
    labels: dict[str, dict[str, str | None]] = {}
    statements: dict[str, dict[str, Statement]] = {}
    for (task, object_id), said in latest.items():
        labels.setdefault(task, {})[object_id] = said.label
        statements.setdefault(task, {})[object_id] = said
    return Corrections(labels, (*problems, *told), statements, unplaced)


def _by_task(some: Collection[tuple[str, str]], order: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of each task that some works (task, object_id) are of, how many they are, with the first few."""
    ids_of: dict[str, list[str]] = {}
    for key in order:
        if key in some:
            ids_of.setdefault(key[0], []).append(printable(key[1]))
    return [(task, f"{count_of(len(ids), 'work')} ({first_of(ids, _EXAMPLES)})") for task, ids in ids_of.items()]


def corrected(table: pa.Table, column: str, task: str, uris: Sequence[Location]) -> pa.Table:
    """A table with the corrections of a task in one of its columns, and a word about them.

    Raises:
        InputError: A file can't be read, has nothing about the task, or the column does not hold labels.
    """
    kind = table[column].type
    plain = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
    if not (pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_null(plain)):
        raise InputError(f"corrections are labels; the column {column!r} holds {kind}")
    corrections = read_corrections(uris)
    if corrections.unplaced:
        number = len(corrections.unplaced)
        console.say(
            f"corrections: {count_of(number, 'annotation names its work', 'annotations name their works')}"
            " by address only, left out; `ingest --corrections` finds such works"
        )
    if task not in corrections.labels:
        raise InputError(f"no corrections of the task {task!r} (there are: {', '.join(corrections.labels) or 'none'})")
    result = correct(table, column, corrections.labels[task])
    for line in (*corrections.problems, *result.lines()):
        console.say(line)
    if by := corrections.reviewers(task):
        console.say(f"corrections by {by}")
    return table.set_column(table.column_names.index(column), column, result.labels)


def has_correction(ids: pa.ChunkedArray, corrections: Corrections, task: str) -> pa.ChunkedArray:
    """Which rows have a correction of a task, by their `object_id`: at least those to which `correct` gives one."""
    wanted = corrections.labels.get(task, {})
    plain = pc.utf8_trim_whitespace(pc.utf8_normalize(ids, form="NFC"))
    return pc.is_in(plain, value_set=pa.array([folded(object_id) for object_id in wanted], ids.type))


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
    wanted = {folded(object_id): label for object_id, label in labels.items()} | dict(labels)
    after: list[str | list[str] | None] = []
    changed = added = cleared = confirmed = 0
    used = set()
    for object_id, old in zip(ids, before, strict=True):
        name = object_id if object_id in wanted else folded(object_id)
        if name not in wanted:
            after.append(old)
            continue
        given = wanted[name]
        label = separate(given) or None if several and given is not None else given
        after.append(label)
        used.add(folded(object_id))
        had = bool(old)
        same = sorted(old) == sorted(label) if several and old and label else old == label
        changed += had and label is not None and not same
        added += not had and label is not None
        cleared += had and label is None
        confirmed += had and same
    old_labels, labels_now = (
        {label for cell in cells for label in ([cell] if isinstance(cell, str) else cell or ())}
        for cells in (before, after)
    )
    unknown = sorted(object_id for object_id in labels if folded(object_id) not in used)
    return Corrected(
        labels=pa.array(after, kind),
        changed=changed,
        added=added,
        cleared=cleared,
        confirmed=confirmed,
        unknown=tuple(unknown),
        new=tuple(sorted(labels_now - old_labels)) if old_labels else (),
    )
