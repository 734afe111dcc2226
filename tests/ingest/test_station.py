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
from tests.ingest.collection import CATALOG, Collection, by_id


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
