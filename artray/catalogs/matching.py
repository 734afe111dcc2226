"""Which catalogue row belongs to which picture.

A wrong row under a picture is worse than none: a picture gets a row only where a name says so without doubt, and each
way of matching is stricter than the next. Where several rows name one picture, it gets the first of them only if they
agree in the labels (or on request); a name that several pictures or rows share by chance decides nothing. Whatever
stays unmatched, on either side, is counted with examples.

Everything works on whole columns (dictionary codes), so a million rows meet a million pictures in seconds.
"""

import base64
import binascii
import bisect
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.catalog import SECRET, mask_secrets
from artray.catalogs.columns import IMAGE_SUFFIX, Mapping, path_columns
from artray.catalogs.unicode import nfc

_NAME_MAX = 255  # bytes of a file name on the usual file systems
_CUT_NAME = 200  # a base64 name at least this long may have been cut
_EXAMPLES = 5
_NONE, _CONFLICT = -1, -2

Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sample:
    """How many, and the first few of them as text that is safe to show."""

    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(self.examples) + (", …" if self.count > len(self.examples) else "")
        return f"{self.count:,}" + (f" ({shown})" if self.examples else "")


@dataclass(frozen=True, slots=True)
class Report:
    """What matched and what did not, both ways.

    Attributes:
        pictures, rows: How many there were.
        pictures_matched: Pictures with a row.
        rows_matched: Rows with a picture, duplicates of such rows included.
        methods: Pictures by how they found their row, strictest way first.
        refused: Names in the catalogue that were not followed, by reason.
        rows_missing: Rows that name a picture which isn't there.
        rows_disputed: Rows of a picture that other rows name too, with other labels; none of them has it.
        rows_unnamed: Rows without a picture that name none (or an unusable one).
        pictures_unmatched: Pictures without a row.
        pictures_shared: Pictures that several rows name and agree on; the first row is taken.
        pictures_disputed: Pictures that several rows name and disagree on.
        rows_shared: Rows with several pictures.
        names_too_long: Rows whose base64 name no file system holds.
        columns: For each catalogue column (filled cells, different values, filled cells of rows with a picture).
    """

    pictures: int
    rows: int
    pictures_matched: int
    rows_matched: int
    methods: dict[str, int]
    refused: dict[str, Sample]
    rows_missing: Sample
    rows_disputed: int
    rows_unnamed: int
    pictures_unmatched: Sample
    pictures_shared: Sample
    pictures_disputed: Sample
    rows_shared: Sample
    names_too_long: int
    columns: dict[str, tuple[int, int, int]]

    def lines(self) -> list[str]:
        """The report as lines for a terminal; what did not happen has no line."""
        ways = ", ".join(f"{count:,} by {method}" for method, count in self.methods.items())
        found = [
            f"pictures with a row: {self.pictures_matched:,} of {self.pictures:,}" + (f" ({ways})" if ways else ""),
            f"rows with a picture: {self.rows_matched:,} of {self.rows:,}",
        ]
        samples = {
            "rows that name a picture which isn't there": self.rows_missing,
            "pictures that no row names": self.pictures_unmatched,
            "pictures named by several rows that agree": self.pictures_shared,
            "pictures named by several rows that disagree": self.pictures_disputed,
            "rows with several pictures": self.rows_shared,
            **{f"names refused, {reason}": sample for reason, sample in self.refused.items()},
        }
        found += [f"{what}: {sample}" for what, sample in samples.items() if sample.count]
        if self.names_too_long:
            found.append(f"rows whose base64 name is longer than {_NAME_MAX} bytes: {self.names_too_long:,}")
        return found


@dataclass(frozen=True, slots=True)
class Match:
    """Pictures with the rows they belong to.

    Attributes:
        table: The pictures' table as given, and with it `row` (int64, the catalogue's row; null without one),
            `method` (string, null without a row), and a column for each named group of the mapping's `path`.
        missing: The rows that name a picture which isn't there: `row` (int64), `column`, `value` (strings; secrets
            masked).
        report: The counts.
    """

    table: pa.Table
    missing: pa.Table
    report: Report


