"""A stylizer trained and used by whole jobs, on S3."""

import pytest

from artray.storage import Location
from artray.style_transfer.station import TransferOptions, transfer_style
from artray.style_transfer.training import TrainStyleOptions, train_style
from tests.style_transfer.making import spots, stripes, write_manifest, write_network

pytestmark = pytest.mark.usefixtures("in_process")


def test_train_and_paint_on_s3(ray_session, s3_bucket, tmp_path):
    network = write_network(tmp_path / "tiny.keras")
    pictures = {f"s{n}": spots(32, 32, n) for n in range(4)} | {f"t{n}": stripes(32, 32, n) for n in range(4)}
    works = write_manifest(tmp_path, {**pictures, "bad": None}, kind=["spots"] * 4 + ["stripes"] * 5)
    changes = {
        "target": "kind", "size": "32", "model.width": "4", "model.blocks": "1", "batch_size": "4", "epochs": "2",
        "looks.backbone": network,
    }  # fmt: skip
    model, out = Location.parse(f"{s3_bucket}/stylizer"), Location.parse(f"{s3_bucket}/styled")
    given = {"config": "style_lite0", "data": works, "out": model, "set": changes}
    counts = train_style(TrainStyleOptions.model_validate(given))
    assert (counts["rows"], counts["ok"], counts["failed"]) == (9, 8, 1)
    assert counts["styles"] == ["spots", "stripes"]
    assert counts["steps"] == 4
    files = sorted(model.relative(info.uri) for info in model.list_files())
    assert files == ["history.json", "stylizer.json", "stylizer.keras"]
    assert train_style(TrainStyleOptions.model_validate(given)) == counts
    given = {"content": works, "model": model, "style_class": "spots", "out": out, "size": 32, "measure": "off"}
    painted = transfer_style(TransferOptions.model_validate({**given, "strength": [0.5, 1.0]}))
    assert (painted["rows"], painted["ok"], painted["failed"]) == (18, 16, 2)
    manifest = (out / "manifest").dataset().to_table().to_pylist()
    assert [row["image_uri"] is None for row in manifest] == [False] * 16 + [True] * 2
    assert {row["generator"] for row in manifest} == {counts["model_id"]}
    assert (out / "index.html").exists()
