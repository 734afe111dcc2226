"""The whole walk on the sample collection: from pictures and a catalogue to labels and a page, on folders and on S3.

On S3 by workers of their own, which read there and write there; on folders in this process.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from artray.bundles.classifier import load_bundle
from artray.classifiers.station import TrainOptions, train
from artray.errors import InputError
from artray.features.station import FeatureOptions, extract_features
from artray.ingest.station import IngestOptions, ingest
from artray.labeling.contract import LABELS
from artray.labeling.station import LabelOptions, label_catalog
from artray.patches.station import PatchOptions, make_patches
from artray.report.station import ReportOptions, report
from artray.storage import Location
from tests.integration.conftest import passes_in_process, trainings_in_process


@pytest.fixture(scope="module", params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, sample: Path) -> str:
    """Where the walk's data lies: the same tests run on every backend."""
    if request.param == "folder":
        root = str(tmp_path_factory.mktemp("walk"))
    else:
        root = f"{request.getfixturevalue('s3_bucket')}/walk"
    Location.parse(f"{root}/collection").upload(sample)
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the walk's network of patches once it is trained: for the next place it is a bundle like another's."""
    return tmp_path_factory.mktemp("trained") / "vgg"


@pytest.fixture(scope="module")
def walked(ray_session: None, place: str, trained: Path) -> str:
    """The walk up to labels, with few epochs."""
    with ExitStack() as stack:
        if not place.startswith("s3://"):
            stack.enter_context(passes_in_process())
            stack.enter_context(trainings_in_process())
        return walk(place, trained)


@pytest.fixture(autouse=True)
def after_it(walked: str) -> Iterator[None]:
    """The tests themselves need no workers any more, wherever the data lies."""
    with passes_in_process():
        yield


def walk(place: str, trained: Path) -> str:
    counts = ingest(
        IngestOptions(
            images=f"{place}/collection",
            catalog=f"{place}/collection/catalog.csv",
            out=f"{place}/manifest",
            label={"medium": "medium"},
            split_by=["family"],
        )
    )
    assert (counts["rows"], counts["matched"], counts["without_record"]) == (48, 48, 0)
    counts = extract_features(FeatureOptions(manifest=f"{place}/manifest", out=f"{place}/features"))
    assert (counts["rows"], counts["ok"], counts["failed"]) == (48, 46, 2)
    assert counts["statuses"] == {"ok": 46, "truncated": 1, "not_an_image": 1}
    patches = PatchOptions(manifest=f"{place}/manifest", out=f"{place}/patches", size=64, per_image=4)
    assert make_patches(patches)["ok"] == 46
    for config, data, epochs in [("head", "features", 20), ("vgg", "patches", 2)]:
        out = f"{place}/models/{config}"
        if config == "vgg" and trained.exists():
            Location.parse(out).upload(trained)
            continue
        options = {"config": f"hand_or_code_{config}", "data": f"{place}/{data}", "out": out}
        assert train(TrainOptions(**options, set={"epochs": str(epochs)}))["ok"] > 0
        if config == "vgg":
            Location.parse(out).download(trained)
    models = [f"{place}/models/head", f"{place}/models/vgg"]
    counts = label_catalog(LabelOptions(manifest=f"{place}/manifest", model=models, out=f"{place}/labels"))
    assert (counts["rows"], counts["ok"], counts["failed"]) == (48, 46, 2)
    return place


def test_features_have_the_manifests_rows_and_columns(walked: str) -> None:
    manifest = Location.parse(f"{walked}/manifest").dataset().to_table()
    features = Location.parse(f"{walked}/features").dataset().to_table().sort_by("object_id")
    assert features["object_id"].to_pylist() == sorted(manifest["object_id"].to_pylist())
    assert set(manifest.column_names) < set(features.column_names)
    by_id = {row["object_id"]: row for row in features.to_pylist()}
    assert by_id["broken-01"]["status"] == "truncated"
    assert by_id["broken-02"]["status"] == "not_an_image"
    assert by_id["broken-02"]["embedding"] is None
    assert by_id["broken-02"]["error"]
    mona_lisa = by_id["gc-14"]
    assert len(mona_lisa["embedding"]) == 1280
    assert len(mona_lisa["palette_rgb"]) == 20
    assert 0 < mona_lisa["brightness"] < 100  # a dark picture


def test_patches_are_the_hugging_face_struct(walked: str) -> None:
    table = Location.parse(f"{walked}/patches").dataset().to_table()
    assert table.schema.field("image").type == pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    ok = [row for row in table.select(["object_id", "patch", "status", "image"]).to_pylist() if row["status"] == "ok"]
    assert len(ok) == 46 * 4
    assert len({row["image"]["path"] for row in ok}) == len(ok)
    assert all(row["image"]["bytes"].startswith(b"\x89PNG") for row in ok)


@pytest.mark.parametrize("task", ["hand_or_code", "hand_or_code_vgg"])
def test_labels_keep_the_contract(walked: str, task: str) -> None:
    table = Location.parse(f"{walked}/labels/task={task}").dataset().to_table()
    assert table.schema.remove_metadata() == pa.schema(list(LABELS))
    manifest = Location.parse(f"{walked}/manifest").dataset().to_table(columns=["object_id"])
    assert sorted(table["object_id"].to_pylist()) == sorted(manifest["object_id"].to_pylist())
    notes = json.loads(table.schema.metadata[b"artray"])
    bundle = load_bundle(Location.parse(f"{walked}/models/{'vgg' if task.endswith('vgg') else 'head'}"))
    assert notes["schema_version"] == 1
    assert bundle.model_id in [model["model_id"] for model in notes["bundles"]]
    for row in table.to_pylist():
        assert row["model_id"] == bundle.model_id
        assert row["run_id"] == notes["run_id"]
        if row["status"] == "ok":
            scores = dict(row["scores"])
            assert set(scores) == {"code", "hand"}
            assert sum(scores.values()) == pytest.approx(1, abs=1e-5)
            assert row["score"] == max(scores.values()) == scores[row["label"]]
        else:
            assert row["error"]
            assert row["label"] is row["score"] is row["scores"] is None


def test_labels_open_in_pandas_and_duckdb(walked: str, tmp_path: Path) -> None:
    if walked.startswith("s3://"):
        Location.parse(f"{walked}/labels").download(tmp_path)
        folder = tmp_path
    else:
        folder = Path(walked) / "labels"
    query = f"SELECT * FROM read_parquet('{folder}/task=*/*.parquet', hive_partitioning = true)"
    rows = duckdb.sql(query)
    types = dict(zip(rows.columns, map(str, rows.types), strict=True))
    assert types == {
        "object_id": "VARCHAR",
        "image_uri": "VARCHAR",
        "label": "VARCHAR",
        "label_uri": "VARCHAR",
        "score": "FLOAT",
        "labels": "VARCHAR[]",
        "novelty": "FLOAT",
        "learned_from": "BOOLEAN",
        "scores": "MAP(VARCHAR, FLOAT)",
        "model_id": "VARCHAR",
        "run_id": "VARCHAR",
        "labeled_at": "TIMESTAMP WITH TIME ZONE",
        "status": "VARCHAR",
        "error": "VARCHAR",
        "task": "VARCHAR",
    }
    failures = duckdb.sql(f"SELECT task, count(*) FROM ({query}) WHERE status <> 'ok' GROUP BY task").fetchall()
    assert sorted(failures) == [("hand_or_code", 2), ("hand_or_code_vgg", 2)]
    frame = pd.read_parquet(folder)
    assert len(frame) == 96
    assert set(frame["task"].astype(str)) == {"hand_or_code", "hand_or_code_vgg"}


def test_labels_are_the_models_own_answers(walked: str, sample: Path) -> None:
    """A label is what the bundle's Keras model says of the decoded picture, whatever way it came about."""
    import keras
    import numpy as np

    from artray.bundles.classifier import load_model
    from artray.images.decoding import decode
    from artray.models.backbones import backbone

    bundle = load_bundle(Location.parse(f"{walked}/models/head"))
    model = load_model(Location.parse(f"{walked}/models/head"), bundle)
    names = [item.name for item in bundle.classes]
    labels = Location.parse(f"{walked}/labels/task=hand_or_code").dataset().to_table().to_pylist()
    for row in labels[::12]:
        if row["status"] != "ok":
            continue
        image = decode((sample / "images" / row["image_uri"].rsplit("/", 1)[-1]).read_bytes(), 224).image
        embedding = backbone()(image[None])
        scores = keras.ops.convert_to_numpy(model(embedding))[0]
        assert np.allclose([dict(row["scores"])[name] for name in names], scores, atol=1e-5)


