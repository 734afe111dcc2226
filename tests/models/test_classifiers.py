import inspect

import keras
import numpy as np
import pytest
import yaml
from keras import layers
from scipy.special import expit, softmax

from artray.errors import InputError
from artray.job import config_file
from artray.models.backbones import backbone
from artray.models.classifiers import CLASSIFIERS, calibrated, classifier, mirrored
from artray.models.efficientnet_lite import efficientnet_lite, style_statistics
from tests.models.weightless import weightless

pytestmark = pytest.mark.slow  # networks take their time to build and trace


def published(config: str, shape: tuple[int, ...], classes: int, **changes: object) -> keras.Model:
    """The model of a packaged config, without weights."""
    settings = yaml.safe_load(config_file(config).read_text(encoding="utf-8"))["model"]
    name = settings.pop("name")
    if name == "transfer":
        settings["weights"] = "none"
    return weightless(classifier, name, shape, classes, settings | changes)


def sizes(model: keras.Model) -> dict[str, int]:
    return {layer.name: layer.count_params() for layer in model.layers if layer.count_params()}


@pytest.mark.parametrize(("side", "classes"), [(256, 2), (64, 5)])
def test_one_block_vgg_has_the_published_sizes(side, classes):
    """C3 by hand: 3x3x3 weights and a bias for each of 32 maps; half the side after the pool; 128 units."""
    model = classifier("one_block_vgg", (side, side, 3), classes, {})
    assert sizes(model) == {
        "conv": (3 * 3 * 3 + 1) * 32,
        "dense": ((side // 2) ** 2 * 32 + 1) * 128,
        "logits": (128 + 1) * classes,
    }
    assert model.output.shape == (None, classes)


def test_one_block_vgg_settings():
    model = classifier("one_block_vgg", (32, 32, 3), 2, {"filters": 8, "dense": 16, "dropout": [0.1, 0.3]})
    assert sizes(model) == {"conv": 28 * 8, "dense": (16 * 16 * 8 + 1) * 16, "logits": 17 * 2}
    rates = [layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)]
    assert rates == [0.1, 0.3]


def test_one_block_vgg_is_what_its_docstring_says():
    """Against the same steps in NumPy."""
    keras.utils.set_random_seed(0)
    model = classifier("one_block_vgg", (6, 6, 3), 2, {"filters": 2, "dense": 3})
    pictures = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), np.uint8)
    kernel, bias, dense, dense_bias, last, last_bias = [np.asarray(w, np.float64) for w in model.get_weights()]
    padded = np.pad(pictures / 255, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    maps = np.maximum(np.einsum("nhwcij,ijco->nhwo", windows, kernel) + bias, 0)
    pooled = maps.reshape(2, 3, 2, 3, 2, 2).max(axis=(2, 4))
    hidden = np.maximum(pooled.reshape(2, -1) @ dense + dense_bias, 0)
    expected = hidden @ last + last_bias
    assert np.allclose(np.asarray(model(pictures)), expected, atol=1e-5)


def test_linear_head_on_standardised_features():
    rng = np.random.default_rng(0)
    features = rng.normal(5, 3, (200, 4)).astype(np.float32)
    mean, variance = features.mean(axis=0), features.var(axis=0)
    model = classifier(
        "linear_head", (4,), 3, {"dropout": 0.5, "l2": 0.1}, standardize=(mean.tolist(), variance.tolist())
    )
    head = model.get_layer("logits")
    assert np.asarray(model(features)).tolist() == [[0.0, 0.0, 0.0]] * 200  # every class as likely, before training
    kernel = rng.normal(size=(4, 3)).astype(np.float32)
    head.set_weights([kernel, np.arange(3, dtype=np.float32)])
    unit_length = (features - mean) / np.sqrt(variance) / 2  # the square root of 4 features
    expected = unit_length @ kernel + np.arange(3)
    assert np.allclose(np.asarray(model(features)), expected, atol=1e-4)
    assert float(sum(model.losses)) == pytest.approx(0.1 * (kernel**2).sum(), rel=1e-5)
    assert head.count_params() == 4 * 3 + 3


SMALL = {
    "palette_cnn": ((60,), {"dense": 64}),
    "valence_cnn": ((32, 32, 3), {"dense": 32}),
    "one_block_vgg": ((16, 16, 3), {"filters": 8, "dense": 32, "dropout": [0, 0]}),
    "linear_head": ((40,), {}),
    "lda": ((40,), {}),
    "logistic": ((40,), {}),
    "linear_mean": ((40,), {}),
    "shallnet": ((64, 64, 3), {}),
    "cv_fc": ((13,), {}),
    "baseline_cnn": ((48, 48, 3), {"filters": [8, 16, 16], "dense": 32, "dropout": 0}),
    "resnet50": ((32, 32, 3), {"filters": 4}),
    "transfer": ((64, 64, 3), {"normalize": True}),
    "fusion": ((20,), {"units": {"b": 8}, "widths": {"a": 14, "b": 6}}),
}
"""Of each classifier one that is built and trained in moments: shape of an example, settings."""


def small(name: str, classes: int = 2) -> keras.Model:
    shape, settings = SMALL[name]
    rest = dict(settings)
    return classifier(name, shape, classes, rest, widths=rest.pop("widths", None))


def examples(shape: tuple[int, ...], n: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Random inputs with random labels: nothing but memory helps."""
    chance = np.random.default_rng(0)
    if len(shape) == 3:
        # A colour cast and noise; not noise alone, of which a pooled network sees too little to tell it apart.
        x = np.clip(chance.integers(0, 256, (n, 1, 1, 3)) + chance.integers(-60, 60, (n, *shape)), 0, 255)
    else:
        x = chance.normal(size=(n, *shape)) if shape != (60,) else chance.integers(0, 256, (n, 60))
    return x.astype("float32"), chance.permutation(np.arange(n) % 2)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_gives_a_logit_a_class(name):
    model = small(name, 3)
    x, _ = examples(SMALL[name][0], 2)
    if len(x.shape) == 4:
        x = x.astype("uint8")
    logits = np.asarray(model(x))
    assert logits.shape == (2, 3)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert model.layers[-1].name == "logits"
    assert model.layers[-1].get_config()["activation"] == "linear"
    assert model.name == name
    takes = next(iter(inspect.signature(CLASSIFIERS[name]).parameters))
    assert takes in ("picture", "features", "palette")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_memorises_a_few_examples(name):
    keras.utils.set_random_seed(0)
    model = small(name)
    if name == "resnet50":  # the last of its four stages is enough, in a quarter of the time
        for layer in model.layers:
            layer.trainable = layer.name.startswith(("stage5", "logits"))
    x, y = examples(SMALL[name][0])
    rate = {"resnet50": 0.005, "transfer": 0.01, "cv_fc": 0.05, "linear_head": 0.1, "lda": 0.1, "fusion": 0.05}.get(
        name, 0.005
    )
    steps = {"resnet50": 6, "transfer": 25}.get(name, 100)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Compiling takes longer than all steps, and so does tracing where they are few.
    model.compile(keras.optimizers.Adam(rate), loss, run_eagerly=name == "resnet50", jit_compile=False)
    model.fit(np.tile(x, (steps,) + (1,) * (x.ndim - 1)), np.tile(y, steps), batch_size=16, shuffle=False, verbose=0)
    # Moving statistics of six steps are still those of the beginning: seen as in training.
    logits = np.asarray(model(x, training=name == "resnet50"))
    assert (logits.argmax(axis=1) == y).all()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_can_be_saved_and_loaded_safely(name, tmp_path):
    pictures = len(SMALL[name][0]) == 3
    model = calibrated(small(name, 3), 1.5, multilabel=True, test_time_flip=pictures)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    x, _ = examples(SMALL[name][0], 4)
    scores = np.asarray(again(x))
    assert np.allclose(scores, np.asarray(model(x)), atol=1e-6)
    assert ((scores >= 0) & (scores <= 1)).all()
    if pictures:
        assert np.allclose(np.asarray(again(x[:, :, ::-1])), scores, atol=1e-5)


def test_published_parameter_counts():
    """As printed in the sources, where they print them; else by hand. One unit is the published binary head."""
    counts = {
        ("palette_cnn", (60,), 1): 16 * (3 * 3 + 1) + (6 * 16 + 1) * 256 + 257,
        ("valence_cnn", (256, 256, 3), 1): 3_696_625,
        ("hand_or_code_vgg", (256, 256, 3), 1): 67_109_888 + 129,
        ("shallnet", (224, 224, 3), 4): 8 * 4 * 4 * 3 + 16 * 2 * 2 * 8 + (7 * 7 * 16 + 1) * 4,
        ("vgg16_tl", (224, 224, 3), 1): 14_977_857,
        ("cv_fc", (13,), 1): 61,
        ("styles_cnn", (200, 200, 3), 6): 896 + 18_496 + 73_856 + 147_584 + (10 * 10 * 128 + 1) * 512 + 513 * 6,
        ("resnet50_scratch", (200, 200, 3), 6): 23_600_006,
        ("resnet50_imagenet", (200, 200, 3), 6): 23_600_006,
        ("vgg16_transfer", (224, 224, 3), 1): 14_714_688 + (7 * 7 * 512 + 1) * 128 + 129,
        ("lite0_head", (1280,), 6): 1281 * 6,
    }
    assert {key: published(*key).count_params() for key in counts} == counts


def test_shapes_of_published_layers():
    def shapes(model: keras.Model, *names: str) -> list[tuple[int, ...]]:
        return [tuple(model.get_layer(name).output.shape[1:]) for name in names]

    palette = published("palette_cnn", (60,), 2)
    assert shapes(palette, "colors", "conv", "pool", "dense") == [(20, 1, 3), (18, 1, 16), (6, 1, 16), (256,)]
    valence = published("valence_cnn", (256, 256, 3), 2)
    assert shapes(valence, "conv1", "pool2", "pool3", "dense") == [
        (254, 254, 16),
        (62, 62, 32),
        (30, 30, 16),
        (256,),
    ]
    shallnet = published("shallnet", (224, 224, 3), 4)
    assert shapes(shallnet, "conv1", "pool1", "conv2", "pool2") == [
        (224, 224, 8),
        (28, 28, 8),
        (28, 28, 16),
        (7, 7, 16),
    ]
    vgg = published("vgg16_tl", (224, 224, 3), 4)
    assert shapes(vgg, "block5_conv3", "pool", "fc1", "logits") == [(14, 14, 512), (512,), (512,), (4,)]
    assert vgg.get_layer("fc1").activation is keras.activations.sigmoid
    assert "block5_pool" not in [layer.name for layer in vgg.layers]
    baseline = published("styles_cnn", (200, 200, 3), 6)
    assert shapes(baseline, "pool1", "pool2", "pool3", "pool4") == [
        (99, 99, 32),
        (48, 48, 64),
        (23, 23, 128),
        (10, 10, 128),
    ]
    assert baseline.get_layer("dropout").rate == 0.4


def test_resnet50_is_the_published_one():
    model = published("resnet50_scratch", (200, 200, 3), 6)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("Conv2D") == kinds.count("BatchNormalization") == 53
    for stage, identity_blocks in enumerate((2, 3, 5, 2), start=2):
        names = [layer.name for layer in model.layers if layer.name.startswith(f"stage{stage}_block")]
        assert sum(name.endswith("_shortcut_conv") for name in names) == 1  # the convolution block
        assert sum(name.endswith("_add") for name in names) == 1 + identity_blocks
    sides = [model.get_layer(f"stage{stage}_block0").output.shape[1:] for stage in (2, 3, 4, 5)]
    assert sides == [(49, 49, 256), (25, 25, 512), (13, 13, 1024), (7, 7, 2048)]


@pytest.mark.usefixtures("eager")
def test_resnet50_is_that_of_keras_applications():
    """The same function, where its weights are put into ours: an oracle for every layer's order and stride."""
    keras.utils.set_random_seed(0)
    ours = classifier("resnet50", (64, 64, 3), 2, {})
    original = keras.applications.ResNet50(weights=None, include_top=False, pooling="avg", input_shape=(64, 64, 3))

    def clone(layer: layers.Layer) -> layers.Layer:
        """Keras' version pads before its first pool, and has another epsilon."""
        config = layer.get_config()
        if layer.name == "pool1_pad":
            config["padding"] = 0
        if isinstance(layer, layers.BatchNormalization):
            config["epsilon"] = 1e-3
        return layer.from_config(config)

    reference = keras.models.clone_model(original, clone_function=clone)

    def place(layer: layers.Layer) -> tuple[int, ...]:
        """Stage, block, and place in the block, where the shortcut is 0."""
        stage, *rest = layer.name.removeprefix("stage").removeprefix("conv").replace("shortcut", "0").split("_")
        return int(stage), *(int(part.removeprefix("block")) for part in rest[:-1])

    def by_kind(model: keras.Model, kind: type) -> list[layers.Layer]:
        return sorted((layer for layer in model.layers if isinstance(layer, kind)), key=place)

    for kind in (layers.Conv2D, layers.BatchNormalization):
        mine, theirs = by_kind(ours, kind), by_kind(reference, kind)
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            one.set_weights(other.get_weights())
    x = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    pooled = np.asarray(keras.Model(ours.input, ours.get_layer("pool").output)(x))
    expected = np.asarray(reference(x / 127.5 - 1))
    assert np.allclose(pooled, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.usefixtures("eager")
def test_transfer_is_a_frozen_backbone_and_a_head():
    model = classifier("transfer", (48, 48, 3), 3, {"dropout": 0.3})
    assert [layer.name for layer in model.layers if layer.trainable_variables] == ["logits"]
    assert not [layer for layer in model.layers if isinstance(layer, keras.Model)]
    x = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), np.uint8)
    embedding = backbone(size=48).predict_on_batch(x)
    kernel, bias = model.get_layer("logits").get_weights()
    assert np.allclose(model.predict_on_batch(x), embedding @ kernel + bias, atol=1e-4)


@pytest.mark.usefixtures("eager")
def test_transfer_with_style_statistics_sees_what_the_feature_table_has():
    names = [f"block{number}" for number in range(16)]
    settings = {"layer": "head_relu", "pool": "statistics", "statistics": names}
    model = classifier("transfer", (64, 64, 3), 2, settings)
    x = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    seen = keras.Model(model.input, model.get_layer("all_pooled").output).predict_on_batch(x)
    expected = style_statistics(efficientnet_lite(size=64)).predict_on_batch(x)["statistics"]
    expected = np.roll(expected, 2 * 1280, axis=1)  # the head's come last there, and first here
    assert seen.shape == expected.shape
    assert np.allclose(seen, expected, atol=0.02)  # the variances have a floor


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("pool", "width"), [("avg", 576), ("max", 576), ("flatten", 576 * 4), ("statistics", 1152)])
def test_transfer_pools(pool, width):
    settings = {"backbone": "MobileNetV3Small", "weights": None, "pool": pool, "dense": [5], "l2": 0.1}
    model = classifier("transfer", (64, 64, 3), 2, settings)
    assert sizes(model)["fc1"] == (width + 1) * 5
    assert len(model.losses) == 2


