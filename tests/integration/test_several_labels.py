"""Works with several labels: a separator is all that has to be said, from the catalogue's cells to the labels."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from artray.bundles.classifier import load_bundle
from artray.classifiers.station import TrainOptions, train
from artray.errors import InputError
from artray.features.station import FeatureOptions, extract_features
from artray.ingest.station import IngestOptions, ingest
from artray.job import validate
from artray.labeling.station import LabelOptions, label_catalog
from artray.storage import Location
from tests.integration.tables import CONFIG

pytestmark = pytest.mark.usefixtures("ray_session")


def test_from_cells_to_labels(in_process: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pics").mkdir()
    lines = ["file,Themen"]
    for number in range(40):
        light = number % 2
        Image.new("RGB", (16, 16), (200 * light + number,) * 3).save(tmp_path / f"pics/{number}.png")
        lines.append(f"{number}.png,{'sky; river' if light else 'night'}")
    (tmp_path / "works.csv").write_text("\n".join(lines) + "\n")
    manifest, features, model = (str(tmp_path / name) for name in ("manifest", "features", "model"))

    told = {"label": {"thema": "Themen"}, "separator": ";", "near_duplicates": False}
    ingest(IngestOptions(images=f"{tmp_path}/pics", catalog=f"{tmp_path}/works.csv", out=manifest, **told))
    extract_features(FeatureOptions(manifest=manifest, out=features, features=["brightness"]))
    options = {"config": CONFIG, "data": features, "task": "thema", "out": model}
    changes = {"columns": "[brightness]", "epochs": "60", "optimizer.learning_rate": "0.1"}
    train(validate(TrainOptions, {**options, "set": changes}))
    assert "thema: the column holds lists, so a work may have several labels" in capsys.readouterr().err
    bundle = load_bundle(Location.parse(model))
    assert (bundle.labels, sorted(bundle.thresholds)) == ("multilabel", ["night", "river", "sky"])

    out = str(tmp_path / "labels")
    label_catalog(LabelOptions(manifest=manifest, model=[model], features=features, out=out))
    table = (
        Location.parse(
            out,
        )
        .dataset()
        .to_table()
    )
    assert table["labels"].type == pa.list_(pa.string())
    said = {row["object_id"]: sorted(row["labels"]) for row in table.to_pylist()}
    assert said == {str(number): ["river", "sky"] if number % 2 else ["night"] for number in range(40)}
    assert json.loads(table.schema.metadata[b"artray"])["bundles"][0]["labels"] == "multilabel"

    # What a config says counts.
    with pytest.raises(InputError, match="set labels to multilabel or soft"):
        train(validate(TrainOptions, {**options, "out": f"{model}-2", "set": {**changes, "labels": "one"}}))
