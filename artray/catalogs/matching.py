"""Which catalogue row belongs to which picture.

A wrong row under a picture is worse than none: a picture gets a row only where a name says so without doubt, and each
way of matching is stricter than the next. Where several rows name one picture, it gets the first of them only if they
agree in the labels (or on request); a name that several pictures or rows share by chance decides nothing. Whatever
stays unmatched, on either side, is counted with examples.

Everything works on whole columns (dictionary codes), so a million rows meet a million pictures in seconds.
"""

from dataclasses import dataclass
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.addresses import IIIF_REQUEST, UNUSABLE_URL, telling_parameter
from artray.catalogs.base64_names import CUT_NAME, decode_title, title_of_cut
from artray.catalogs.catalog import mask_secrets
from artray.catalogs.columns import IMAGE_SUFFIX, Mapping, path_columns
from artray.catalogs.file_names import UNUSABLE_FILE
from artray.catalogs.joining import NONE, Joining
from artray.catalogs.match_counts import column_counts, row_names
from artray.catalogs.match_report import NAME_MAX, Report
from artray.catalogs.name_keys import (
    Flags,
    any_true,
    before_letter,
    before_view,
    behind_prefix,
    finds_most,
    flags,
    flat,
    last_part,
    map_where,
    may_be_chance,
    normal,
    number,
    parent,
    repaired,
    strings,
    tokens,
    whole_of_copies,
    without_suffix,
)
from artray.catalogs.object_numbers import other_forms, parts_of_sets
from artray.catalogs.several_names import Names


@dataclass(frozen=True, slots=True)
class Match:
    """Pictures with the rows they belong to.

    Attributes:
        table: The pictures' table as given, and with it `row` (int64, the catalogue's row; null without one),
            `method` (string, null without a row), and a column for each named group of the mapping's `path`.
        missing: The names of pictures that aren't there, of rows without a picture and of rows that name several:
            `row` (int64), `column`, `value` (strings; secrets masked).
        report: The counts.
    """

    table: pa.Table
    missing: pa.Table
    report: Report


def match(pictures: pa.Table, catalog: pa.Table, mapping: Mapping, folders: pa.Array | None = None) -> Match:
    """Find each picture's row.

    Ways, each for the pictures that still have no row, those that the mapping allows: `file` (the path below the
    collection's folder; as written, then without regard to case, Unicode form, percent-encoding and back-slashes, then
    where one side has more folders in front, then another image suffix, other separators, zeros in front), `url` (its
    path, then its last part, then one of its parameters), `id` (the file's name, also as a number, then its beginning
    or end, then its folder's name), `base64` (the decoded name is the title; cut names by the titles that begin so),
    `folder`. A cell of files or addresses may hold several.

    Args:
        pictures: One row a picture with `path` (string, below the collection's folder, separated by `/`).
        catalog: Strings only, as `read_catalog` gives it.
        mapping: Which column says what.
        folders: For each row the folder that its file lies in, below that of the pictures: its names of files may be
            those there.

    Raises:
        InputError: The catalogue lacks a column that the mapping names.
    """
    mapping.check(catalog.column_names)
    return _Matching(pictures, catalog, mapping, folders).run()


