import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import entropy

from artray.collection import storage
from artray.errors import InputError
from artray.features.objects import ENCODING, GRID, LABELS, SCORE_EDGES, Detection, Objects, draw_boxes, encode_objects
from artray.vocabulary import coco
from tests.conftest import SHARED

SIZE = 64
STEPS = 64  # boxes of the hypothesis-made detections end on this raster
PICTURES = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)
REAL = SHARED / "models" / "coco_detector"

real_detector = pytest.mark.skipif(not REAL.exists(), reason="needs the detector for trying")


def save_detector(folder, *, side=None, dtype="uint8", numbers=(1, 17, 9), rename=None, signature="serving_default"):
    """A small real detector: each of 8 x 8 blocks is an object, the brighter the surer; its class is its main colour.

    As real ones do, it gives 100 detections, those after `num_detections` being garbage.
    """
    import tensorflow as tf

    blocks = 8
    lines = np.arange(blocks) / blocks
    ymin, xmin = (each.ravel() for each in np.meshgrid(lines, lines, indexing="ij"))
    boxes = np.stack([ymin, xmin, ymin + 1 / blocks, xmin + 1 / blocks], axis=1)

    class Detector(tf.Module):
        def __init__(self):
            super().__init__()
            self.boxes = tf.Variable(boxes, dtype=tf.float32)  # a variable, so that the SavedModel has some

        @tf.function(input_signature=[tf.TensorSpec([1, side, side, 3], dtype, "input_tensor")])
        def __call__(self, images):
            height, width = tf.shape(images)[1] // blocks, tf.shape(images)[2] // blocks
            split = tf.reshape(tf.cast(images, tf.int32), [blocks, height, blocks, width, 3])
            sums = tf.reshape(tf.reduce_sum(split, [1, 3]), [-1, 3])
            scores = tf.cast(tf.reduce_sum(sums, 1), tf.float32) / tf.cast(height * width * 3 * 255, tf.float32)
            order = tf.argsort(scores, direction="DESCENDING", stable=True)
            classes = tf.cast(tf.gather(numbers, tf.argmax(sums, 1)), tf.float32)
            garbage = 100 - blocks**2
            outputs = {
                "detection_boxes": tf.pad(tf.gather(self.boxes, order), [[0, garbage], [0, 0]], constant_values=9),
                "detection_scores": tf.pad(tf.gather(scores, order), [[0, garbage]], constant_values=0.99),
                "detection_classes": tf.pad(tf.gather(classes, order), [[0, garbage]], constant_values=999),
                "num_detections": tf.constant(blocks**2, tf.float32),
            }
            return {(rename or {}).get(name, name): value[None] for name, value in outputs.items()}

    detector = Detector()
    tf.saved_model.save(detector, str(folder), signatures={signature: detector.__call__})
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_detector(tmp_path_factory.mktemp("detector"))


@pytest.fixture(scope="module")
def objects(folder):
    return Objects(folder, size=SIZE)


@pytest.fixture(scope="module")
def columns(objects):
    return objects(PICTURES)


def entries(encoding, prefix):
    return np.array([value for name, value in zip(ENCODING, encoding, strict=True) if name.startswith(prefix)])


def mirrored(encoding, axis):
    """The encoding that a picture's mirror image must have, for axis x or y."""
    expected = dict(zip(ENCODING, encoding, strict=True))
    for name in (f"centroid_{axis}", f"balance_{axis}"):
        expected[name] = -expected[name]
    for row in range(GRID):
        for column in range(GRID):
            source = (row, GRID - 1 - column) if axis == "x" else (GRID - 1 - row, column)
            expected[f"grid/{row},{column}"] = encoding[ENCODING.index("grid/{},{}".format(*source))]
    return np.array(list(expected.values()))


# --- the detector


def test_sees_the_brightest_block(objects):
    picture = np.full((SIZE, SIZE, 3), (20, 10, 10), np.uint8)
    picture[8:16, 40:48] = (10, 20, 250)
    best, second, *_ = objects.detect(picture)
    assert best == Detection("boat", pytest.approx(280 / 765), 1 / 8, 5 / 8, 2 / 8, 6 / 8)
    assert second[:2] == ("person", pytest.approx(40 / 765))


def test_fields_and_columns_agree(objects, columns):
    assert objects.name == "objects"
    assert list(columns) == [field.name for field in objects.fields] == ["objects", "objects_encoding"]
    for field in objects.fields:
        assert columns[field.name].type == field.type
        assert len(columns[field.name]) == len(PICTURES)
        assert columns[field.name].null_count == 0
    assert objects.fields[1].type == pa.list_(pa.float32())


