"""A collection in another style: in this process, without Ray."""

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from artray.errors import ArtrayError, InputError
from artray.style_transfer.station import TransferOptions, transfer_style
from tests.film.making import write_colour_bundle
from tests.labeling import serial
from tests.style_transfer.making import (
    DiedError,
    Passes,
    measured_by,
    spots,
    stripes,
    write_manifest,
    write_network,
)

pytestmark = pytest.mark.slow  # whole stations


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return write_network(folder / "tiny.keras"), write_network(folder / "other.keras", seed=1)


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """Two works and a broken file to be painted, three works of two classes as styles."""
    folder = tmp_path_factory.mktemp("collection")
    content = write_manifest(
        folder / "content",
        {"a": stripes(64, 50, 1), "bad": None, "c <b>": stripes(48, 64, 2)},
        split=["train", "train", "test"],
    )
    styles = {"x": spots(64, 64, 1), "y": spots(64, 64, 2), "z": stripes(64, 64)}
    return content, write_manifest(folder / "style", styles, colour=["red", "red", "blue"])


@pytest.fixture
def passes(monkeypatch, networks):
    measured_by(monkeypatch, networks[1])
    serial.install(monkeypatch)
    return Passes(monkeypatch)


@pytest.fixture
def run(collection, networks, passes, tmp_path):
    content, style = collection

    def go(**options):
        given = {"content": content, "style": style, "style_class": "colour=red", "out": tmp_path / "out"}
        given |= {"backbone": networks[0], "size": 64, "steps": 8, "scales": 2, "strength": [0.1, 5.0], **options}
        return transfer_style(TransferOptions.model_validate(given))

    return go


def test_a_collection_in_the_style_of_a_class(run, passes, tmp_path):
    bundle = write_colour_bundle(tmp_path / "judge")
    counts = run(judge=bundle, title="Red & <i>")
    assert (counts["rows"], counts["ok"], counts["failed"]) == (6, 4, 2)
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir() if path.name.startswith("_")) == []
    made = pq.read_table(out / "transfers.parquet").to_pylist()
    assert [(row["content"], row["strength"], row["status"] == "ok") for row in made] == [
        ("a", 0.1, True), ("a", 5, True), ("bad", 0.1, False), ("bad", 5, False),
        ("c <b>", 0.1, True), ("c <b>", 5, True),
    ]  # fmt: skip
    assert made[2]["status"] == "not_an_image"
    assert made[2]["image_uri"] is None
    for row in made[:2]:
        assert row["style_loss"] < row["style_loss_before"]
    assert made[1]["style_distance"] < made[1]["style_distance_before"]
    assert made[1]["content_distance"] > made[0]["content_distance"] > 0
    with Image.open(made[0]["image_uri"]) as picture:
        assert picture.size == (50, 64)
        assert b"compositeWithTrainedAlgorithmicMedia" in picture.info["xmp"]
    manifest = pq.read_table(out / "manifest" / "manifest.parquet").to_pylist()
    assert [row["split"] for row in manifest] == ["train"] * 4 + ["test"] * 2
    assert {row["colour"] for row in manifest} == {"red"}
    assert manifest[5]["group"] == manifest[5]["content"] == "c <b>"
    assert manifest[3]["transfer_status"] == "not_an_image"
    assert manifest[0]["size"] == len((out / "pictures" / "0000" / "000000.png").read_bytes())
    scores = json.loads((out / "scores.json").read_text())
    assert [row["pictures"] for row in scores["strengths"]] == [2, 2]
    assert scores["classifier"]["class"] == "red"
    assert scores["strengths"][1]["score_after"] != scores["strengths"][1]["score_before"]
    page = (out / "index.html").read_text()
    assert "Red &amp; &lt;i&gt;" in page
    assert "c &lt;b&gt;" in page
    assert "not_an_image" in page
    assert page.count("<img") == 2 * 3 + 2
    again = run(judge=bundle, title="Red & <i>")
    assert again == counts
    assert len(passes.made["transfers"]) == 6  # nothing was made twice


def test_a_run_that_died_goes_on(run, passes, tmp_path):
    passes.dies_after = 1
    with pytest.raises(DiedError):
        run()
    passes.dies_after = None
    run()
    assert len(passes.made["transfers"]) == 6
    assert len(passes.made["styles"]) == 2
    assert pq.read_table(tmp_path / "out" / "transfers.parquet").num_rows == 6


def test_a_picture_is_the_same_in_whatever_company(run, tmp_path):
    run(strength=[1.0])
    first = (tmp_path / "out" / "pictures" / "0000" / "000000.png").read_bytes()
    run(strength=[1.0, 2.0], out=tmp_path / "more")
    again = (tmp_path / "more" / "pictures" / "0000" / "000000.png").read_bytes()
    pictures = [np.asarray(Image.open(io.BytesIO(data))).astype(int) for data in (first, again)]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_another_run_is_not_mixed_in(run, tmp_path):
    run(strength=[1.0])
    with pytest.raises(InputError, match="was made from other works or with other options"):
        run(strength=[2.0])
    (tmp_path / "out" / "mine.txt").write_text("mine")
    counts = run(strength=[2.0], overwrite=True)
    assert counts["ok"] == 2
    assert (tmp_path / "out" / "mine.txt").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": None, "style_class": None}, "--style: is required, or --model"),
        ({"style_class": "colour=green"}, "no work of .* has it"),
        ({"content": "nowhere"}, "nowhere"),
        ({"backbone": "efficientnet-lite9"}, "unknown backbone"),
        ({"judge": "nowhere"}, "not a model bundle"),
        ({"model": "nowhere"}, "not a stylizer bundle"),
    ],
)
def test_what_can_not_be_used_is_said(run, options, message):
    with pytest.raises(InputError, match=message):
        run(**options)


@pytest.mark.parametrize("strength", [[0.0], [-1.0], [1.0, 1.0], [float("nan")]])
def test_strengths_are_numbers_above_0_each_once(strength):
    with pytest.raises(ValueError, match="strength"):
        TransferOptions.model_validate({"content": "m", "style": "s", "out": "o", "strength": strength})


def test_nothing_that_can_be_read(run, tmp_path):
    content = write_manifest(tmp_path / "broken", {"bad": None})
    with pytest.raises(ArtrayError, match="no picture of --content could be read"):
        run(content=content)


def test_without_the_network_that_measures(run, monkeypatch, tmp_path):
    from artray.style_transfer import station

    monkeypatch.setattr(station, "judge_of", lambda backbone, *, needed: None)
    counts = run(strength=[1.0])
    assert counts["scores"][0]["style_distance"] is None
    assert counts["scores"][0]["style_loss"] is not None
    assert "Judged by others" not in (tmp_path / "out" / "index.html").read_text()
