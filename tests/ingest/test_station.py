import base64
import csv
import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from artray.errors import InputError
from artray.ingest.manifest import FILE, RESERVED
from artray.ingest.station import IngestOptions, ingest
from artray.storage import Location, dataset_digest

CATALOG = [
    {"id": "1939.1", "file": "monet/a.jpg", "title": "Haystacks", "artist": "Monet", "style": "Impressionism"},
    {"id": "1939.2", "file": "monet/b.jpg", "title": "Poplars", "artist": "Monet", "style": "Impressionism"},
    {"id": "1940.1", "file": "c.png", "title": "The Wave", "artist": "Hokusai", "style": "Ukiyo-e"},
    {"id": "1941.1", "file": "gone.jpg", "title": "Lost", "artist": "Klee", "style": "Expressionism"},
    {"id": "1941.2", "file": "", "title": "Never photographed", "artist": "Klee", "style": "Expressionism"},
]


class Collection:
    """A folder with pictures, a catalogue and a manifest."""

    def __init__(self, folder: Path):
        self.images = folder / "images"
        self.catalog = folder / "catalog.csv"
        self.out = folder / "manifest"
        self.images.mkdir()

    def add(self, *names: str) -> None:
        for name in names:
            file = self.images / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(name.encode())

    def describe(self, rows: list[dict[str, str]]) -> None:
        with self.catalog.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def ingest(self, **options: object) -> tuple[dict[str, object], list[dict[str, object]]]:
        if self.catalog.exists():
            options.setdefault("catalog", str(self.catalog))
        options.setdefault("near_duplicates", False)
        counts = ingest(IngestOptions(images=str(self.images), out=str(self.out), **options))
        return counts, pq.read_table(self.out / FILE).to_pylist()


@pytest.fixture
def collection(tmp_path):
    return Collection(tmp_path)


def by_id(rows, *names):
    return {row["object_id"]: tuple(row[name] for name in names) for row in rows}


def test_without_a_catalogue(collection):
    collection.add("a.jpg", "b.PNG", "deep/er/c.tiff", "raw.dng", ".hidden.jpg", "notes.txt", "README")
    counts, rows = collection.ingest()
    assert by_id(rows, "image_uri", "size") == {
        "a": (str(collection.images / "a.jpg"), 5),
        "b": (str(collection.images / "b.PNG"), 5),
        "deep/er/c": (str(collection.images / "deep/er/c.tiff"), 14),
        # A picture by its name; that it can't be read is seen, and said, when it is read.
        "raw.dng": (str(collection.images / "raw.dng"), 7),
    }
    assert list(rows[0]) == ["object_id", "image_uri", "size", "version", "group", "split", "change"]
    assert (counts["rows"], counts["ok"], counts["failed"]) == (4, 4, 0)
    assert sum(counts["split"].values()) == 4
    assert by_id(rows, "group") == {row["object_id"]: (row["object_id"],) for row in rows}


def test_types_and_counts_are_written(collection):
    collection.add("a.jpg")
    counts, _ = collection.ingest()
    schema = pq.read_schema(collection.out / FILE)
    assert {field.name: field.type for field in schema} == {
        "object_id": pa.string(),
        "image_uri": pa.string(),
        "size": pa.int64(),
        "version": pa.string(),
        "group": pa.string(),
        "split": pa.string(),
        "change": pa.string(),
    }
    assert json.loads((collection.out / "_run.json").read_text())["counts"] == counts


def test_with_a_catalogue(collection):
    collection.add("monet/a.jpg", "monet/b.jpg", "c.png", "unnamed/d.jpg")
    collection.describe(CATALOG)
    counts, rows = collection.ingest()
    assert by_id(rows, "size", "title", "artist") == {
        "1939.1": (11, "Haystacks", "Monet"),
        "1939.2": (11, "Poplars", "Monet"),
        "1940.1": (5, "The Wave", "Hokusai"),
        "1941.1": (None, "Lost", "Klee"),  # the catalogue names it, and it is not there
        "unnamed/d": (13, None, None),  # it is there, and no row names it
    }
    missing = next(row for row in rows if row["object_id"] == "1941.1")
    assert missing["image_uri"] == str(collection.images / "gone.jpg")
    assert missing["version"] is None
    expected = {"rows": 5, "ok": 4, "failed": 1, "catalog_rows": 5}
    expected |= {"matched": 3, "without_record": 1, "without_picture": 2}
    assert {name: counts[name] for name in expected} == expected
    # The museum's number is in object_id, and nowhere else.
    columns = ["object_id", "image_uri", "size", "version", "file", "title", "artist", "catalog_style", "style"]
    assert list(rows[0]) == [*columns, "group", "split", "change"]
    groups = by_id(rows, "group", "split")
    assert groups["1939.1"] == groups["1939.2"]
    assert groups["1939.1"][0] == "Monet"
    assert groups["unnamed/d"][0] == "unnamed/d"


def test_rows_that_name_one_absent_picture_are_one_row(collection):
    collection.add("a.jpg")
    collection.describe([{"file": name, "title": name} for name in ("a.jpg", "gone.jpg", "gone.jpg")])
    counts, rows = collection.ingest()
    assert by_id(rows, "title") == {"a": ("a.jpg",), "gone": ("gone.jpg",)}
    assert counts["failed"] == 1


def test_the_catalogue_can_not_name_files_outside(collection, tmp_path):
    collection.add("a.jpg")
    (tmp_path / "secret.jpg").write_bytes(b"not of this collection")
    outside = ["../secret.jpg", str(tmp_path / "secret.jpg"), "b/../../secret.jpg", "%2e%2e/secret.jpg"]
    rows = [{"file": name, "url": f"https://m.org/{number}.jpg"} for number, name in enumerate(outside)]
    collection.describe([*rows, {"file": "a.jpg", "url": "https://m.org/a.jpg"}])
    _, written = collection.ingest(file_column="file", url_column="url")
    assert [row["image_uri"] for row in written] == [str(collection.images / "a.jpg")]


def test_pictures_of_one_record_have_ids_of_their_own_and_one_side(collection):
    names = [f"{number}-{view}.jpg" for number in range(30) for view in ("front", "back")]
    collection.add(*names)
    collection.describe([{"object_number": f"W{name.split('-')[0]}", "file": name} for name in names])
    with_own_rows, rows = collection.ingest(id_column="object_number")
    assert with_own_rows["rows"] == 60
    assert {row["object_id"] for row in rows} == {f"W{name.split('-')[0]}/{name[:-4]}" for name in names}


def test_pictures_found_by_one_record_are_on_one_side(collection):
    collection.add(*(f"1939.{number}_{view}.jpg" for number in range(40) for view in ("a", "b", "c")))
    collection.describe([{"object_id": f"1939.{number}", "title": f"T{number}"} for number in range(40)])
    counts, rows = collection.ingest()
    assert counts["matched"] == 120
    assert len({row["object_id"] for row in rows}) == 120
    side: dict[str, set[object]] = {}
    for row in rows:
        side.setdefault(row["title"], set()).add(row["split"])
    assert len(side) == 40
    assert all(len(parts) == 1 for parts in side.values())
    assert set(counts["split"]) == {"train", "validation", "test"}


