"""Which pictures a generator learns from; decoded without Ray."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from artray.engine.shards import ExampleCache
from artray.errors import InputError
from artray.gans.config import GanConfig, read_config
from artray.gans.examples import Pictures, load_pictures
from artray.storage import Location


def wanted(**changes: str) -> GanConfig:
    return read_config("gan_dcgan", {"size": "16", "batch_size": "2", **changes})


def load(folder: Path, config: GanConfig, **columns: object) -> Pictures:
    """Of eight works, of which the ids run backwards, one can't be read."""
    uris = []
    for number in range(8):
        file = folder / f"{number}.png"
        Image.new("RGB", (4, 4), (30 * number, 0, 0)).save(file)
        uris.append(str(file))
    Path(uris[6]).write_bytes(b"no picture")
    given = {
        "object_id": [f"w{number}" for number in range(8)][::-1],
        "image_uri": uris,
        "kind": ["a", "b", "c", None, "a", "b", "a", "b"],
        "split": ["train"] * 7 + ["test"],
    }
    table = pa.table({name: values for name, values in {**given, **columns}.items() if values is not None})
    data = Location.parse(folder / "data")
    (data / "part-000000.parquet").write_table(table)
    return load_pictures(config, data, ExampleCache(Location.parse(folder / "cache"), 0))


def test_the_training_part_by_id(tmp_path):
    found = load(tmp_path, wanted())
    assert found.ids == [f"w{number}" for number in range(2, 8)]
    assert found.inputs.take(np.arange(6))[:, 0, 0, 0].tolist() == [150, 120, 90, 60, 30, 0]
    assert (found.classes, found.labels.shape) == ([], (6, 0))
    assert found.dropped == {"unreadable": 1, "unlabelled": 0, "other label": 0}
    assert load(tmp_path, wanted(), split=None).ids[0] == "w0"


def test_labelled_pictures_of_the_wanted_classes(tmp_path):
    found = load(tmp_path, wanted(target="kind", classes="[b, a]"))
    assert found.ids == ["w2", "w3", "w6", "w7"]
    assert found.labels.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]
    assert found.dropped == {"unreadable": 1, "unlabelled": 1, "other label": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": "7"}, r"has 6 pictures of the part train to learn from \(1 unreadable\), fewer than a batch"),
        ({"target": "kind", "classes": "[a, d]"}, "no picture of d in column 'kind'"),
        ({"target": "split"}, "column 'split' has only 'train'"),
        ({"target": "style"}, "has no column 'style'"),
    ],
)
def test_data_that_do_not_fit(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        load(tmp_path, wanted(**changes))


def test_nothing_to_learn_from(tmp_path):
    with pytest.raises(InputError, match="has no picture of the part train to learn from, fewer than a batch"):
        load(tmp_path, wanted(), split=["test"] * 8)


def test_descriptions_are_those_of_the_pictures_that_are_learned_from(tmp_path):
    found = load(tmp_path, wanted(conditions="[kind]"))
    assert [(one.name, one.kind) for one in found.conditions] == [("kind", "label")]
    assert found.labels.shape == (len(found.ids), found.conditions[0].width)
    assert found.labels.sum() == len(found.ids)
    assert found.classes == []
    with pytest.raises(InputError, match="has no column 'genre'; it is one of the config's conditions"):
        load(tmp_path, wanted(conditions="[genre]"))
