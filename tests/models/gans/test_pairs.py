import keras
import numpy as np
import pytest

from artray.errors import InputError
from artray.models.gans import GANS, discriminator, generator
from artray.models.gans.projected import Resampled, bilinear, parts_of, projector
from artray.models.gans.residual import SpectralConv2D, SpectralDense
from tests.models.weightless import weightless

SMALL = {
    "basic": {"units": 8, "filters": 2},
    "deconv": {"width": 16, "filters": 2},
    "dcgan": {"width": 2, "filters": 2},
    "resnet": {"width": 2, "filters": 2},
    "projected": {"width": 2, "maps": 2, "seen": 64, "weights": None, "filters": 2},
}


def learned(model: keras.Model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.mark.slow
def test_basic_has_the_published_layers():
    """D1: z 100 -> 224 -> 224 -> 224·224·3, and 224·224·3 -> 224 -> 224 -> 1, with biases."""
    dense = lambda inputs, outputs: (inputs + 1) * outputs  # noqa: E731
    pixels = 224 * 224 * 3
    assert learned(weightless(generator, "basic", 224, 100)) == dense(100, 224) + dense(224, 224) + dense(224, pixels)
    assert learned(weightless(discriminator, "basic", 224)) == dense(pixels, 224) + dense(224, 224) + dense(224, 1)


def test_deconv_has_the_published_layers():
    """D2: a dense layer and five 5x5 transposed convolutions with biases, each with a normalisation's offset."""
    maps = [(128, 64), (64, 32), (32, 16), (16, 8), (8, 3)]
    convolutions = sum((25 * before + 2) * after for before, after in maps)
    assert learned(generator("deconv", 128, 100)) == (100 + 2) * 4 * 4 * 128 + convolutions
    assert learned(discriminator("deconv", 128)) == (4 * 4 * 3 + 1) * 8 + (2 * 2 * 8 + 1) * 16 + 4 * 4 * 16 + 1


def test_deconvs_discriminator_can_see_more():
    """What D2 needs in order to learn: more maps, smaller pools of the average, ReLU that leaks."""
    model = discriminator("deconv", 16, settings={"maps": [4, 6], "pools": [2, 2], "pool": "average", "slope": 0.2})
    assert learned(model) == (4 * 4 * 3 + 1) * 4 + (2 * 2 * 4 + 1) * 6 + 4 * 4 * 6 + 1
    assert [layer.negative_slope for layer in model.layers if "relu" in layer.name] == pytest.approx([0.2, 0.2])
    assert [layer.negative_slope for layer in discriminator("deconv", 16).layers if "relu" in layer.name] == [0, 0]


@pytest.mark.parametrize("settings", [{"maps": [4, 6, 8]}, {"pools": [2, 2, 2]}, {"maps": [4]}])
def test_deconv_has_two_convolutions_and_takes_no_more_of_their_settings(settings):
    with pytest.raises(InputError, match="deconv can't be built so"):
        discriminator("deconv", 16, settings=settings)


@pytest.mark.slow
def test_dcgan_has_the_papers_widths():
    """Radford et al. 2015, figure 1: 4x4x1024, 8x8x512, 16x16x256, 32x32x128, 64x64x3."""
    model = weightless(generator, "dcgan", 64, 100, 0, {"width": 128, "kernel": 5})
    shapes = [layer.output.shape[1:] for layer in model.layers if "relu" in layer.name]
    assert shapes == [(4, 4, 1024), (8, 8, 512), (16, 16, 256), (32, 32, 128)]
    assert model.output_shape == (None, 64, 64, 3)


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 64, 128, 256])
@pytest.mark.parametrize("name", GANS)
def test_shapes(name, size):
    scores = {256: 100}.get(size, 4) if name == "projected" else 1  # four networks of 1 or 25 places
    for classes in (0, 3):
        made = weightless(generator, name, size, 5, classes, SMALL[name])
        assert made.output_shape == (None, size, size, 3)
        assert len(made.inputs) == (2 if classes else 1)
        for loss in ("ns", "wgan_gp"):
            judge = weightless(discriminator, name, size, classes, SMALL[name], loss)
            assert judge.output_shape == (None, scores)
    if name != "projected":
        judge = weightless(discriminator, name, size, 3, SMALL[name], "began")
        assert judge.output_shape == (None, size, size, 3)


