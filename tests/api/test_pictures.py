"""What programs give for pictures reaches the one decoder."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from artray.api.pictures import given_pictures
from artray.errors import InputError
from artray.images.pictures import DecodeSize
from artray.storage import Location

SIZE = DecodeSize(8)


@pytest.fixture
def colours():
    return np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)


def decoded(given):
    (found,) = given_pictures(given).read([SIZE])
    return found


def test_all_forms_of_a_picture_are_one(tmp_path: Path, colours):
    path = tmp_path / "a.png"
    Image.fromarray(colours).save(path)
    forms = [path, str(path), Location.parse(path), path.read_bytes(), colours, Image.fromarray(colours), [path]]
    expected = decoded(path).images[SIZE][0]
    for form in forms:
        found = decoded(form)
        assert found.state["status"].to_pylist() == ["ok"]
        assert found.state["width"].to_pylist() == [20]
        np.testing.assert_array_equal(found.images[SIZE][0], expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F", "YCbCr", "HSV", "I"])
def test_images_of_every_mode(colours, mode):
    image = Image.fromarray(colours)
    image = image.convert(mode) if mode != "I;16" else Image.fromarray(colours[:, :, 0].astype(np.uint16) * 257)
    found = decoded(image)
    assert found.state["status"].to_pylist() == ["ok"], found.state["error"].to_pylist()
    if mode in ("1", "L", "LA", "I;16", "I", "F"):
        assert (np.ptp(found.images[SIZE][0].astype(int), axis=2) == 0).all()


def test_grey_arrays_and_batches(colours):
    assert decoded(colours[:, :, 0]).state["status"].to_pylist() == ["ok"]
    several = given_pictures(np.stack([colours, colours]))
    assert several.rows["object_id"].to_pylist() == ["0", "1"]
    assert given_pictures(colours).rows["object_id"].to_pylist() == ["0"]


def test_an_image_that_lies_on_its_side_is_turned(colours):
    image = Image.fromarray(colours)
    image.getexif()[0x0112] = 6
    assert decoded(image).state["width"].to_pylist() == [30]


def test_a_manifest_as_folder_and_as_table(tmp_path, colours):
    path = tmp_path / "a.png"
    Image.fromarray(colours).save(path)
    table = pa.table({"object_id": ["W1", "W2"], "image_uri": [str(path), None]})
    (Location.parse(tmp_path) / "m" / "manifest.parquet").write_table(table)
    for given in (tmp_path / "m", str(tmp_path / "m" / "manifest.parquet"), table, table.to_pandas()):
        found = decoded(given)
        assert found.rows["object_id"].to_pylist() == ["W1", "W2"]
        assert found.state["status"].to_pylist() == ["ok", "missing"]


def test_what_can_not_be_read_is_a_row(tmp_path, colours):
    found = decoded([tmp_path / "nowhere.jpg", b"no picture", colours, b""])
    assert found.state["status"].to_pylist() == ["missing", "not_an_image", "ok", "empty"]
    assert found.readable == [2]


def test_a_folder_of_pictures_is_no_manifest(tmp_path, colours):
    Image.fromarray(colours).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"not a Parquet dataset: .*; of a folder of pictures give these themselves"):
        given_pictures(tmp_path)


def test_no_pictures_are_no_rows():
    found = decoded([])
    assert (len(found.rows), found.readable) == (0, [])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([np.zeros((4, 4, 3), np.float32)], r"picture 0: an array of float32 \(4×4×3\); it must be of uint8, 0 to 255"),
        ([np.zeros((4, 4, 2), np.uint8)], r"picture 0: an array of 4×4×2; it must be height × width, or × 3"),
        ([b"", 7], "picture 1: a int is none; give a path"),
        ([np.zeros((0, 4, 3), np.uint8)], "picture 0: an array of 0×4×3; it must be height × width"),
        (7, "a int: no picture, nor several"),
        ("nowhere.jpg", "nowhere.jpg: no such picture, nor a manifest"),
    ],
)
def test_what_is_no_picture_is_said(given, told):
    with pytest.raises(InputError, match=told):
        given_pictures(given)