def test_fusion_groups_have_equal_weight():
    """A group's part in the logits is as large with 600 numbers as with 3, at equal weights."""
    keras.utils.set_random_seed(0)
    model = classifier("fusion", (603,), 2, {"units": 0}, widths={"wide": 600, "narrow": 3})
    model.get_layer("logits").set_weights([np.ones((603, 2)), np.zeros(2)])
    x = np.random.default_rng(0).normal(size=(4000, 603)).astype("float32")
    wide, narrow = x.copy(), x.copy()
    wide[:, 600:] = 0
    narrow[:, :600] = 0
    spread = [model.predict_on_batch(each)[:, 0].std() for each in (wide, narrow)]
    assert spread[0] == pytest.approx(spread[1], rel=0.05)


def test_fusion_projects_and_drops_by_column():
    widths = {"embedding": 30, "brightness": 1, "texture": 6}
    settings = {"units": {"embedding": 8}, "dropout": {"embedding": 0.5, "texture": 0.1}, "fused_dropout": 0.2}
    model = classifier("fusion", (37,), 4, settings, standardize=([0.0] * 37, [1.0] * 37), widths=widths)
    assert sizes(model) == {"embedding_projection": 31 * 8, "logits": (8 + 1 + 6 + 1) * 4}
    rates = {layer.name: layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)}
    assert rates == {"embedding_dropout": 0.5, "brightness_dropout": 0, "texture_dropout": 0.1, "fused_dropout": 0.2}
    one = classifier("fusion", (6,), 2, settings | {"parts": {"embedding": [0, 9]}}, widths={"texture": 6})
    assert sizes(one) == {"logits": 7 * 2}  # settings of columns that an ablation leaves out do no harm


