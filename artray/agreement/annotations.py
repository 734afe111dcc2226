"""Annotations as numbers: who gave which label to which work, once each; repeats, gold and what is left out apart."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.agreement.coefficients import Floats, Integers, Level
from artray.catalogs.empty_words import says_nothing
from artray.catalogs.labels import read_labels
from artray.errors import InputError
from artray.vocabulary import Class, Vocabulary, fold

MOST_CLASSES = 256
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Rows:
    """Annotations as they were read.

    Attributes:
        table: `object` and `annotator`, text, null where a cell is empty; and a text column for each task. A row is an
            annotation.
        gold: (rows,): whether a row's labels are known to be right; then its annotator does not matter.
        left_out: What the reader left out, counted by reason.
        tasks: The column of each task in the table.
    """

    table: pa.Table
    gold: npt.NDArray[np.bool_]
    tasks: Mapping[str, str]
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Repeats:
    """Works that an annotator labelled again: (repeats,) each.

    Attributes:
        annotator: Number of the annotator.
        first: Class of the first label.
        again: Class of a later one.
    """

    annotator: Integers
    first: Integers
    again: Integers


@dataclass(frozen=True, slots=True)
class Annotations:
    """One task's annotations, each annotator's first of each work; sorted by work, then annotator.

    Attributes:
        task: Its name.
        level: What the labels are.
        classes: The labels, in order.
        values: (classes,): their numbers; None where they are none.
        objects: The works' ids, sorted.
        annotators: Their names, sorted.
        object: (n,): each annotation's work, as a place in `objects`.
        annotator: (n,): likewise.
        label: (n,): likewise in `classes`.
        gold: (objects,): the class known to be right; -1 where none is.
        repeats: The later annotations of works that their annotator had labelled.
        left_out: How many annotations are not among these, by reason, with examples.
    """

    task: str
    level: Level
    classes: tuple[str, ...]
    values: Floats | None
    objects: list[str]
    annotators: list[str]
    object: Integers
    annotator: Integers
    label: Integers
    gold: Integers
    repeats: Repeats
    left_out: Mapping[str, int]

    def votes(self, active: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int32]:
        """(objects, classes): how many annotators gave each label.

        Args:
            active: (annotators,): whose labels count; default: all.
        """
        of = slice(None) if active is None else active[self.annotator]
        width = len(self.classes)
        cells = np.bincount(self.object[of] * width + self.label[of], minlength=len(self.objects) * width)
        return cells.astype(np.int32).reshape(len(self.objects), width)


def number(text: str) -> float | None:
    """A label's number, with a decimal point or comma; None for what is none.

    >>> number("-1"), number("2,5"), number("three")
    (-1.0, 2.5, None)
    """
    try:
        value = float(re.sub(r"^([+-]?\d+),(\d+)$", r"\1.\2", text.strip().replace("−", "-")))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def encode(
    rows: Rows,
    task: str,
    *,
    level: Level = "nominal",
    classes: Sequence[str] = (),
    separator: str | None = None,
) -> Annotations:
    """A task's annotations, numbered.

    Args:
        rows: As they were read.
        task: Which of `rows.tasks`.
        level: What the labels are.
        classes: All that there may be, in order; default: those that occur, numbers by size, else by alphabet.
        separator: What stands between several labels of a cell; such cells are left out.

    Raises:
        InputError: There are fewer than two labels or more than `MOST_CLASSES`, ranks have no order, or no work was
            labelled by two annotators.
    """
    column = rows.table[rows.tasks[task]].combine_chunks()
    codes, names, values, dropped = _classes(column, task, level, classes, separator)
    if len(names) < 2:
        only = f"only the label {names[0]!r}" if names else "no label"
        raise InputError(f"{task}: column {rows.tasks[task]!r} holds {only}; agreement is about two labels or more")
    if len(names) > MOST_CLASSES:
        raise InputError(
            f"{task}: column {rows.tasks[task]!r} holds {len(names):,} different labels, more than {MOST_CLASSES}: "
            "is it the right column? Numbers can be rounded, and --classes names the labels that count"
        )
    left_out = dict(rows.left_out) | dropped
    objects, of_object = _numbered(rows.table["object"].combine_chunks())
    people = pc.if_else(pa.array(rows.gold), pa.scalar(None, pa.string()), rows.table["annotator"].combine_chunks())
    annotators, of_annotator = _numbered(people)
    labelled, has_object = codes >= 0, of_object >= 0
    nameless = labelled & has_object & (of_annotator < 0) & ~rows.gold
    for what, missing in (("labels without a work", labelled & ~has_object), ("labels without an annotator", nameless)):
        if missing.any():
            left_out[what] = int(missing.sum())

    whole = np.flatnonzero(labelled & has_object & (of_annotator >= 0))
    order = whole[np.lexsort((of_annotator[whole], of_object[whole]))]  # stable: the first label stays the first
    key = of_object[order] * len(annotators) + of_annotator[order]
    is_first = np.append(True, key[1:] != key[:-1])[: len(key)]
    first = order[is_first]
    before = first[np.cumsum(is_first) - 1][~is_first]
    again = order[~is_first]
    # Works and people all of whose annotations were left out are none.
    kept_objects, object_index = np.unique(of_object[first], return_inverse=True)
    kept_people, name = np.unique(of_annotator[first], return_inverse=True)
    right = np.flatnonzero(rows.gold & labelled & has_object)
    result = Annotations(
        task=task,
        level=level,
        classes=names,
        values=values,
        objects=[objects[number] for number in kept_objects.tolist()],
        annotators=[annotators[number] for number in kept_people.tolist()],
        object=object_index,
        annotator=name,
        label=codes[first],
        gold=_gold(of_object[right], codes[right], kept_objects, left_out),
        repeats=Repeats(np.searchsorted(kept_people, of_annotator[again]), codes[before], codes[again]),
        left_out=left_out,
    )
    if not (result.votes().sum(axis=1) >= 2).any():
        raise InputError(
            f"{task}: no work has labels of two annotators ({len(result.objects):,} works, {len(result.annotators):,} "
            "annotators): agreement needs works that several people labelled"
        )
    return result


def _numbered(texts: pa.Array) -> tuple[list[str], Integers]:
    """The different texts in order, and each one's place among them; -1 for null."""
    encoded = pc.dictionary_encode(texts)
    values: list[str] = encoded.dictionary.to_pylist()
    order = sorted(range(len(values)), key=values.__getitem__)
    rank = np.empty(len(values) + 1, np.int64)
    rank[order] = np.arange(len(values))
    rank[-1] = -1
    codes = np.asarray(pc.fill_null(encoded.indices, len(values)), np.int64)
    return [values[number] for number in order], rank[codes]