def test_a_second_run_gives_the_same_labels(walked: str) -> None:
    columns = ["object_id", "label", "score", "status"]
    before = (
        Location.parse(f"{walked}/labels/task=hand_or_code").dataset().to_table(columns=columns).sort_by("object_id")
    )
    options = {"manifest": f"{walked}/manifest", "model": [f"{walked}/models/head"], "out": f"{walked}/labels"}
    assert label_catalog(LabelOptions(**options))["computed"] == 0
    counts = label_catalog(LabelOptions(**options, features=f"{walked}/features", overwrite=True))
    assert (counts["rows"], counts["ok"], counts["computed"]) == (48, 46, 48)
    after = (
        Location.parse(f"{walked}/labels/task=hand_or_code").dataset().to_table(columns=columns).sort_by("object_id")
    )
    assert after.drop_columns("score") == before.drop_columns("score")
    for one, other in zip(before["score"].to_pylist(), after["score"].to_pylist(), strict=True):
        assert one == other or abs(one - other) < 1e-5


def test_the_page_shows_every_work(walked: str, tmp_path: Path) -> None:
    options = ReportOptions(
        labels=f"{walked}/labels",
        features=f"{walked}/features",
        evaluation=[f"{walked}/models/head", f"{walked}/models/vgg"],
        out=str(tmp_path / "page"),
    )
    counts = report(options)
    assert (counts["rows"], counts["ok"], counts["failed"], counts["thumbnails"]) == (48, 46, 2, 46)
    assert counts["on_map"] == 46
    data = (tmp_path / "page" / "data" / "collection.js").read_text()
    for object_id in ("gc-14", "code-24", "broken-01", "broken-02"):
        assert object_id in data
    assert len(list((tmp_path / "page" / "thumbnails").rglob("*.jpg"))) == 46
    assert not (tmp_path / "page" / "_thumbnails").exists()


