"""Examples from feature tables: their labels, parts, folds and inputs."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from artray.bundles.inputs import FeatureInput
from artray.classifiers import examples, feature_inputs
from artray.classifiers.config import ExamplesConfig, TrainConfig
from artray.classifiers.examples import load_examples
from artray.engine.examples import Shard
from artray.engine.shards import ExampleCache
from artray.errors import InputError
from artray.features.colormaps import color_map_distances, learn_color_maps
from artray.storage import Location
from tests.integration.tables import write_features

pytestmark = pytest.mark.usefixtures("ray_session")  # what is read lies in Ray's object store


def wanted(**changes: object) -> ExamplesConfig:
    values = {"task": "made", "target": "made", "input": "features", "model": {"name": "linear_head"}}
    return TrainConfig.model_validate({**values, **changes}).examples


def write(uri: str, **columns: object) -> str:
    """A feature table of twelve works, three in a row of one artist."""
    number = 12
    given = {
        "object_id": [f"{row:02d}" for row in range(number)],
        "group": [f"artist-{row // 3}" for row in range(number)],
        "made": ["a", "b", "a"] * 4,
        "split": ["train"] * 6 + ["validation"] * 3 + ["test"] * 3,
        "status": ["ok"] * number,
        "embedding": pa.array(np.arange(number * 2.0).reshape(number, 2).tolist(), pa.list_(pa.float32())),
        "brightness": np.arange(number, dtype=np.float32),
    }
    (Location.parse(uri) / "part-000000.parquet").write_table(pa.table({**given, **columns}))
    (Location.parse(uri) / "_run.json").write_bytes(json.dumps({"arguments": {"features": []}}).encode())
    return uri


def test_examples_of_a_feature_table(tmp_path: Path) -> None:
    status = ["ok"] * 11 + ["missing"]
    made = [None, "b", "a", "c", *(["a", "b"] * 4)]
    dates = [str(1870 + row) for row in range(12)]
    data = write(str(tmp_path), status=status, made=made, date=dates)
    found = load_examples(wanted(columns=["brightness", "embedding"], classes=["b", "a"]), Location.parse(data))
    assert found.table.column_names == ["object_id", "group", "date", "part"]
    assert found.table["date"].to_pylist()[:3] == ["1871", "1872", "1874"]
    assert found.table["object_id"].to_pylist() == ["01", "02", *(f"{row:02d}" for row in range(4, 11))]
    assert found.dropped == {"unreadable": 1, "unlabelled": 1, "other label": 1}
    assert found.widths == {"brightness": 1, "embedding": 2}
    assert found.targets[:2].tolist() == [[1, 0], [0, 1]]
    taken = found.inputs.take(np.array([1, 0]))
    assert taken.tolist() == [[2, 4, 5], [1, 2, 3]]
    # What has another label is there to be looked at, and not to be learned from.
    assert found.other_inputs.take(np.array([0])).tolist() == [[3, 6, 7]]
    assert len(found.others) == 1
    assert found.moments is not None
    assert found.moments.count == len(found.part("train"))


def test_of_many_works_with_another_label_some_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write(str(tmp_path), made=["a", "b", "c"] * 4)
    monkeypatch.setattr(examples, "MOST_OTHERS", 2)
    config = wanted(columns=["brightness"], classes=["a", "b"])
    found, again = (load_examples(config, Location.parse(data)) for _ in range(2))
    drawn = [each.other_inputs.take(np.arange(2)).ravel().tolist() for each in (found, again)]
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) < {2, 5, 8, 11}
    assert found.dropped["other label"] == 4


def test_folds_divide_training_and_validation_by_group_and_leave_the_test(tmp_path: Path) -> None:
    data = write(str(tmp_path))
    seen = []
    for fold in range(3):
        found = load_examples(wanted(folds=3, fold=fold), Location.parse(data))
        parts = found.table["part"].to_pylist()
        assert parts[9:] == ["test"] * 3
        groups = {part: {row // 3 for row in found.part(part).tolist()} for part in ("train", "validation", "test")}
        assert sum(map(len, groups.values())) == 4
        seen += groups["validation"]
    assert sorted(seen) == [0, 1, 2]
    # Ingest's folds, where there are as many, are taken as they are.
    given = pa.array([2, 2, 2, 0, 0, 0, 1, 1, 1, None, None, None], pa.int32())
    data = write(str(tmp_path / "given"), fold=given)
    found = load_examples(wanted(folds=3, fold=2), Location.parse(data))
    assert found.part("validation").tolist() == [0, 1, 2]
    found = load_examples(wanted(folds=2, fold=1), Location.parse(data))
    assert len(found.part("validation")) in (3, 6)


def test_several_labels_and_shares(tmp_path: Path) -> None:
    data = write(str(tmp_path), made=["a; b", "b", "c;a"] * 4)
    found = load_examples(wanted(labels="multilabel"), Location.parse(data))
    assert found.targets[:3].tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    shares = pa.array([[("a", 1), ("b", 3)], [("b", 2)], [("c", 1), ("a", 1)]] * 4, pa.map_(pa.string(), pa.int32()))
    found = load_examples(wanted(labels="soft", classes=["a", "b"]), Location.parse(write(str(tmp_path), made=shares)))
    assert found.targets[:3].tolist() == [[0.25, 0.75], [0, 1], [1, 0]]
    with pytest.raises(InputError, match="set labels to multilabel or soft"):
        load_examples(wanted(), Location.parse(data))


def test_reference_colour_maps_are_learned_from_the_training_part(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).uniform(0, 255, (12, 5, 3)).astype(np.float32)
    data = write(str(tmp_path), color_map=pa.array(maps.tolist(), pa.list_(pa.list_(pa.float32()))))
    found = load_examples(wanted(columns=["brightness"], colormaps=True), Location.parse(data))
    learned = learn_color_maps(maps[:6], ["a", "b", "a"] * 2)
    assert list(found.input.color_maps) == ["a", "b"]
    for name, reference in learned.items():
        assert np.allclose(found.input.color_maps[name], reference, atol=1e-3)
    assert found.widths == {"brightness": 1, "color_map_distances": 2}
    taken = found.inputs.take(np.arange(12))
    assert np.allclose(taken[:, 1:], color_map_distances(maps, learned), atol=1e-4)
    # The same from the bundle's `input`, as JSON keeps it.
    again = FeatureInput.model_validate_json(found.input.model_dump_json())
    table = Location.parse(data).dataset().to_table()
    groups = again.groups({name: table[name] for name in ("brightness", "color_map")})
    assert np.array_equal(np.concatenate(list(groups.values()), axis=1), taken)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"brightness": [*([1.0] * 11), float("nan")]}, "'brightness' holds values that are not finite"),
        ({"brightness": [*([1.0] * 11), None]}, "'brightness' has no value in 1 row"),
        ({"brightness": ["bright"] * 12}, "'brightness' is not numeric"),
        ({"brightness": [[1.0]] * 11 + [[1.0, 2.0]]}, "'brightness' holds lists of different lengths"),
        # As many numbers as twelve lists of two.
        ({"brightness": [[1.0]] + [[1.0, 2.0]] * 10 + [[1.0] * 3]}, "'brightness' holds lists of different lengths"),
        ({"split": ["train"] * 9 + ["test"] * 3}, "no labelled example in the validation part"),
        ({"made": ["a"] * 12}, "has only 'a'; two classes are needed"),
        (
            {"made": ["a", "b\nc", "a"] * 4},
            r"column 'made': the class 'b\\nc': line breaks or other control characters",
        ),
    ],
)
def test_tables_that_can_not_be_learned_from(tmp_path: Path, columns: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_examples(wanted(columns=["brightness"]), Location.parse(write(str(tmp_path), **columns)))


def test_more_folds_than_groups(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 groups can't be divided into 4 folds"):
        load_examples(wanted(folds=4), Location.parse(write(str(tmp_path))))


def test_corrections_replace_labels(tmp_path: Path) -> None:
    write_features(str(tmp_path / "features"))
    config = TrainConfig(task="kind", target="medium", input="features", model={"name": "linear"}).examples
    before = load_examples(config, Location.parse(tmp_path / "features"))
    (tmp_path / "corrections.csv").write_text("object_id,task,label\nwork-00,kind,code\nwork-01,kind,print\n")
    after = load_examples(
        config, Location.parse(tmp_path / "features"), corrections=[Location.parse(tmp_path / "corrections.csv")]
    )
    assert (before.classes, after.classes) == (["code", "hand"], ["code", "hand", "print"])
    assert after.table.equals(before.table)  # the same works in the same parts
    changed = np.flatnonzero((before.targets != after.targets[:, :2]).any(axis=1))
    assert after.table["object_id"].take(changed).to_pylist() == ["work-00", "work-01"]
    assert after.targets[changed].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert (before.reviewed, after.reviewed) == ({}, {"works": 2, "people": 0})


@pytest.mark.parametrize("share", [0.3, 0.0], ids=["memory", "shards"])
def test_many_works_are_read_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    data = Location.parse(write(str(tmp_path / "features")))
    config = wanted(columns=["brightness", "embedding"])
    whole = load_examples(config, data)
    monkeypatch.setattr(feature_inputs, "_BLOCK_ROWS", 5)
    found = load_examples(config, data, cache=ExampleCache(Location.parse(tmp_path / "cache"), share))
    assert len(found.blocks) == 3
    assert any(isinstance(block, Shard) for block in found.blocks) == (not share)
    assert np.array_equal(found.inputs.take(np.arange(12)), whole.inputs.take(np.arange(12)))
    assert np.allclose(found.moments.variance, whole.moments.variance)
    assert (found.widths, found.shape) == (whole.widths, whole.shape)
    longer = pa.array([[1.0, 2.0]] * 6 + [[1.0, 2.0, 3.0]] * 6, pa.list_(pa.float32()))
    other = Location.parse(write(str(tmp_path / "other"), embedding=longer))
    with pytest.raises(InputError, match="'embedding' holds lists of different lengths"):
        load_examples(config, other)


def test_labels_and_split_of_another_manifest(tmp_path: Path) -> None:
    """A second split, and another column, of works whose features are there: no picture is needed for it."""
    versions = [f"etag {row}" for row in range(12)]
    data = Location.parse(write(str(tmp_path / "features"), version=versions))
    rows = [*range(11, -1, -1), 99]
    manifest = {
        "object_id": [f"{row:02d}" for row in rows],
        "version": ["changed" if row == 3 else f"etag {row}" for row in rows],
        "group": [f"maker-{row // 2}" for row in rows],
        "split": (["train", "validation", "test"] * 5)[:13],
        "made": [None if row == 4 else "ab"[row % 2] for row in rows],
    }
    place = Location.parse(tmp_path / "manifest")
    (place / "manifest.parquet").write_table(pa.table(manifest))
    found = load_examples(wanted(columns=["brightness"]), data, manifest=place)
    assert found.table["object_id"].to_pylist() == [f"{row:02d}" for row in range(12) if row not in (3, 4)]
    expected = dict(zip(manifest["object_id"], manifest["split"], strict=True))
    assert found.table["part"].to_pylist() == [expected[name] for name in found.table["object_id"].to_pylist()]
    assert found.table["group"][0].as_py() == "maker-0"
    assert found.classes == ["a", "b"]
    assert found.targets[:2].tolist() == [[1, 0], [0, 1]]
    assert found.inputs.take(np.array([3, 0])).tolist() == [[5], [0]]
    assert found.dropped["labelled but not in --data"] == found.dropped["changed since --data was made"] == 1
    with pytest.raises(InputError, match=r"manifest: has no column 'style'; .*: --task NAME"):
        load_examples(wanted(target="style"), data, manifest=place)