def _gold(of_object: Integers, codes: Integers, kept: Integers, left_out: dict[str, int]) -> Integers:
    """The label known to be right of each work that is kept; what can't be used is counted."""
    pairs = np.unique(np.stack([of_object, codes], axis=1), axis=0) if len(codes) else np.zeros((0, 2), np.int64)
    works, numbers = np.unique(pairs[:, 0], return_counts=True)
    clear = np.isin(pairs[:, 0], works[numbers == 1])
    there = np.isin(pairs[:, 0], kept)
    left_out |= {"gold works with several labels": count} if (count := int((numbers > 1).sum())) else {}
    left_out |= {"gold works that nobody labelled": count} if (count := int((clear & ~there).sum())) else {}
    gold = np.full(len(kept), -1, np.int64)
    used = pairs[clear & there]
    gold[np.searchsorted(kept, used[:, 0])] = used[:, 1]
    return gold


# -- labels ------------------------------------------------------------------------------------------------------------

_Classes = tuple[Integers, tuple[str, ...], Floats | None, dict[str, int]]
"""Each cell's class or -1, the classes, their numbers if they are some, and what was left out."""


def _classes(column: pa.Array, task: str, level: Level, classes: Sequence[str], separator: str | None) -> _Classes:
    cells = pc.dictionary_encode(column)
    texts: list[str] = cells.dictionary.to_pylist()
    said = {text: number(text) for text in texts if text in classes or not says_nothing(text)}
    given = [number(name) for name in classes]
    are_numbers = [value is not None for value in given or said.values()]
    numeric = all(are_numbers) if classes or level == "nominal" else 2 * sum(are_numbers) > len(are_numbers)
    numeric &= bool(said)
    if level == "interval" or numeric:
        # Not by the folded spelling, in which -1 is 1.
        return _numbers(cells, texts, said, task, classes)
    if level == "ordinal" and not classes:
        shown = ", ".join(list(said)[:_EXAMPLES])
        raise InputError(
            f"--level {task}=ordinal: the labels are no numbers ({shown}); --classes {task}=LOW,MIDDLE,HIGH says how "
            "they follow each other"
        )
    vocabulary = Vocabulary(task, "", tuple(map(Class, classes))) if classes else None
    if len({fold(name) for name in classes}) < len(classes):
        raise InputError(f"--classes {task}={','.join(classes)}: holds a label twice")
    read = read_labels(column, vocabulary, separator=separator)
    names = tuple(classes) or read.classes
    codes = pc.fill_null(pc.index_in(read.labels, pa.array(names, pa.string())), -1)
    words = {
        "empty": "empty cells",
        "several values": "cells with several labels",
        "not in the vocabulary": "labels not in --classes",
    }
    dropped: dict[str, int] = {}
    for why, what in read.dropped.items():
        shown = "" if why == "empty" else _shown([value for value, _ in what.values], len(what.values))
        dropped[words.get(why, why) + shown] = what.count
    return np.asarray(codes, np.int64), names, None, dropped