def match(pictures: pa.Table, catalog: pa.Table, mapping: Mapping) -> Match:
    """Find each picture's row.

    Ways, each for the pictures that still have no row, those that the mapping allows: `file` (the path below the
    collection's folder; as written, then without regard to case, Unicode form, percent-encoding and back-slashes, then
    where one side has more folders in front, then another image suffix), `url` (its path, then its last part), `id`
    (the file's name, then its beginning or end), `base64` (the decoded name is the title; cut names by the titles that
    begin so), `folder`.

    Args:
        pictures: One row a picture with `path` (string, below the collection's folder, separated by `/`).
        catalog: Strings only, as `read_catalog` gives it.
        mapping: Which column says what.

    Raises:
        InputError: The catalogue lacks a column that the mapping names.
    """
    mapping.check(catalog.column_names)
    return _Matching(pictures, catalog, mapping).run()


# -- keys --------------------------------------------------------------------------------------------------------------


def _strings(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return array.cast(pa.large_string())  # a million paths and their keys can pass 2 GiB


def _flags(values: pa.Array) -> Flags:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), bool)


def _map(values: pa.Array, where: pa.Array, function: Callable[[str], str | None]) -> pa.Array:
    """Apply a Python function to the values where a condition holds."""
    where = pc.fill_null(where, False)
    if not pc.any(where, min_count=0).as_py():
        return values
    changed = pa.array([function(value) for value in values.filter(where).to_pylist()], values.type)
    return pc.replace_with_mask(values, where, changed)


def _normal(paths: pa.Array) -> pa.Array:
    """Paths as they are compared: `/`, no percent-encoding, NFC, lower case, no `./` in front."""
    keys = pc.replace_substring(paths, "\\", "/")
    keys = _map(keys, pc.match_substring_regex(keys, "%[0-9A-Fa-f]{2}"), unquote)
    keys = pc.utf8_lower(nfc(keys))
    if pc.any(pc.match_substring_regex(keys, r"(^|/)\.?/"), min_count=0).as_py():
        keys = pc.replace_substring_regex(keys, r"/(?:\.?/)+", "/")
        keys = pc.replace_substring_regex(keys, r"^\./", "")
    return keys


def repair(name: str) -> str:
    """Undo UTF-8 that was read as a DOS or Windows code page, once or twice: `Du╠Иrer` and `DuΓòá├¬rer` are `Dürer`.

    A name that is not such a case comes back as it is.
    """
    for _ in range(2):
        for encoding in ("cp437", "cp866", "cp850", "cp1252"):
            try:
                sound = name.encode(encoding).decode("utf-8")
            except UnicodeError:
                continue
            if sound.isprintable():
                name = sound
                break
    return unicodedata.normalize("NFC", name)


def _repaired(keys: pa.Array, originals: pa.Array) -> pa.Array:
    """The keys that there are, with those of repaired names in the place of their own."""
    foreign = pc.and_(pc.is_valid(keys), pc.fill_null(pc.invert(pc.string_is_ascii(originals)), False))
    if not pc.any(foreign, min_count=0).as_py():
        return keys
    return pc.if_else(foreign, _normal(_map(originals, foreign, repair)), keys)


