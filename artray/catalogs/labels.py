"""From a catalogue's cells to one class a row, or none: every step counted.

    split the cell → map to the vocabulary → group or merge → drop small classes

Nothing is dropped silently: `Labels.dropped` says for what reason how many rows have no label, and which values were
met there most.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.empty_words import answers, says_nothing
from artray.catalogs.unicode import without_accents
from artray.errors import InputError, count_of
from artray.vocabulary import Vocabulary, fold

_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many rows have no label for one reason, and the values met there most (value, rows)."""

    count: int
    values: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(f"{value} {count:,}" for value, count in self.values)
        return f"{self.count:,}" + (f" ({shown})" if shown else "")


@dataclass(frozen=True, slots=True)
class Labels:
    """One label a row, or a list of them.

    Attributes:
        labels: Strings, or lists of strings; null where a row has none.
        classes: The classes that occur, in the vocabulary's order (without one: alphabetically).
        counts: Rows of each of them.
        dropped: Rows without a label, by reason: `empty` (or a word for that, NULL or unknown, where it is no class of
            the vocabulary or named), `several values`, `not in the vocabulary`, `not in the grouping`,
            `class not kept`, `class too small`.
    """

    labels: pa.Array
    classes: tuple[str, ...]
    counts: dict[str, int]
    dropped: dict[str, Dropped]

    def lines(self) -> list[str]:
        """The labels as lines for a terminal."""
        counted = ", ".join(f"{name} {self.counts[name]:,}" for name in self.classes)
        labelled = f"labelled: {len(self.labels) - self.labels.null_count:,} of {len(self.labels):,} rows"
        if pa.types.is_list(self.labels.type):
            labelled += f", {count_of(sum(self.counts.values()), 'label')}"
        return [
            labelled + (f" ({counted})" if counted else ""),
            *(f"  {why}: {what}" for why, what in self.dropped.items()),
        ]


def read_labels(
    column: pa.ChunkedArray | pa.Array,
    vocabulary: Vocabulary | None = None,
    *,
    separator: str | None = None,
    several: Literal["drop", "first", "known"] = "drop",
    grouping: str | None = None,
    merge: Mapping[str, Sequence[str]] | None = None,
    keep: Sequence[str] | None = None,
    min_class_size: int = 1,
) -> Labels:
    """Give each row at most one label.

    Args:
        column: Cells as text, null where empty.
        vocabulary: The classes there are. Without one, each different value is a class (case apart, named by its
            most frequent spelling).
        separator: What stands between several values of a cell.
        several: What becomes of a cell with several different values: it gives no label (system A4), its first value,
            or the one value that the vocabulary knows, if it knows one only.
        grouping: One of the vocabulary's groupings; the groups are the labels, and an empty cell has a label where the
            grouping says so (system A2).
        merge: New class by the classes it replaces.
        keep: The only classes kept, by their names after merging.
        min_class_size: Classes with fewer rows are dropped.

    Raises:
        InputError: A class in `merge` or `keep`, or the grouping, does not exist.
    """
    if grouping is not None and vocabulary is None:
        raise InputError("a grouping needs a vocabulary")
    if several == "known" and vocabulary is None:
        raise InputError("several='known' needs a vocabulary")
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    cells = pc.dictionary_encode(array)
    codes = np.asarray(pc.fill_null(cells.indices, -1).to_numpy(zero_copy_only=False), np.int64)
    texts: list[str] = cells.dictionary.to_pylist()
    sizes = np.bincount(codes[codes >= 0], minlength=len(texts))

    named = {*(merge or {}), *(name for members in (merge or {}).values() for name in members), *(keep or ())}
    said = {fold(name) for name in named} | set(vocabulary.spellings() if vocabulary is not None else ())
    cut = [values_of(text, separator) for text in texts]
    said |= answers(value for cell in cut for value in cell)
    values = [[value for value in cell if fold(value) in said or not says_nothing(value)] for cell in cut]
    spellings = vocabulary.spellings() if vocabulary is not None else _spellings(values, sizes)
    order = list(vocabulary.names) if vocabulary is not None else sorted(set(spellings.values()))
    results = [_one_class(cell, spellings, several) for cell in values]
    empty = _Result(None, "empty")

    if grouping is not None and vocabulary is not None:
        group_of = {name: group for group, names in vocabulary.grouping(grouping).items() for name in names}
        results = [_change(result, group_of, "not in the grouping") for result in results]
        empty = _Result(vocabulary.missing[grouping], None) if grouping in vocabulary.missing else empty
        results = [empty if result.why == "empty" else result for result in results]
        order = list(vocabulary.grouping(grouping))
    if merge:
        order, new_name = _merged(order, merge)
        results = [_change(result, new_name, "") for result in results]
        empty = _change(empty, new_name, "")
    if keep is not None:
        _check_classes(keep, order)
        kept = {name: name for name in keep}
        results = [_change(result, kept, "class not kept") for result in results]
        empty = _change(empty, kept, "class not kept")
        order = [name for name in order if name in kept]

    results.append(empty)
    sizes = np.append(sizes, np.count_nonzero(codes < 0))
    counts = _counts(results, sizes)
    large = {name: name for name, count in counts.items() if count >= min_class_size}
    results = [_change(result, large, "class too small") for result in results]
    texts.append("")

    # An empty cell's code, -1, takes the last result.
    labels = pa.array([result.label for result in results], pa.string()).take(pa.array(codes % len(results)))
    counts = _counts(results, sizes)
    classes = tuple(name for name in order if name in counts)
    return Labels(labels, classes, {name: counts[name] for name in classes}, _dropped(results, texts, sizes))


