"""Station 1: list the pictures, join the catalogue, read the labels, divide into parts; writes the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray import console
from artray.catalogs.columns import (
    Mapping,
    Task,
    attach_table,
    guess_separator,
    guessed_mapping,
    named_mapping,
    ready_mappings,
    several_columns,
    uppercase,
)
from artray.catalogs.corrections import correct, placed, read_corrections
from artray.catalogs.empty_words import without_nobody
from artray.catalogs.join_columns import find_join
from artray.catalogs.label_lists import each_label, rarest, read_task_labels, undivided
from artray.catalogs.labels import count_classes, count_values, keep_rows, spelled_alike
from artray.catalogs.nested import objects_in_labels
from artray.catalogs.statements import Statement, history_columns
from artray.catalogs.vocabularies import read_vocabulary
from artray.errors import InputError
from artray.ingest.groups import columns_to_split_by, join_alike, large_group, work_groups
from artray.ingest.listing import list_pictures
from artray.ingest.manifest import (
    FILE,
    RESERVED,
    Previous,
    with_split_options,
    write_manifest,
)
from artray.ingest.options import IngestOptions
from artray.ingest.rows import Rows, join_rows
from artray.ingest.scaled_copies import without_scaled_copies
from artray.ingest.splits import PARTS, assign_folds, assign_splits, empty_parts, split_notes
from artray.job import Counts
from artray.storage import Location, keep_apart, refuse_other_job, refuse_other_rows
from artray.vocabulary import vocabularies

_JOB = "manifest"
_COLUMNS = "columns"  # in the options of the split: what --split-by came to


def ingest(options: IngestOptions) -> Counts:
    """Write the manifest of a collection.

    Raises:
        InputError: There are no pictures, the catalogue or a column of it can't be used, or `out` can't be written,
            holds something else or is the place of an input.
    """
    out = options.out
    keep_apart(out, {"--images": options.images})
    files = {"--catalog": options.catalog, "--attach": options.attach, "--corrections": options.corrections}
    keep_apart(out / FILE, files)
    refuse_other_job(out, _JOB)
    # Not below: a table made of `out/manifest.parquet` may lie there, and there may be millions of pictures.
    refuse_other_rows(out, {FILE}, depth=1)
    out.ensure_writable()
    catalog, mapping, folders = _records(options)
    pictures = list_pictures(options.images)
    if options.views:
        pictures, left_out = without_scaled_copies(pictures, catalog.columns)
        if left_out:
            console.say(left_out)
    guessed = not (options.mapping or options.id_column or options.file_column or options.url_column)
    join = find_join(pictures, catalog, mapping, guessed=guessed, folders=folders)
    for line in join.lines:
        console.say(line)
    mapping, match = join.mapping, join.match
    previous = Previous.read(out)
    if options.new_split:
        previous = previous.without_split()
    _check_split_options(options, mapping, previous)
    rows = join_rows(options.images, pictures, catalog, mapping=mapping, match=match, previous=previous)
    total, there = len(rows.table), len(pictures)
    counts: Counts = {"rows": total, "ok": there, "failed": total - there, "out": str(out)}
    if options.catalog:
        for line in match.report.lines():
            console.say(line)
        counts |= {
            "catalog_rows": len(catalog),
            "matched": match.report.pictures_matched,
            "without_record": match.report.pictures - match.report.pictures_matched,
            "without_picture": match.report.rows - match.report.rows_matched,
        }
    for task in mapping.labels:
        counts.setdefault("labelled", {})[task] = _add_labels(rows, task, mapping)
    given_test = _given_test(rows, options.test_from) if options.test_from else None
    groups, has_maker = work_groups(rows, mapping, options.split_by, views=options.views)
    if options.near_duplicates:
        from artray.ingest.perceptual_hashes import read_perceptual_hashes  # needs Ray, which nothing else here does

        hashes = read_perceptual_hashes(rows.table, out)
        groups, found_alike = join_alike(rows, groups, hashes, has_maker=has_maker, tasks=list(mapping.labels))
        counts |= found_alike
    if large := large_group(groups):
        console.say(f"split: {large}")
    counts["split"] = _add_split(
        rows, groups, given_test, options, task=next(iter(mapping.labels), None), previous=previous
    )
    # After the split, which they so leave as it would be without them: no corrected work changes sides.
    if options.corrections:
        counts["corrected"] = _correct(rows, options, counts.get("labelled", {}))
    rows.add("change", changes := previous.changes(rows.table))
    if previous.id_of_uri:
        counts |= {"new": changes.count("new"), "changed": changes.count("changed"), "gone": previous.gone(rows.table)}
    dealt_by = _split_options(options, mapping)
    run = {"job": _JOB, "counts": counts, "split": dealt_by}
    write_manifest(out, with_split_options(rows.table, dealt_by), run)
    console.table("manifest", ["what", "number"], [(n, v) for n, v in counts.items() if isinstance(v, int)])
    return counts


# -- what there is -----------------------------------------------------------------------------------------------------


def _records(options: IngestOptions) -> tuple[pa.Table, Mapping, pa.Array | None]:
    """The catalogue's rows, none without a catalogue, which of its columns mean what, and `find_join`'s folders."""
    if options.catalog is None:
        mapping = _with_flags(
            (named_mapping(options.mapping) if options.mapping else Mapping()).without_catalog(), options
        )
        for column in mapping.columns():
            groups = ", ".join(mapping.path_groups()) or "none"
            raise InputError(f"no column {column!r}: there is no --catalog, and the paths' columns are: {groups}")
        return pa.table({}), mapping, None
    catalog = options.read_catalog(options.catalog)
    table, folders = catalog.table, catalog.folders_below(options.catalog, options.images)
    mapping = named_mapping(options.mapping) if options.mapping else guessed_mapping(table, _said(options))
    if options.attach:
        if mapping.attach is None:
            raise InputError(f"--attach {options.attach}: the mapping must say how, attach: {{file, column, to}}")
        table, partners = attach_table(table, options.read_attached(options.attach), mapping.attach)
        console.say(f"attached: {', '.join(f'{count:,} {what}' for what, count in partners.items())}")
    elif mapping.attach:
        console.say(f"without --attach {mapping.attach.file} the rows lack what it says of the works")
    if options.mapping is None or options.mapping in ready_mappings():
        mapping = mapping.without_described(table.column_names)
    mapping = _with_flags(mapping, options, table.column_names)
    table = mapping.complete(table)
    columns = list(mapping.labels.values())
    if mapping.separator is None and ("[]" in "".join(columns) or not (options.mapping or mapping.description)):
        mapping = mapping.model_copy(update={"separator": guess_separator(table, columns)})
    table = uppercase(table, mapping.uppercase)
    table = without_nobody(table, mapping.artist)
    labels = [name for name in columns if name in table.column_names]
    counted = mapping.counted or ([mapping.artist] if mapping.artist else []) + labels
    lines = objects_in_labels(table, mapping.labels)
    lines += count_classes(table, [name for name in counted if name in table.column_names])
    for line in lines + [line for name in labels for line in count_values(table, name)]:
        console.say(line)
    return table, mapping, folders


def _said(options: IngestOptions) -> list[str]:
    """The roles of which the flags say what is to be taken, whatever is guessed."""
    flags = {
        "object_id": options.id_column,
        "file": options.file_column,
        "url": options.url_column,
        "title": options.title_column,
        "artist": options.artist_column,
        "date": options.date_column,
        "label": options.label,
        "separator": options.separator,
    }
    return [role for role, said in flags.items() if said]


def _with_flags(mapping: Mapping, options: IngestOptions, names: Sequence[str] = ()) -> Mapping:
    """The mapping with what the flags say otherwise, for a catalogue with columns of these names."""
    labels = options.label or mapping.labels
    tasks = {name: mapping.tasks.get(name, Task()) for name in labels}
    for name in labels:
        if name in RESERVED:
            raise InputError(f"a task can't be called {name!r}: the manifest has a column of that name")
    for flag, values in (("vocabulary", options.vocabulary), ("grouping", options.grouping)):
        for name, value in values.items():
            if name not in tasks:
                raise InputError(f"--{flag} {name}={value}: there is no task {name!r} (there is: {', '.join(tasks)})")
            tasks[name] = tasks[name].model_copy(update={flag: value})
    if options.separator:
        undecided = [name for name, task in tasks.items() if "several" not in task.model_fields_set]
        tasks |= {name: tasks[name].model_copy(update={"several": "found"}) for name in undecided}
    for flag, several, given_tasks in (
        ("multilabel", "all", options.multilabel),
        ("one-label", "drop", options.one_label),
    ):
        for name in given_tasks:
            if name not in tasks:
                raise InputError(f"--{flag} {name}: there is no task {name!r} (--label {name}=COLUMN makes one)")
            tasks[name] = tasks[name].model_copy(update={"several": several})
    for name in set(options.multilabel) & set(options.one_label):
        raise InputError(f"--multilabel {name} and --one-label {name}: give one of the two")
    for name, task in tasks.items():
        only = task.only | {column: (value,) for column, value in options.only.items()}
        size = options.min_class_size or task.min_class_size
        tasks[name] = task.model_copy(update={"only": only, "min_class_size": size})
    given: dict[str, Any] = {"object_id": options.id_column}
    for role, wanted in (("file", options.file_column), ("url", options.url_column)):
        if wanted:
            first, *more = several_columns(wanted, names)
            given |= {role: first, f"more_{role}s": tuple(more)}
    given |= {"work_title": options.title_column, "artist": options.artist_column, "date": options.date_column}
    given["separator"] = options.separator
    changes = {name: value for name, value in given.items() if value or isinstance(value, tuple)}
    return mapping.model_copy(update={**changes, "labels": labels, "tasks": tasks})


# -- rows --------------------------------------------------------------------------------------------------------------


def _add_labels(rows: Rows, task: str, mapping: Mapping) -> int:
    """Add the column of a task's labels; returns how many rows have one."""
    how, column = mapping.tasks[task], mapping.labels[task]
    wanted = np.ones(len(rows.table), bool)
    for name, values in how.only.items():
        wanted &= np.asarray(keep_rows(rows.column(name), values, mapping.separator))
    filtered = len(wanted) - int(wanted.sum())
    if column not in mapping.path_groups():  # of a picture without a record not even "no label" is known
        wanted &= np.array([record is not None for record in rows.records], bool)
    name = how.vocabulary or (task if task in vocabularies() else "none")
    vocabulary = None if name == "none" else read_vocabulary(name)
    read = read_task_labels(rows.column(column).filter(pa.array(wanted)), how, vocabulary, mapping.separator)
    for line in read.lines():
        console.say(f"{task}: {line.strip()}")
    told = (
        spelled_alike(read.counts) if vocabulary is None else None,
        undivided(rows.column(column), vocabulary) if mapping.separator is None else None,
    )
    for line in filter(None, told):
        console.say(f"{task}: {line}")
    if "not in the vocabulary" in read.dropped and how.vocabulary is None:
        console.say(f"{task}: with --vocabulary {task}=none each of the column's values is a class")
    if "several values" in read.dropped and how.several == "drop":
        console.say(
            f"{task}: --multilabel {task} keeps all values of a cell, as labels of which a work may have several"
        )
    if how.several == "found" and pa.types.is_list(read.labels.type):
        console.say(
            f"{task}: cells hold several values (divided by {mapping.separator!r}, or lists), so a work may have "
            f"several labels; --one-label {task} takes only cells with one"
        )
    if how.several == "all" and mapping.separator is None:
        console.say(f"{task}: each cell is one label; --separator says what stands between several (such as ';')")
    if filtered:
        console.say(
            f"{task}: not {' or '.join(value for values in how.only.values() for value in values)}: {filtered:,}"
        )
    rows.add(task, read.labels.take(pa.array(np.cumsum(wanted) - 1, mask=~wanted)))
    return int(len(read.labels) - read.labels.null_count)


