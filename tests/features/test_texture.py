import numpy as np
import pyarrow as pa
import pytest
from skimage.metrics import structural_similarity

from artray.features.texture import DATA_RANGE, REFERENCES, Texture, hardness, reference_texture


@pytest.fixture(scope="module")
def references():
    return [np.repeat(reference_texture(parameters)[..., None], 3, axis=-1) for parameters in REFERENCES]


def oracle(image, references):
    return [
        structural_similarity(image / 255, reference, channel_axis=-1, data_range=DATA_RANGE)
        for reference in references
    ]


def measure(images):
    return np.array(Texture()(images)["texture"].to_pylist())


@pytest.mark.slow
def test_agrees_with_scikit_image(paintings, references):
    expected = [oracle(image, references) for image in paintings[:4]]
    np.testing.assert_allclose(measure(paintings[:4]), expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["black", "white", "noise", "checkerboard"])
def test_agrees_with_scikit_image_on_hard_pictures(kind, references):
    image = {
        "black": np.zeros((224, 224, 3)),
        "white": np.full((224, 224, 3), 255),
        "noise": np.random.default_rng(0).integers(0, 256, (224, 224, 3)),
        "checkerboard": np.indices((224, 224, 3)).sum(axis=0) % 2 * 255,
    }[kind].astype(np.uint8)
    np.testing.assert_allclose(measure(image[None])[0], oracle(image, references), atol=1e-6)


def test_a_reference_is_most_like_itself(references):
    similarities = measure(np.rint(np.stack(references) * 255).astype(np.uint8))
    np.testing.assert_allclose(np.diag(similarities), 1, atol=1e-3)
    assert (similarities.argmax(axis=1) == np.arange(len(REFERENCES))).all()


def test_means_are_near_the_published_ones(paintings):
    # Over 200 portraits, where ours are eight famous paintings: the same size and the same order, no more.
    published = [0.159, 0.179, 0.306, 0.301, 0.102, 0.056]
    np.testing.assert_allclose(measure(paintings).mean(axis=0), published, rtol=0.25)


def test_references_run_from_0_to_1_in_every_column_that_is_not_flat(references):
    for reference in references:
        columns = reference[..., 0]
        varied = np.ptp(columns, axis=0) > 0
        assert varied.any()
        np.testing.assert_array_equal(columns.min(axis=0), 0)
        np.testing.assert_allclose(columns.max(axis=0)[varied], 1)


def test_hardness():
    # By hand: octaves, persistence and lacunarity of 1 leave only the scale.
    assert hardness(REFERENCES[3]._replace(scale=1, persistence=1, lacunarity=1)) == pytest.approx(2.63)
    values = [hardness(parameters) for parameters in REFERENCES]
    assert values == sorted(values)
    assert values == pytest.approx([-11.25, -6.23, -4.30, -2.83, 5.76, 11.78], abs=0.01)


def test_does_not_depend_on_the_batch(paintings):
    np.testing.assert_array_equal(measure(paintings)[3], measure(paintings[3:4])[0])


@pytest.mark.parametrize("n", [0, 2])
def test_column_is_as_declared(n, paintings):
    assert pa.table(Texture()(paintings[:n])).schema == pa.schema(Texture.fields)
