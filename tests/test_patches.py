import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from artray.images.decoding import DECODE_VERSION
from artray.patches.squares import draw, enlarged, positions
from artray.patches.station import _PatchWorker

ids = st.text(min_size=1, max_size=20)
sides = st.integers(8, 400)


def picture(width: int, height: int) -> np.ndarray:
    """Every pixel is its own place: red and green give the column and row."""
    left, top = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([left % 256, top % 256, left // 256 + 16 * (top // 256)], axis=-1).astype(np.uint8)


@given(ids, sides, sides, st.integers(8, 400), st.integers(1, 50), st.integers(0, 2**40))
def test_squares_lie_inside(object_id, width, height, size, per_image, seed):
    assume(size <= min(width, height))
    corners = positions(object_id, width, height, size=size, per_image=per_image, seed=seed)
    assert corners.shape == (per_image, 2)
    assert (corners >= 0).all()
    assert (corners + size <= [width, height]).all()
    assert np.array_equal(corners, positions(object_id, width, height, size=size, per_image=per_image, seed=seed))


@given(ids, st.integers(1, 20), st.integers(1, 20), st.integers(0, 5))
def test_more_squares_begin_with_the_same_ones(object_id, few, more, seed):
    some = positions(object_id, 300, 200, size=32, per_image=few, seed=seed)
    assert np.array_equal(positions(object_id, 300, 200, size=32, per_image=few + more, seed=seed)[:few], some)


@given(st.lists(ids, min_size=2, max_size=8, unique=True), st.randoms(use_true_random=False))
def test_squares_do_not_depend_on_the_order_of_pictures(object_ids, random):
    first = {
        object_id: positions(object_id, 640, 480, size=64, per_image=4, seed=0).tolist() for object_id in object_ids
    }
    random.shuffle(object_ids)
    again = {
        object_id: positions(object_id, 640, 480, size=64, per_image=4, seed=0).tolist() for object_id in object_ids
    }
    assert again == first
    # 8 positions of about 18 bits: two pictures that share them all are no chance.
    assert len({str(corners) for corners in first.values()}) == len(object_ids)


def test_other_seed_other_squares():
    drawn = {str(positions("work", 640, 480, size=64, per_image=4, seed=seed).tolist()) for seed in range(200)}
    assert len(drawn) == 200


def test_seed_and_id_are_not_mixed_up():
    assert not np.array_equal(
        positions("1", 640, 480, size=64, per_image=4, seed=11), positions("11", 640, 480, size=64, per_image=4, seed=1)
    )


def test_positions_are_those_of_the_first_release():
    """Patches of an old run and of a new one must be the same squares: these numbers never change."""
    assert positions("1939.1.2", 1024, 768, size=256, per_image=3, seed=0).tolist() == [
        [168, 157],
        [273, 76],
        [173, 233],
    ]
    assert positions("Dürer/Hase", 300, 64, size=64, per_image=4, seed=7).tolist() == [
        [201, 0],
        [36, 0],
        [209, 0],
        [66, 0],
    ]


@pytest.mark.parametrize("axis", [0, 1])
def test_positions_are_uniform(axis):
    corners = np.concatenate(
        [positions(f"work-{number}", 131, 116, size=100, per_image=50, seed=3) for number in range(400)]
    )
    room = (32, 17)[axis]
    counts = np.bincount(corners[:, axis], minlength=room)
    assert len(counts) == room  # first and last place occur, none beyond
    assert counts.min() > 0
    assert stats.chisquare(counts).pvalue > 1e-3


def test_left_and_top_are_independent():
    corners = np.concatenate(
        [positions(f"work-{number}", 107, 107, size=100, per_image=50, seed=3) for number in range(400)]
    )
    table = np.zeros((8, 8))
    np.add.at(table, tuple(corners.T), 1)
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_a_picture_without_a_square_is_refused():
    with pytest.raises(ValueError, match="99x200 picture has no 100x100 square"):
        positions("work", 99, 200, size=100, per_image=1, seed=0)
    assert positions("work", 100, 100, size=100, per_image=2, seed=0).tolist() == [[0, 0], [0, 0]]


@given(ids, st.integers(20, 300), st.integers(20, 300), st.integers(8, 20), st.integers(0, 3))
def test_draw_is_the_crops_at_the_positions(object_id, width, height, size, seed):
    image = picture(width, height)
    patches = draw(image, object_id, size=size, per_image=5, seed=seed)
    assert patches.shape == (5, size, size, 3)
    assert patches.dtype == np.uint8
    pillow = Image.fromarray(image)
    for patch, (left, top) in zip(
        patches, positions(object_id, width, height, size=size, per_image=5, seed=seed).tolist(), strict=True
    ):
        assert np.array_equal(patch, np.asarray(pillow.crop((left, top, left + size, top + size))))


@given(st.integers(1, 80), st.integers(1, 80), st.integers(8, 60))
def test_small_pictures_are_enlarged_with_their_aspect(width, height, size):
    image = picture(width, height)
    large = enlarged(image, size)
    if min(width, height) >= size:
        assert large is image
        return
    assert min(large.shape[:2]) == size
    # The longer side is right to half a pixel.
    factor = size / min(width, height)
    assert abs(large.shape[1] - width * factor) <= 0.5
    assert abs(large.shape[0] - height * factor) <= 0.5
    assert draw(image, "work", size=size, per_image=3, seed=0).shape == (3, size, size, 3)


def test_enlarging_keeps_the_picture():
    image = np.full((10, 30, 3), (200, 100, 50), np.uint8)
    assert np.array_equal(enlarged(image, 16), np.full((16, 48, 3), (200, 100, 50), np.uint8))
    ramp = np.tile(np.linspace(0, 255, 30)[None, :, None], (10, 1, 3)).astype(np.uint8)
    wide = enlarged(ramp, 20)[10, :, 0].astype(float)
    assert np.abs(wide - np.interp((np.arange(60) + 0.5) / 2 - 0.5, np.arange(30), ramp[0, :, 0])).max() < 4


def test_patches_survive_their_file_format():
    """Labelling draws its patches from the picture, training reads them from PNG: they must be the same pixels."""
    from artray.images.encoding import png

    patch = draw(picture(90, 70), "work", size=32, per_image=1, seed=0)[0]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(patch)))), patch)


@pytest.mark.parametrize("name", ["status", "patch", "image", "__filename", "part", "row"])
def test_a_manifests_column_of_any_name_stands_beside_the_patches(tmp_path, name):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    rows = pa.table({"object_id": ["a"], "image_uri": [str(tmp_path / "a.png")], name: ["on loan"]})
    made = _PatchWorker(32, 2, 0, 64, DECODE_VERSION)(rows)
    own = name if name in ("part", "row") else f"catalog_{name}"
    assert made[own].to_pylist() == ["on loan"] * 2
    assert made["status"].to_pylist() == ["ok"] * 2
    assert len(set(made.column_names)) == len(made.column_names)
