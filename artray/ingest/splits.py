"""The split column: which picture is for training, which for validation, which for the test (system A7).

A split made by position (`take` and `skip` of a shuffled stream) is another split in every epoch, and its test
pictures leak into training. Here the split is a column, written once and read by everybody, and it follows from the
content alone:

- rows of one group (an artwork, an artist, near-duplicates) are on one side;
- it depends on the groups' names, sizes and labels, and the seed; never on the order of rows, workers or listings;
- each class has its share in each part, as well as undivided groups allow;
- in a grown collection the rows that had a part keep it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from artray.errors import InputError, count_of
from artray.ingest.duplicates import join_pairs

__all__ = ["PARTS", "assign_folds", "assign_splits", "class_table", "empty_parts", "merge_groups", "split_notes"]

PARTS: Final = ("train", "validation", "test")

_Part = TypeVar("_Part", str, int)
_Counts: TypeAlias = dict[str | None, int]  # number of rows by class

FRACTIONS: Final = {"train": 0.6, "validation": 0.2, "test": 0.2}


def assign_splits(
    groups: Sequence[str],
    labels: Sequence[str | None],
    *,
    fractions: Mapping[str, float] = FRACTIONS,
    seed: int = 0,
    previous: Sequence[str | None] | None = None,
    fixed_test: Sequence[bool] | None = None,
) -> list[str]:
    """The part of each row, one of `PARTS`.

    Groups are dealt out whole, large ones first (by powers of two) and else in the order of their hash, each to the
    part where it best brings the classes to their fractions. A class's first group goes to training; a class of two
    groups has one in the test, a class of three or more has one in each part, unless that group would be far larger
    than what training holds.

    Args:
        groups: the group of each row; see `merge_groups`.
        labels: the class of each row; None, without a label, is a class of its own.
        fractions: the parts' shares of each class, in any unit (0.6 or 60); a part not named gets nothing.
        seed: another seed gives another split.
        previous: the part that each row had before, None for a new row. A group with such a row keeps the part. If
            rows of one group had different parts (new near-duplicates joined two groups), all go to the part nearest
            to training, so that no model trained before was trained on a row that is a test row now.
        fixed_test: rows of a given test set. Their groups are the test part, whatever `previous` says, and no other
            group is added to it.

    Raises:
        InputError: unknown part, negative fraction or nothing for training.

    Example:
        >>> assign_splits(["Monet", "Monet", "Hokusai"], ["oil", "oil", "print"])
        ['train', 'train', 'train']
    """
    unknown = [*(fractions.keys() - set(PARTS)), *(set(previous or ()) - {None, *PARTS})]
    if unknown:
        raise InputError(f"unknown part of a split: {unknown[0]!r}; known are {', '.join(PARTS)}")
    if not fractions.get("train", 0) > 0 or min(fractions.values()) < 0 or not np.isfinite(sum(fractions.values())):
        raise InputError(f"a split needs fractions of 0 or more, and more than 0 for train, not {dict(fractions)}")
    shares = {part: fraction for part, fraction in fractions.items() if fraction > 0}

    part_of: dict[str, str] = {}
    for group, part in zip(groups, previous or (), strict=previous is not None):
        if part is not None:
            part_of[group] = min(part, part_of.get(group, part), key=PARTS.index)
    if fixed_test is not None:
        fixed = {group for group, is_fixed in zip(groups, fixed_test, strict=True) if is_fixed}
        part_of = {group: part for group, part in part_of.items() if part != "test"} | dict.fromkeys(fixed, "test")
        shares.pop("test", None)

    class_counts = _class_counts(groups, labels)
    free = class_counts.keys() - part_of.keys()
    # With a given test part only the other rows are shared out.
    shared_out = [group for group in class_counts if fixed_test is None or part_of.get(group) != "test"]
    targets = _targets(shares, (class_counts[group] for group in shared_out))
    held: dict[str, _Counts] = {part: defaultdict(int) for part in PARTS}
    for group, part in part_of.items():
        _add(class_counts[group], held[part])
    for group in _dealing_order(free, class_counts, seed):
        part = part_of[group] = _part_for(class_counts[group], held, targets)
        _add(class_counts[group], held[part])
    return [part_of[group] for group in groups]


def assign_folds(groups: Sequence[str], labels: Sequence[str | None], k: int, seed: int = 0) -> list[int]:
    """The fold 0..k-1 of each row, for k-fold cross-validation.

    Groups are undivided and classes spread as in `assign_splits`.

    Raises:
        InputError: k is below 2 or above the number of groups.
    """
    class_counts = _class_counts(groups, labels)
    if not 2 <= k <= len(class_counts):
        raise InputError(f"{len(class_counts)} groups can't be divided into {k} folds")
    targets = _targets(dict.fromkeys(range(k), 1.0), class_counts.values())
    held: dict[int, _Counts] = {fold: defaultdict(int) for fold in range(k)}
    fold_of: dict[str, int] = {}
    for group in _dealing_order(class_counts, class_counts, seed):
        counts = class_counts[group]
        fold = min(range(k), key=lambda f: (_cost(counts, held[f], targets[f]), sum(held[f].values()), f))
        fold_of[group] = fold
        _add(counts, held[fold])
    return [fold_of[group] for group in groups]


def merge_groups(groups: Sequence[str], *others: Sequence[str] | Sequence[int] | NDArray[np.int64]) -> list[str]:
    """Groups joined where rows agree in any other respect, such as being near-duplicates.

    If one picture is catalogued under two artists, the works of both become one group, and so on through any chain.

    Args:
        groups: the artwork or artist of each row; for a row that has none, its `object_id`.
        *others: more columns of the same length; rows of equal value are joined. For near-duplicates that is what
            `artray.ingest.duplicates.near_duplicate_groups` returns.

    Returns:
        The joined group of each row, called by the alphabetically first of the joined `groups`: neither the order of
        the rows nor the values of `others` matter.
    """
    rows: NDArray[np.int64] = np.arange(len(groups))
    roots = rows
    for column in (groups, *others):
        _, first, inverse = np.unique(_codes(column), return_index=True, return_inverse=True)
        if len(first) < len(rows):
            roots = join_pairs(roots, rows, first[inverse])
    name: dict[int, str] = {}
    for root, group in zip(roots.tolist(), groups, strict=True):
        name[root] = min(group, name.get(root, group))
    return [name[root] for root in roots.tolist()]


def _codes(column: Sequence[str] | Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each value, the same for equal ones."""
    if isinstance(column, np.ndarray):
        return column
    return np.asarray(pc.dictionary_encode(pa.array(column)).indices.to_numpy(zero_copy_only=False), np.int64)


