"""Which column of a catalogue means what: mappings, ready ones for published catalogues, and guesses for others.

A mapping is data (YAML, or the job's flags). Those of known museums and studies lie in `mappings/`; each is recognised
by its header. For any other catalogue `guess_mapping` proposes one and says why, so that the user can correct it.
"""

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from artray import console
from artray.catalogs import roles
from artray.catalogs.cells import LIST_SEPARATOR
from artray.catalogs.encodings import decode_text
from artray.catalogs.nested import holds_objects, paths_in, with_paths
from artray.catalogs.unicode import composed
from artray.errors import InputError
from artray.storage import Location

IMAGE_SUFFIX = r"(?i)\.(jpe?g|jpe|jfif|png|tiff?|webp|gif|bmp|jp2|j2k|avif)$"


class Attach(BaseModel):
    """A second table that describes the same works: its columns are added, rows are never multiplied.

    Attributes:
        file: The usual name of the file.
        column: The catalogue's column that names a row of the second table …
        to: … by this column of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str
    column: str
    to: str


class Task(BaseModel):
    """How the cells of a label column become one class a row; see `artray.catalogs.labels.read_labels`.

    Attributes:
        vocabulary: The name of one that comes with artray, a YAML file, or `none`: each value is a class. By default
            the one that is called like the task, if there is one.
        grouping: One of the vocabulary's; its groups are the classes.
        several: What becomes of a cell with several different values: `all` makes a list of labels of each cell, so
            that a work may have several; `found` does so where a cell holds several, else each has one.
        merge: New class by the classes it replaces.
        keep: The only classes kept.
        min_class_size: Classes with fewer rows are dropped.
        only: Rows that have none of the values in a column get no label (a genre filter).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    vocabulary: str | None = None
    grouping: str | None = None
    several: Literal["drop", "first", "known", "all", "found"] = "drop"
    merge: dict[str, tuple[str, ...]] = {}
    keep: tuple[str, ...] | None = None
    min_class_size: int = Field(1, ge=1)
    only: dict[str, tuple[str, ...]] = {}