def test_columns_of_reserved_names(collection):
    collection.add("a.jpg", "b.jpg")
    reserved = sorted(RESERVED)
    rows = [{"file": name, "catalog_size": "x", **dict.fromkeys(reserved, name)} for name in ("a.jpg", "b.jpg")]
    collection.describe(rows)
    _, written = collection.ingest(file_column="file")
    for row in written:
        assert [row[f"catalog_{name}"] for name in reserved if name not in ("object_id", "size")] == [row["file"]] * (
            len(reserved) - 2
        )
        assert {row["catalog_size"], row["catalog_size_2"]} == {"x", row["file"]}
        assert row["size"] == 5
        assert row["split"] in ("train", "validation", "test")
    assert len({*written[0]}) == len(written[0])


def test_reserved_names_can_be_split_by_and_be_labels(collection):
    collection.add(*(f"{number}.jpg" for number in range(60)))
    collection.describe([{"file": f"{n}.jpg", "group": f"g{n // 4}", "status": "ab"[n // 4 % 2]} for n in range(60)])
    _, rows = collection.ingest(split_by=["group"], label={"state": "status"})
    sides: dict[str, set[object]] = {}
    for row in rows:
        assert row["group"] == row["catalog_group"]
        sides.setdefault(row["group"], set()).add(row["split"])
    assert all(len(parts) == 1 for parts in sides.values())
    for part in ("train", "validation", "test"):
        labels = [row["state"] for row in rows if row["split"] == part]
        assert set(labels) == {"a", "b"}


@pytest.mark.parametrize(
    ("names", "reason"),
    [([], "no pictures there"), (["a.txt", "b.txt", "c"], "holds 3 other files (.txt 2, no suffix 1)")],
)
def test_no_pictures_is_one_line(collection, names, reason):
    collection.add(*names)
    with pytest.raises(InputError) as raised:
        collection.ingest()
    assert str(raised.value).startswith(f"{collection.images}: no pictures there")
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (collection.out / FILE).exists()


def test_no_such_folder(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        ingest(IngestOptions(images=str(tmp_path / "nowhere"), out=str(tmp_path / "out")))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"split_by": ["artst"]}, r"^--split-by artst: there is no such column \(there is: .*artist"),
        ({"id_column": "number"}, "no column 'number'"),
        ({"file_column": "picture"}, "no column 'picture'"),
        ({"label": {"style": "syle"}}, "no column 'syle'; it has 'style'"),
        ({"label": {"split": "style"}}, "a task can't be called 'split'"),
        ({"grouping": {"styl": "six-styles"}}, "there is no task 'styl' \\(there is: style\\)"),
        ({"grouping": {"style": "seven"}}, "vocabulary style has no grouping 'seven'"),
        ({"vocabulary": {"style": "styles"}}, "there is no vocabulary 'styles'"),
        ({"only": {"style": "Cubism"}}, "no row has 'Cubism'; there are "),
        ({"test_from": "part=test"}, "^--test-from part=test: there is no such column"),
        ({"test_from": "artist=Nobody"}, "^--test-from artist=Nobody: no row is in it"),
        ({"test_from": "nowhere.txt"}, "nowhere.txt: not found"),
        ({"attach": "works.csv"}, "--attach .*/works.csv: the mapping must say how"),
        ({"mapping": "louvre"}, "no mapping 'louvre'"),
        ({"mapping": "nowhere.yaml"}, "nowhere.yaml: not found"),
        ({"catalog": "nowhere.csv"}, "nowhere.csv: not found"),
    ],
)
def test_wrong_options_are_one_line(collection, options, reason):
    collection.add("monet/a.jpg")
    collection.describe(CATALOG)
    with pytest.raises(InputError, match=reason) as raised:
        collection.ingest(**options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("split", [{"train": 1}, {"train": 1, "validation": -1, "test": 1}, {"a": 1}])
def test_wrong_shares(split):
    with pytest.raises(ValueError, match="must give train, validation and test a share"):
        IngestOptions(images="a", out="b", split=split)


def test_names_that_are_not_utf8_are_left_out_and_said(collection, capsys):
    collection.add("a.jpg")
    try:
        with open(os.fsencode(collection.images) + b"/D\xfcrer.jpg", "wb") as file:  # noqa: PTH123
            file.write(b"x")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    counts, _ = collection.ingest()
    assert counts["rows"] == 1
    assert "names that are not UTF-8: 1 ('D\\udcfcrer.jpg')" in capsys.readouterr().err


def test_a_folder_whose_name_is_not_utf8_is_refused(tmp_path):
    try:
        os.mkdir(folder := os.fsencode(tmp_path) + b"/D\xfcrer")  # noqa: PTH102
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    with pytest.raises(InputError, match=r"udcfcrer': the folder's name is not UTF-8; rename it"):
        ingest(IngestOptions(images=os.fsdecode(folder), out=f"{tmp_path}/out", near_duplicates=False))


def test_a_grown_collection_keeps_ids_and_splits(collection):
    names = [f"{number:03d}.jpg" for number in range(60)]
    collection.add(*names)
    first, before = collection.ingest()
    assert not {"new", "changed", "gone"} & first.keys()
    again, same = collection.ingest()
    assert by_id(same, "group", "split") == by_id(before, "group", "split")
    assert {row["change"] for row in before} == {"new"}
    assert {row["change"] for row in same} == {"same"}
    assert (again["new"], again["changed"], again["gone"]) == (0, 0, 0)

    (collection.images / names[0]).unlink()
    (collection.images / names[1]).write_bytes(b"scanned again")
    os.utime(collection.images / names[1], (1, 1))
    # Some of the new ones have the stem of an old one, which has the plain stem as its id.
    collection.add(*(f"{number:03d}.png" for number in range(5)), *(f"new-{number}.jpg" for number in range(40)))
    grown, after = collection.ingest()
    assert (grown["new"], grown["changed"], grown["gone"]) == (45, 1, 1)
    assert grown["rows"] == 60 + 45 - 1
    assert Counter(row["change"] for row in after) == {"new": 45, "changed": 1, "same": 58}
    kept = {row["image_uri"]: (row["object_id"], row["group"], row["split"]) for row in before[1:]}
    now = {row["image_uri"]: (row["object_id"], row["group"], row["split"]) for row in after}
    assert {uri: now[uri] for uri in kept} == kept
    assert len({row["object_id"] for row in after}) == len(after)


def test_a_second_picture_of_a_record_does_not_rename_the_first(collection):
    collection.add("1939.1_front.jpg", "1940.7.jpg")
    collection.describe([{"object_id": "1939.1", "title": "T"}, {"object_id": "1940.7", "title": "U"}])
    _, before = collection.ingest()
    collection.add("1939.1_back.jpg")
    _, after = collection.ingest()
    names = {row["object_id"]: Path(row["image_uri"]).name for row in after}
    assert names == {
        "1939.1": "1939.1_front.jpg",
        "1940.7": "1940.7.jpg",
        "1939.1/1939.1_back": "1939.1_back.jpg",
    }
    kept = by_id(before, "split")
    assert {object_id: side for object_id, side in by_id(after, "split").items() if object_id in kept} == kept
    sides = by_id(after, "group", "split")
    assert sides["1939.1"] == sides["1939.1/1939.1_back"]


def test_a_catalogue_that_comes_later_gives_its_numbers(collection):
    collection.add("monet/a.jpg", "monet/b.jpg", "c.png")
    _, before = collection.ingest()
    assert sorted(row["object_id"] for row in before) == ["c", "monet/a", "monet/b"]
    collection.describe(CATALOG)
    _, after = collection.ingest()
    assert sorted(row["object_id"] for row in after) == ["1939.1", "1939.2", "1940.1", "1941.1"]


def test_groups_are_undivided_and_the_order_of_rows_does_not_matter(tmp_path):
    rng = random.Random(5)
    rows = [
        {
            "id": f"W{number}",
            "file": f"{number}.jpg",
            "artist": f"A{rng.randrange(40)}" if number % 10 else "",
            "technique": rng.choice(["oil", "ink", "print"]),
        }
        for number in range(300)
    ]
    written = []
    for run in range(2):
        folder = tmp_path / str(run)
        folder.mkdir()
        collection = Collection(folder)
        collection.add(*(row["file"] for row in rows[:280]))
        collection.describe(rows)
        counts, table = collection.ingest(label={"technique": "technique"})
        assert counts["failed"] == 20
        written.append(by_id(table, "group", "split", "artist", "technique"))
        rng.shuffle(rows)
    assert written[0] == written[1]
    sides: dict[str, set[str]] = {}
    for object_id, (group, split, artist, _) in written[0].items():
        assert group == (artist or object_id)
        sides.setdefault(group, set()).add(split)
    assert all(len(parts) == 1 for parts in sides.values())
    assert set().union(*sides.values()) == {"train", "validation", "test"}


def test_two_columns_join_their_groups(collection):
    collection.add(*(f"{number}.jpg" for number in range(4)))
    makers = [("A", "x"), ("B", "x"), ("B", "y"), ("C", "z")]
    collection.describe([{"file": f"{n}.jpg", "artist": a, "series": s} for n, (a, s) in enumerate(makers)])
    _, rows = collection.ingest(split_by=["artist", "series"])
    assert by_id(rows, "group") == {"0": ("A",), "1": ("A",), "2": ("A",), "3": ("C",)}


def test_shares_and_seed(collection):
    collection.add(*(f"{number}.jpg" for number in range(100)))
    counts, rows = collection.ingest(split={"train": 0.5, "validation": 0, "test": 0.5})
    assert counts["split"] == {"train": 50, "test": 50}
    (collection.out / FILE).unlink()
    _, other = collection.ingest(split={"train": 0.5, "validation": 0, "test": 0.5}, seed=1)
    assert by_id(rows, "split") != by_id(other, "split")


def test_a_manifest_that_is_none(collection):
    collection.add("a.jpg")
    Location.parse(str(collection.out / FILE)).write_bytes(b"junk")
    with pytest.raises(InputError, match="not a Parquet dataset"):
        collection.ingest()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_run.json", '{"run_id": "r", "tasks": {}, "bundles": []}'),
        ("_plan.json", '{"job": "features", "chunks": []}'),
        ("predictions.parquet", ""),
    ],
)
def test_another_jobs_folder_is_not_written_to(collection, name, text):
    collection.add("a.jpg")
    collection.out.mkdir()
    (collection.out / name).write_text(text)
    with pytest.raises(InputError, match=r"holds .*; give another --out") as raised:
        collection.ingest()
    assert "\n" not in str(raised.value)
    assert {path.name: path.read_text() for path in collection.out.iterdir()} == {name: text}


