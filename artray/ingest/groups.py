"""What a split must not divide beside what the catalogue says: pictures that look alike, and which of them don't count.

A picture that looks alike to others ties their works together, as it should where they are one work. A placeholder, a
blank page or a colour chart stands for many works that have nothing to do with each other, and ties nothing.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from artray import console
from artray.catalogs.columns import Mapping
from artray.catalogs.match_report import printable
from artray.errors import count_of
from artray.ingest.chains import cut_chains
from artray.ingest.duplicates import near_duplicate_groups
from artray.ingest.makers import equal_ties, is_maker_column, maker_ties, unknown_makers
from artray.ingest.manifest import works
from artray.ingest.rows import Rows
from artray.ingest.splits import merge_groups
from artray.ingest.views import view_ties
from artray.job import Counts

MOST_MAKERS = 4
"""A picture that stands for works of more makers is a placeholder; replicas and attributions are of two or three."""

MOST_WORKS = 20
"""A picture that stands for more works of the catalogue is a placeholder; a service of twelve cups is not."""

_SHOWN = 3
_LARGE = 0.25  # of all rows: a group that is larger than a part is by default


def columns_to_split_by(mapping: Mapping, split_by: Sequence[str]) -> list[str]:
    """The columns whose values a split does not divide: those that are asked for, or the makers', or the works'."""
    return list(split_by) or [name for name in (mapping.artist or mapping.artwork,) if name]


def work_groups(
    rows: Rows, mapping: Mapping, split_by: Sequence[str], *, views: bool = True
) -> tuple[list[str], NDArray[np.bool_]]:
    """Each row's work, or what is asked for: a maker's works, those of two columns' values; and which rows have that.

    Several views of a work are one work: the pictures of one record, of records with one number, and with `views`
    those that are called so.
    """
    ids = rows.table["object_id"].to_pylist()
    # Where rows of the catalogue are makers and not works, pictures of one row are still works of their own.
    work_of = ids if mapping.folder else works(ids, rows.records)
    numbers = pa.nulls(len(ids), pa.string()) if mapping.folder else rows.numbers
    same_work = [equal_ties(numbers)]
    if mapping.artwork:
        same_work.append(equal_ties(rows.column(mapping.artwork, "artwork")))
    work_of = merge_groups(work_of, *same_work)
    ties = []
    if views:
        ties.append(view_ties(rows.paths, numbers))
        if line := _views_told(ties[-1], work_of, rows.paths):
            console.say(f"split: {line}")
    by = columns_to_split_by(mapping, split_by)
    columns = [rows.column(name, f"--split-by {name}") for name in by]
    has_maker = np.zeros(len(ids), bool)
    for name, column in zip(by, columns, strict=True):
        people = name == mapping.artist or is_maker_column(name)
        ties.append(maker_ties(column, separator=mapping.separator, people=people))
        if split_by or name == mapping.artist:
            has_maker |= np.asarray(column.is_valid())
        unknown = unknown_makers(column) if people else {}
        if unknown:
            shown = ", ".join(f"{printable(cell)} {number:,}" for cell, number in unknown.items())
            console.say(f"split: each taken for one maker, on one side, with its rows: {shown}")
    if not (split_by or mapping.artist):
        console.say(
            "split: no column says who made a work, so one maker's works may be on both sides; --split-by COLUMN keeps "
            "them together"
        )
    # A work without an artist is a group of its own.
    values = [[value or work for value, work in zip(column.to_pylist(), work_of, strict=True)] for column in columns]
    return merge_groups(*values, work_of, *ties), has_maker


def join_alike(
    rows: Rows,
    groups: Sequence[str],
    hashes: NDArray[np.uint64],
    *,
    has_maker: NDArray[np.bool_],
    tasks: Sequence[str],
) -> tuple[list[str], Counts]:
    """The groups with near-duplicates joined, and how many there are; what stands out is said."""
    ids = rows.table["object_id"]
    alike, lines = find_alike(hashes, ids)
    counts: Counts = {"near_duplicates": len(alike) - len(np.unique(alike))}
    for task in tasks:
        number, line = two_labels(alike, rows.table[task], ids)
        if line:
            lines.append(f"{task}: {line}")
            counts.setdefault("two_labels", {})[task] = number
    has_record = np.array([record is not None for record in rows.records], bool)
    tying, placeholders = untie_placeholders(alike, groups, has_maker=has_maker, has_record=has_record, ids=ids)
    for said in lines + placeholders:
        console.say(said)
    return merge_groups(groups, tying), counts


def find_alike(hashes: NDArray[np.uint64], ids: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """The groups of near-duplicates, and what the user should know about them.

    Args:
        hashes: Shape (n, 4), as in `near_duplicate_groups`.
        ids: The rows' `object_id`.

    Returns:
        Shape (n,): for each row the first row of its near-duplicates; and lines.
    """
    chained = near_duplicate_groups(hashes)
    first = cut_chains(hashes, chained)
    sizes = np.bincount(first, minlength=len(first))
    several = np.flatnonzero(sizes > 1)
    if not len(several):
        return first, []
    shown = ", ".join(_names(ids, np.flatnonzero(first == several[0])))
    largest = int(sizes.max())
    line = f"groups of near-duplicates: {len(several):,} with {sizes[several].sum():,} pictures ({shown}; …)"
    lines = [line if largest == 2 else f"{line}, the largest with {largest:,}"]
    before = np.bincount(chained, minlength=len(chained))
    cut = np.unique(chained[first != chained])
    if len(cut):
        longest = cut[np.argmax(before[cut])]
        lines.append(
            f"chains of near-duplicates, cut: {len(cut):,} (the longest of {before[longest]:,} pictures, with "
            f"{_names(ids, np.array([longest]))[0]})"
        )
    return first, lines


def untie_placeholders(
    alike: NDArray[np.int64],
    groups: Sequence[str],
    *,
    has_maker: NDArray[np.bool_],
    has_record: NDArray[np.bool_],
    ids: pa.ChunkedArray,
) -> tuple[NDArray[np.int64], list[str]]:
    """Near-duplicates without the pictures that stand for so many works that they can show none of them.

    Args:
        alike: Shape (n,), of `find_alike`.
        groups: The rows' groups as the catalogue has them.
        has_maker: Rows whose group is a maker, or what else the split is by.
        has_record: Rows that the catalogue describes: pictures without may be many of one work.
        ids: The rows' `object_id`.

    Returns:
        Shape (n,): as `alike`, each placeholder a group of its own; and lines that name them.
    """
    codes = _codes(groups)
    makers = _different(alike, codes, has_maker)
    works = _different(alike, codes, has_record | has_maker)
    placeholders = np.flatnonzero((makers > MOST_MAKERS) | (works > MOST_WORKS))
    lines: list[str] = []
    result = alike.copy()
    for group in placeholders.tolist():
        rows = np.flatnonzero(alike == group)
        result[rows] = rows
        if len(lines) < _SHOWN:
            of = f"{makers[group]:,} makers" if makers[group] > MOST_MAKERS else f"{works[group]:,} works"
            lines.append(
                f"{_names(ids, rows)[0]} and {len(rows) - 1:,} more pictures look alike and stand for {of}: taken for "
                "a placeholder, they tie nothing together"
            )
    if len(placeholders) > _SHOWN:
        lines.append(f"more such placeholders: {len(placeholders) - _SHOWN:,}")
    return result, lines


def two_labels(alike: NDArray[np.int64], labels: pa.ChunkedArray, ids: pa.ChunkedArray) -> tuple[int, str | None]:
    """Near-duplicates whose labels differ: how many groups, and a line that names the first few.

    Args:
        alike: Shape (n,), of `find_alike`.
        labels: A task's label of each row, or list of labels in any order, null without one.
        ids: The rows' `object_id`.
    """
    if pa.types.is_list(labels.type):
        joined = ["; ".join(sorted(each)) if each else None for each in labels.to_pylist()]
        labels = pa.chunked_array([pa.array(joined, pa.string())])
    codes = pc.dictionary_encode(labels.combine_chunks()).indices
    code = np.asarray(pc.fill_null(codes, -1).to_numpy(zero_copy_only=False), np.int64)
    different = np.flatnonzero(_different(alike, code, code >= 0) > 1)
    if not len(different):
        return 0, None
    shown = []
    for group in different[:_SHOWN].tolist():
        rows = np.flatnonzero((alike == group) & (code >= 0))
        _, first = np.unique(code[rows], return_index=True)
        rows = rows[np.sort(first)][:_SHOWN]
        said = zip(_names(ids, rows), labels.take(pa.array(rows)).to_pylist(), strict=True)
        shown.append(", ".join(f"{name} {printable(label)}" for name, label in said))
    more = "; …" if len(different) > _SHOWN else ""
    return len(different), f"one picture with two labels: {len(different):,} ({'; '.join(shown)}{more})"


def _views_told(views: NDArray[np.int64], work_of: Sequence[str], paths: pa.Array) -> str | None:
    """A line on the works that only the pictures' names say are one."""
    works_of = _different(views, _codes(work_of), np.ones(len(work_of), bool))
    several = np.flatnonzero(works_of > 1)
    if not len(several):
        return None
    shown = ", ".join(_names(paths, np.flatnonzero(views == several[0])))
    count = int(np.bincount(views, minlength=len(views))[several].sum())
    return (
        f"views of one work, by their names: {count_of(len(several), 'work')} with {count:,} pictures ({shown}"
        f"{'; …' if len(several) > 1 else ''}); --no-views takes each for a work"
    )