def test_columns_hold_what_was_detected(objects, columns):
    for picture, row, encoding in zip(PICTURES, *(column.to_pylist() for column in columns.values()), strict=True):
        detections = [Detection(**item) for item in row]
        assert detections == objects.detect(picture)
        assert len(detections) == 64  # and none of the garbage after num_detections
        assert [item.score for item in detections] == sorted((item.score for item in detections), reverse=True)
        np.testing.assert_array_equal(np.array(encoding, np.float32), encode_objects(detections))


@pytest.mark.parametrize(("axis", "picture_axis"), [("x", 1), ("y", 0)])
def test_mirror_the_picture_mirror_the_balance(objects, axis, picture_axis):
    for picture in PICTURES:
        encoding = encode_objects(objects.detect(picture))
        flipped = encode_objects(objects.detect(np.flip(picture, picture_axis)))
        assert flipped[ENCODING.index(f"balance_{axis}")] == -encoding[ENCODING.index(f"balance_{axis}")] != 0
        np.testing.assert_array_equal(flipped, mirrored(encoding, axis))


def test_threshold_and_limit(objects):
    every = objects.detect(PICTURES[0])
    threshold = every[20].score
    assert replace(objects, threshold=threshold).detect(PICTURES[0]) == every[:21]
    assert replace(objects, limit=7).detect(PICTURES[0]) == every[:7]


def test_a_dark_picture_holds_nothing(objects):
    columns = objects(np.zeros((1, SIZE, SIZE, 3), np.uint8))
    assert columns["objects"].to_pylist() == [[]]
    assert not any(columns["objects_encoding"].to_pylist()[0])


def test_any_aspect(objects):
    picture = np.asarray(Image.fromarray(PICTURES[0]).resize((2 * SIZE, SIZE), Image.Resampling.NEAREST))
    assert objects.detect(picture) == objects.detect(PICTURES[0])


def test_no_pictures(objects):
    for field, column in zip(objects.fields, objects(PICTURES[:0]).values(), strict=True):
        assert column.type == field.type
        assert len(column) == 0


def test_can_be_pickled_after_use(objects, columns):
    data = pickle.dumps(objects)
    assert len(data) < 1000
    assert pickle.loads(data)(PICTURES) == columns


def test_from_s3(folder, s3_bucket, columns, tmp_path):
    storage.upload_folder(Path(folder), f"{s3_bucket}/detector")
    assert Objects(f"{s3_bucket}/detector", size=SIZE)(PICTURES) == columns


def test_tensorflow_comes_with_the_first_use(folder):
    code = f"import sys, artray.features.objects as o; o.Objects({folder!r}); assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- what is no detector


@pytest.mark.parametrize("content", [None, b"no protocol buffer"])
def test_no_saved_model(tmp_path, content):
    if content:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(InputError, match=r"there is no saved_model\.pb|the SavedModel can't be loaded") as caught:
        Objects(str(tmp_path), size=SIZE).detect(PICTURES[0])
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"signature": "predict"}, "there is no signature serving_default"),
        ({"dtype": "float32"}, r"it takes float32 \(1, None, None, 3\), not uint8 \(1, 64, 64, 3\)"),
        ({"side": 32}, r"it takes uint8 \(1, 32, 32, 3\), not uint8 \(1, 64, 64, 3\)"),
        ({"rename": {"detection_scores": "scores", "num_detections": "n"}}, "no output detection_scores, num_det"),
        ({"numbers": (545, 545, 545)}, "not a detector of COCO's classes 1 to 90: it found class 545"),
    ],
)
def test_another_signature(tmp_path, settings, message):
    with pytest.raises(InputError, match=message) as caught:
        Objects(save_detector(tmp_path, **settings), size=SIZE).detect(PICTURES[0])
    assert "\n" not in str(caught.value)


def test_numbers_that_coco_never_used_are_left_out(tmp_path):
    detector = Objects(save_detector(tmp_path, numbers=(1, 12, 9)), size=SIZE)
    assert {item.label for item in detector.detect(PICTURES[0])} == {"person", "boat"}


# --- the encoding

raster = st.integers(0, STEPS).map(lambda step: step / STEPS)


