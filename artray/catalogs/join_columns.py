"""Which column joins a catalogue to its pictures, tried where the one that was guessed joins few.

Names of columns say little: `id` may be a database's own number while the pictures are named by `accession_number`. So
the columns that tell rows apart are held against the pictures' names, and the best of them is taken if it is clearly
the best, or else named with the flag that takes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.columns import KeyCells, Mapping, joining_role
from artray.catalogs.match_report import printable
from artray.catalogs.matching import Match, match
from artray.catalogs.name_keys import flags, flat, last_part, normal, number, parent, strings, without_suffix
from artray.errors import count_of

_ENOUGH = 0.9  # of the pictures that could have a row: no other column is tried
_TRIED = 4  # columns, those that most pictures speak for
_LOOK_AT = 20_000  # rows, for what a column's cells are like
_PICTURES = 20_000  # whose names the columns are held against at first
_QUOTES = "^[\"']|[\"']$"
_FLAGS = {"file": "--file-column", "url": "--url-column", "object_id": "--id-column"}


@dataclass(frozen=True, slots=True)
class Join:
    """A catalogue joined to its pictures.

    Attributes:
        mapping: The one that was given, or with another column to join by.
        match: What it gives.
        lines: What the user should know about the choice.
    """

    mapping: Mapping
    match: Match
    lines: tuple[str, ...] = ()


def find_join(
    pictures: pa.Table, catalog: pa.Table, mapping: Mapping, *, guessed: bool, folders: pa.Array | None = None
) -> Join:
    """Match pictures and rows by a mapping, or by another column where that joins few and another far more.

    Columns with names of further pictures (`verso` beside `recto`) are taken too.

    Args:
        pictures: As in `match`, like the others.
        catalog: Its rows.
        mapping: What is known of its columns.
        guessed: The mapping's columns are a guess, and so may be replaced; else a better one is only named.
        folders: As in `match`.

    Raises:
        InputError: As `match` does.
    """
    join = _best(pictures, catalog, mapping, guessed=guessed, folders=folders)
    return _with_more(pictures, catalog, join, guessed=guessed, folders=folders)


def _best(pictures: pa.Table, catalog: pa.Table, mapping: Mapping, *, guessed: bool, folders: pa.Array | None) -> Join:
    joined = match(pictures, catalog, mapping, folders)
    total, matched = len(pictures), joined.report.pictures_matched
    possible = min(total, len(catalog))
    if matched >= _ENOUGH * possible or mapping.title or mapping.folder:
        return Join(mapping, joined)
    tried = [Join(other, match(pictures, catalog, other, folders)) for other in _others(pictures, catalog, mapping)]
    tried.sort(key=lambda join: join.match.report.pictures_matched, reverse=True)
    if not tried:
        return Join(mapping, joined)
    best = tried[0]
    count = best.match.report.pictures_matched
    role, column = _changed(mapping, best.mapping)
    if guessed and count >= 2 * max(matched, 1) and 2 * count >= possible and not _rivals(tried):
        line = f"{role}: column {printable(column)!r} (it joins {count:,} of {total:,} pictures"
        before = getattr(mapping, role)
        line += f", {printable(before)!r} {matched:,})" if before else ")"
        return Join(best.mapping, best.match, (f"guessed: {line}",))
    if count > matched + possible // 10:
        shown = printable(column)
        flag = f"{_FLAGS[role]} {shown if shown.isidentifier() else repr(shown)}"
        return Join(mapping, joined, (f"{flag} would join {count:,} of {total:,} pictures, now it is {matched:,}",))
    return Join(mapping, joined)


def _with_more(pictures: pa.Table, catalog: pa.Table, join: Join, *, guessed: bool, folders: pa.Array | None) -> Join:
    """The join with columns that name pictures which no row has yet, and leave all others their rows."""
    total, before = len(pictures), join.match.report.pictures_matched
    if not 0 < before < total or join.mapping.title or join.mapping.folder:
        return join
    taken: list[str] = []
    lines = list(join.lines)
    columns = _naming(pictures, catalog, join)[:_TRIED]
    tried = {column: match(pictures, catalog, _plus(join.mapping, column, role), folders) for column, role in columns}
    for column, role in columns:
        mapping = _plus(join.mapping, column, role)
        widened = match(pictures, catalog, mapping, folders) if taken else tried[column]
        more = widened.report.pictures_matched - join.match.report.pictures_matched
        names = len(catalog) - catalog[column].null_count
        if more < 1 or not _keeps_rows(join.match, widened):
            continue
        rival = any(not _agree(tried[column], other) for other in tried.values())
        if guessed and 2 * more >= names and not rival:
            join = Join(mapping, widened)
            taken.append(column)
        else:
            shown = ",".join(printable(name) for name in (*_columns_of(join.mapping, role), column))
            flag = f"{_FLAGS[role]} {shown if shown.isidentifier() else repr(shown)}"
            named = f"{count_of(names, 'name')} in {printable(column)!r}"
            lines.append(f"{flag} would join {count_of(more, 'picture')} more ({named})")
    if taken:
        shown = ", ".join(repr(printable(name)) for name in taken)
        more = join.match.report.pictures_matched - before
        lines.append(f"guessed: {shown} too: names of {count_of(more, 'picture')} more of the same works")
    return Join(join.mapping, join.match, tuple(lines))


def _naming(pictures: pa.Table, catalog: pa.Table, join: Join) -> list[tuple[str, str]]:
    """Columns that name pictures which no row has yet, those with most of them first, and as what they do."""
    mapping = join.mapping
    used = {*mapping.labels.values(), mapping.artist, mapping.object_id, mapping.artwork}
    used |= {*_columns_of(mapping, "file"), *_columns_of(mapping, "url")}
    free = strings(pictures["path"]).filter(pc.is_null(join.match.table["row"].combine_chunks()))
    if len(free) > _PICTURES:
        free = free.take(pa.array(np.linspace(0, len(free) - 1, _PICTURES, dtype=np.int64)))
    names = flat(last_part(without_suffix(normal(free))))
    ranked = []
    for index, column in enumerate(catalog.column_names):
        if column in used:
            continue
        hits = int(pc.sum(pc.is_in(names, value_set=_said(strings(catalog[column]), "url"))).as_py() or 0)
        filled = len(catalog) - catalog[column].null_count
        role = joining_role(column, catalog[column])
        # What is not called or written as a file may still be one's name without suffix.
        if hits and (role != "object_id" or 2 * hits >= min(filled, len(free))):
            ranked.append((-hits, index, column, "file" if role == "object_id" else role))
    return [(column, role) for _, _, column, role in sorted(ranked)]


def _columns_of(mapping: Mapping, role: str) -> list[str]:
    first, more = (mapping.file, mapping.more_files) if role == "file" else (mapping.url, mapping.more_urls)
    return [first, *more] if first else []


def _plus(mapping: Mapping, column: str, role: str) -> Mapping:
    columns = [*_columns_of(mapping, role), column]
    return mapping.model_copy(
        update={role: columns[0], "more_files" if role == "file" else "more_urls": (*columns[1:],)}
    )


def _agree(one: Match, other: Match) -> bool:
    """Whether no picture has another row in one than in the other."""
    rows = [matched.table["row"].combine_chunks() for matched in (one, other)]
    return not pc.any(pc.not_equal(*rows), min_count=0).as_py()


def _keeps_rows(before: Match, after: Match) -> bool:
    """Whether each picture that had a row has that row still."""
    had, has = (matched.table["row"].combine_chunks() for matched in (before, after))
    return not pc.any(pc.fill_null(pc.not_equal(had, pc.fill_null(has, -1)), False), min_count=0).as_py()


def _others(pictures: pa.Table, catalog: pa.Table, mapping: Mapping) -> list[Mapping]:
    """Mappings with another column to join by, those that most of the pictures speak for first."""
    paths = strings(pictures["path"])
    if len(paths) > _PICTURES:
        paths = paths.take(pa.array(np.linspace(0, len(paths) - 1, _PICTURES, dtype=np.int64)))
    names = list(_names(paths))
    described = {mapping.artist, *mapping.labels.values()}
    scored: list[tuple[int, int, int, str, str]] = []
    for column in catalog.column_names:
        cells = KeyCells.of(catalog[column].slice(0, _LOOK_AT))
        role = joining_role(column, catalog[column])
        # Many works have no picture, but all have a number.
        few = 2 * cells.distinct < cells.filled or (2 if role == "object_id" else 20) * cells.filled < cells.rows
        if few or column in described or getattr(mapping, role) == column:
            continue
        said = _said(strings(catalog[column]), role)
        hits = np.zeros(len(paths), bool)
        for keys in names:
            hits |= flags(pc.is_in(keys, value_set=said))
        if hits.any():
            scored.append((-int(hits.sum()), list(_FLAGS).index(role), len(scored), role, column))
    # Further columns that were beside the one before are none beside another.
    alone = mapping.model_copy(update={"more_files": (), "more_urls": ()})
    return [alone.model_copy(update={role: column}) for *_, role, column in sorted(scored)[:_TRIED]]


def _names(paths: pa.Array) -> Iterator[pa.Array]:
    """What pictures may be called by: their names, these to the first or last mark, their numbers, their folders."""
    keys = normal(paths)
    yield from (flat(parent(keys, level)) for level in (1, 2))
    stems = without_suffix(keys)
    yield flat(stems)
    names = flat(last_part(stems))
    yield names
    yield number(names)
    for pattern in ("_[^_]*$", "^[^_]*_"):
        rewritten = names
        for _ in range(4):
            rewritten = pc.replace_substring_regex(rewritten, pattern, "")
            yield rewritten


def _said(cells: pa.Array, role: str) -> pa.Array:
    """What a column's cells may call pictures, the values once each; null is none of them."""
    # Of several names in a cell the first speaks for all.
    keys = without_suffix(
        normal(pc.replace_substring_regex(cells, rf"\s*(?s:[;|\r\n]|\^\^).*$|^(?i:https?)://|[.,]0$|/+$|{_QUOTES}", ""))
    )
    forms = [flat(keys), number(flat(keys))]
    if role == "file":
        forms.append(flat(without_suffix(pc.replace_substring_regex(keys, r"(?s)[,&+#~•*<\s].*$", ""))))
    if role != "object_id":
        forms.append(flat(last_part(without_suffix(pc.replace_substring_regex(keys, "/*[?#].*$", "")))))
    return pc.drop_null(pc.unique(pa.concat_arrays(forms)))


def _changed(before: Mapping, after: Mapping) -> tuple[str, str]:
    return next((role, getattr(after, role)) for role in _FLAGS if getattr(after, role) != getattr(before, role))


def _rivals(tried: list[Join]) -> bool:
    """Whether another column joins about as many pictures, and to other rows."""
    best = tried[0].match.table["row"].combine_chunks()
    count = tried[0].match.report.pictures_matched
    for other in tried[1:]:
        if 2 * other.match.report.pictures_matched < count:
            continue
        differ = pc.sum(pc.not_equal(best, other.match.table["row"].combine_chunks())).as_py() or 0
        if 100 * differ > count:
            return True
    return False
