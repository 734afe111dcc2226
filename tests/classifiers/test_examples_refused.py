"""Data that can't be learned from: what is said, before anything is read that needs Ray."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from artray.classifiers.config import ExamplesConfig, TrainConfig
from artray.classifiers.examples import load_examples
from artray.errors import InputError
from artray.storage import Location

PARTS = ["train"] * 4 + ["validation"] * 2 + ["test"] * 2


def refused(folder: Path, config: ExamplesConfig, **columns: object) -> str:
    given = {
        "object_id": [f"w{number}" for number in range(8)],
        "genre": ["a", "b"] * 4,
        "split": PARTS,
        "status": ["ok"] * 8,
        "embedding": pa.array([[float(number)] for number in range(8)], pa.list_(pa.float32())),
    }
    table = pa.table({name: values for name, values in {**given, **columns}.items() if values is not None})
    uri = Location.parse(folder / "features")
    (uri / "part-000000.parquet").write_table(table)
    (uri / "_run.json").write_bytes(json.dumps({"arguments": {"features": []}}).encode())
    with pytest.raises(InputError) as raised:
        load_examples(config, uri)
    message = str(raised.value)
    assert "\n" not in message
    return message


def wanted(task: str = "genre") -> ExamplesConfig:
    values = {"task": task, "target": task, "input": "features", "model": {"name": "linear_head"}}
    return TrainConfig.model_validate(values).examples


def test_a_config_of_another_task(tmp_path):
    message = refused(tmp_path, wanted("style"), motifs=[["a"]] * 8)
    assert "has no column 'style'; the config's task is style: --task NAME sets task and target" in message
    assert message.endswith("(columns with text: genre, motifs)")
    assert "did you mean genre?" in refused(tmp_path, wanted("genr"), motifs=[["a"]] * 8)


@pytest.mark.parametrize("column", ["split", "status", "embedding"])
def test_another_column_that_is_not_there(tmp_path, column):
    message = refused(tmp_path, wanted(), **{column: None})
    assert f"has no column '{column}'" in message
    assert "--task" not in message


def test_a_part_whose_pictures_have_moved(tmp_path):
    message = refused(tmp_path, wanted(), status=["ok"] * 6 + ["missing"] * 2)
    assert "no labelled example in the test part (column 'split'): the pictures of 2 labelled works there" in message
    assert "(2 missing)" in message
    assert "run ingest again" in message


def test_a_collection_whose_pictures_have_moved(tmp_path):
    message = refused(tmp_path, wanted(), status=["missing"] * 7 + ["denied"])
    assert "the training part of column 'genre' has no label: the pictures of 4 labelled works there" in message
    assert "run ingest again" in message


def test_a_part_that_nobody_labelled_is_no_fault_of_the_pictures(tmp_path):
    message = refused(tmp_path, wanted(), genre=["a", "b"] * 3 + [None, None])
    assert message.endswith("no labelled example in the test part (column 'split')")


def test_lists_are_for_several_labels(tmp_path):
    message = refused(tmp_path, wanted(), genre=[["a"], ["a", "b"]] * 4)
    assert "--set labels=multilabel" in message