class Mapping(BaseModel):
    """Which columns name a picture, and which describe it.

    Attributes:
        description: One line on the catalogue and its source.
        header: Columns by which the catalogue is recognised.
        object_id: The column with the work's (or picture's) own number; also looked for in the pictures' names.
        file: The column with the picture's file name or path below the collection's folder.
        url: The column with the picture's address; its last part is taken as the file name.
        more_files: Further columns with names of pictures of the same work: `verso` beside `recto`.
        more_urls: The same with addresses.
        title: The column whose base64 (URL-safe, with padding) is the file name (system A1).
        work_title: The column with the work's title; by default that of `title`.
        path: Regular expression (RE2) with named groups, searched in each picture's path; every group is a column.
        folder: Columns that say the same as a group of `path` (one row for all pictures of an artist, system A4).
        labels: Column of each task; the task names a vocabulary where there is one.
        tasks: How a task's labels are read, where not as they stand.
        artist: The column with the maker, for splits by artist.
        date: The column with the date of the work.
        artwork: The column that pictures of one work share, for splits by work.
        separator: What stands between several values of one cell.
        uppercase: Columns written in capitals throughout (system A1).
        counted: Columns whose different values are counted for the user, where there are such; by default the maker and
            the labels.
        attach: A second table.
        on_conflict: What happens to a picture that several rows name with different labels: it is left without a
            row, or it gets the first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    description: str = ""
    header: tuple[str, ...] = ()
    object_id: str | None = None
    file: str | None = None
    url: str | None = None
    more_files: tuple[str, ...] = ()
    more_urls: tuple[str, ...] = ()
    title: str | None = None
    work_title: str | None = None
    path: str | None = None
    folder: dict[str, str] = {}
    labels: dict[str, str] = {}
    tasks: dict[str, Task] = {}
    artist: str | None = None
    date: str | None = None
    artwork: str | None = None
    separator: str | None = None
    uppercase: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    attach: Attach | None = None
    on_conflict: Literal["leave", "first"] = "leave"

    @field_validator("path")
    @classmethod
    def _path_compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None and not path_columns(pa.array([""]), pattern):
            raise ValueError("has no named group, (?P<name>...)")
        return pattern

    @field_validator("tasks")
    @classmethod
    def _tasks_have_labels(cls, tasks: dict[str, Task], info: ValidationInfo) -> dict[str, Task]:
        for name in tasks.keys() - info.data.get("labels", {}).keys():
            raise ValueError(f"labels names no column for {name!r}")
        return tasks

    def columns(self) -> list[str]:
        """The catalogue's columns that are meant, without those that come from the path."""
        single = [
            self.object_id,
            self.file,
            self.url,
            self.title,
            self.work_title,
            self.artist,
            self.date,
            self.artwork,
        ]
        named = [name for name in single if name is not None]
        filters = [name for task in self.tasks.values() for name in task.only]
        more = [*self.more_files, *self.more_urls]
        rest = [*more, *self.folder.values(), *self.labels.values(), *filters, *self.uppercase]
        return list(dict.fromkeys(name for name in [*named, *rest] if name not in self.path_groups()))

    def described(self) -> dict[str, str]:
        """The columns with title, artist and date, by the names that they have in every manifest."""
        roles = {"title": self.work_title or self.title, "artist": self.artist, "date": self.date}
        return {role: column for role, column in roles.items() if column is not None}

    def without_described(self, names: Sequence[str]) -> "Mapping":
        """The mapping without title and date where a table lacks these columns: one museum's exports differ in them."""
        lacking = [
            role
            for role, column in (("work_title", self.work_title), ("date", self.date))
            if column and not any(column == name or column.startswith((f"{name}.", f"{name}[]")) for name in names)
        ]
        return self.model_copy(update=dict.fromkeys(lacking))

    def path_groups(self) -> tuple[str, ...]:
        """The columns that come from the pictures' paths."""
        return tuple(path_columns(pa.array([""]), self.path)) if self.path else ()

    def without_catalog(self) -> "Mapping":
        """What is left of the mapping where there are pictures only: what their paths say."""
        groups = self.path_groups()
        labels = {task: column for task, column in self.labels.items() if column in groups}
        artist, artwork = (name if name in groups else None for name in (self.artist, self.artwork))
        tasks = {name: task for name, task in self.tasks.items() if name in labels}
        return Mapping(
            description=self.description, path=self.path, labels=labels, tasks=tasks, artist=artist, artwork=artwork
        )

    def complete(self, table: pa.Table) -> pa.Table:
        """The table with a column for each path into a cell (`movements[].name`) that the mapping names.

        Raises:
            InputError: The catalogue lacks a column that the mapping names.
        """
        table = with_paths(table, self.columns())
        if not set(self.columns()) <= set(table.column_names):
            self.check([*table.column_names, *(path for name in table.column_names for path in paths_in(table, name))])
        return table

    def check(self, names: Sequence[str]) -> None:
        """Raise InputError if the catalogue lacks a column that the mapping names."""
        for column in self.columns():
            if column not in names:
                near = difflib.get_close_matches(column, names, n=3, cutoff=0.5) or list(names)[:8]
                raise InputError(f"the catalogue has no column {column!r}; it has {', '.join(map(repr, near))}")


def several_columns(given: str, names: Sequence[str]) -> list[str]:
    """What a flag names: a column, or some with commas between them where there is none that is called so."""
    names_given = [name.strip() for name in given.split(",")]
    return names_given if given not in names and len(names_given) > 1 and set(names_given) <= set(names) else [given]


def path_columns(paths: pa.Array, pattern: str) -> dict[str, pa.Array]:
    """The named groups of a pattern searched in each path, null where it is not found or empty.

    Raises:
        ValueError: The pattern is not a regular expression of RE2.
    """
    try:
        captured = pc.extract_regex(paths, pattern)
    except pa.ArrowInvalid as error:
        raise ValueError(str(error)) from None
    columns = {}
    for field in captured.type:
        values = pc.struct_field(captured, field.name)
        columns[field.name] = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
    return columns