def _without_suffix(keys: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(keys, IMAGE_SUFFIX, "")


def _last_part(keys: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(keys, "^.*/", "")


def _depth(keys: pa.Array) -> Indices:
    return np.asarray(pc.fill_null(pc.count_substring(keys, "/"), -1).to_numpy(), np.int64)


# -- what is refused ---------------------------------------------------------------------------------------------------

# In the order in which they are looked for; a name is refused for the first that fits.
_UNUSABLE_FILE = {
    "control characters": r"[\x00-\x1f\x7f]",
    "an address, not a file": r"^[A-Za-z][A-Za-z0-9+.-]*://",
    "absolute": r"^(/|[A-Za-z]:/|~)",
    "leaves the folder": r"(^|/)\.\.(/|$)",
}
_UNUSABLE_URL = {
    "control characters": r"[\x00-\x1f\x7f]",
    "not http or https": r"^(?i:[^h]|h[^t]|ht[^t]|htt[^p]|http[^s:]|https[^:]|https?:[^/]|https?:/[^/])",
    "a password in the address": r"^[^/?#]*//[^/?#]*@",
    "a signature in the address": re.escape(f"={SECRET}"),
}


class _Matching:
    """The state while ways of matching are tried, strictest first."""

    def __init__(self, pictures: pa.Table, catalog: pa.Table, mapping: Mapping) -> None:
        self.pictures = pictures
        self.catalog = catalog
        self.mapping = mapping
        self.paths = _strings(pictures["path"])
        self.row = np.full(pictures.num_rows, _NONE, np.int64)  # each picture's row, or _NONE, or _CONFLICT
        self.method = np.full(pictures.num_rows, -1, np.int16)
        self.methods: list[str] = []
        self.matched = np.zeros(catalog.num_rows, bool)  # rows with a picture
        self.names_picture = np.zeros(catalog.num_rows, bool)  # rows with a usable file or url
        self.disputing = np.zeros(catalog.num_rows, bool)  # rows of a picture that others claim with other labels
        self.refused: dict[str, Sample] = {}
        self.usable: dict[str, pa.Array] = {}  # by column, the names that may be followed
        self.disputed: list[int] = []
        self.shared: list[int] = []
        self.names_too_long = 0

    def run(self) -> Match:
        mapping = self.mapping
        if mapping.file is not None:
            self._by_file(self._usable(mapping.file, _UNUSABLE_FILE))
        if mapping.url is not None:
            self._by_url(self._usable(mapping.url, _UNUSABLE_URL))
        if mapping.object_id is not None:
            self._by_id(_strings(self.catalog[mapping.object_id]))
        if mapping.title is not None:
            self._by_title(_strings(self.catalog[mapping.title]))
        groups = path_columns(self.paths.cast(pa.string()), mapping.path) if mapping.path is not None else {}
        for group, column in mapping.folder.items():
            self._by_folder(_strings(groups[group]), _strings(self.catalog[column]))
        return self._result(groups)

    # Ways of matching

    def _by_file(self, files: pa.Array) -> None:
        self._join("file", self.paths, files)
        paths, files = self._left(self.paths, files)
        keys, row_keys = _normal(paths), _normal(files)
        self._join("file, other spelling", keys, row_keys)
        keys, row_keys = self._left(keys, row_keys)
        self._by_end("file, other folder", keys, row_keys)
        keys, row_keys = self._left(keys, row_keys)
        self._by_end("file, other suffix", _without_suffix(keys), _without_suffix(row_keys), whole=True)
        keys, row_keys = self._left(keys, row_keys)
        self._by_end("file, repaired name", _repaired(keys, paths), _repaired(row_keys, files), whole=True)

    def _by_url(self, urls: pa.Array) -> None:
        # Without the request at the end of IIIF addresses (region/size/rotation/quality.format).
        names = pc.replace_substring_regex(urls, r"[?#].*$", "")
        names = pc.replace_substring_regex(names, r"/(full|square|[0-9,:pct.]+)/[^/]+/[^/]+/[a-z]+\.[a-z0-9]+$", "")
        row_keys = _normal(pc.replace_substring_regex(names, r"^(?i:https?)://", ""))
        keys = _normal(self.paths)
        self._by_end("url", keys, row_keys, whole=True)
        keys, row_keys = self._left(keys, row_keys)
        self._join("url, file name", _last_part(keys), _last_part(row_keys), one_to_one=True)
        stems, row_stems = _last_part(_without_suffix(keys)), _last_part(_without_suffix(row_keys))
        self._join("url, other suffix", stems, row_stems, one_to_one=True)

    def _by_id(self, ids: pa.Array) -> None:
        # As `artray.download.station` writes an id: percent-encoded, with a digest where two differ only in case.
        stems = pc.replace_substring_regex(_last_part(_without_suffix(self.paths)), "~[0-9a-f]{24}$", "")
        stems = _map(stems, pc.match_substring_regex(stems, "%[0-9A-Fa-f]{2}"), unquote)
        self._join("id", stems, ids, reuse=True)
        stems, _ = self._left(stems, ids)
        # 1939/1/2 is 1939-1-2 in a file's name.
        stems, keys = (_normal(pc.replace_substring_regex(v, r"[^\pL\pN]+", "_")) for v in (stems, ids))
        self._join("id, other spelling", stems, keys, reuse=True)
        # A short number inside a longer name says nothing.
        long = pc.and_(pc.greater_equal(pc.utf8_length(keys), 4), pc.match_substring_regex(keys, "[0-9]"))
        keys = pc.if_else(long, keys, pa.scalar(None, keys.type))
        for method, last_or_first in (("id at the name's beginning", "_[^_]*$"), ("id at the name's end", "^[^_]*_")):
            part = stems
            for _ in range(4):
                has_more = pc.match_substring(part, "_")
                part = pc.if_else(
                    has_more, pc.replace_substring_regex(part, last_or_first, ""), pa.scalar(None, part.type)
                )
                part, _ = self._left(part, keys)
                self._join(method, part, keys, reuse=True)

    def _by_title(self, titles: pa.Array) -> None:
        self.names_too_long = int(
            np.count_nonzero(_flags(pc.greater(pc.binary_length(titles), (_NAME_MAX - len(".jpg")) // 4 * 3)))
        )
        stems, _ = self._left(_last_part(_without_suffix(self.paths)), titles)
        encoded = pc.match_substring_regex(stems, "^[A-Za-z0-9_-]+={0,2}$")
        decoded = pc.if_else(encoded, stems, pa.scalar(None, stems.type))
        decoded = _map(decoded, encoded, _decode_title)
        self._join("base64", decoded, titles, reuse=True)
        decoded, _ = self._left(decoded, titles)
        keys, row_keys = (_normal(pc.utf8_trim_whitespace(values)) for values in (decoded, titles))
        self._join("base64, other spelling", keys, row_keys, reuse=True)
        cut = pc.and_(encoded, pc.greater_equal(pc.binary_length(stems), _CUT_NAME))
        cut_stems, _ = self._left(pc.if_else(cut, stems, pa.scalar(None, stems.type)), titles)
        if cut_stems.null_count < len(cut_stems):
            known = sorted(set(pc.drop_null(titles).to_pylist()))
            whole = _map(cut_stems, pc.is_valid(cut_stems), lambda stem: _title_of_cut(stem, known))
            self._join("base64, cut name", whole, titles, reuse=True)

    def _by_folder(self, groups: pa.Array, names: pa.Array) -> None:
        def spaced(values: pa.Array) -> pa.Array:
            return pc.replace_substring(values, "_", " ")

        row_keys = _normal(names)
        spaced_keys = _normal(spaced(groups))
        self._join("folder", spaced_keys, row_keys, reuse=True)
        left, _ = self._left(spaced_keys, row_keys)
        self._join("folder, repaired name", _repaired(left, spaced(groups)), row_keys, reuse=True)

    def _by_end(self, method: str, keys: pa.Array, row_keys: pa.Array, *, whole: bool = False) -> None:
        """Join where one side's whole path is the end of the other's; `whole`: also where they are equal."""
        if whole:
            self._join(method, keys, row_keys, one_to_one=True)
        for side, other, by_picture in ((row_keys, keys, False), (keys, row_keys, True)):
            depths, other_depths = _depth(side), _depth(other)
            for depth in np.unique(depths[depths >= 0]).tolist():
                if not (other_depths > depth).any():
                    continue
                short = pc.if_else(pa.array(depths == depth), side, pa.scalar(None, side.type))
                ends = pc.replace_substring_regex(other, "^.*/([^/]+" + "/[^/]+" * depth + ")$", r"\1")
                ends = pc.if_else(pa.array(other_depths > depth), ends, pa.scalar(None, other.type))
                self._join(method, *((short, ends) if by_picture else (ends, short)), one_to_one=True)

    def _join(
        self, method: str, keys: pa.Array, row_keys: pa.Array, *, one_to_one: bool = False, reuse: bool = False
    ) -> None:
        """Give pictures without a row the row of the same key.

        Args:
            method: The way's name in the report.
            keys: One a picture, null to leave it.
            row_keys: One a row, null to leave it.
            one_to_one: A key that several free pictures share decides nothing.
            reuse: Rows that have a picture already may get more.
        """
        free_pictures = np.flatnonzero((self.row == _NONE) & _flags(pc.is_valid(keys)))
        usable = _flags(pc.is_valid(row_keys))
        free_rows = np.flatnonzero(usable if reuse else usable & ~self.matched)
        if not len(free_pictures) or not len(free_rows):
            return
        codes = pa.concat_arrays([keys.take(pa.array(free_pictures)), row_keys.take(pa.array(free_rows))])
        codes = pc.dictionary_encode(codes)
        count = len(codes.dictionary)
        codes = codes.indices.to_numpy()
        picture_codes, row_codes = codes[: len(free_pictures)], codes[len(free_pictures) :]

        first_row = np.full(count, _NONE, np.int64)
        first_row[row_codes[::-1]] = free_rows[::-1]
        several_rows = np.bincount(row_codes, minlength=count) > 1
        pictures_of = np.bincount(picture_codes, minlength=count)
        if one_to_one:
            first_row[pictures_of > 1] = _NONE
        doubled = np.flatnonzero(several_rows & (first_row >= 0) & (pictures_of > 0))
        if len(doubled) and self.mapping.on_conflict == "leave":
            is_doubled = np.zeros(count, bool)
            is_doubled[doubled] = True
            among = is_doubled[row_codes]
            different = self._disagree(free_rows[among], first_row[row_codes[among]])
            first_row[row_codes[among][different]] = _CONFLICT

        found = first_row[picture_codes]
        self.row[free_pictures] = found
        hits = free_pictures[found >= 0]
        self.method[hits] = len(self.methods)
        self.methods.append(method)
        self.disputed += free_pictures[found == _CONFLICT].tolist()
        self.shared += free_pictures[(found >= 0) & several_rows[picture_codes]].tolist()
        self.disputing[free_rows[(first_row == _CONFLICT)[row_codes]]] = True
        self.matched[free_rows[(first_row >= 0)[row_codes] & (pictures_of > 0)[row_codes]]] = True

    def _disagree(self, rows: Indices, others: Indices) -> Flags:
        """Whether a row's labels and maker differ from another's; all columns but the id where none are mapped."""
        mapping = self.mapping
        names = [name for name in [*mapping.labels.values(), mapping.artist] if name in self.catalog.column_names]
        names = names or [name for name in self.catalog.column_names if name != mapping.object_id]
        different = np.zeros(len(rows), bool)
        for name in names:
            column = _strings(self.catalog[name])
            ours, theirs = column.take(pa.array(rows)), column.take(pa.array(others))
            same = pc.or_kleene(pc.equal(ours, theirs), pc.and_(pc.is_null(ours), pc.is_null(theirs)))
            different |= ~_flags(same)
        return different

    def _left(self, keys: pa.Array, row_keys: pa.Array) -> tuple[pa.Array, pa.Array]:
        """The keys of pictures without a row and of rows without a picture; null in the place of the others."""
        free, free_rows = pa.array(self.row == _NONE), pa.array(~self.matched)
        null = pa.scalar(None, keys.type)
        return pc.if_else(free, keys, null), pc.if_else(free_rows, row_keys, null)

    # Around them

    def _usable(self, column: str, unusable: dict[str, str]) -> pa.Array:
        """A column's names without those that must not be followed; these are counted."""
        values = _strings(self.catalog[column])
        # What is hidden by back-slashes or percent-encoding is looked for too.
        plain = pc.replace_substring(values, "\\", "/")
        plain = _map(plain, pc.match_substring_regex(plain, "%[0-9A-Fa-f]{2}"), unquote)
        bad = np.zeros(len(values), bool)
        for reason, pattern in unusable.items():
            hit = _flags(pc.match_substring_regex(plain, pattern)) & ~bad
            if hit.any():
                self.refused[f"{column}: {reason}"] = self._sample(values, np.flatnonzero(hit))
            bad |= hit
        self.names_picture |= ~bad & _flags(pc.is_valid(values))
        self.usable[column] = pc.if_else(pa.array(bad), pa.scalar(None, values.type), values)
        return self.usable[column]

    def _sample(self, values: pa.Array, at: Indices) -> Sample:
        shown = mask_secrets(values.take(pa.array(at[:_EXAMPLES])).cast(pa.string())).to_pylist()
        return Sample(len(at), tuple(printable(value) for value in shown))

    def _result(self, groups: dict[str, pa.Array]) -> Match:
        has_row = self.row >= 0
        row = pa.array(self.row, mask=~has_row)
        method = pa.array(self.methods, pa.string()).take(pa.array(self.method, mask=~has_row))
        table = self.pictures
        for name, values in [("row", row), ("method", method), *groups.items()]:
            table = table.append_column(name, values)
        shared_rows = np.flatnonzero(np.bincount(self.row[has_row], minlength=self.catalog.num_rows) > 1)
        without = ~self.matched & ~self.disputing
        disputed = np.asarray(self.disputed, np.int64)
        missing = self._missing(np.flatnonzero(without & self.names_picture))
        counts = np.bincount(self.method[has_row], minlength=len(self.methods)).tolist()
        methods: dict[str, int] = {}
        for name, count in zip(self.methods, counts, strict=True):
            if count:
                methods[name] = methods.get(name, 0) + count
        report = Report(
            pictures=len(self.row),
            rows=self.catalog.num_rows,
            pictures_matched=int(has_row.sum()),
            rows_matched=int(self.matched.sum()),
            methods=methods,
            refused=self.refused,
            rows_missing=self._sample(_strings(missing["value"]), np.arange(missing.num_rows)),
            rows_disputed=int((self.disputing & ~self.matched).sum()),
            rows_unnamed=int((without & ~self.names_picture).sum()),
            pictures_unmatched=self._sample(self.paths, np.flatnonzero(self.row == _NONE)),
            pictures_shared=self._sample(self.paths, np.asarray(self.shared, np.int64)),
            pictures_disputed=self._sample(self.paths, disputed),
            rows_shared=self._sample(self._row_names(), shared_rows),
            names_too_long=self.names_too_long,
            columns=self._column_counts(),
        )
        return Match(table, missing, report)

    def _missing(self, rows: Indices) -> pa.Table:
        column = pa.nulls(len(rows), pa.string())
        value = pa.nulls(len(rows), pa.string())
        for name in (self.mapping.file, self.mapping.url):
            if name is not None:
                values = self.usable[name].take(pa.array(rows)).cast(pa.string())
                column = pc.if_else(pc.and_(pc.is_null(column), pc.is_valid(values)), name, column)
                value = pc.coalesce(value, values)
        return pa.table({"row": rows, "column": column, "value": mask_secrets(value)})

    def _row_names(self) -> pa.Array:
        """A name for each row to show: its id, or else what it is matched by."""
        mapping = self.mapping
        names = [mapping.object_id, mapping.file, mapping.url, mapping.title, *mapping.folder.values()]
        columns = [_strings(self.catalog[name]) for name in names if name is not None]
        return pc.coalesce(*columns, "?") if columns else pa.array(["?"] * self.catalog.num_rows, pa.large_string())

    def _column_counts(self) -> dict[str, tuple[int, int, int]]:
        counts = {}
        for name, column in zip(self.catalog.column_names, self.catalog.columns, strict=True):
            filled = _flags(pc.is_valid(column))
            different: int = pc.count_distinct(column).as_py()
            counts[name] = (int(filled.sum()), different, int((filled & self.matched).sum()))
        return counts


def _decode_title(stem: str) -> str | None:
    try:
        title = base64.urlsafe_b64decode(stem + "=" * (-len(stem) % 4)).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return title or None


def _title_of_cut(stem: str, titles: list[str]) -> str | None:
    """The only title (of a sorted list) that begins with what a cut base64 name still holds."""
    try:
        start = base64.urlsafe_b64decode(stem[: len(stem) // 4 * 4]).decode("utf-8", "ignore")
    except binascii.Error:
        return None
    at = bisect.bisect_left(titles, start)
    fitting = [title for title in titles[at : at + 2] if title.startswith(start)]
    return fitting[0] if len(fitting) == 1 else None


def printable(text: str) -> str:
    """Text for a terminal or log: control characters escaped, at most 100 characters."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", text)
    return text if len(text) <= 100 else text[:99] + "…"
