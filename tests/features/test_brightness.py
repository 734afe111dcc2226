import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageStat

from artray.features.brightness import Brightness


def published(image):
    red, green, blue = ImageStat.Stat(Image.fromarray(image)).rms
    return math.sqrt(0.241 * red**2 + 0.691 * green**2 + 0.068 * blue**2)


def measure(images):
    return Brightness()(images)["brightness"].to_pylist()


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_equals_pillow(images):
    assert measure(images) == pytest.approx([published(image) for image in images], abs=1e-6)


def test_equals_pillow_on_paintings(paintings):
    assert measure(paintings) == pytest.approx([published(image) for image in paintings], abs=1e-6)


def test_does_not_overflow_on_tall_white_pictures():
    assert measure(np.full((1, 66_051, 1, 3), 255, np.uint8)) == pytest.approx([255])


def test_column_is_as_declared():
    columns = Brightness()(np.zeros((0, 224, 224, 3), np.uint8))
    assert pa.table(columns).schema == pa.schema(Brightness.fields)