def _codes(values: Sequence[str]) -> NDArray[np.int64]:
    return np.asarray(pc.dictionary_encode(pa.array(values, pa.string())).indices.to_numpy(), np.int64)


def large_group(groups: Sequence[str]) -> str | None:
    """A line on the largest group, if it holds more than a quarter of the rows."""
    counts = pc.value_counts(pa.array(groups, pa.string()))
    if not len(counts):
        return None
    sizes = np.asarray(pc.struct_field(counts, "counts"))
    largest = int(sizes.argmax())
    if len(groups) < 2 or sizes[largest] <= _LARGE * len(groups):
        return None
    name = printable(pc.struct_field(counts, "values")[largest].as_py())
    return f"the largest group holds {sizes[largest]:,} of {len(groups):,} rows ({name})"


def _different(alike: NDArray[np.int64], codes: NDArray[np.int64], counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many different codes the counted rows of each group of near-duplicates have."""
    several = np.bincount(alike, minlength=len(alike))[alike] > 1
    rows = np.flatnonzero(counted & several)
    pairs = np.unique(alike[rows] * (codes.max(initial=0) + 1) + codes[rows])
    return np.bincount(pairs // (codes.max(initial=0) + 1), minlength=len(alike))


def _names(ids: pa.ChunkedArray | pa.Array, rows: NDArray[np.int64]) -> list[str]:
    return [printable(name) for name in ids.take(pa.array(rows[:_SHOWN])).to_pylist()]