def parse_mapping(text: str, name: str = "mapping") -> Mapping:
    """A mapping from YAML.

    Raises:
        InputError: It isn't one; the line says which key.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise InputError(f"{name} is not YAML{where}") from None
    if not isinstance(content, dict):
        raise InputError(f"{name} must hold keys and values")
    try:
        return Mapping.model_validate(composed(content))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{name}: {key}: {first['msg'].removeprefix('Value error, ')}") from None


@cache
def ready_mappings() -> dict[str, Mapping]:
    """The mappings that come with artray, by name."""
    folder = resources.files(__package__) / "mappings"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {
        file.name.removesuffix(".yaml"): parse_mapping(file.read_text("utf-8"), file.name.removesuffix(".yaml"))
        for file in files
    }


def ready_mapping(name: str) -> Mapping:
    """One of the mappings that come with artray.

    Raises:
        InputError: There is none of that name.
    """
    try:
        return ready_mappings()[name]
    except KeyError:
        raise InputError(f"there is no mapping {name!r}, but {', '.join(ready_mappings())}") from None


def named_mapping(name: str) -> Mapping:
    """A ready mapping by its name, or one from a YAML file's URI.

    Raises:
        InputError: There is none of that name, or the file holds none.
    """
    if name in ready_mappings() or not name.endswith((".yaml", ".yml")):
        return ready_mapping(name)
    return parse_mapping(decode_text(Location.parse(name).read_bytes()).text, name)


def guessed_mapping(table: pa.Table, said: Collection[str] = ()) -> Mapping:
    """What `guess_mapping` proposes, with its reasons said to the user, but for roles of which the user says more."""
    guess = guess_mapping(table)
    for reason in guess.reasons:
        if reason.partition(":")[0].partition(" ")[0] not in said:
            console.say(f"guessed: {reason}")
    return guess.mapping


@dataclass(frozen=True, slots=True)
class Guess:
    """A proposed mapping, the ready one's name if it is one, and a line for each choice."""

    mapping: Mapping
    ready: str | None
    reasons: tuple[str, ...]


_FILE_WORDS = ("image", "picture", "photo", "foto", "bild", "file", "datei", "fichier", "scan", "media")
_LOOKED_AT = 20_000  # rows