def keep_rows(column: pa.ChunkedArray | pa.Array, values: Sequence[str], separator: str | None = None) -> pa.Array:
    """Which rows have one of the values (a genre filter, system A2): booleans, False for an empty cell.

    Raises:
        InputError: A value that occurs in no row; most likely it is misspelled.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    cells = pc.dictionary_encode(array)
    folded = [{fold(value) for value in values_of(text, separator)} for text in cells.dictionary.to_pylist()]
    wanted = {fold(value): value for value in values}
    for value in wanted.keys() - set().union(*folded):
        known = Counter(text for cell in folded for text in cell).most_common(8)
        raise InputError(f"no row has {wanted[value]!r}; there are {', '.join(repr(name) for name, _ in known)}, …")
    fits = pa.array([not cell.isdisjoint(wanted) for cell in folded], pa.bool_())
    return pc.fill_null(fits.take(cells.indices), False)


@dataclass(frozen=True, slots=True)
class _Result:
    """A cell's label, or why it has none."""

    label: str | None
    why: str | None


def values_of(text: str, separator: str | None) -> list[str]:
    """The different values of a cell, in its order."""
    words = text.split(separator) if separator else [text]
    return list(dict.fromkeys(word.strip() for word in words if word.strip()))


def _spellings(values: Sequence[Sequence[str]], sizes: npt.NDArray[np.int64]) -> dict[str, str]:
    counts: Counter[str] = Counter()
    for cell, size in zip(values, sizes.tolist(), strict=True):
        for value in cell:
            counts[value] += size
    # The most frequent spelling, and the first in the alphabet of equals.
    return {
        fold(value): value
        for value, _ in sorted(counts.items(), key=lambda item: (item[1], [-ord(c) for c in item[0]]))
    }


def _one_class(values: Sequence[str], spellings: Mapping[str, str], several: str) -> _Result:
    if not values:
        return _Result(None, "empty")
    names = [spellings.get(fold(value)) for value in values]
    if several == "first":
        names = names[:1]
    elif several == "known":
        names = [name for name in names if name is not None] or [None]
    different = set(names)
    if None in different and len(names) == 1:
        return _Result(None, "not in the vocabulary")
    if len(different) > 1 or None in different:
        return _Result(None, "several values")
    return _Result(names[0], None)