def test_fusion_of_a_part_of_a_column():
    model = classifier("fusion", (10,), 2, {"parts": {"b": [2, 5]}}, widths={"a": 3, "b": 7})
    assert sizes(model) == {"logits": (3 + 3 + 1) * 2}
    seen = keras.Model(model.input, model.get_layer("fused").output)
    x = np.arange(10.0)[None]
    expected = np.array([0, 1, 2, 5, 6, 7]) / np.sqrt(3)
    assert np.allclose(seen.predict_on_batch(x)[0], expected, atol=1e-6)


def test_the_palette_is_not_standardised():
    model = classifier("palette_cnn", (60,), 2, {}, standardize=([9.0] * 60, [4.0] * 60))
    assert "standardize" not in [layer.name for layer in model.layers]
    colors = keras.Model(model.input, model.get_layer("scale").output)
    palette = np.random.default_rng(0).integers(0, 256, (2, 20, 3))
    assert np.allclose(colors.predict_on_batch(palette.reshape(2, 60))[:, :, 0], palette / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "shape", "settings", "words"),
    [
        ("one_blok_vgg", (32, 32, 3), {}, ["'one_blok_vgg'", "did you mean one_block_vgg"]),
        ("", (4,), {}, ["model.name", "linear_head"]),
        ("linear_head", (4,), {"droput": 0.1}, ["linear_head", "droput"]),
        ("linear_head", (4,), {"dropout": 2}, ["linear_head"]),
        ("linear_head", (4,), {"dropout": "much"}, ["linear_head"]),
        ("linear_head", (4,), {"l2": "1e-3"}, ["linear_head"]),
        ("linear_head", (4,), {"classes": 3}, ["linear_head", "classes"]),
        ("one_block_vgg", (32, 32, 3), {"filters": 0}, ["one_block_vgg"]),
        ("one_block_vgg", (32, 32, 3), {"filters": "many"}, ["one_block_vgg"]),
        ("one_block_vgg", (32, 32, 3), {"dense": -1}, ["one_block_vgg"]),
        ("one_block_vgg", (32, 32, 3), {"dropout": [0.2]}, ["one_block_vgg"]),
        ("one_block_vgg", (32, 32, 3), {"dropout": 0.2}, ["one_block_vgg"]),
        ("one_block_vgg", (12,), {}, ["one_block_vgg", "takes pictures", "`input`"]),
        ("linear_head", (8, 8, 3), {}, ["linear_head", "takes features", "`input`"]),
        ("palette_cnn", (13,), {}, ["palette_cnn"]),
        ("valence_cnn", (8, 8, 3), {}, ["valence_cnn"]),
        ("transfer", (32, 32, 3), {"layer": "block99"}, ["no layer 'block99'", "block9"]),
        ("transfer", (32, 32, 3), {"statistics": ["embedding"]}, ["transfer"]),
        ("transfer", (32, 32, 3), {"pool": "median"}, ["pool", "'median'"]),
        ("transfer", (32, 32, 3), {"backbone": "VGG61"}, ["VGG61"]),
        ("fusion", (4,), {"parts": {"features": [2, 5]}}, ["fusion", "features has 4 numbers"]),
        ("fusion", (4,), {"units": "many"}, ["fusion"]),
    ],
)
def test_what_can_not_be_built_is_one_line(name, shape, settings, words):
    with pytest.raises(InputError) as raised:
        classifier(name, shape, 2, settings)
    line = str(raised.value)
    assert "\n" not in line
    assert line.startswith(("model", "unknown backbone"))
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.7])
def test_calibrated_is_softmax_of_divided_logits(temperature):
    keras.utils.set_random_seed(1)
    model = classifier("one_block_vgg", (16, 16, 3), 4, {"filters": 4, "dense": 8})
    pictures = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), np.uint8)
    logits = np.asarray(model(pictures))
    scores = np.asarray(calibrated(model, temperature)(pictures))
    assert np.allclose(scores, softmax(logits / temperature, axis=1), atol=1e-6)
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-6)