def class_table(labels: Sequence[str | None], splits: Sequence[str]) -> dict[str | None, dict[str, int]]:
    """The number of rows of each class in each part; classes in alphabetical order, rows without a label last."""
    counts = Counter(zip(labels, splits, strict=True))
    classes = sorted(set(labels), key=lambda label: (label is None, label or ""))
    return {label: {part: counts[label, part] for part in PARTS} for label in classes}


def split_notes(
    groups: Sequence[str],
    labels: Sequence[str | None],
    splits: Sequence[str],
    previous: Sequence[str | None] | None = None,
) -> list[str]:
    """What the user should know about a split, a line each: classes that a part lacks, rows that changed sides."""
    groups_of: defaultdict[str | None, set[str]] = defaultdict(set)
    for group, label in zip(groups, labels, strict=True):
        groups_of[label].add(group)
    used = [part for part in PARTS if part in set(splits)]
    notes = []
    for label, counts in class_table(labels, splits).items():
        lacking = [part for part in used if not counts[part]]
        if label is not None and lacking:
            n = len(groups_of[label])
            notes.append(f"{label}: nothing in {' and '.join(lacking)} ({count_of(n, 'group')})")
    moved = sum(
        before not in (None, after) for before, after in zip(previous or (), splits, strict=previous is not None)
    )
    if moved:
        notes.append(f"{count_of(moved, 'row')} changed sides: groups of different parts were joined")
    return notes


