import json

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from artray.bundles.classifier import BUNDLE, PREDICTIONS
from artray.classifiers.evaluation import predictions_table
from artray.errors import InputError
from artray.labeling.contract import METADATA_KEY, models_of
from artray.labeling.exports.source import LabelledTask
from artray.labeling.label_rows import label_rows
from artray.labeling.mixes import load_models, with_mix
from artray.labeling.published import Published, TaskLabels
from artray.storage import Location, list_column
from tests.labeling.test_contract import AT
from tests.labeling.test_decisions import SHARES, bundle, collection


@pytest.fixture
def place(tmp_path):
    """A bundle of which labelling reads all but the model, and a manifest."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / BUNDLE).write_text(bundle().model_dump_json())
    scores, true = collection(300, SHARES)
    table = pa.table({"object_id": [str(number) for number in range(300)], "part": ["validation"] * 300})
    pq.write_table(predictions_table(table, true, scores, ["a", "b", "c"]), folder / PREDICTIONS)
    (tmp_path / "manifest").mkdir()
    pq.write_table(pa.table({"object_id": ["1"]}), tmp_path / "manifest" / "manifest.parquet")
    return tmp_path


def load(place, prior):
    (model,) = load_models([Location.parse(place / "model")], prior, Location.parse(place / "manifest"))
    return model


def staged(place, mix, n=2000):
    scores, _ = collection(n, mix, seed=3)
    (place / "parts").mkdir()
    column = list_column(scores.astype(np.float32))
    pq.write_table(pa.table({"scores_0": column}), place / "parts" / "part-000000.parquet")
    return Location.parse(place / "parts")


def test_the_training_parts_mix_changes_nothing(place):
    model = load(place, "training")
    assert model.source == model.identity
    assert with_mix(model, 0, Location.parse(place / "labels"), None, None) is model
    assert model.notes()["prior"] == {"kind": "training", "shares": {"a": 0.6, "b": 0.3, "c": 0.1}}


def test_labels_know_the_uris_of_all_classes_by_which_corrected_ones_get_theirs(place):
    told = json.loads(bundle().model_dump_json())
    told["classes"][1] |= {"uri": "http://b", "equivalents": ["http://elsewhere/b"]}
    (place / "model" / BUNDLE).write_text(json.dumps(told))
    known = models_of([{"bundles": [load(place, "training").notes()]}])
    urls = {"concepts": known.concepts, "equivalents": known.equivalents}
    task = LabelledTask("style", pads.dataset(pa.table({})), target="style", **urls)
    assert [task.concept(name) for name in ("a", "b")] == [None, "http://b"]
    assert [task.elsewhere(name) for name in ("a", "b")] == [(), ("http://elsewhere/b",)]


def test_each_mix_is_another_source_of_labels_from_the_same_scores(place):
    found = [load(place, prior) for prior in ("training", "balanced", "estimated")]
    assert len({model.identity for model in found}) == 1
    assert len({model.source for model in found}) == 3
    pq.write_table(pa.table({"object_id": ["1", "2"]}), place / "manifest" / "manifest.parquet")
    assert load(place, "estimated").source != found[2].source
    assert load(place, "balanced").source == found[1].source


def test_the_mix_is_estimated_from_the_collections_scores(place, capsys):
    mix = [0.1, 0.3, 0.6]
    model = with_mix(load(place, "estimated"), 0, Location.parse(place / "labels"), staged(place, mix), None)
    np.testing.assert_allclose(model.mix, mix, atol=0.06)
    assert "estimated mix of classes (training part): a" in capsys.readouterr().err
    notes = json.loads(json.dumps(model.notes()))
    assert notes["prior"]["kind"] == "estimated"
    assert sum(notes["prior"]["shares"].values()) == pytest.approx(1, abs=1e-5)


def test_where_too_few_works_tell_the_mix_the_training_parts_is_used(place, capsys):
    model = with_mix(load(place, "estimated"), 0, Location.parse(place / "labels"), staged(place, SHARES, 20), None)
    np.testing.assert_allclose(model.mix, SHARES)
    assert "don't tell the mix of classes" in capsys.readouterr().err


def test_works_that_are_labelled_again_stay_under_the_mix_of_all(place):
    model = load(place, "estimated")
    out = place / "labels"
    (out / "_runs" / "r").mkdir(parents=True)
    shares = {"a": 0.2, "b": 0.2, "c": 0.6}
    notes = {"bundles": [{"model_id": "style-1", "prior": {"kind": "estimated", "shares": shares}}]}
    table = pa.table({"object_id": ["1"]}).replace_schema_metadata({METADATA_KEY: json.dumps(notes)})
    pq.write_table(table, out / "_runs" / "r" / "style.parquet")
    task = TaskLabels(
        run_id="r",
        model_id="style-1",
        source=model.source,
        rows=1,
        labels="_runs/r/style.parquet",
        pictures="_runs/r/_pictures.parquet",
    )
    published = Published(run_id="r", tasks={"style": task})
    found = with_mix(model, 0, Location.parse(out), staged(place, SHARES), published)
    assert found.mix.tolist() == list(shares.values())


def test_what_knows_no_mix_is_refused(place):
    old = bundle().model_copy(update={"shares": {}})
    (place / "model" / BUNDLE).write_text(old.model_dump_json())
    with pytest.raises(InputError, match=r"--prior balanced: .*doesn't say the mix of classes"):
        load(place, "balanced")
    several = old.model_copy(update={"labels": "multilabel"})
    (place / "model" / BUNDLE).write_text(several.model_dump_json())
    with pytest.raises(InputError, match=r"--prior estimated: .*gives a work several labels"):
        load(place, "estimated")
    assert load(place, "training").notes()["prior"]["shares"] is None


def test_rows_are_said_under_the_mix():
    scores, _ = collection(5, SHARES)
    rows = pa.table(
        {
            "object_id": list("abcde"),
            "image_uri": list("abcde"),
            "status": ["ok"] * 5,
            "error": pa.nulls(5, pa.string()),
            "scores_0": list_column(scores.astype(np.float32)),
        }
    )
    even = np.full(3, 1 / 3)
    found = label_rows(rows, "scores_0", bundle(), "run-1", AT, prior=even).to_pylist()
    moved = scores / SHARES / (scores / SHARES).sum(axis=1, keepdims=True)
    for row, expected in zip(found, moved, strict=True):
        assert row["label"] == "abc"[expected.argmax()]
        assert row["score"] == pytest.approx(expected.max(), abs=1e-5)
        assert list(dict(row["scores"]).values()) == pytest.approx(expected.tolist(), abs=1e-5)