def _correct(rows: Rows, options: IngestOptions, labelled: dict[str, int]) -> dict[str, dict[str, int]]:
    """Put the curators' labels into the tasks' columns; returns how many rows were changed, added and confirmed."""
    corrections = read_corrections(options.corrections)
    if corrections.unplaced:
        tasks = {name: _labels_of(rows.table, name) for name in {*labelled, *corrections.labels}}
        corrections = placed(corrections, rows.table, tasks)
    for problem in corrections.problems:
        console.say(f"corrections: {problem}")
    for task in options.corrections_column.keys() - corrections.labels.keys():
        known = ", ".join(corrections.labels) or "none"
        raise InputError(f"--corrections-column {task}: there are no corrections of that task (there are: {known})")
    counts = {}
    for task, labels in sorted(corrections.labels.items()):
        name = options.corrections_column.get(task, task)
        column = name if name in rows.table.column_names else rows.names.get(name, name)
        if column in RESERVED:
            raise InputError(f"--corrections-column {task}={name}: the manifest has a column of that name for itself")
        corrected = correct(rows.table, column, labels)
        for line in corrected.lines():
            console.say(f"{task}: {line}")
        if column in rows.table.column_names:
            rows.table = rows.table.set_column(rows.table.column_names.index(column), column, corrected.labels)
        else:
            console.say(f"{task}: column {column!r} is new")
            rows.add(column, corrected.labels)
        if by := corrections.reviewers(task):
            console.say(f"{task}: corrections by {by}")
        _add_history(rows, column, corrections.said(task))
        if column in labelled:
            labelled[column] = len(rows.table) - corrected.labels.null_count
        counts[task] = {
            "changed": corrected.changed,
            "added": corrected.added,
            "confirmed": corrected.confirmed,
            "unknown": len(corrected.unknown),
        }
    return counts


