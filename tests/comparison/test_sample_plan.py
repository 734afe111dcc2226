"""Which works to label first: balanced, of many artists, unlike each other."""

import csv
import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from artray.comparison.sample_plan import PlanOptions, plan, sample_plan
from artray.errors import InputError
from artray.storage import Location

N = 60


def collection(folder, **changes):
    """Works of three decades (40, 15 and 5 of them) and twelve artists; some have a label, one no picture."""
    number = np.arange(N)
    columns = {
        "object_id": [f"w{at:02d}" for at in number],
        "image_uri": [f"/nowhere/{at}.jpg" for at in number],
        "artist": [f"artist {at % 12}" for at in number],
        "group": [f"artist {at % 12}" for at in number],
        "year": [str(1870 if at < 40 else 1881 if at < 55 else 1899) for at in number],
        "title": ["=1+1"] * N,
        "genre": ["portrait" if at % 10 == 0 else None for at in number],
        "status": ["not_found" if at == 1 else "ok" for at in number],
    }
    (Location.parse(folder) / "manifest.parquet").write_table(pa.table(columns | changes))
    return str(folder)


def features(folder, lost=()):
    chance = np.random.default_rng(0)
    ids = [f"w{at:02d}" for at in range(N) if at not in lost]
    values = chance.normal(size=(len(ids), 6)).astype(np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 6)
    table = pa.table({"object_id": ids, "status": ["ok"] * len(ids), "embedding": column})
    (Location.parse(folder) / "part-000000.parquet").write_table(table)
    return str(folder)


def planned(tmp_path, out="out", **options):
    counts = sample_plan(PlanOptions(out=str(tmp_path / out), **options))
    with (tmp_path / out / "plan.csv").open(encoding="utf-8", newline="") as file:
        return counts, list(csv.DictReader(file))


def test_decades_take_turns(tmp_path):
    counts, rows = planned(tmp_path, manifest=collection(tmp_path / "m"), works=15)
    assert counts["ok"] == len(rows) == 15
    assert Counter(row["chosen_for"] for row in rows) == {"1870s": 5, "1880s": 5, "1890s": 5}
    assert {row["label"] for row in rows} == {""}
    assert {row["title"] for row in rows} == {"'=1+1"}  # no formula
    assert json.loads((tmp_path / "out" / "plan.json").read_text())["strata"]["1890s"] == 5


def test_what_is_used_up_leaves_its_turn_to_others(tmp_path):
    _, rows = planned(tmp_path, manifest=collection(tmp_path / "m"), works=30)
    assert Counter(row["chosen_for"] for row in rows)["1890s"] == 5
    assert len({row["object_id"] for row in rows}) == 30


def test_artists_are_many(tmp_path):
    counts, rows = planned(tmp_path, manifest=collection(tmp_path / "m"), works=12, features=features(tmp_path / "f"))
    assert counts["groups"] >= 10
    assert max(Counter(row["artist"] for row in rows).values()) <= 2


def test_a_longer_plan_begins_with_the_shorter_one(tmp_path):
    manifest, table = collection(tmp_path / "m"), features(tmp_path / "f")
    _, short = planned(tmp_path, "a", manifest=manifest, features=table, works=10)
    _, long = planned(tmp_path, "b", manifest=manifest, features=table, works=25)
    assert long[:10] == short


def test_what_has_a_label_or_no_picture_is_left_out(tmp_path):
    counts, rows = planned(tmp_path, manifest=collection(tmp_path / "m"), task="genre", works=100)
    assert counts["rows"] == counts["ok"] == N - 6 - 1
    assert not {"w00", "w10", "w01"} & {row["object_id"] for row in rows}


def test_works_without_features_are_left_out_and_counted(tmp_path, capsys):
    table = features(tmp_path / "f", lost=(5, 6))
    counts, _ = planned(tmp_path, manifest=collection(tmp_path / "m"), features=table, works=100)
    assert counts["ok"] == N - 1 - 2
    said = capsys.readouterr().err
    assert "left out: 2 works without features" in said
    assert f"no more than {N - 3} works to label could be found" in said
    planned(tmp_path, "one", manifest=collection(tmp_path / "m"), features=features(tmp_path / "g", lost=(5,)), works=1)
    assert "left out: 1 work without features" in capsys.readouterr().err


def test_a_first_models_classes_are_balanced(tmp_path):
    labels = pa.table({"object_id": [f"w{at:02d}" for at in range(N)], "label": ["a"] * 54 + ["b"] * 6})
    (Location.parse(tmp_path / "labels") / "part.parquet").write_table(labels)
    _, rows = planned(
        tmp_path, manifest=collection(tmp_path / "m"), labels=str(tmp_path / "labels"), by=["label"], works=10
    )
    assert Counter(row["chosen_for"] for row in rows) == {"a": 5, "b": 5}


def test_works_are_unlike_each_other():
    """Two heaps of points far apart, and a far third of one point: the first three are one of each."""
    chance = np.random.default_rng(1)
    centres = np.array([[10, 0, 0]] * 20 + [[0, 10, 0]] * 20 + [[0, 0, 10]])
    points = centres + chance.normal(0, 0.1, (41, 3))
    chosen = plan([f"g{at}" for at in range(41)], [""] * 41, np.arange(41), points, 3)
    assert sorted(np.digitize(chosen, [20, 40]).tolist()) == [0, 1, 2]


def test_what_is_not_there_is_said(tmp_path):
    manifest = collection(tmp_path / "m")
    with pytest.raises(InputError, match=r"--by artst: neither .* has such a column; did you mean artist\?|--by artst"):
        planned(tmp_path, manifest=manifest, by=["artst"])
    with pytest.raises(InputError, match=r"--task gnre: .* has no such column; did you mean genre\?"):
        planned(tmp_path, manifest=manifest, task="gnre")
    (Location.parse(tmp_path / "l") / "part.parquet").write_table(pa.table({"label": ["a"]}))
    with pytest.raises(InputError, match=r"--labels .*: has no column 'object_id'"):
        planned(tmp_path, manifest=manifest, labels=str(tmp_path / "l"), by=["label"])
    (Location.parse(tmp_path / "k") / "part.parquet").write_table(pa.table({"object_id": ["w00"], "label": ["a"]}))
    with pytest.raises(InputError, match=r"--labels .*: --by names none of its columns: give --by label"):
        planned(tmp_path, manifest=manifest, labels=str(tmp_path / "k"))
    every = collection(tmp_path / "all", genre=["portrait"] * N)
    with pytest.raises(InputError, match="there is no work without a label"):
        planned(tmp_path, manifest=every, task="genre")
