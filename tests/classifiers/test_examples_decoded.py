"""Which pictures are decoded: those of examples, and no others."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from artray.classifiers import examples
from artray.classifiers.config import ExamplesConfig, TrainConfig
from artray.classifiers.examples import load_examples
from artray.engine.shards import Decoded, ExampleCache
from artray.errors import InputError
from artray.storage import Location


def wanted(**changes: object) -> ExamplesConfig:
    values = {"task": "style", "target": "style", "input": "pictures", "size": 8, "model": {"name": "one_block_vgg"}}
    return TrainConfig.model_validate({**values, **changes}).examples


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[pa.Table]:
    """The rows that are to be decoded, each time; the last of them can't be read."""
    tables: list[pa.Table] = []

    def decode(rows: pa.Table, *_: object, **__: object) -> Decoded:
        tables.append(rows)
        status = np.array(["ok"] * (len(rows) - 1) + ["missing"], object)
        return Decoded(status, [], np.stack([np.zeros(len(rows), np.int64), np.arange(len(rows))], axis=1))

    monkeypatch.setattr(examples, "decode_examples", decode)
    return tables


def load(table: pa.Table, folder: Path, config: ExamplesConfig, **options: object) -> examples.Examples:
    data = Location.parse(folder / "data")
    (data / "part-000000.parquet").write_table(table)
    cache = ExampleCache(Location.parse(folder / "cache"), 0)
    return load_examples(config, data, cache=cache, **options)


def manifest(number: int, **columns: object) -> pa.Table:
    given = {
        "object_id": [f"w{row:02d}" for row in range(number)][::-1],
        "image_uri": [f"/scans/{row:02d}.jpg" for row in range(number)][::-1],
        "style": ["a", "b", "a"] * (number // 3),
        "split": (["train", "validation", "test", "train"] * number)[:number],
    }
    return pa.table({**given, **columns})


def test_few_labels_in_many_rows(tmp_path, asked):
    """One of 512 of twenty thousand."""
    number = 20_000
    rows = np.arange(number)
    labelled = pa.array(rows % 512 == 5)
    style = pc.if_else(labelled, pa.array(np.where(rows & 512, "a", "b")), pa.scalar(None, pa.string()))
    split = np.array(["train", "validation", "test"])[rows // 512 % 5 % 3]
    ids = pa.array(rows).cast(pa.string())
    table = pa.table({"object_id": ids, "image_uri": ids, "style": style, "split": split})
    found = load(table, tmp_path, wanted())
    assert len(asked[0]) == 40
    assert asked[0].column_names == ["object_id", "image_uri"]
    assert asked[0]["object_id"].to_pylist() == sorted(ids.filter(labelled).to_pylist())
    assert len(found.table) == 39
    assert found.dropped == {"unreadable": 1, "unlabelled": number - 40, "other label": 0}


def test_pictures_of_the_wanted_classes_alone(tmp_path, asked):
    table = manifest(12, style=["a", "b", "c", None, "", "b", "a", "b", "a", "c", "a", "b"])
    found = load(table, tmp_path, wanted(classes=["b", "a"]))
    styles = dict(zip(table["object_id"].to_pylist(), table["style"].to_pylist(), strict=True))
    ids = sorted(name for name, style in styles.items() if style in ("a", "b"))
    assert asked[0]["object_id"].to_pylist() == ids
    assert found.table["object_id"].to_pylist() == ids[:-1]
    assert [found.classes[row.argmax()] for row in found.targets] == [styles[name] for name in ids[:-1]]
    assert found.positions[:, 1].tolist() == list(range(len(ids) - 1))
    assert found.dropped == {"unreadable": 1, "unlabelled": 2, "other label": 2}


def test_all_folds_see_the_same_pictures(tmp_path, asked):
    decoded: dict[object, object] = {}
    for fold in range(3):
        load(manifest(12), tmp_path / str(fold), wanted(folds=3, fold=fold), decoded=decoded)
    assert len(asked) == 1


def test_nothing_is_decoded_where_it_would_be_too_little(tmp_path, asked):
    with pytest.raises(InputError, match="has only 'a'; two classes are needed"):
        load(manifest(12, style=["a"] * 12), tmp_path, wanted())
    with pytest.raises(InputError, match=r"no labelled example in the test part \(column 'split'\)$"):
        load(manifest(12, split=["train"] * 6 + ["validation"] * 6), tmp_path, wanted())
    assert not asked


def test_a_part_of_which_no_picture_can_be_read(tmp_path, asked):
    split = ["test"] + ["train"] * 8 + ["validation"] * 3  # the ids run backwards: the first is decoded last
    with pytest.raises(InputError, match=r"test part .*: the pictures of 1 labelled works there can't be read"):
        load(manifest(12, split=split), tmp_path, wanted())


def test_a_correction_makes_an_example(tmp_path, asked):
    file = tmp_path / "corrections.csv"
    file.write_text("object_id,task,label\n w00 ,style,c\nw02,style,\n")
    table = manifest(12, style=["a", "b"] * 5 + [None] * 2)
    found = load(table, tmp_path, wanted(), corrections=[Location.parse(file)])
    assert asked[0]["object_id"].to_pylist() == ["w00", *(f"w{row:02d}" for row in range(3, 12))]
    assert found.classes == ["a", "b", "c"]


def test_wanted_patches_as_they_lie_in_their_files(tmp_path, asked):
    table = manifest(12, patch=[0, 1] * 6, status=["ok"] * 11 + ["missing"])
    table = table.set_column(0, "object_id", pa.array([f"w{row // 2}" for row in range(12)][::-1]))
    (tmp_path / "data").mkdir()
    arguments = {"size": 8, "per_image": 2, "seed": 0, "long_side": 64}
    (tmp_path / "data" / "_run.json").write_text(json.dumps({"arguments": arguments}))
    found = load(table, tmp_path, wanted(input="patches"))
    assert asked[0]["row"].to_pylist() == list(range(11))
    ids = list(zip(found.table["object_id"].to_pylist(), found.table["patch"].to_pylist(), strict=True))
    assert ids == sorted(ids)
    where = list(zip(table["object_id"].to_pylist(), table["patch"].to_pylist(), strict=True))
    assert [where[row] for row in found.positions[:, 1].tolist()] == ids
    assert found.dropped == {"unreadable": 2, "unlabelled": 0, "other label": 0}