def _change(result: _Result, names: Mapping[str, str], otherwise: str) -> _Result:
    """The result with its label's new name; a label without one stays, or is dropped for a reason."""
    if result.label is None or result.label in names:
        return result if result.label is None else _Result(names[result.label], None)
    return _Result(None, otherwise) if otherwise else result


def _merged(order: Sequence[str], merge: Mapping[str, Sequence[str]]) -> tuple[list[str], dict[str, str]]:
    new_name: dict[str, str] = {}
    for name, members in merge.items():
        _check_classes(members, order)
        for member in members:
            if new_name.setdefault(member, name) != name:
                raise InputError(f"class {member!r} is merged into {new_name[member]!r} and into {name!r}")
    return list(dict.fromkeys(new_name.get(name, name) for name in order)), new_name


def _check_classes(names: Sequence[str], order: Sequence[str]) -> None:
    for name in names:
        if name not in order:
            raise InputError(f"there is no class {name!r} among {', '.join(order)}")


def _counts(results: Sequence[_Result], sizes: npt.NDArray[np.int64]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for result, size in zip(results, sizes.tolist(), strict=True):
        if result.label is not None and size:
            counts[result.label] = counts.get(result.label, 0) + size
    return counts


def _dropped(results: Sequence[_Result], texts: Sequence[str], sizes: npt.NDArray[np.int64]) -> dict[str, Dropped]:
    by_reason: dict[str, Counter[str]] = {}
    for result, text, size in zip(results, texts, sizes.tolist(), strict=True):
        if result.why is not None and size:
            by_reason.setdefault(result.why, Counter())[text] += size
    return {
        why: Dropped(values.total(), tuple(item for item in values.most_common(_EXAMPLES) if item[0]))
        for why, values in by_reason.items()
    }


_MARK = re.compile(r"[\s'\"“”„,;:?*()\[\]]+")


def spelled_alike(counts: Mapping[str, int]) -> str | None:
    """A word on classes that differ only in accents, marks or zeros, and so may be one: `Art Déco` and `Art Deco`.

    Args:
        counts: Rows of each class, where each different value is one.
    """
    alike: dict[str, list[str]] = {}
    for name in counts:
        key = _MARK.sub("", without_accents(fold(name)))
        alike.setdefault(re.sub(r"^0+(?=[0-9])|[.,]0+$", "", key), []).append(name)
    pairs = [names for names in alike.values() if len(names) > 1]
    if not pairs:
        return None
    shown = "; ".join(", ".join(f"{name!r} {counts[name]:,}" for name in names) for names in pairs[:3])
    return (
        f"classes that are spelled alike: {shown}{'; …' if len(pairs) > 3 else ''} (a mapping's merge makes them one)"
    )


def count_classes(table: pa.Table, columns: Sequence[str]) -> list[str]:
    """How many different values each column has, and how many of its cells are empty.

    The emotion thesis counts an empty cell as one value more. For example `Number of styles: 73`, or
    `Number of emotions: 15 (16 with the empty cell: 37,000 rows)`.
    """
    lines = []
    for name in columns:
        count, empty = pc.count_distinct(table[name]).as_py(), table[name].null_count
        plural = name.lower() if name.lower().endswith("s") else f"{name.lower()}s"
        rows = f" ({count + 1:,} with the empty cell: {count_of(empty, 'row')})" if empty else ""
        lines.append(f"Number of {plural}: {count:,}{rows}")
    return lines


def count_values(table: pa.Table, column: str, top: int = 5) -> list[str]:
    """The most frequent values of a column with their rows, as the emotion thesis prints its distributions."""
    counts = Counter(value for value in table[column].to_pylist() if value is not None)
    more = [f"and {len(counts) - top:,} more"] if len(counts) > top else []
    return [f"{column} distribution:", *(f"{value}  {count:,}" for value, count in counts.most_common(top)), *more]