def guess_mapping(table: pa.Table) -> Guess:
    """Propose a mapping from a catalogue's header and its cells.

    A ready mapping wins if the catalogue has its whole header (the most specific, if several). Otherwise the names
    decide, and the cells must agree: an object_id has a value in (almost) every row and (almost) none twice, a file
    column holds names of pictures, a url column addresses. A number that stands in several rows, each of another
    picture, is the work's.
    """
    names = table.column_names
    known = {name: mapping for name, mapping in ready_mappings().items() if mapping.header}
    fitting = [name for name, mapping in known.items() if set(mapping.header) <= set(names)]
    if fitting:
        ready = max(fitting, key=lambda name: len(known[name].header))
        return Guess(known[ready], ready, (f"looks like {known[ready].description or ready}",))

    folded = {name: roles.folded(name.lower().removesuffix(" link")) for name in names}
    head = table.slice(0, _LOOKED_AT)
    reasons: list[str] = []
    taken: dict[str, str] = {}

    def choose(role: str, wanted: Sequence[str], fits: Sequence[str], why: str) -> None:
        candidates = [name for name in fits if folded[name] in wanted and name not in taken.values()]
        if candidates:
            taken[role] = min(candidates, key=lambda name: wanted.index(folded[name]))
            reasons.append(f"{role}: column {taken[role]!r} ({why})")

    inside = {name: path for name in names if (path := _name_inside(head, name))}

    def choose_role(role: str, wanted: Sequence[str]) -> None:
        free = [
            name for name in names if name not in taken.values() and (name in inside or not holds_objects(head[name]))
        ]
        if role == "date":  # data is a date in Italian, and an object of anything in English
            free = [name for name in free if not inside.get(name, "").endswith(("title", "label"))]
        if column := roles.first_of(free, wanted):
            taken[role] = column
            reasons.append(f"{role.removeprefix('work_')}: column {inside.get(column, column)!r} (by its name)")

    addresses = [name for name in names if _share(head[name], r"(?i)^https?://") > 0.9]
    pictures = [name for name in names if name not in addresses and _share(head[name], IMAGE_SUFFIX) > 0.9]
    choose("file", roles.FILES, pictures, "it holds names of pictures")
    if "file" not in taken and len(pictures) == 1:
        choose("file", (folded[pictures[0]],), pictures, "the only column that holds names of pictures")
    choose("url", roles.ADDRESSES, addresses, "it holds addresses")
    if not {"file", "url"} & taken.keys() and (inner := _pictures_inside(head)):
        role, taken[inner[0]], kind = inner
        reasons.append(f"{role}: {taken[role]!r} (it holds {kind})")
    keys = {name: KeyCells.of(table[name]) for name in names if folded[name] in roles.IDS}
    choose("object_id", roles.IDS, [name for name in keys if keys[name].all_differ], "filled in every row, none twice")
    if "object_id" not in taken:
        choose("object_id", roles.IDS, [name for name in keys if keys[name].almost_all_differ], "filled in most rows")
    if "file" in taken or "url" in taken:
        repeated = [name for name in keys if keys[name].stand_for_few_rows]
        choose("artwork", roles.IDS, repeated, "rows that share it are pictures of one work")
    choose_role("artist", roles.ARTISTS)
    labels: dict[str, str] = {}
    for task, wanted in roles.LABELS.items():
        choose(f"label {task}", wanted, names, "by its name")
        if column := taken.get(f"label {task}"):
            labels[task] = inside.get(column, column)
    choose_role("work_title", roles.TITLES)
    choose_role("date", roles.DATES)
    separator = guess_separator(with_paths(head, labels.values()), list(labels.values()))
    if separator:
        reasons.append(f"separator: {separator!r} (it stands in cells of the label columns)")
    given = ("file", "url", "object_id", "artist", "artwork", "work_title", "date")
    columns = {role: inside.get(taken[role], taken[role]) for role in given if role in taken}
    return Guess(Mapping(**columns, labels=labels, separator=separator), None, tuple(reasons))


def guess_separator(table: pa.Table, columns: Sequence[str]) -> str | None:
    """What stands between several values in cells of the label columns, None where nothing does."""
    cells = [table[name].slice(0, _LOOKED_AT) for name in columns if name in table.column_names]
    if any("[]" in name for name in columns):
        return LIST_SEPARATOR
    marks = (mark for mark in f"{LIST_SEPARATOR};\n" if any(_share(cell, re.escape(mark)) > 0.02 for cell in cells))
    return next(marks, None)


# What an object that stands for a class, a person or a title calls its name, best first.
_NAMES_INSIDE = (
    "name", "title", "label", "term", "displayname", "preflabel", "value", "text", "period", "date", "description",
)  # fmt: skip
# Names in an object by which it may name its picture, and what the values then are.
_PICTURES_INSIDE = {
    "url": (
        ("url", "uri", "src", "href", "imageurl", "baseimageurl", "iiifurl", "link"),
        r"(?i)^https?://[^|]+$",
        "addresses",
    ),
    "file": (("file", "filename", "name", "path", "filepath", "src"), IMAGE_SUFFIX, "names of pictures"),
}


def _pictures_inside(table: pa.Table) -> tuple[str, str, str] | None:
    """Role, path and kind of pictures' addresses or names in a column that holds objects, `images.web.url`."""
    columns = [name for name in table.column_names if re.search("(?i)image|picture|photo|media|thumb|iiif|file", name)]
    for role, (names, pattern, kind) in _PICTURES_INSIDE.items():
        for path in (path for column in columns for path in paths_in(table, column)):
            if roles.folded(path.rpartition(".")[2]) in names:
                first_rows = with_paths(table.slice(0, 200), [path])
                if path in first_rows.column_names and _share(first_rows[path], pattern) > 0.9:
                    return role, path, kind
    return None