def test_a_manifest_is_apart_from_the_pictures_and_the_catalogue(collection):
    collection.add("a.jpg")
    place = collection.out
    collection.out = collection.images
    with pytest.raises(InputError, match="is the place of --images"):
        collection.ingest()
    Location.parse(str(place / FILE)).write_table(pa.table({"file": ["a.jpg"], "title": ["A"]}))
    before = (place / FILE).read_bytes()
    collection.out = place
    with pytest.raises(InputError, match="is the place of --catalog"):
        collection.ingest(catalog=str(place / FILE))
    assert (place / FILE).read_bytes() == before
    for out, where in (
        (collection.images / "manifest", "lies within --images"),
        (collection.images.parent, "--images .* lies within it"),
    ):
        collection.out = out
        with pytest.raises(InputError, match=where):
            collection.ingest()


def test_an_unchanged_collection_has_the_same_manifest(collection):
    """What was made from it is still made from it, though `change` says something else now."""

    def identity():
        return dataset_digest((Location.parse(collection.out) / FILE).dataset())

    collection.add("a.jpg", "b.jpg")
    collection.ingest()
    first = identity()
    for _ in range(2):
        _, rows = collection.ingest()
        assert {row["change"] for row in rows} == {"same"}
        assert identity() == first
    collection.add("c.jpg")
    collection.ingest()
    assert identity() != first
    # Whoever else writes the file makes another manifest of it.
    collection.ingest()
    second = identity()
    table = (Location.parse(collection.out) / FILE).dataset().to_table()
    (Location.parse(collection.out) / FILE).write_table(table.slice(1))
    assert identity() != second


def test_versions_of_an_earlier_release_say_no_size(collection):
    collection.add("a.jpg", "b.jpg")
    collection.ingest()
    file = Location.parse(collection.out) / FILE
    table = file.dataset().to_table()
    old = pc.replace_substring_regex(table["version"], " size:.*", "")
    assert not old.equals(table["version"])
    file.write_table(table.set_column(table.column_names.index("version"), "version", old))
    counts, _ = collection.ingest()
    assert (counts["new"], counts["changed"]) == (0, 0)


def test_a_file_of_another_size_with_the_same_time_has_changed(collection):
    collection.add("a.jpg", "b.jpg")
    collection.ingest()
    file = collection.images / "a.jpg"
    info = file.stat()
    file.write_bytes(file.read_bytes() + b"more")
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    counts, _ = collection.ingest()
    assert (counts["new"], counts["changed"]) == (0, 1)


@pytest.mark.parametrize("name", ["__filename", "__index_level_0__", "__fragment_index", "part", "row", "status"])
def test_a_column_of_any_name_is_read_by_every_reader(collection, name):
    collection.add("a.jpg", "b.jpg")
    collection.describe([{"object_id": "a", name: "x"}, {"object_id": "b", name: "y"}])
    _, rows = collection.ingest()
    own = name if name in rows[0] and name != "status" else f"catalog_{name}"
    assert sorted(row[own] for row in rows) == ["x", "y"]
    found = [
        pd.read_parquet(collection.out),
        duckdb.sql(f"select * from read_parquet('{collection.out}/**/*.parquet')").df(),
        Location.parse(collection.out).dataset().to_table().to_pandas(),
    ]
    for table in found:
        assert sorted(table[own]) == ["x", "y"]
        assert list(table.columns) == list(rows[0])


# -- without a catalogue, and with two ---------------------------------------------------------------------------------