@pytest.mark.parametrize("size", [20, 100, 99])
def test_an_autoencoder_and_dense_layers_take_any_size(size):
    assert generator("basic", size, 5, 0, SMALL["basic"]).output_shape == (None, size, size, 3)
    assert discriminator("basic", size, 0, SMALL["basic"], "began").output_shape == (None, size, size, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", GANS)
def test_pictures_are_rgb_and_depend_on_code_and_label(name):
    keras.utils.set_random_seed(0)
    model = generator(name, 32, 5, 3, SMALL[name])
    codes = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    model.set_weights([weight + np.random.default_rng(1).normal(size=weight.shape) for weight in model.get_weights()])
    for layer in model.layers:
        if hasattr(layer, "moving_variance"):
            layer.moving_variance.assign(layer.moving_variance * 0 + 1)

    def make(code: int, label: int) -> np.ndarray:
        return model([keras.ops.array(codes[code : code + 1]), keras.ops.eye(3)[label : label + 1]]).numpy()

    one, other, labelled = make(0, 0), make(1, 0), make(0, 1)
    for pictures in (one, other, labelled):
        assert pictures.dtype == np.float32
        assert pictures.min() >= 0
        assert pictures.max() <= 255
    assert np.abs(one - other).mean() > 1
    assert np.abs(one - labelled).mean() > 1


@pytest.mark.parametrize(
    ("name", "size", "settings", "message"),
    [
        ("dcgann", 64, {}, "model.name: there is no pair of networks 'dcgann'"),
        ("dcgan", 100, {}, "size: dcgan makes pictures of 8, 16, 32, 64, 128, 256, … pixels a side, not of 100"),
        ("resnet", 96, {}, "size: resnet makes pictures of"),
        ("resnet", 4, {}, "size: resnet makes pictures of"),
        ("dcgan", 64, {"widht": 8}, "model.widht: dcgan has no such setting"),
        ("dcgan", 64, {"width": "wide"}, "model: dcgan can't be built so"),
        ("dcgan", 64, {"width": 0}, "model: dcgan can't be built so"),
    ],
)
def test_what_can_not_be_built_is_one_line(name, size, settings, message):
    for build in (lambda: generator(name, size, 5, 0, settings), lambda: discriminator(name, size, 0, settings)):
        with pytest.raises(InputError) as raised:
            build()
        assert str(raised.value).startswith(message)
        assert "\n" not in str(raised.value)


def test_a_projected_discriminator_says_which_sides_it_can_see():
    with pytest.raises(InputError, match=r"model.seen: must be a multiple of 32, not 100"):
        discriminator("projected", 64, 0, {"seen": 100, "weights": None})


def test_a_penalized_dcgan_judges_each_picture_for_itself():
    pictures = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.float32)
    for loss, alone in (("ns", False), ("wgan_gp", True), ("dragan", True)):
        model = discriminator("dcgan", 32, 0, {"width": 4}, loss)
        together, single = (model(some, training=True).numpy()[0] for some in (pictures, pictures[:1]))
        assert np.allclose(together, single, atol=1e-4) == alone


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_spectral_normalisation_divides_by_the_largest_singular_value(kind):
    keras.utils.set_random_seed(1)
    shape = (6,) if kind == "dense" else (5, 5, 2)
    layer = SpectralDense(4) if kind == "dense" else SpectralConv2D(4, 3)
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    layer(x)
    layer.kernel.assign(layer.kernel * 5)
    for _ in range(60):
        found = layer(x, training=True).numpy()
    matrix = layer.kernel.numpy().reshape(-1, 4)
    norm = np.linalg.svd(matrix, compute_uv=False)[0]
    assert norm > 2
    plain = keras.layers.Dense(4) if kind == "dense" else keras.layers.Conv2D(4, 3)
    plain(x)
    plain.set_weights([layer.kernel.numpy() / norm, layer.bias.numpy()])
    assert np.allclose(found, plain(x).numpy(), atol=1e-4)
    before = layer.direction.numpy()
    layer(x)
    assert np.array_equal(before, layer.direction.numpy())  # at rest outside of training


@pytest.mark.slow
def test_saved_networks_are_loaded_in_safe_mode(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    judge = discriminator("resnet", 32, 0, SMALL["resnet"])
    judge(x, training=True)
    judge.save(tmp_path / "d.keras")
    again = keras.models.load_model(tmp_path / "d.keras", compile=False, safe_mode=True)
    assert np.allclose(judge(x).numpy(), again(x).numpy(), atol=1e-5)
    for name in GANS:  # generators are made of Keras' own layers: others can load them too
        made = generator(name, 32, 5, 2, SMALL[name])
        assert {type(layer).__module__.partition(".")[0] for layer in made.layers} == {"keras"}


@pytest.mark.slow
@pytest.mark.parametrize("name", GANS)
def test_the_start_follows_from_the_seed(name):
    def start(seed: int) -> list[np.ndarray]:
        keras.utils.set_random_seed(seed)
        models = generator(name, 32, 5, 2, SMALL[name]), parts_of(discriminator(name, 32, 2, SMALL[name]))[1]
        return [weight for model in models for weight in model.get_weights()]

    for first, again, other in zip(start(0), start(0), start(1), strict=True):
        assert np.array_equal(first, again)
        constant = np.isin(first, (0, 1)).all()  # scales, offsets and moving statistics
        assert np.array_equal(first, other) == constant


@pytest.mark.slow  # EfficientNet-Lite0, twice
def test_what_a_projected_discriminator_sees_is_the_same_in_every_run():
    """The mixing weights are drawn with a seed of their own, and maps double from one to the next."""
    found = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        model = projector(32, maps=4, seen=64, weights=None)
        found.append([layer.get_weights()[0] for layer in model.layers if layer.name.startswith(("mix", "scale"))])
    assert [shape[1:] for shape in model.output_shape] == [(32, 32, 4), (16, 16, 4), (8, 8, 8), (4, 4, 16)]
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one, other)
    assert not model.trainable_variables


@pytest.mark.parametrize(("length", "side", "corners"), [(4, 8, True), (5, 12, False), (8, 8, False), (6, 3, False)])
def test_resampling_interpolates_linearly(length, side, corners):
    x = np.random.default_rng(0).normal(size=(2, length, length, 3)).astype(np.float32)
    found = np.asarray(Resampled(side, corners)(x))
    at = np.linspace(0, length - 1, side) if corners else (np.arange(side) + 0.5) * length / side - 0.5
    rows = np.stack([np.apply_along_axis(lambda values: np.interp(at, np.arange(length), values), 1, x)])[0]
    expected = np.apply_along_axis(lambda values: np.interp(at, np.arange(length), values), 2, rows)
    assert np.allclose(found, expected, atol=1e-5)
    assert np.allclose(bilinear(length, side, corners).sum(axis=1), 1, atol=1e-6)
