"""Pictures and rows joined by equal keys, one way after the other, and what is taken by then.

Each way gives rows to pictures that have none. A key that several rows have joins only where they agree.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.addresses import UNUSABLE_URL
from artray.catalogs.catalog import mask_secrets
from artray.catalogs.columns import Mapping
from artray.catalogs.file_names import bare, beside_records, refuse
from artray.catalogs.match_report import Sample, printable
from artray.catalogs.name_keys import Flags, Indices, depth, equal_or_null, flags, strings
from artray.catalogs.several_names import Names, split_names

_EXAMPLES = 5
NONE, _CONFLICT = -1, -2
"""What a picture has in the place of a row: none, or several that disagree."""


class Joining:
    """Which row each picture has so far, and which rows and names are taken.

    Args:
        pictures: As `artray.catalogs.matching.match` takes them, like the others.
        catalog: The rows.
        mapping: Which column says what.
        folders: Of each row's file.
    """

    def __init__(self, pictures: pa.Table, catalog: pa.Table, mapping: Mapping, folders: pa.Array | None) -> None:
        self.pictures = pictures
        self.catalog = catalog
        self.mapping = mapping
        self.folders = folders
        self.paths = strings(pictures["path"])
        self.row = np.full(pictures.num_rows, NONE, np.int64)  # each picture's row, or NONE, or _CONFLICT
        self.method = np.full(pictures.num_rows, -1, np.int16)
        self.methods: list[str] = []
        self.matched = np.zeros(catalog.num_rows, bool)  # rows with a picture
        self.names_picture = np.zeros(catalog.num_rows, bool)  # rows with a usable file or url
        self.disputing = np.zeros(catalog.num_rows, bool)  # rows of a picture that others claim with other labels
        self.refused: dict[str, Sample] = {}
        self.followed: list[tuple[tuple[str, ...], Names]] = []  # by columns, the names that may be followed
        self.names = Names.of(pa.array([], pa.large_string()))  # those that are looked for now
        self.disputed: list[int] = []
        self.shared: list[int] = []
        self.names_too_long = 0

    def _begin(self, names: Names) -> None:
        """Go on with other names of the rows; a row with one name that has found a picture looks for no other."""
        self.names = names
        if len(names.rows) == len(self.matched):
            names.used |= self.matched

    def _by_end(self, method: str, keys: pa.Array, row_keys: pa.Array, *, whole: bool = False) -> None:
        """Join where one side's whole path is the end of the other's; `whole`: also where they are equal."""
        if whole:
            self._join(method, keys, row_keys, one_to_one=True)
        for side, other, by_picture in ((row_keys, keys, False), (keys, row_keys, True)):
            depths, other_depths = depth(side), depth(other)
            for level in np.unique(depths[depths >= 0]).tolist():
                if not (other_depths > level).any():
                    continue
                short = pc.if_else(pa.array(depths == level), side, pa.scalar(None, side.type))
                ends = pc.replace_substring_regex(other, "^.*/([^/]+" + "/[^/]+" * level + ")$", r"\1")
                ends = pc.if_else(pa.array(other_depths > level), ends, pa.scalar(None, other.type))
                self._join(method, *((short, ends) if by_picture else (ends, short)), one_to_one=True)

    def _join(
        self,
        method: str,
        keys: pa.Array,
        row_keys: pa.Array,
        *,
        one_to_one: bool = False,
        reuse: bool = False,
        same: pa.Array | None = None,
    ) -> None:
        """Give pictures without a row the row of the same key.

        Args:
            method: The way's name in the report.
            keys: One a picture, null to leave it.
            row_keys: One for each of the rows' names, null to leave it.
            one_to_one: A key that several free pictures share decides nothing.
            reuse: Names that have a picture already may get more.
            same: What names of one key must have in common to agree, where keys are less than the names themselves.
        """
        names = self.names
        free_pictures = np.flatnonzero((self.row == NONE) & flags(pc.is_valid(keys)))
        usable = flags(pc.is_valid(row_keys))
        free_names = np.flatnonzero(usable if reuse else usable & ~names.used)
        if not len(free_pictures) or not len(free_names):
            return
        codes = pa.concat_arrays([keys.take(pa.array(free_pictures)), row_keys.take(pa.array(free_names))])
        codes = pc.dictionary_encode(codes)
        count = len(codes.dictionary)
        codes = codes.indices.to_numpy()
        picture_codes, row_codes = codes[: len(free_pictures)], codes[len(free_pictures) :]

        first_name = np.full(count, NONE, np.int64)
        first_name[row_codes[::-1]] = free_names[::-1]
        several_rows = np.bincount(row_codes, minlength=count) > 1
        pictures_of = np.bincount(picture_codes, minlength=count)
        if one_to_one:
            first_name[pictures_of > 1] = NONE
            names.crowded[free_names[(pictures_of > 1)[row_codes]]] = True
        doubled = np.flatnonzero(several_rows & (first_name >= 0) & (pictures_of > 0))
        if len(doubled) and self.mapping.on_conflict == "leave":
            is_doubled = np.zeros(count, bool)
            is_doubled[doubled] = True
            among = is_doubled[row_codes]
            these, first = free_names[among], first_name[row_codes[among]]
            different = self._disagree(names.rows[these], names.rows[first])
            if same is not None:
                different |= ~equal_or_null(same.take(pa.array(these)), same.take(pa.array(first)))
            first_name[row_codes[among][different]] = _CONFLICT

        name_at = first_name[picture_codes]
        self.row[free_pictures] = np.where(name_at >= 0, names.rows[name_at], name_at)
        hits = free_pictures[name_at >= 0]
        self.method[hits] = len(self.methods)
        self.methods.append(method)
        self.disputed += free_pictures[name_at == _CONFLICT].tolist()
        self.shared += free_pictures[(name_at >= 0) & several_rows[picture_codes]].tolist()
        disputing = free_names[(first_name == _CONFLICT)[row_codes]]
        names.disputed[disputing] = True
        self.disputing[names.rows[disputing]] = True
        matched = free_names[(first_name >= 0)[row_codes] & (pictures_of > 0)[row_codes]]
        names.used[matched] = True
        self.matched[names.rows[matched]] = True

    def _disagree(self, rows: Indices, others: Indices) -> Flags:
        """Whether a row's labels and maker differ from another's; all columns but the id where none are mapped."""
        mapping = self.mapping
        columns = [name for name in [*mapping.labels.values(), mapping.artist] if name in self.catalog.column_names]
        columns = columns or [name for name in self.catalog.column_names if name != mapping.object_id]
        different = np.zeros(len(rows), bool)
        for name in columns:
            column = strings(self.catalog[name])
            different |= ~equal_or_null(column.take(pa.array(rows)), column.take(pa.array(others)))
        return different

    def _left(self, keys: pa.Array, row_keys: pa.Array) -> tuple[pa.Array, pa.Array]:
        """The keys of pictures without a row and of names without a picture; null in the place of the others."""
        free, free_names = pa.array(self.row == NONE), pa.array(~self.names.used)
        null = pa.scalar(None, keys.type)
        return pc.if_else(free, keys, null), pc.if_else(free_names, row_keys, pa.scalar(None, row_keys.type))

    def _all_found(self) -> bool:
        return not (self.row == NONE).any()

    def _usable(self, columns: tuple[str, ...], unusable: dict[str, str]) -> Names:
        """The names in columns without those that must not be followed; these are counted."""
        each, is_url = [], unusable is UNUSABLE_URL
        for column in columns:
            names = split_names(strings(self.catalog[column]), self.paths, self.mapping.separator, addresses=is_url)
            values, reasons = refuse(names.values if is_url else bare(names.values), unusable)
            bad = np.zeros(len(values), bool)
            for reason, hit in reasons.items():
                self.refused[f"{column}: {reason}"] = self._sample(values, np.flatnonzero(hit))
                bad |= hit
            self.names_picture[names.rows[~bad & flags(pc.is_valid(values))]] = True
            names.values = pc.if_else(pa.array(bad), pa.scalar(None, values.type), values)
            if self.folders is not None and not is_url:
                names.values = beside_records(names.values, self.folders.take(pa.array(names.rows)), self.paths)
            each.append(names)
        self.followed.append((columns, Names.together(each)))
        return self.followed[-1][1]

    def _sample(self, values: pa.Array, at: Indices) -> Sample:
        shown = mask_secrets(values.take(pa.array(at[:_EXAMPLES])).cast(pa.string())).to_pylist()
        return Sample(len(at), tuple(printable(value) for value in shown))