def test_folders_are_classes(collection):
    """A5: train/han, train/kom, test/…; the test part is given by the folders."""
    collection.add(
        *(f"{part}/{name}/{n}.jpg" for part in ("train", "test") for name in ("han", "kom") for n in range(9))
    )
    mapping = collection.out.with_name("folders.yaml")
    mapping.write_text("path: (?P<part>train|test)/(?P<maker>[^/]+)/[^/]+$\nlabels: {medium: maker}\n")
    counts, rows = collection.ingest(mapping=str(mapping), test_from="part=test")
    assert counts["labelled"] == {"medium": 36}
    assert {(row["maker"], row["medium"]) for row in rows} == {("han", "hand"), ("kom", "code")}
    assert all((row["part"] == "test") == (row["split"] == "test") for row in rows)
    assert counts["split"]["validation"] > 0
    _, rows = collection.ingest(mapping="class-folders", new_split=True)
    assert by_id(rows, "class")["train/han/0"] == ("han",)


def test_pandora_without_its_list(collection):
    """A3: NN_Movement/artist/file.jpg; movement and artist come from the path."""
    collection.add(*(f"Pandora_18k/06_Rococo/francois-boucher/{n}.jpg" for n in range(4)))
    collection.add(*(f"Pandora_18k/15_Cubism/school/juan-gris/{n}.jpg" for n in range(4)), "other.jpg")
    counts, rows = collection.ingest(mapping="pandora18k")
    assert by_id(rows, "artist_folder", "style", "group") == {
        **{
            f"Pandora_18k/06_Rococo/francois-boucher/{n}": ("francois-boucher", "Rococo", "francois-boucher")
            for n in range(4)
        },
        **{
            f"Pandora_18k/15_Cubism/school/juan-gris/{n}": ("school/juan-gris", "Cubism", "school/juan-gris")
            for n in range(4)
        },
        "other": (None, None, "other"),
    }
    assert counts["labelled"] == {"style": 8}


@pytest.mark.parametrize(
    "options", [{"label": {"style": "movement"}}, {"id_column": "nr"}, {"mapping": "tate", "file_column": "f"}]
)
def test_columns_without_a_catalogue_are_refused(collection, options):
    collection.add("a.jpg")
    with pytest.raises(InputError, match="there is no --catalog, and the paths' columns are: none"):
        collection.ingest(**options)