def _labels_of(table: pa.Table, column: str) -> list[str]:
    """The labels of a task that the collection has."""
    if column not in table.column_names:
        return []
    labels = table[column]
    names = pc.unique(pc.list_flatten(labels) if pa.types.is_list(labels.type) else labels).drop_null()
    return list(map(str, names.to_pylist()))


def _add_history(rows: Rows, column: str, said: dict[str, Statement]) -> None:
    """Who said so and when, in columns beside the label's; where the catalogue has such columns, they stay."""
    for name, values in history_columns(rows.table["object_id"].to_pylist(), said).items():
        if f"{column}_{name}" not in rows.table.column_names:
            rows.add(f"{column}_{name}", values)
        else:
            console.say(f"{column}: {column}_{name} is a column of the catalogue, and stays as it is")


# -- parts -------------------------------------------------------------------------------------------------------------


def _split_options(options: IngestOptions, mapping: Mapping) -> dict[str, Any]:
    """By what the parts are dealt out, by flag, as JSON and as it can be compared: 60 and 0.6 are the same share."""
    whole = sum(options.split.values())
    return {
        "--split": {part: round(options.split[part] / whole, 9) for part in PARTS},
        "--split-by": sorted(set(options.split_by)),
        "--test-from": options.test_from,
        "--folds": options.folds,
        "--seed": options.seed,
        "--near-duplicates": "on" if options.near_duplicates else "off",
        "--views": "on" if options.views else "off",
        _COLUMNS: sorted(set(columns_to_split_by(mapping, options.split_by))),
    }


