"""Pictures of many shapes in batches of one."""

import numpy as np

from artray.style_transfer.shapes import at_scale, batches_by_shape, resized, rounded_shape, side_lengths
from tests.style_transfer.making import spots


def test_scales_halve_and_end_where_there_is_nothing_left():
    assert side_lengths(256, 3) == [64, 128, 256]
    assert side_lengths(256, 1) == [256]
    assert side_lengths(64, 6) == [32, 64]
    assert side_lengths(32, 3) == [32]


def test_each_picture_is_in_one_batch_of_its_shape():
    sizes = [(100, 64), (64, 100), (97, 66), (20, 300), (100, 64), (100, 64)]
    pictures = [spots(*size, seed) for seed, size in enumerate(sizes)]
    assert [rounded_shape(one) for one in pictures[:4]] == [(96, 64), (64, 96), (96, 64), (32, 304)]
    seen = []
    for places, batch in batches_by_shape(pictures, 2):
        assert len(places) == len(batch) <= 2
        assert batch.shape[1:3] == rounded_shape(pictures[places[0]])
        seen += places
    assert sorted(seen) == list(range(6))


def test_halves():
    pictures = np.stack([spots(96, 64), spots(96, 64, 2)])
    assert at_scale(pictures, 1) is pictures
    assert at_scale(pictures, 4).shape == (2, 24, 16, 3)
    assert (resized(pictures[0], 96, 64) == pictures[0]).all()
