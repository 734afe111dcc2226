"""Gram matrices, SWAG's softmax and distances by them, against NumPy and finite differences."""

import numpy as np
import pytest

from artray.engine.gradients import gradients
from artray.errors import InputError
from artray.models.style import (
    StyleNetwork,
    content_losses,
    flat_grams,
    gram,
    softened,
    style_losses,
    style_network,
    total_variation,
)
from tests.style_transfer.making import spots, stripes, write_network


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> StyleNetwork:
    return style_network(write_network(tmp_path_factory.mktemp("network") / "tiny.keras"))


MAPS = np.random.default_rng(0).normal(2, 3, (2, 5, 7, 4)).astype(np.float32)


def test_gram_is_numpys():
    for one, matrix in zip(MAPS, np.asarray(gram(MAPS)), strict=True):
        flat = one.reshape(35, 4).astype(np.float64)
        assert matrix == pytest.approx(flat.T @ flat / 35, rel=1e-5)


def test_softened_is_a_softmax_over_a_whole_layer():
    found = np.asarray(softened(MAPS, 2.5))
    for one, soft in zip(MAPS.astype(np.float64), found, strict=True):
        powers = np.exp(one / 2.5)
        assert soft == pytest.approx(powers / powers.sum() * one.size, rel=1e-4)
    assert found.mean(axis=(1, 2, 3)) == pytest.approx([1, 1], rel=1e-5)


def test_softening_evens_out_what_one_peak_would_decide():
    peaked = MAPS.copy()
    peaked[:, 2, 2, 1] = 300
    hard, soft = (np.asarray(gram(maps)) for maps in (peaked, softened(peaked, 100.0)))
    assert hard.max() / np.median(np.abs(hard)) > 50
    assert soft.max() / np.median(np.abs(soft)) < 50


def test_losses_are_none_where_nothing_differs_and_the_papers_formula_else():
    grams = np.asarray(gram(MAPS))
    assert np.asarray(style_losses([MAPS], [grams])) == pytest.approx([0, 0], abs=1e-8)
    other = np.asarray(gram(MAPS[::-1] * 0.5))
    expected = [((a - b) ** 2).mean() / b.var() for a, b in zip(grams, other, strict=True)]
    assert np.asarray(style_losses([MAPS, MAPS], [other, other])) == pytest.approx(expected, rel=1e-4)
    assert np.asarray(content_losses(MAPS, MAPS)).tolist() == [0, 0]
    shifted = np.asarray(content_losses(MAPS + 3, MAPS))
    assert shifted == pytest.approx([9 / one.var() for one in MAPS], rel=1e-4)


def test_total_variation_of_black_and_white_columns():
    picture = np.zeros((1, 4, 4, 3), np.float32)
    assert np.asarray(total_variation(picture)).tolist() == [0]
    picture[:, :, ::2] = 255
    assert np.asarray(total_variation(picture)) == pytest.approx([1])


def test_swags_gradient_is_that_of_finite_differences(tiny):
    picture = stripes(16, 16, 3)[None].astype(np.float64)
    wanted = [np.asarray(gram(one)) for one in tiny(spots(16, 16)[None].astype(np.float32))[0]]

    def losses(x):
        return x, style_losses(tiny(x)[0], wanted)

    _, slopes = gradients(losses, picture.astype(np.float32))
    chance, steps = np.random.default_rng(0), []
    for _ in range(4):
        way = chance.normal(size=picture.shape)
        ahead, behind = (
            float(np.asarray(style_losses(tiny((picture + sign * way).astype(np.float32))[0], wanted))[0])
            for sign in (0.5, -0.5)
        )
        steps.append((ahead - behind, float((slopes * way).sum())))
    measured, computed = np.array(steps).T
    assert np.abs(computed).max() > 1e-3
    assert computed == pytest.approx(measured, rel=0.03, abs=2e-4)


def test_the_maps_of_a_network_of_ones_own(tiny):
    maps, content = tiny(stripes(48, 32)[None].astype(np.float32))
    assert [one.shape for one in maps] == [(1, 24, 16, 6), (1, 12, 8, 8), (1, 6, 4, 10)]
    assert content.shape == (1, 6, 4, 10)
    assert len(tiny.temperatures) == 4
    assert flat_grams(maps).shape == (1, 36 + 64 + 100)
    assert not tiny.model.trainable_variables


def test_plain_maps_on_request(tmp_path):
    network = style_network(write_network(tmp_path / "tiny.keras"), soften=False)
    assert network.temperatures == []
    assert float(np.min(network(stripes(32, 32)[None].astype(np.float32))[1])) == 0  # of its ReLU


@pytest.mark.slow
def test_lite0s_maps_are_the_stems_and_each_stages_last():
    network = style_network("efficientnet-lite0", None, soften=False)
    assert [output.shape[-1] for output in network.model.outputs] == [32, 16, 24, 40, 80, 112, 40]


def test_a_network_without_maps_is_refused(tmp_path):
    import keras
    from keras import layers

    picture = keras.Input((224, 224, 3))
    keras.Model(picture, layers.GlobalAveragePooling2D()(picture)).save(tmp_path / "flat.keras")
    with pytest.raises(InputError, match="has no maps at an eighth"):
        style_network(str(tmp_path / "flat.keras"))