def _numbers(
    cells: pa.DictionaryArray, texts: Sequence[str], said: Mapping[str, float | None], task: str, classes: Sequence[str]
) -> _Classes:
    """Labels that are numbers: those of one value are one."""
    values = {value for value in said.values() if value is not None}
    wanted = [number(name) for name in classes]
    if None in wanted:
        raise InputError(f"--classes {task}={','.join(classes)}: with --level {task}=interval labels are numbers")
    order = [value for value in wanted if value is not None] or sorted(values)
    if len(set(order)) < len(order):
        raise InputError(f"--classes {task}={','.join(classes)}: holds a label twice")
    index = {value: at for at, value in enumerate(order)}
    of_text, foreign, wordy = [], [], []
    for text in texts:
        value = said.get(text)
        of_text.append(-1 if value is None else index.get(value, -1))
        if text in said and value is None:
            wordy.append(text)
        elif value is not None and value not in index:
            foreign.append(text)
    codes = np.array([*of_text, -1], np.int64)[np.asarray(pc.fill_null(cells.indices, len(texts)), np.int64)]
    sizes = np.bincount(np.asarray(cells.indices.drop_null(), np.int64), minlength=len(texts))
    size = dict(zip(texts, sizes.tolist(), strict=True))
    dropped = {"empty cells": cells.indices.null_count + sum(size[text] for text in texts if text not in said)}
    for what, which in (("labels that are no numbers", wordy), ("labels not in --classes", foreign)):
        which.sort(key=lambda text: -size[text])
        dropped[what + _shown(which, len(which))] = sum(size[text] for text in which)
    names = tuple(classes) or tuple(f"{value:.12g}" for value in order)
    return codes, names, np.array(order, np.float64), {what: count for what, count in dropped.items() if count}


def _shown(values: Sequence[str], total: int) -> str:
    shown = ", ".join(values[:_EXAMPLES])
    return f" ({shown}{', …' if total > _EXAMPLES else ''})" if shown else ""