def empty_parts(
    groups: Sequence[str],
    splits: Sequence[str],
    fractions: Mapping[str, float],
    previous: Sequence[str | None],
    fixed_test: Sequence[bool] | None = None,
) -> list[str]:
    """Of each part that no row is in, why that is so and what helps, a line each.

    Args:
        groups: As in `assign_splits`, like the others.
        splits: What it gave.
        fractions: The parts' shares.
        previous: The part that each row had before.
        fixed_test: Rows of a given test set.
    """
    groups_in = {part: len({group for group, its in zip(groups, splits, strict=True) if its == part}) for part in PARTS}
    number = len(set(groups))
    notes = []
    for part in PARTS:
        if groups_in[part]:
            continue
        if fixed_test is not None and groups_in["test"] == number:
            why = "the given test part takes all works; give fewer with --test-from"
        elif not fractions.get(part):
            why = f"its share is 0; --split {part}=SHARE with all three parts gives it one"
        elif any(previous) and number >= len(PARTS):
            why = "works that had a part keep it; --new-split deals all out anew"
        else:
            why = (
                f"there are too few groups ({number}), and a group is not divided; --split-by a column with more "
                "values, or add pictures"
            )
        notes.append(f"nothing in {part}: {why}")
    return notes


def _class_counts(groups: Sequence[str], labels: Sequence[str | None]) -> dict[str, _Counts]:
    """The number of rows of each class, by group."""
    counts: dict[str, _Counts] = {}
    for group, label in zip(groups, labels, strict=True):
        of_group = counts.setdefault(group, {})
        of_group[label] = of_group.get(label, 0) + 1
    return counts


def _add(counts: _Counts, to: _Counts) -> None:
    for label, n in counts.items():
        to[label] += n


def _dealing_order(groups: Iterable[str], class_counts: Mapping[str, _Counts], seed: int) -> list[str]:
    """Large groups first, since small ones can fill the gaps they leave; among similar sizes by hash."""
    seed_key = str(seed).encode()

    def key(group: str) -> tuple[int, bytes]:
        digest = blake2b(group.encode("utf-8", "surrogatepass"), digest_size=16, key=seed_key).digest()
        return -sum(class_counts[group].values()).bit_length(), digest

    return sorted(groups, key=key)


def _targets(shares: Mapping[_Part, float], class_counts: Iterable[_Counts]) -> dict[_Part, dict[str | None, float]]:
    """How many rows of each class each part should hold."""
    totals: _Counts = defaultdict(int)
    for counts in class_counts:
        _add(counts, totals)
    whole = sum(shares.values())
    return {part: {label: share / whole * total for label, total in totals.items()} for part, share in shares.items()}


def _part_for(counts: _Counts, held: Mapping[str, _Counts], targets: Mapping[str, Mapping[str | None, float]]) -> str:
    """The part that a group with these class counts goes to."""
    seen = {part: sum([held[part][label] for label in counts]) for part in targets}
    if not seen["train"]:
        return "train"
    # A group more than twice as large as what training holds would leave a class with most of its rows elsewhere.
    if sum(counts.values()) <= 2 * seen["train"]:
        for part in ("test", "validation"):
            if seen.get(part) == 0:
                return part
    return min(seen, key=lambda part: (_cost(counts, held[part], targets[part]), -PARTS.index(part)))


def _cost(counts: _Counts, held: _Counts, target: Mapping[str | None, float]) -> float:
    """By how much the part's distance to its target grows, as χ² = Σ (held - target)² / target over classes."""
    growth = 0.0
    for label, n in counts.items():
        growth += n * (2 * held[label] + n - 2 * target[label]) / target[label]
    return round(growth, 9)  # equal costs are equal, in whatever order they were summed