@st.composite
def detection(draw):
    (ymin, ymax), (xmin, xmax) = (sorted(draw(st.tuples(raster, raster))) for _ in range(2))
    score = draw(st.floats(2**-13, 1, width=32))
    return Detection(draw(st.sampled_from(LABELS)), score, ymin, xmin, ymax, xmax)


any_detections = st.lists(detection(), max_size=30)


@given(any_detections, st.randoms(use_true_random=False))
def test_order_does_not_matter(detections, random):
    shuffled = random.sample(detections, len(detections))
    np.testing.assert_array_equal(encode_objects(shuffled), encode_objects(detections))


@given(any_detections)
def test_mirrors(detections):
    encoding = encode_objects(detections)
    left_right = [item._replace(xmin=1 - item.xmax, xmax=1 - item.xmin) for item in detections]
    np.testing.assert_array_equal(encode_objects(left_right), mirrored(encoding, "x"))
    upside_down = [item._replace(ymin=1 - item.ymax, ymax=1 - item.ymin) for item in detections]
    np.testing.assert_array_equal(encode_objects(upside_down), mirrored(encoding, "y"))


@given(any_detections)
def test_classes_and_scores(detections):
    encoding = encode_objects(detections)
    for index, label in enumerate(LABELS):
        scores = [item.score for item in detections if item.label == label]
        assert entries(encoding, "max_score/")[index] == max(scores, default=0)
        assert entries(encoding, "count/")[index] == len(scores)
    scores = np.array([item.score for item in detections])
    counts, _ = np.histogram(scores, [*SCORE_EDGES, 1])
    np.testing.assert_allclose(entries(encoding, "scores_from/"), counts / max(1, len(scores)), rtol=1e-6)
    assert entries(encoding, "detections") == [len(scores)]
    np.testing.assert_allclose(entries(encoding, "score_sum"), [scores.sum()], rtol=1e-6)
    mass = [sum(item.score for item in detections if item.label == label) for label in LABELS]
    expected = [entropy(scores), entropy(mass)] if detections else [0, 0]
    np.testing.assert_allclose([*entries(encoding, "score_en"), *entries(encoding, "class_en")], expected, atol=1e-6)