class _Matching(Joining):
    """The ways, strictest first."""

    def run(self) -> Match:
        mapping = self.mapping
        if mapping.file is not None:
            self._begin(self._usable((mapping.file, *mapping.more_files), UNUSABLE_FILE))
            self._by_file()
        if mapping.url is not None:
            self._begin(self._usable((mapping.url, *mapping.more_urls), UNUSABLE_URL))
            self._by_url()
        if mapping.object_id is not None:
            self._begin(Names.of(strings(self.catalog[mapping.object_id])))
            self._by_id()
        if mapping.title is not None:
            self._begin(Names.of(strings(self.catalog[mapping.title])))
            self._by_title()
        groups = path_columns(self.paths.cast(pa.string()), mapping.path) if mapping.path is not None else {}
        for group, column in mapping.folder.items():
            self._begin(Names.of(strings(self.catalog[column])))
            self._by_folder(strings(groups[group]))
        return self._result(groups)

    # Ways of matching

    def _by_file(self) -> None:
        files = self.names.values
        self._join("file", self.paths, files)
        paths, files = self._left(self.paths, files)
        keys, row_keys = normal(paths), normal(files)
        self._join("file, other spelling", keys, row_keys)
        if self._all_found():
            return
        keys, row_keys = self._left(keys, row_keys)
        self._by_end("file, other folder", keys, row_keys)
        keys, row_keys = self._left(keys, row_keys)
        self._by_end("file, other suffix", without_suffix(keys), without_suffix(row_keys), whole=True)
        if any_true(pc.match_substring_regex(twice := without_suffix(keys), IMAGE_SUFFIX)):  # 12.tif.jpg
            self._by_end("file, other suffix", without_suffix(twice), without_suffix(row_keys), whole=True)
        keys, row_keys = self._left(keys, row_keys)
        self._by_end("file, repaired name", repaired(keys, paths), repaired(row_keys, files), whole=True)
        keys, row_keys = self._left(keys, row_keys)
        # Folders and dots of the catalogue may be underscores in a file's name; the other way round says too little.
        self._by_end(
            "file, of a smaller copy", without_suffix(keys), whole_of_copies(without_suffix(row_keys)), whole=True
        )
        keys, row_keys = flat(last_part(without_suffix(keys))), flat(without_suffix(row_keys))
        self._join("file, other separators", keys, row_keys, one_to_one=True, same=files)
        self._join("file, zeros in front", number(keys), number(row_keys), one_to_one=True, same=files)

    def _by_url(self) -> None:
        urls = self.names.values
        whole = normal(pc.replace_substring_regex(urls, r"^(?i:https?)://|/*[?#].*$|/+$", ""))
        keys = normal(self.paths)
        if any_true(pc.match_substring_regex(keys, IIIF_REQUEST)):  # a tree of files that are called as their addresses
            in_tree = pc.match_substring_regex(keys, IIIF_REQUEST)
            self._by_end("url", pc.if_else(in_tree, keys, pa.scalar(None, keys.type)), whole, whole=True)
            keys, whole = self._left(pc.replace_substring_regex(keys, IIIF_REQUEST, ""), whole)
        row_keys = pc.replace_substring_regex(whole, IIIF_REQUEST + r"|/info\.json$", "")
        self._by_end("url", keys, row_keys, whole=True)
        keys, row_keys = self._left(keys, row_keys)
        self._join("url, file name", last_part(keys), last_part(row_keys), one_to_one=True)
        keys, row_keys = (last_part(without_suffix(values)) for values in self._left(keys, row_keys))
        self._join("url, other suffix", keys, row_keys, one_to_one=True)
        if self._all_found():
            return
        keys, row_keys = self._left(keys, row_keys)
        self._join("url, of a smaller copy", keys, whole_of_copies(row_keys), one_to_one=True, same=urls)
        self._join("url, other separators", flat(keys), flat(row_keys), one_to_one=True, same=urls)
        keys, whole = self._left(keys, without_suffix(whole))
        for names in (whole, pc.replace_substring_regex(whole, "^[^/]*/", "")):  # with the host and without
            self._join("url, other separators", flat(keys), flat(names), one_to_one=True, same=urls)
        keys, urls = self._left(keys, urls)
        if parameter := telling_parameter(urls, keys):
            name, values = parameter
            self._join(f"url, its {name}=", keys, values, one_to_one=True, same=urls)

    def _by_id(self) -> None:
        ids = self.names.values
        # As `artray.download.station` writes an id: percent-encoded, with a digest where two differ only in case.
        stems = pc.replace_substring_regex(last_part(without_suffix(self.paths)), "~[0-9a-f]{24}$", "")
        stems = map_where(stems, pc.match_substring_regex(stems, "%[0-9A-Fa-f]{2}"), unquote)
        self._join("id", stems, ids, reuse=True)
        if self._all_found():
            return
        stems, _ = self._left(stems, ids)
        for method, other_ids in other_forms(ids):
            self._join(method, stems, other_ids, reuse=True, same=ids)
            stems, _ = self._left(stems, ids)
            if method == "id, whole number":
                ids = other_ids
        # 1939/1/2 is 1939-1-2 in a file's name.
        names = normal(stems)
        stems, keys = flat(names), flat(ids)
        self._join("id, other spelling", stems, keys, reuse=True, same=ids)
        stems, _ = self._left(stems, keys)
        numbers = number(keys)
        self._join("id, zeros in front", number(stems), numbers, one_to_one=True, reuse=True, same=ids)
        # A short number inside a longer name says nothing.
        long = pc.and_(pc.greater_equal(pc.utf8_length(keys), 4), pc.match_substring_regex(keys, "[0-9]"))
        long_keys = pc.if_else(long, keys, pa.scalar(None, keys.type))
        plain_numbers = any_true(pc.match_substring_regex(long_keys, "^[0-9]+$"))
        whole = tokens(self._left(names, keys)[0])
        for method, cut, beside, doubted in (
            # 1915 of 1915_500 is a year, and 1234 of 17_3_1234 the end of another number.
            ("id at the name's beginning", "_[^_]*$", "_[0-9·]+$", "^(1[0-9]|20)[0-9]{2}$"),
            ("id at the name's end", "^[^_]*_", "^[0-9·]+_", "^[0-9]+$"),
        ):
            shortened, _ = self._left(whole, long_keys)
            for _ in range(4):
                has_more = pc.match_substring(shortened, "_")
                if not any_true(has_more):
                    break
                rest = pc.replace_substring_regex(shortened, cut, "")
                sure = rest = pc.if_else(has_more, rest, pa.scalar(None, shortened.type))
                if plain_numbers:
                    is_number = pc.match_substring_regex(rest, doubted)
                    doubtful = pc.and_(is_number, pc.match_substring_regex(shortened, beside))
                    sure = pc.if_else(doubtful, pa.scalar(None, rest.type), rest)
                self._join(method, pc.replace_substring(sure, "·", "_"), long_keys, reuse=True, same=ids)
                shortened, _ = self._left(rest, long_keys)
        if self._all_found():
            return
        stems, _ = self._left(stems, keys)
        if not any_true(pc.is_valid(before_letter(keys))):  # where ids themselves end in letters, 15a is no view of 15
            self._join("id and a letter", before_letter(stems), long_keys, reuse=True, same=ids)
            views = number(before_letter(self._left(stems, keys)[0]))
            if finds_most(views, numbers):  # short numbers say enough only together
                self._join("id and a letter", views, numbers, reuse=True, same=ids)
        views = before_view(self._left(stems, keys)[0], numbers)
        if finds_most(views, numbers):
            self._join("id at the name's beginning", views, numbers, reuse=True, same=ids)
        views = behind_prefix(self._left(stems, keys)[0], numbers)
        if finds_most(views, numbers):
            self._join("id behind letters", views, numbers, one_to_one=True, reuse=True, same=ids)
        self._by_part_of_set(ids)
        self._by_parent(keys, ids)

    def _by_part_of_set(self, ids: pa.Array) -> None:
        """Pictures of the parts of a set that the catalogue has under one number."""
        of_set, set_numbers = parts_of_sets(normal(ids))
        if len(set_numbers):
            whole = self.names
            self.names = Names.of(set_numbers, whole.rows[of_set])
            stems = flat(last_part(without_suffix(normal(self.paths))))
            self._join("id of a set, one of its parts", stems, flat(set_numbers), reuse=True, same=set_numbers)
            whole.used[of_set[self.names.used]] = True
            self.names = whole

    def _by_parent(self, keys: pa.Array, ids: pa.Array) -> None:
        """Pictures in folders that are called by the ids, if most of the folders are.

        A year or a class's number may be an id by chance: such names count where they find half of all rows.
        """
        paths = normal(self.paths)
        for level in (1, 2, 3):
            folders = flat(parent(self._left(paths, keys)[0], level))
            names = pc.drop_null(pc.unique(folders))
            known = names.filter(pc.is_in(names, value_set=keys))
            if 2 * len(known) <= len(names):
                continue
            if 2 * len(known) < len(keys):
                chance = folders if not len(known) else known.filter(may_be_chance(known))
                folders = pc.if_else(pc.is_in(folders, value_set=chance), pa.scalar(None, folders.type), folders)
            self._join("id, the folder's name", folders, keys, reuse=True, same=ids)

    def _by_title(self) -> None:
        titles = self.names.values
        self.names_too_long = int(
            np.count_nonzero(flags(pc.greater(pc.binary_length(titles), (NAME_MAX - len(".jpg")) // 4 * 3)))
        )
        stems, _ = self._left(last_part(without_suffix(self.paths)), titles)
        encoded = pc.match_substring_regex(stems, "^[A-Za-z0-9_-]+={0,2}$")
        decoded = pc.if_else(encoded, stems, pa.scalar(None, stems.type))
        decoded = map_where(decoded, encoded, decode_title)
        self._join("base64", decoded, titles, reuse=True)
        decoded, _ = self._left(decoded, titles)
        keys, row_keys = (normal(pc.utf8_trim_whitespace(values)) for values in (decoded, titles))
        self._join("base64, other spelling", keys, row_keys, reuse=True)
        cut = pc.and_(encoded, pc.greater_equal(pc.binary_length(stems), CUT_NAME))
        cut_stems, _ = self._left(pc.if_else(cut, stems, pa.scalar(None, stems.type)), titles)
        if cut_stems.null_count < len(cut_stems):
            known = sorted(set(pc.drop_null(titles).to_pylist()))
            whole = map_where(cut_stems, pc.is_valid(cut_stems), lambda stem: title_of_cut(stem, known))
            self._join("base64, cut name", whole, titles, reuse=True)

    def _by_folder(self, groups: pa.Array) -> None:
        spaced = pc.replace_substring(groups, "_", " ")
        row_keys = normal(self.names.values)
        spaced_keys = normal(spaced)
        self._join("folder", spaced_keys, row_keys, reuse=True)
        left, _ = self._left(spaced_keys, row_keys)
        self._join("folder, repaired name", repaired(left, spaced), row_keys, reuse=True)

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
        columns = column_counts(self.catalog, self.matched)
        ids = strings(self.catalog[self.mapping.object_id]) if self.mapping.object_id else self.paths.slice(0, 0)
        filled, different, _ = columns[self.mapping.object_id] if self.mapping.object_id else (0, 0, 0)
        repeated = ids.slice(0, 0)
        if different < filled:
            counts_of_ids = pc.value_counts(pc.drop_null(ids))
            several = pc.greater(pc.struct_field(counts_of_ids, "counts"), 1)
            repeated = pc.struct_field(counts_of_ids, "values").filter(several)
        missing = self._missing(without)
        of_names = [names.values.filter(pa.array(names.crowded & ~names.used)) for _, names in self.followed]
        crowded = pa.concat_arrays([strings(values) for values in of_names] or [self.paths.slice(0, 0)])
        in_part = flags(pc.invert(pc.is_in(missing["row"], value_set=pa.array(np.flatnonzero(without)))))
        _, first_names = np.unique(missing["row"].to_numpy(), return_index=True)
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
            rows_missing=self._sample(strings(missing["value"]), first_names[~in_part[first_names]]),
            names_missing=self._sample(strings(missing["value"]), np.flatnonzero(in_part)),
            rows_disputed=int((self.disputing & ~self.matched).sum()),
            ids_repeated=self._sample(repeated, np.arange(len(repeated))),
            rows_without_id=len(ids) - filled,
            rows_unnamed=int((without & ~self.names_picture).sum()),
            pictures_unmatched=self._sample(self.paths, np.flatnonzero(self.row == NONE)),
            pictures_shared=self._sample(self.paths, np.asarray(self.shared, np.int64)),
            pictures_disputed=self._sample(self.paths, disputed),
            rows_shared=self._sample(row_names(self.catalog, self.mapping), shared_rows),
            names_crowded=self._sample(crowded, np.arange(len(crowded))),
            names_too_long=self.names_too_long,
            columns=columns,
        )
        return Match(table, missing, report)

    def _missing(self, without: Flags) -> pa.Table:
        """The names of rows without a picture, and those of rows with several names that found none."""
        rows, columns, values = [], [], []
        open_rows = without.copy()
        for of, names in self.followed:
            named = flags(pc.is_valid(names.values)) & ~names.used & ~names.disputed & ~names.crowded
            several = np.bincount(names.rows, minlength=len(without)) > 1 if len(names.rows) > len(without) else without
            at = np.flatnonzero(named & (open_rows | (several & ~without))[names.rows])
            rows.append(names.rows[at])
            columns += [of[index] for index in names.column[at].tolist()]
            values.append(names.values.take(pa.array(at)).cast(pa.string()))
            open_rows[names.rows[at]] = False
        row = np.concatenate([np.empty(0, np.int64), *rows])
        order = np.argsort(row, kind="stable")
        value = pa.concat_arrays([pa.array([], pa.string()), *values]).take(pa.array(order))
        column_names = pa.array(columns, pa.string()).take(pa.array(order))
        return pa.table({"row": row[order], "column": column_names, "value": mask_secrets(value)})