def test_finished_work_is_not_done_again(walked: str) -> None:
    counts = extract_features(FeatureOptions(manifest=f"{walked}/manifest", out=f"{walked}/features"))
    assert (counts["resumed"], counts["ok"], counts["failed"]) == (48, 46, 2)


def test_an_interrupted_pass_does_only_what_is_missing(walked: str) -> None:
    order = [("object_id", "ascending"), ("patch", "ascending")]
    whole = Location.parse(f"{walked}/patches").dataset().to_table().sort_by(order)
    lost = Location.parse(f"{walked}/patches/part-000001.parquet")
    works = set(lost.dataset().to_table(columns=["object_id"])["object_id"].to_pylist())
    lost.remove()
    options = PatchOptions(manifest=f"{walked}/manifest", out=f"{walked}/patches", size=64, per_image=4)
    assert 0 < len(works) == 48 - make_patches(options)["resumed"] < 48
    assert Location.parse(f"{walked}/patches").dataset().to_table().sort_by(order) == whole


def test_other_options_do_not_overwrite_silently(walked: str) -> None:
    with pytest.raises(InputError, match="--overwrite"):
        extract_features(
            FeatureOptions(manifest=f"{walked}/manifest", out=f"{walked}/features", features=["brightness"])
        )


def test_what_is_no_bundle_is_said_in_one_line(walked: str) -> None:
    with pytest.raises(InputError, match=r"not a model bundle") as caught:
        label_catalog(LabelOptions(manifest=f"{walked}/manifest", model=[f"{walked}/features"], out=f"{walked}/x"))
    assert "\n" not in str(caught.value)


def test_a_manifest_is_told_from_other_tables(walked: str) -> None:
    other = f"{walked}/other.parquet"
    Location.parse(other).write_table(pa.table({"object_id": ["a"]}))
    with pytest.raises(InputError, match="not a manifest"):
        label_catalog(LabelOptions(manifest=other, model=[f"{walked}/models/head"], out=f"{walked}/y"))


def test_the_dataset_has_one_file_a_task(walked: str) -> None:
    dataset = Location.parse(f"{walked}/labels").dataset()
    assert isinstance(dataset, pads.Dataset)
    assert sorted(file.rsplit("/", 2)[-2] for file in dataset.files) == ["task=hand_or_code", "task=hand_or_code_vgg"]