def _name_inside(table: pa.Table, column: str) -> str | None:
    """The path to the names of the objects that a column holds, None for a column of plain cells."""
    paths = [path for path in paths_in(table, column) if roles.folded(path.rpartition(".")[2]) in _NAMES_INSIDE]
    order = [(path.count("."), _NAMES_INSIDE.index(roles.folded(path.rpartition(".")[2]))) for path in paths]
    return min(zip(order, paths, strict=True), default=(None, None))[1]


def _share(column: pa.ChunkedArray, pattern: str) -> float:
    """Share of the filled cells in which a pattern is found."""
    return pc.mean(pc.match_substring_regex(column, pattern)).as_py() or 0.0


@dataclass(frozen=True, slots=True)
class KeyCells:
    """How far a column's cells tell its rows apart.

    Attributes:
        rows: How many there are.
        filled: Those with a value.
        distinct: Different values.
    """

    rows: int
    filled: int
    distinct: int

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "KeyCells":
        """Count a column's cells."""
        return cls(len(column), len(column) - column.null_count, pc.count_distinct(column).as_py())

    @property
    def all_differ(self) -> bool:
        """Every row has a value, and none stands twice."""
        return 0 < self.rows == self.distinct

    @property
    def almost_all_differ(self) -> bool:
        """So it is but for a few rows, which then cost only themselves."""
        return self.rows > 0 and 10 * self.filled >= 9 * self.rows and 10 * self.distinct >= 9 * self.filled

    @property
    def stand_for_few_rows(self) -> bool:
        """Values stand in several rows, ten of them on average at most."""
        return 0 < self.distinct < self.filled <= 10 * self.distinct and 10 * self.filled >= 9 * self.rows


def joining_role(name: str, column: pa.ChunkedArray) -> Literal["file", "url", "object_id"]:
    """As what a column may name pictures: by its cells, or else by its own name."""
    head = column.slice(0, _LOOKED_AT)
    if _share(head, r"(?i)^https?://") > 0.5:
        return "url"
    words = roles.folded(name)
    is_file = _share(head, IMAGE_SUFFIX) > 0.5 or words in roles.FILES or any(word in words for word in _FILE_WORDS)
    return "file" if is_file else "object_id"


def attach_table(table: pa.Table, other: pa.Table, attach: Attach) -> tuple[pa.Table, dict[str, int]]:
    """Add the columns of a second table; the first of equal keys is taken, so that no row is multiplied.

    Returns:
        The table with the new columns (`_2` after a name that it has already), and counts: rows with and without a
        partner, keys that stand twice in the second table.

    Raises:
        InputError: A column is missing.
    """
    for column, where, names in (
        (attach.column, "the catalogue", table.column_names),
        (attach.to, attach.file, other.column_names),
    ):
        if column not in names:
            raise InputError(f"{where} has no column {column!r}; it has {', '.join(map(repr, names[:8]))}")
    keys = other[attach.to].combine_chunks()
    partner = pc.index_in(table[attach.column], keys, skip_nulls=True)
    partnered = int(np.count_nonzero(pc.is_valid(partner)))
    for name in other.column_names:
        if name != attach.to:
            new = name if name not in table.column_names else f"{name}_2"
            table = table.append_column(new, other[name].combine_chunks().take(partner))
    doubled = len(keys) - keys.null_count - pc.count_distinct(keys).as_py()
    return table, {"with a partner": partnered, "without a partner": table.num_rows - partnered, "keys twice": doubled}


def uppercase(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """The table with some columns in capitals (system A1)."""
    for name in columns:
        table = table.set_column(table.column_names.index(name), name, pc.utf8_upper(table[name]))
    return table