def test_a_second_table(collection, capsys):
    """NGA: published_images.csv names the pictures, objects.csv describes the works."""
    header = ["uuid", "iiifurl", "iiifthumburl", "viewtype", "depictstmsobjectid"]
    images = [
        (f"0f9c{n}-11ab", f"https://api.nga.gov/iiif/0f9c{n}-11ab", "", "primary", str(n // 2)) for n in range(40)
    ]
    collection.describe([dict(zip(header, row, strict=True)) for row in images])
    collection.add(*(f"{row[0]}.jpg" for row in images))
    works = collection.catalog.with_name("objects.csv")
    works.write_text("objectid,title,attribution,classification\n" + "".join(f"{n},T{n},A,Print\n" for n in range(19)))
    counts, rows = collection.ingest(attach=str(works), label={"classification": "classification"})
    assert counts["labelled"] == {"classification": 38}
    assert {row["title"] for row in rows} == {None, *(f"T{n}" for n in range(19))}
    sides: dict[str, set[object]] = {}
    for row in rows:
        sides.setdefault(row["depictstmsobjectid"], set()).add(row["split"])
    assert len(sides) == 20
    assert all(len(parts) == 1 for parts in sides.values())
    assert "attached: 38 with a partner, 2 without a partner, 0 keys twice" in capsys.readouterr().err
    collection.ingest()
    assert "without --attach objects.csv" in capsys.readouterr().err


# -- labels ------------------------------------------------------------------------------------------------------------

THESIS = [
    # Title, Style, Artist, Genre, Tags, Emotion, Image URL; as published, with a title twice and cells left empty
    ("The Fall of Lucifer", "Romanticism", "Gustave Doré", "Religious painting", "fall", "Sadness"),
    ("Portrait of a Knight", "realism", "Vittore Carpaccio", "portrait", "knight", "optimism"),
    ("Portrait of a Knight", "Realism", "Hans Baldung", "portrait", "", "love"),
    ("Untitled", "Realism", "Anon", "landscape", "tree", "Joy"),
    ("Untitled", "Realism", "Anon", "landscape", "tree", "Joy"),
    ("Vincenzo Anastagi", "Mannerism", "El Greco", "Portrait", "", ""),
    ("Never downloaded", "Realism", "Anon", "Portrait", "", "Envy"),
]


@pytest.fixture
def thesis(collection):
    header = ["Title", "Style", "Artist", "Genre", "Tags", "Emotion", "Image URL"]
    collection.describe([dict(zip(header, (*row, "https://x.test/a"), strict=True)) for row in THESIS])
    titles = {title for title, *_ in THESIS[:-1]} | {"Not in the table"}
    collection.add(*(base64.urlsafe_b64encode(title.encode()).decode() + ".jpg" for title in titles))
    return collection


def test_the_thesis_numbers(thesis, capsys):
    """A1: printed as in the thesis' annex A; of a title that stands twice no row is made."""
    counts, rows = thesis.ingest()
    said = capsys.readouterr().err
    numbers = ["styles: 3", "artists: 5", "genres: 3", "tags: 4", "emotions: 6"]
    assert "".join(f"Number of {line}\n" for line in numbers) in said
    assert "Emotion distribution:\nJOY  2\n" in said
    assert "Style distribution:\nREALISM  5\n" in said
    expected = {
        "rows": 5,
        "catalog_rows": 7,
        "matched": 3,
        "without_record": 2,
        "labelled": {"emotion": 2, "style": 3, "genre": 3},
    }
    assert {name: counts[name] for name in expected} == expected
    assert "pictures named by several rows that disagree: 1" in said
    assert {row["Title"]: (row["Emotion"], row["emotion"], row["style"], row["genre"]) for row in rows} == {
        "The Fall of Lucifer": ("SADNESS", "sadness", "Romanticism", "RELIGIOUS PAINTING"),
        "Untitled": ("JOY", "joy", "Realism", "LANDSCAPE"),
        "Vincenzo Anastagi": (None, None, "Mannerism", "PORTRAIT"),
        None: (None, None, None, None),
    }


def test_emotion_groupings_and_the_genre_filter(thesis, capsys):
    """A2: sixteen emotions to four, a work without one is neutral; portraits only. No record, no label."""
    _, rows = thesis.ingest(grouping={"emotion": "four"})
    assert {row["Title"]: row["emotion"] for row in rows} == {
        "The Fall of Lucifer": "sadness, fear, disgust, anger",
        "Untitled": "optimism, joy, love",
        "Vincenzo Anastagi": "neutral",
        None: None,
    }
    capsys.readouterr()
    counts, rows = thesis.ingest(grouping={"emotion": "four"}, only={"Genre": "portrait"})
    assert {row["Title"]: row["emotion"] for row in rows if row["emotion"]} == {"Vincenzo Anastagi": "neutral"}
    assert counts["labelled"]["emotion"] == 1
    assert "emotion: not portrait: 4" in capsys.readouterr().err


def test_a_mapping_says_how_labels_are_read(collection, capsys):
    cells = ["Dada; Cubism", "Fauve", "Fauvism", "Pointillism", "cubism", "cubism", "Nabis", ""]
    collection.describe([{"Nr": f"W{n}", "Stil": cell, "style": "kept"} for n, cell in enumerate(cells)])
    collection.add(*(f"W{n}.jpg" for n in range(len(cells))))
    mapping = collection.out.with_name("own.yaml")
    how = "{merge: {Bright: [Fauvism, Pointillism]}, min_class_size: 3}"
    mapping.write_text(f"object_id: Nr\nlabels: {{style: Stil}}\nseparator: ;\ntasks: {{style: {how}}}\n")
    counts, rows = collection.ingest(mapping=str(mapping))
    assert [row["style"] for row in rows] == [None, "Bright", "Bright", "Bright", None, None, None, None]
    assert {row["catalog_style"] for row in rows} == {"kept"}
    assert counts["labelled"] == {"style": 3}
    said = capsys.readouterr().err
    for line in (
        "labelled: 3 of 8 rows (Bright 3)",
        "several values: 1 (Dada; Cubism 1)",
        "class too small: 2 (cubism 2)",
        "not in the vocabulary: 1 (Nabis 1)",
        "empty: 1",
        "with --vocabulary style=none each of the column's values is a class",
    ):
        assert f"style: {line}\n" in said
    _, rows = collection.ingest(mapping=str(mapping), label={"kind": "Stil"}, min_class_size=2)
    assert [row["kind"] for row in rows] == [None] * 4 + ["cubism"] * 2 + [None] * 2


# -- parts -------------------------------------------------------------------------------------------------------------


def test_folds_divide_what_is_not_test(collection):
    collection.add(*(f"{n}.jpg" for n in range(80)))
    collection.describe([{"file": f"{n}.jpg", "artist": f"A{n % 23}", "kind": "ab"[n % 2]} for n in range(80)])
    _, rows = collection.ingest(folds=4, label={"kind": "kind"})
    assert all((row["fold"] is None) == (row["split"] == "test") for row in rows)
    folds: dict[str, set[object]] = {}
    for row in rows:
        folds.setdefault(row["artist"], set()).add(row["fold"])
    assert all(len(fold) == 1 for fold in folds.values())
    assert set().union(*folds.values()) == {None, 0, 1, 2, 3}
    _, again = collection.ingest(folds=4, label={"kind": "kind"})
    assert by_id(again, "fold") == by_id(rows, "fold")


def test_a_given_test_part(collection, capsys):
    collection.add(*(f"{n}.jpg" for n in range(40)))
    collection.describe([{"file": f"{n}.jpg", "artist": f"A{n // 2}"} for n in range(40)])
    chosen = collection.out.with_name("test.txt")
    chosen.write_text("\ufeff0\n7 \n\n99\n", encoding="utf-8")
    counts, rows = collection.ingest(test_from=str(chosen))
    # A work's group goes with it.
    assert {row["object_id"] for row in rows if row["split"] == "test"} == {"0", "1", "6", "7"}
    assert counts["split"]["validation"] in (8, 10)  # a quarter of the other 36 in pairs, as 0.6 to 0.2
    assert f"--test-from {chosen}: 1 of its 3 ids are not in the collection" in capsys.readouterr().err
    _, rows = collection.ingest(test_from="artist=A5", new_split=True)
    assert {row["object_id"] for row in rows if row["split"] == "test"} == {"10", "11"}


SPLITS = [
    ({"split": {"train": 1, "validation": 0, "test": 0}}, "--split", "train=0.6 validation=0.2 test=0.2", "train=1 "),
    ({"split_by": ["artist", "series"]}, "--split-by", "series", "artist,series"),
    ({"test_from": "artist=A5"}, "--test-from", "none", "artist=A5"),
    ({"folds": 4}, "--folds", "none", "4"),
    ({"seed": 1}, "--seed", "0", "1"),
]


@pytest.mark.parametrize(("options", "flag", "before", "now"), SPLITS)
def test_another_split_is_not_mixed_with_the_one_that_is_there(collection, options, flag, before, now):
    """Old groups would keep their parts, and new ones be dealt out otherwise: no split that anybody asked for."""
    collection.add(*(f"{n:02d}.jpg" for n in range(60)))
    collection.describe([{"file": f"{n:02d}.jpg", "artist": f"A{n // 2}", "series": f"S{n}"} for n in range(60)])
    plain = {"split_by": ["series"], "split": {"train": 60, "validation": 20, "test": 20}}
    collection.ingest(**plain)
    manifest = (collection.out / FILE).read_bytes()
    with pytest.raises(InputError) as raised:
        collection.ingest(**plain | options)
    line = str(raised.value)
    assert line.startswith(f"{flag}: the manifest in {collection.out} was split with {before}, not {now}")
    assert "--new-split deals all its works out anew" in line
    assert "\n" not in line
    assert (collection.out / FILE).read_bytes() == manifest

    # The same in other words, and the same again, are no other split.
    _, rows = collection.ingest(**plain | {"split": {"test": 0.2, "validation": 0.2, "train": 0.6}})
    assert by_id(rows, "split") == by_id(pq.read_table(collection.out / FILE).to_pylist(), "split")

    # Dealt anew it is what these options give where nothing was before; ids stay.
    _, anew = collection.ingest(**plain | options, new_split=True)
    ids = {row["image_uri"]: row["object_id"] for row in rows}
    assert {row["image_uri"]: row["object_id"] for row in anew} == ids
    assert {row["change"] for row in anew} == {"same"}
    collection.out = collection.out.with_name("other")
    _, fresh = collection.ingest(**plain | options)
    names = ["group", "split", *(["fold"] if "folds" in options else [])]
    assert by_id(anew, *names) == by_id(fresh, *names)


def test_a_manifest_of_an_earlier_version_takes_any_split(collection):
    collection.add(*(f"{n}.jpg" for n in range(20)))
    _, before = collection.ingest()
    table = pq.read_table(collection.out / FILE).replace_schema_metadata(None)
    pq.write_table(table, collection.out / FILE)
    _, after = collection.ingest(seed=7)
    assert by_id(after, "split") == by_id(before, "split")
    with pytest.raises(InputError, match="was split with 7, not 8"):
        collection.ingest(seed=8)


def test_an_ingest_killed_before_its_run_is_noted_is_not_mixed_either(collection, monkeypatch):
    def dies(place: Location, data: bytes) -> None:
        assert place.name == "_run.json"
        raise KeyboardInterrupt

    collection.add(*(f"{n}.jpg" for n in range(20)))
    with monkeypatch.context() as patch:
        patch.setattr(Location, "ensure_writable", lambda place: None)
        patch.setattr(Location, "write_table", lambda place, table: pq.write_table(table, place))
        patch.setattr(Location, "write_bytes", dies)
        collection.out.mkdir()
        with pytest.raises(KeyboardInterrupt):
            collection.ingest()
    with pytest.raises(InputError, match="--new-split"):
        collection.ingest(seed=1)


@pytest.mark.parametrize(
    ("pictures", "options", "reasons"),
    [
        (20, {"split": {"train": 8, "validation": 0, "test": 2}}, {"validation": "its share is 0"}),
        (2, {}, {"validation": "there are too few groups (2)"}),
        (1, {}, {"validation": "there are too few groups (1)", "test": "there are too few groups (1)"}),
        (3, {"test_from": "all.txt"}, {"train": "the given test part takes all works", "validation": "the given test"}),
        (20, {}, {}),
    ],
)
def test_no_part_is_empty_without_a_word(collection, tmp_path, monkeypatch, capsys, pictures, options, reasons):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all.txt").write_text("\n".join(map(str, range(pictures))))
    collection.add(*(f"{n}.jpg" for n in range(pictures)))
    counts, _ = collection.ingest(**options)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("split: nothing in ")]
    assert set(reasons) == {"train", "validation", "test"} - counts["split"].keys()
    assert len(said) == len(reasons)
    for line, (part, reason) in zip(said, reasons.items(), strict=True):
        assert line.startswith(f"split: nothing in {part}: {reason}")


def test_an_empty_part_of_kept_works_is_said(collection, capsys):
    collection.add(*(f"{n}.jpg" for n in range(20)))
    collection.ingest(split={"train": 1, "validation": 0, "test": 0})
    pq.write_table(pq.read_table(collection.out / FILE).replace_schema_metadata(None), collection.out / FILE)
    collection.ingest()
    said = capsys.readouterr().err
    assert "split: nothing in test: works that had a part keep it; --new-split deals all out anew" in said


def test_a_moved_picture_and_a_renumbered_one_keep_their_side(collection):
    names = [f"{n:02d}.jpg" for n in range(40)]
    collection.add(*names)
    _, before = collection.ingest()
    side = {Path(row["image_uri"]).name: row["split"] for row in before}
    collection.describe([{"id": f"W-{name[:2]}", "file": name} for name in names])
    _, numbered = collection.ingest()
    assert {row["object_id"] for row in numbered} == {f"W-{name[:2]}" for name in names}
    assert {Path(row["image_uri"]).name: row["split"] for row in numbered} == side
    (collection.images / "scans").mkdir()
    for name in names:
        (collection.images / name).rename(collection.images / "scans" / name)
    counts, moved = collection.ingest()
    assert (counts["new"], counts["gone"]) == (40, 40)
    assert {Path(row["image_uri"]).name: row["split"] for row in moved} == side


def test_the_order_of_the_listing_does_not_matter(collection, monkeypatch):
    collection.add(*(f"{n % 7}/{n}.{suffix}" for n in range(60) for suffix in ("jpg", "png")))
    _, rows = collection.ingest()
    (collection.out / FILE).unlink()
    files = list(Location.parse(str(collection.images)).list_files())
    random.Random(1).shuffle(files)
    monkeypatch.setattr(Location, "list_files", lambda self, hidden: iter(files))
    _, shuffled = collection.ingest()
    assert shuffled == rows


# -- safety ------------------------------------------------------------------------------------------------------------


def test_secrets_are_nowhere(collection, capsys):
    collection.add("a.jpg", "b.jpg")
    urls = ["https://curator:hunter2@m.test/a.jpg", "https://m.test/b.jpg?X-Amz-Signature=hunter2"]
    collection.describe([{"url": url, "style": url, "title": url} for url in urls])
    counts, rows = collection.ingest(url_column="url", label={"style": "style", "kind": "title"})
    written = capsys.readouterr()
    for text in (json.dumps(counts), repr(rows), (collection.out / "_run.json").read_text(), written.out, written.err):
        assert "hunter2" not in text
    for options in ({"images": "https://curator:hunter2@m.test/x"}, {"out": "ftp://curator:hunter2@m.test/x"}):
        with pytest.raises(InputError) as raised:
            ingest(IngestOptions(**{"images": "a", "out": "b", **options}))
        assert "hunter2" not in str(raised.value)


def test_links(collection, tmp_path, capsys):
    collection.add("real/a.jpg")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(b"not of this collection")
    try:
        (collection.images / "inside.jpg").symlink_to("real/a.jpg")
    except OSError:
        pytest.skip("no symbolic links here")
    for name, target in {
        "secret.jpg": outside / "secret.jpg",
        "folder.jpg": outside,
        "gone.jpg": outside / "gone.jpg",
    }.items():
        (collection.images / name).symlink_to(target)
    (collection.images / "loop").symlink_to(collection.images)
    _, rows = collection.ingest()
    assert by_id(rows, "size") == {"inside": (10,), "real/a": (10,)}
    assert rows[0]["version"] == rows[1]["version"]
    said = capsys.readouterr().err
    assert f"links that lead to no file below {collection.images}: 4 (" in said
    assert "folder.jpg" in said


@pytest.mark.slow
def test_without_near_duplicates_nothing_of_ray_is_loaded(collection):
    collection.add("a.jpg")
    code = (
        "import sys\n"
        "from artray.ingest.station import IngestOptions, ingest\n"
        "ingest(IngestOptions(images=sys.argv[1], out=sys.argv[2], near_duplicates=False))\n"
        "assert 'ray' not in sys.modules and 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(collection.images), str(collection.out)], check=True)


def test_corrections(collection, tmp_path, capsys):
    collection.add("monet/a.jpg", "monet/b.jpg", "c.png")
    collection.describe(CATALOG)
    _, before = collection.ingest(label={"style": "style"})
    corrections = tmp_path / "corrections.csv"
    corrections.write_text(
        "object_id,task,label,predicted,score,corrected_at\r\n"
        "1939.1,style,Pointillism,Impressionism,0.6,2026-05-04T03:02:01.000Z\r\n"
        "1940.1,style,Ukiyo-e,Ukiyo-e,0.9,2026-05-04T03:02:01.000Z\r\n"
        "1940.1,medium,print,oil,0.5,2026-05-04T03:02:01.000Z\r\n"
        "9999.1,medium,print,oil,0.5,2026-05-04T03:02:01.000Z\r\n"
    )
    counts, after = collection.ingest(label={"style": "style"}, corrections=[str(corrections)])
    assert counts["corrected"] == {
        "medium": {"changed": 0, "added": 1, "confirmed": 0, "unknown": 1},
        "style": {"changed": 1, "added": 0, "confirmed": 1, "unknown": 0},
    }
    assert by_id(after, "style")["1939.1"] == ("Pointillism",)
    assert by_id(after, "style")["1939.2"] == by_id(before, "style")["1939.2"]
    assert by_id(after, "medium")["1940.1"] == ("print",)
    assert set(by_id(after, "medium").values()) == {("print",), (None,)}
    assert by_id(after, "catalog_style")["1939.1"] == ("Impressionism",)  # what the catalogue says
    said = capsys.readouterr().err
    assert "medium: corrections of works that are not here: 1 (9999.1)" in said
    assert "medium: column 'medium' is new" in said


def test_who_corrected_what_stands_in_the_manifest(collection, tmp_path, capsys):
    collection.add("monet/a.jpg", "monet/b.jpg", "c.png")
    collection.describe(CATALOG)
    corrections = tmp_path / "corrections.csv"
    corrections.write_text(
        "object_id,task,label,predicted,score,corrected_at,reviewer,reviewed_at,decision\r\n"
        "1939.1,style,Pointillism,Impressionism,0.6,,Ann,2026-05-04T03:02:01.000Z,corrected\r\n"
        "1940.1,style,Ukiyo-e,Ukiyo-e,0.9,,=cmd(),2026-05-04T03:02:01.000Z,accepted\r\n"
    )
    _, table = collection.ingest(label={"style": "style"}, corrections=[str(corrections)])
    names = ("style_reviewer", "style_reviewed_at", "style_decision")
    assert by_id(table, *names)["1939.1"] == ("Ann", "2026-05-04T03:02:01Z", "corrected")
    assert by_id(table, *names)["1940.1"] == ("=cmd()", "2026-05-04T03:02:01Z", "accepted")
    assert by_id(table, *names)["1939.2"] == (None, None, None)
    assert "style: corrections by Ann 1, =cmd() 1" in capsys.readouterr().err


def test_annotations_name_their_works_by_the_pictures_address(collection, tmp_path):
    collection.add("monet/a.jpg", "monet/b.jpg", "c.png")
    collection.describe(CATALOG)
    _, before = collection.ingest(label={"style": "style"})
    address = by_id(before, "image_uri")["1939.1"][0]
    page = tmp_path / "page.json"
    body = {"type": "TextualBody", "value": "<p>Ukiyo-e</p>"}
    note = {"id": "1", "type": "Annotation", "creator": "Ann", "body": body, "target": f"file://{address}"}
    page.write_text(json.dumps({"type": "AnnotationPage", "items": [note]}))
    counts, table = collection.ingest(label={"style": "style"}, corrections=[str(page)])
    assert by_id(table, "style", "style_reviewer")["1939.1"] == ("Ukiyo-e", "Ann")
    assert counts["corrected"]["style"]["changed"] == 1


def test_corrections_move_no_work_to_another_part(tmp_path):
    rows = [{"id": f"w{n}", "file": f"{n}.jpg", "kind": "oil" if n % 3 else "print"} for n in range(60)]
    corrections = tmp_path / "corrections.csv"
    corrections.write_text("object_id,task,label\n" + "".join(f"w{n},technique,glass\n" for n in range(0, 60, 2)))
    splits = []
    for name, options in (("plain", {}), ("corrected", {"corrections": [str(corrections)]})):
        (tmp_path / name).mkdir()
        own = Collection(tmp_path / name)
        own.add(*(row["file"] for row in rows))
        own.describe(rows)
        counts, read = own.ingest(label={"technique": "kind"}, **options)
        splits.append(by_id(read, "split"))
    assert splits[0] == splits[1]
    assert counts["labelled"] == {"technique": 60}
    assert Counter(by_id(read, "technique").values())["glass",] == 30


def test_corrections_of_a_task_by_another_name(collection, tmp_path):
    collection.add("monet/a.jpg", "c.png")
    collection.describe(CATALOG)
    corrections = tmp_path / "corrections.csv"
    corrections.write_text("object_id,task,label\n1939.1,movement,Pointillism\n")
    options = {"corrections": [str(corrections)], "label": {"style": "style"}}
    _, rows = collection.ingest(**options, corrections_column={"movement": "style"})
    assert by_id(rows, "style", "catalog_style")["1939.1"] == ("Pointillism", "Impressionism")
    with pytest.raises(InputError, match="no corrections of that task \\(there are: movement\\)"):
        collection.ingest(**options, corrections_column={"style": "style"})
    with pytest.raises(InputError, match="the manifest has a column of that name"):
        collection.ingest(**options, corrections_column={"movement": "split"})


def sides_of(rows, name):
    """For each value of a column the parts that its rows are in."""
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row[name], set()).add(row["split"])
    return sides


def test_makers_in_a_cell_are_on_one_side(collection):
    letters = random.Random(1)
    rows = []
    for n in range(60):
        makers = letters.sample("ABCDEFGHIJKLMNOP", 1 if n % 3 else 2)
        rows.append({"id": f"{300 + n}", "Artist": "|".join(f"Maker {letter}" for letter in makers)})
    collection.add(*(f"{row['id']}.jpg" for row in rows))
    collection.describe(rows)
    _, written = collection.ingest(split_by=["Artist"])
    parts: dict[str, set[str]] = {}
    for row in written:
        for maker in row["Artist"].split("|"):
            parts.setdefault(maker, set()).add(row["split"])
    assert len(parts) > 10
    assert all(len(of_maker) == 1 for of_maker in parts.values())


def test_pictures_of_one_object_are_on_one_side(collection, capsys):
    rows = []
    for n in range(30):
        views = ("Fnt", "Back", "Det")[: 1 + n % 3]
        rows += [{"ObjectID": str(5000 + n), "Filename": f"{view}{n * 31 % 97}{view}.jpg"} for view in views]
    collection.add(*(row["Filename"] for row in rows))
    collection.describe(rows)
    counts, written = collection.ingest()
    assert counts["matched"] == len(rows)
    assert all(len(parts) == 1 for parts in sides_of(written, "ObjectID").values())
    said = capsys.readouterr().err
    assert "artwork: column 'ObjectID' (rows that share it are pictures of one work)" in said
    assert "split: no column says who made a work" in said
    assert "views of one work" not in said  # the catalogue says so


def test_views_by_name_and_rows_of_one_number_are_on_one_side(collection, capsys):
    rows = [{"file": f"w{n}_{view}.jpg", "style": "Dada"} for n in range(20) for view in ("front", "back")]
    collection.add(*(row["file"] for row in rows))
    collection.describe(rows)
    _, written = collection.ingest()
    assert len({row["group"] for row in written}) == 20
    said = capsys.readouterr().err
    assert "split: views of one work, by their names: 20 works with 40 pictures (w0_back.jpg, w0_front.jpg; …)" in said
    with pytest.raises(InputError, match=r"--views: .* was split with on, not off"):
        collection.ingest(views=False)
    _, written = collection.ingest(views=False, new_split=True)
    assert len({row["group"] for row in written}) == 40

    rows = [{"id": f"d{n % 19}", "file": f"x{n}.jpg"} for n in range(20)]
    collection.add(*(row["file"] for row in rows))
    collection.describe(rows)
    _, written = collection.ingest(new_split=True)
    assert by_id(written, "group")["d0/x19"] == by_id(written, "group")["d0/x0"]


def test_makers_that_nobody_knows_are_said(collection, capsys):
    makers = ["Unknown", "Ada Bell", "Anonymous", "Unknown", ""]
    collection.add(*(f"{n}.jpg" for n in range(5)))
    collection.describe([{"id": str(n), "artist": maker} for n, maker in enumerate(makers)])
    _, rows = collection.ingest()
    assert by_id(rows, "group")["0"] == by_id(rows, "group")["3"] == ("Unknown",)
    said = capsys.readouterr().err
    assert "split: each taken for one maker, on one side, with its rows: Unknown 2, Anonymous 1" in said


def test_near_duplicates_on_and_off_are_two_splits(collection):
    collection.add("a.jpg", "b.jpg")
    collection.ingest()
    with pytest.raises(
        InputError, match=r"--near-duplicates: the manifest in .* was split with off, not on: --new-split"
    ):
        collection.ingest(near_duplicates=True)


def test_a_catalogue_without_the_makers_is_another_split(collection):
    collection.add(*(f"{n}.jpg" for n in range(6)))
    rows = [{"id": str(n), "artist": "ABC"[n % 3]} for n in range(6)]
    collection.describe([{"id": row["id"]} for row in rows])
    collection.ingest()
    collection.describe(rows)
    _, written = collection.ingest()  # makers that are known later join their works
    assert {len(parts) for parts in sides_of(written, "artist").values()} == {1}
    collection.describe([{"id": row["id"]} for row in rows])
    with pytest.raises(InputError, match="was split by artist, and by this catalogue or mapping it would be by none"):
        collection.ingest()
    collection.ingest(new_split=True)


def test_another_label_keeps_the_split(collection):
    collection.add(*(f"{n}.jpg" for n in range(12)))
    collection.describe([{"id": str(n), "style": "ab"[n % 2], "kind": "xyz"[n % 3]} for n in range(12)])
    _, before = collection.ingest(label={"task": "style"})
    _, after = collection.ingest(label={"other": "kind"})
    assert by_id(before, "split") == by_id(after, "split")


def test_the_column_that_joins_is_taken_or_named(collection, capsys):
    rows = [{"id": str(90000 + n), "accession_number": f"{1915 + n}.{500 + n}"} for n in range(8)]
    collection.add(*(f"{row['accession_number']}_web.jpg" for row in rows))
    collection.describe(rows)
    counts, _ = collection.ingest(id_column="id")
    assert counts["matched"] == 0
    assert "--id-column accession_number would join 8 of 8 pictures, now it is 0" in capsys.readouterr().err
    counts, written = collection.ingest()
    assert counts["matched"] == 8
    assert {row["object_id"] for row in written} == {row["accession_number"] for row in rows}


def test_several_files_in_a_cell_and_one_that_is_not_there(collection, capsys):
    collection.add("w0_front.jpg", "w0_back.jpg", "w1_front.jpg")
    files = ["w0_front.jpg; w0_back.jpg", "w1_front.jpg; w1_back.jpg"]
    collection.describe([{"id": f"w{n}", "files": cell, "style": "Dada"} for n, cell in enumerate(files)])
    counts, rows = collection.ingest()
    assert (counts["matched"], counts["failed"]) == (3, 1)
    assert by_id(rows, "size")["w1/w1_back"] == (None,)
    assert len({row["group"] for row in rows}) == 2
    assert (
        "names of pictures that aren't there, beside others of their rows: 1 (w1_back.jpg)" in capsys.readouterr().err
    )


MOTIFS = ["river; bridge", "river;sky", "bridge; sky", None, "river", "sky; river; bridge"] * 5


def described(collection):
    names = [f"{number:02d}.jpg" for number in range(len(MOTIFS))]
    collection.add(*names)
    collection.describe([{"file": name, "Motive": motif or ""} for name, motif in zip(names, MOTIFS, strict=True)])


def test_all_values_of_a_cell_where_a_work_may_have_several_labels(collection, capsys):
    described(collection)
    options = {"label": {"motif": "Motive"}, "separator": ";", "multilabel": ["motif"]}
    counts, rows = collection.ingest(**options)
    read = {row["image_uri"][-6:-4]: row["motif"] for row in rows}
    assert [read[f"{number:02d}"] for number in range(6)] == [
        ["river", "bridge"],
        ["river", "sky"],
        ["bridge", "sky"],
        None,
        ["river"],
        ["sky", "river", "bridge"],
    ]
    said = capsys.readouterr().err
    assert counts["labelled"] == {"motif": 25}
    assert "motif: labelled: 25 of 30 rows, 50 labels (bridge 15, river 20, sky 15)" in said
    assert "nothing in" not in said  # each label is in each part
    for part in ("train", "validation", "test"):
        assert {label for row in rows if row["split"] == part for label in row["motif"] or []} == {
            "river",
            "bridge",
            "sky",
        }


def test_a_separator_that_is_said_makes_a_task_with_several_labels(collection, capsys):
    described(collection)
    _, rows = collection.ingest(label={"motif": "Motive", "place": "file"}, separator=";")
    assert rows[0]["motif"] == ["river", "bridge"]
    assert rows[0]["place"] == "00.jpg"  # no cell holds several
    said = capsys.readouterr().err
    assert "motif: cells hold several values (divided by ';', or lists), so a work may have several labels" in said
    _, rows = collection.ingest(label={"motif": "Motive"}, separator=";", one_label=["motif"])
    assert {row["motif"] for row in rows} == {None, "river"}
    assert "motif: several values: 20" in capsys.readouterr().err
    with pytest.raises(InputError, match="give one of the two"):
        collection.ingest(label={"motif": "Motive"}, multilabel=["motif"], one_label=["motif"])


def test_what_a_mapping_says_of_several_values_stays(collection, tmp_path):
    described(collection)
    (tmp_path / "m.yaml").write_text("file: file\nlabels: {motif: Motive}\ntasks: {motif: {several: first}}\n")
    _, rows = collection.ingest(mapping=str(tmp_path / "m.yaml"), separator=";")
    assert [row["motif"] for row in rows[:4]] == ["river", "river", "bridge", None]


def test_lists_of_a_catalogue_in_json_need_no_mark_of_their_own(collection, tmp_path):
    collection.add("a.jpg", "b.jpg")
    works = [{"file": "a.jpg", "subjects": ["sea", "boat"]}, {"file": "b.jpg", "subjects": ["sky"]}]
    (tmp_path / "c.json").write_text(json.dumps(works))
    _, rows = collection.ingest(catalog=str(tmp_path / "c.json"), label={"motif": "subjects"}, separator=";")
    assert [row["motif"] for row in rows] == [["sea", "boat"], ["sky"]]


def test_values_that_are_one_class_are_one_label(collection):
    collection.add("a.jpg", "b.jpg")
    collection.describe([{"file": "a.jpg", "style": "Cubism; cubism"}, {"file": "b.jpg", "style": "Fauvism; unheard"}])
    _, rows = collection.ingest(label={"style": "style"}, separator=";")
    assert [row["style"] for row in rows] == ["Cubism", None]


def test_without_a_separator_one_label_a_work_is_the_default_and_says_what_keeps_all(collection, capsys):
    described(collection)
    _, rows = collection.ingest(label={"motif": "Motive"})
    assert {row["motif"] for row in rows} == {None, "river"}
    said = capsys.readouterr().err
    assert "motif: several values: 20" in said
    assert "--multilabel motif keeps all values of a cell" in said


def test_several_labels_of_a_task_that_is_not_there(collection):
    described(collection)
    with pytest.raises(InputError, match="--multilabel motiv: there is no task 'motiv'"):
        collection.ingest(label={"motif": "Motive"}, multilabel=["motiv"])


def test_corrections_of_several_labels(collection, tmp_path):
    described(collection)
    (tmp_path / "c.csv").write_text("object_id,task,label\n03,motif,sky; river\n04,motif,\n")
    _, rows = collection.ingest(
        label={"motif": "Motive"}, separator=";", multilabel=["motif"], corrections=[str(tmp_path / "c.csv")]
    )
    read = {row["object_id"]: row["motif"] for row in rows}
    assert (read["03"], read["04"], read["00"]) == (["sky", "river"], None, ["river", "bridge"])
