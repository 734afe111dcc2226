"""Pictures enlarged by a bundle: marked, named, and in a manifest of their own; bad ones are rows with a status."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from artray.bundles.upscaler import load_upscaler, load_upscaler_bundle
from artray.errors import InputError
from artray.images.decoding import DECODE_VERSION
from artray.storage import Location
from artray.super_resolution import upscaling
from artray.super_resolution.page import write_page
from artray.super_resolution.upscaling import UpscaleOptions, Upscaler, _Enlarger, manifest_of, upscale
from tests.super_resolution.bundles import write_upscaler

pytestmark = pytest.mark.slow  # whole stations

rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Location:
    uri = Location.parse(tmp_path_factory.mktemp("upscaler"))
    write_upscaler(uri)
    return uri


@pytest.fixture
def manifest(tmp_path: Path) -> pa.Table:
    one = np.indices((30, 21)).transpose(1, 2, 0) @ [[3, 2, 7], [5, 8, 1]]
    Image.fromarray(one.astype(np.uint8)).save(tmp_path / "one.png")
    Image.fromarray(np.arange(9 * 40, dtype=np.uint8).reshape(9, 40)).save(tmp_path / "grey.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    names = ["one", "broken", "grey", "gone"]
    return pa.table(
        {
            "object_id": [f"../{name}" for name in names],
            "image_uri": [str(tmp_path / f"{name}.png") for name in names],
            "size": [1, 2, 3, 4],
            "version": ["a", "b", "c", "d"],
            "style": ["Rococo", "Cubism", None, "Rococo"],
            "split": ["test", "train", "train", "train"],
        }
    )


def serial(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_pass(title, place, out, worker, arguments, *, overwrite, gpus):
        states = worker(**arguments)(place.dataset().to_table())
        (out / "part-000000.parquet").write_table(states)
        good = states["status"].to_pylist().count("ok")
        return {"rows": len(states), "ok": good, "failed": len(states) - good}

    monkeypatch.setattr(upscaling, "run_pass", run_pass)


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_a_collection_enlarged(
    form: str, bundle: Location, manifest: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    serial(monkeypatch)
    given, out = Location.parse(tmp_path / "manifest"), Location.parse(tmp_path / "out")
    (given / "manifest.parquet").write_table(manifest)
    counts = upscale(UpscaleOptions(model=bundle, manifest=given, out=out, format=form))
    assert (counts["rows"], counts["ok"], counts["failed"], counts["scale"]) == (4, 2, 2, 2)
    said = capsys.readouterr().err
    assert "not enlarged: " in said
    assert "../broken" in said
    table = Location.parse(counts["manifest"]).dataset().to_table()
    assert table.column_names == ["object_id", "image_uri", "size", "version", "style", "split", "generator"]
    rows = table.to_pylist()
    assert [(row["object_id"], row["style"], row["split"]) for row in rows] == [
        ("../one", "Rococo", "test"),
        ("../grey", None, "train"),
    ]
    assert {row["generator"] for row in rows} == {"edsr-x2-untrained"}
    upscaler = Upscaler(bundle)
    for row, size in zip(rows, [(42, 60), (80, 18)], strict=True):
        file = Path(row["image_uri"])
        assert file.is_relative_to(tmp_path / "out" / "pictures")
        assert file.stat().st_size == row["size"]
        with Image.open(file) as image:
            told = image.getxmp()["xmpmeta"]["RDF"]["Description"]
            assert told["DigitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
            assert told["AISystemUsed"] == "artray edsr-x2-untrained"
            assert (image.format, image.size) == (form.upper(), size)
            found = np.asarray(image).astype(int)
        with Image.open(tmp_path / f"{row['object_id'][3:]}.png") as image:
            expected = upscaler(np.asarray(image.convert("RGB"))[None])[0]
        assert np.abs(found - expected).mean() < (0.51 if form == "png" else 6)
    states = (out / "states").dataset().to_table().to_pylist()
    assert [row["status"] == "ok" for row in states] == [True, False, True, False]
    assert (states[0]["width"], states[0]["height"]) == (42, 60)
    assert states[1]["error"]


def test_too_large_for_jpeg(bundle: Location, tmp_path: Path) -> None:
    Image.new("L", (33_000, 1)).save(tmp_path / "long.png")
    work = _Enlarger(
        model=str(bundle),
        pictures=str(tmp_path / "pictures"),
        format="jpeg",
        tile=512,
        upscaler="",
        decode_version=DECODE_VERSION,
    )
    found = work(pa.table({"object_id": ["long"], "image_uri": [str(tmp_path / "long.png")]})).to_pylist()[0]
    assert (found["status"], found["image_uri"]) == ("too_large", None)
    assert "66000 × 2 pixels are too many for JPEG: --format png" in found["error"]


def test_nothing_was_made(bundle: Location, manifest: pa.Table, tmp_path: Path) -> None:
    states = pa.table({"object_id": ["../one"], "image_uri": pa.nulls(1, pa.string()), "status": ["broken"]})
    table = manifest_of(manifest, states, Location.parse(tmp_path / "none"), load_upscaler_bundle(bundle))
    assert len(table) == 0
    assert "generator" in table.column_names


def test_strangers_bundles(bundle: Location, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a upscaler bundle|not an? upscaler bundle"):
        load_upscaler_bundle(Location.parse(tmp_path))
    write_upscaler(Location.parse(tmp_path))
    (tmp_path / "upscaler.keras").write_bytes(b"another")
    with pytest.raises(InputError, match=r"upscaler.keras is not the one"):
        load_upscaler(Location.parse(tmp_path), load_upscaler_bundle(Location.parse(tmp_path)))


def test_the_page_shows_pictures_before_and_after_and_figures(bundle: Location) -> None:
    page = write_page(bundle)
    text = page.read_bytes().decode()
    for kind in ("small", "bicubic", "upscaler", "original"):
        assert f'src="pictures/01-{kind}.png"' in text
        picture = bundle / "page" / "pictures" / f"01-{kind}.png"
        marked = b"compositeWithTrainedAlgorithmicMedia" in picture.read_bytes()
        assert marked == (kind == "upscaler")
    assert "bicubic interpolation" in text
    assert "never saw" in text
    assert "<svg" in text
    assert "<script" not in text


def test_a_page_without_a_test_part(tmp_path: Path) -> None:
    write_upscaler(Location.parse(tmp_path), examples=0)
    text = write_page(Location.parse(tmp_path)).read_bytes().decode()
    assert "There is no test part" in text