@given(any_detections)
def test_space_as_when_painted_pixel_by_pixel(detections):
    canvas = np.zeros((STEPS, STEPS))
    solid = [item for item in detections if item.xmin < item.xmax and item.ymin < item.ymax]
    for item in solid:
        box = canvas[
            round(item.ymin * STEPS) : round(item.ymax * STEPS), round(item.xmin * STEPS) : round(item.xmax * STEPS)
        ]
        box += item.score / box.size
    canvas /= sum(item.score for item in solid) or 1
    encoding = encode_objects(solid)
    cells = canvas.reshape(GRID, STEPS // GRID, GRID, STEPS // GRID).sum(axis=(1, 3))
    np.testing.assert_allclose(entries(encoding, "grid/"), cells.ravel(), atol=1e-6)
    half = STEPS // 2
    balance = [canvas[:, half:].sum() - canvas[:, :half].sum(), canvas[half:].sum() - canvas[:half].sum()]
    np.testing.assert_allclose(entries(encoding, "balance_"), balance, atol=1e-6)
    at = (np.arange(STEPS) + 0.5) / STEPS * 2 - 1
    np.testing.assert_allclose(entries(encoding, "centroid_"), [canvas.sum(0) @ at, canvas.sum(1) @ at], atol=1e-6)
    centres = np.array([(item.xmin + item.xmax - 1, item.ymin + item.ymax - 1) for item in solid]).reshape(-1, 2)
    weights = np.array([item.score for item in solid])
    expected = [np.sqrt(np.cov(column, aweights=weights, ddof=0)) for column in centres.T] if solid else [0, 0]
    np.testing.assert_allclose(entries(encoding, "spread_"), expected, atol=1e-6)


@given(st.lists(detection(), min_size=1, max_size=30))
def test_ranges(detections):
    encoding = encode_objects(detections)
    assert np.isfinite(encoding).all()
    for prefix in ("scores_from/", "grid/"):
        assert entries(encoding, prefix).min() >= 0
        assert entries(encoding, prefix).sum() == pytest.approx(1)
    assert np.abs(entries(encoding, "centroid_")).max() <= 1
    assert np.abs(entries(encoding, "balance_")).max() <= 1 + 1e-6
    assert 0 <= entries(encoding, "spread_").min() <= entries(encoding, "spread_").max() <= 1


def test_a_point_on_a_line_of_the_grid_counts_on_both_sides():
    encoding = encode_objects([Detection("kite", 0.5, 0.5, 0.5, 0.5, 0.5)])
    np.testing.assert_array_equal(entries(encoding, "grid/").reshape(GRID, GRID)[1:3, 1:3], 0.25)
    assert list(entries(encoding, "balance_")) == [0, 0]


def test_names():
    assert len(set(ENCODING)) == len(ENCODING) == len(encode_objects([]))
    assert len(LABELS) == len(set(LABELS)) == 80
    assert coco.LARGEST_ID == max(coco.NAMES) == 90
    # As in the label map that the TF models repository ships.
    published = {1: "person", 9: "boat", 13: "stop sign", 27: "backpack", 31: "handbag", 44: "bottle", 46: "wine glass"}
    published |= {63: "couch", 65: "bed", 67: "dining table", 70: "toilet", 72: "tv", 84: "book", 90: "toothbrush"}
    assert published.items() <= coco.NAMES.items()


# --- drawing

BOX = Detection("boat", 0.4, 0.5, 0.25, 0.9, 0.75)


def test_draws_what_reaches_the_threshold():
    picture = np.zeros((300, 400, 3), np.uint8)
    drawn = draw_boxes(picture, [BOX], threshold=0.1)
    assert not picture.any()
    assert drawn.shape == picture.shape
    assert drawn.dtype == np.uint8
    color = drawn[200, 100]
    assert color.any()
    for row, column in [(150, 200), (269, 200), (200, 299)]:
        assert (drawn[row, column] == color).all()
    assert not drawn[155:265, 105:295].any()  # the inside stays free
    assert (drawn[130:150, 100:160] == color).all(axis=-1).any()  # the label stands above
    assert not draw_boxes(picture, [BOX], threshold=0.5).any()


def test_labels_do_not_cover_each_other():
    picture = np.zeros((300, 400, 3), np.uint8)
    one = draw_boxes(picture, [BOX], 0.1)
    ground = (one[:150] == one[200, 100]).all(axis=-1)
    both = draw_boxes(picture, [BOX, BOX._replace(label="kite", score=0.3)], 0.1)
    np.testing.assert_array_equal((both[:150] == one[200, 100]).all(axis=-1)[ground], True)
    assert (both[155:265, 105:150] != 0).any()  # the second label went below the first


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (40, 30, 3)])
def test_draws_on_small_pictures(shape):
    assert draw_boxes(np.zeros(shape, np.uint8), [BOX, BOX._replace(ymin=0, xmax=1.2)], 0.1).shape == shape


# --- a detector that knows real things


@pytest.fixture(scope="module")
def detector():
    return Objects(str(REAL))


@pytest.fixture(scope="module")
def seen(detector, painting_files):
    """Detections of the sample collection's pictures by object id."""
    pictures = {file.stem: Image.open(file).convert("RGB") for file in painting_files}
    size = (detector.size, detector.size)
    return {name: detector.detect(np.asarray(picture.resize(size))) for name, picture in pictures.items()}


@real_detector
def test_sees_a_person_and_a_boat(seen):
    assert [item.label for item in seen["gc-14"] if item.score >= 0.5] == ["person"]  # Mona Lisa
    assert not [item for item in seen["gc-12"] if item.score >= 0.5]  # Kazusa sea Route
    assert seen["gc-12"][0].label == "boat"
    assert {item.label for item in seen["gc-12"] if item.score >= 0.1} == {"boat", "person"}


@real_detector
def test_stretching_changes_little(detector, seen, painting_files):
    upright = {file.stem: np.asarray(Image.open(file).convert("RGB")) for file in painting_files}
    differences = [encode_objects(detector.detect(upright[name])) - encode_objects(seen[name]) for name in seen]
    at = [ENCODING.index(name) for name in ("balance_x", "balance_y", "centroid_x", "centroid_y")]
    assert np.abs(differences)[:, at].mean() < 0.05


@real_detector
def test_mirrored_paintings_have_mirrored_balance(detector, seen, painting_files):
    at = ENCODING.index("balance_x")
    balance, flipped = [], []
    for file in painting_files:
        picture = Image.open(file).convert("RGB").resize((detector.size, detector.size))
        balance.append(encode_objects(seen[file.stem])[at])
        flipped.append(encode_objects(detector.detect(np.asarray(picture)[:, ::-1]))[at])
    assert np.corrcoef(balance, flipped)[0, 1] < -0.9
