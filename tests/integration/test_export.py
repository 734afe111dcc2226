"""A model exported to S3, by tasks of Ray."""

import json

import pyarrow as pa
import pytest

from artray.bundles.classifier import PREDICTIONS
from artray.exports.station import ExportOptions, export_model
from artray.storage import Location
from tests.labeling.bundles import write_bundle, write_pictures


def test_a_model_exported_to_s3(ray_session, s3_bucket, tmp_path):
    bundle, out = Location.parse(f"{s3_bucket}/to-export"), Location.parse(f"{s3_bucket}/exported")
    write_bundle(str(bundle), "pictures", "style", 2)
    pictures = write_pictures(tmp_path / "pictures", 6, broken=1)
    columns = {
        "object_id": list(pictures),
        "image_uri": list(pictures.values()),
        "part": ["train"] * 2 + ["test"] * 5,
        "true": ["style 0", "style 1"] * 3 + ["style 0"],
    }
    (bundle / PREDICTIONS).write_table(pa.table(columns))
    options = ExportOptions(model=bundle, out=out, forms=["saved_model"])
    counts = export_model(options)
    assert (counts["rows"], counts["ok"], counts["works"], counts["works_left_out"]) == (1, 1, 4, 1)
    assert {"form.json", "saved_model.pb", "variables"} <= set((out / "saved_model").names())
    figures = json.loads((out / "export.json").read_bytes())
    assert figures["forms"]["saved_model"]["difference"] == pytest.approx(0, abs=1e-4)
    assert export_model(options)["ok"] == 1  # nothing is left to do