def test_several_labels_are_calibrated_each_for_itself():
    model = classifier("linear_head", (4,), 3, {})
    model.get_layer("logits").set_weights([np.arange(12.0).reshape(4, 3) / 4, np.ones(3)])
    x = np.random.default_rng(0).normal(size=(5, 4))
    logits = np.asarray(model(x))
    assert np.allclose(np.asarray(calibrated(model, 2.0, multilabel=True)(x)), expit(logits / 2), atol=1e-6)
    assert np.allclose(np.asarray(calibrated(model, 2.0)(x)), softmax(logits / 2, axis=1), atol=1e-6)


def test_test_time_flip_averages_logits():
    keras.utils.set_random_seed(1)
    model = classifier("valence_cnn", (24, 24, 3), 3, {"dense": 8})
    x = np.random.default_rng(1).integers(0, 256, (5, 24, 24, 3), np.uint8)
    logits = (np.asarray(model(x)) + np.asarray(model(x[:, :, ::-1]))) / 2
    assert np.allclose(np.asarray(mirrored(model)(x)), logits, atol=1e-5)
    scores = np.asarray(calibrated(model, 0.5, test_time_flip=True)(x))
    assert np.allclose(scores, softmax(logits / 0.5, axis=1), atol=1e-5)
    with pytest.raises(InputError, match="test_time_flip"):
        calibrated(classifier("linear_head", (4,), 2, {}), 1.0, test_time_flip=True)


def test_calibrated_models_can_be_saved_and_loaded_safely(tmp_path):
    model = calibrated(classifier("linear_head", (4,), 3, {}, standardize=([0.0] * 4, [1.0] * 4)), 2.0)
    model.get_layer("logits").set_weights([np.arange(12.0).reshape(4, 3), np.zeros(3)])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    features = np.random.default_rng(0).normal(size=(5, 4))
    assert np.array_equal(np.asarray(again(features)), np.asarray(model(features)))
