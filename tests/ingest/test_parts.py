"""Which part a work is in, and that it stays there."""

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from artray.errors import InputError
from artray.ingest.manifest import FILE
from artray.storage import Location
from tests.ingest.collection import by_id, sides_of


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