def _check_split_options(options: IngestOptions, mapping: Mapping, previous: Previous) -> None:
    """Refuse to deal out new groups otherwise than the old ones, which keep their parts: that is neither split."""
    if previous.split_options is None:
        return
    out, now = options.out, _split_options(options, mapping)
    by, by_now = previous.split_options.get(_COLUMNS, []), now.pop(_COLUMNS)
    for flag, value in now.items():
        if flag in previous.split_options and previous.split_options[flag] != value:
            raise InputError(
                f"{flag}: the manifest in {out} was split with {_told(previous.split_options[flag])}, not "
                f"{_told(value)}: --new-split deals all its works out anew, without it give the same {flag} again, or "
                "another --out"
            )
    # A column that is new only joins groups; without one that was there they would fall apart.
    if not set(by) <= set(by_now):
        raise InputError(
            f"--split-by: the manifest in {out} was split by {_told(by)}, and by this catalogue or mapping it would be "
            f"by {_told(by_now)}: --new-split deals all its works out anew, without it give the --mapping or "
            "--split-by that was meant, or another --out"
        )


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{part}={share:g}" for part, share in value.items())
    return ",".join(map(str, value)) or "none" if isinstance(value, list) else "none" if value is None else str(value)


def _add_split(
    rows: Rows,
    groups: Sequence[str],
    given_test: Sequence[bool] | None,
    options: IngestOptions,
    *,
    task: str | None,
    previous: Previous,
) -> dict[str, int]:
    """Add the columns group, split and fold; returns the parts' sizes."""
    # Of several labels of a work the rarest is dealt out evenly: the others are there often enough.
    labels = rarest(rows.table[task]) if task else [None] * len(groups)
    before = previous.splits(rows.table)
    split = assign_splits(
        groups,
        labels,
        fractions=options.split,
        seed=options.seed,
        previous=before,
        fixed_test=given_test,
    )
    notes = split_notes(groups, [None] * len(groups), split, before)
    if task:
        owners, each = each_label(rows.table[task])
        notes = split_notes([groups[row] for row in owners], each, [split[row] for row in owners]) + notes
    notes += empty_parts(groups, split, options.split, before, given_test)
    for note in notes:
        console.say(f"split: {note}")
    rows.add("group", pa.array(groups, pa.string()))
    rows.add("split", pa.array(split, pa.string()))
    if options.folds:
        trained = [row for row, part in enumerate(split) if part != "test"]
        folds = assign_folds(
            [groups[row] for row in trained], [labels[row] for row in trained], options.folds, options.seed
        )
        fold = dict(zip(trained, folds, strict=True))
        rows.add("fold", pa.array([fold.get(row) for row in range(len(split))], pa.int32()))
    return dict(Counter(split))


def _given_test(rows: Rows, test_from: str) -> list[bool]:
    """Which rows belong to a given test part."""
    flag = f"--test-from {test_from}"
    column, equals, value = test_from.partition("=")
    if equals:
        given = [cell == value for cell in rows.column(column, flag).to_pylist()]
    else:
        text = Location.parse(test_from).read_bytes().decode("utf-8-sig", errors="replace")
        ids = {line.strip() for line in text.splitlines() if line.strip()}
        given = [object_id in ids for object_id in rows.table["object_id"].to_pylist()]
        if len(ids) > sum(given):
            console.say(f"{flag}: {len(ids) - sum(given):,} of its {len(ids):,} ids are not in the collection")
    if not any(given):
        told = ", ".join(map(repr, sorted({*filter(None, rows.column(column).to_pylist())})[:8])) if equals else ""
        raise InputError(f"{flag}: no row is in it{f' (the column holds {told})' if told else ''}")
    return given
