import keras
import numpy as np
import pytest
from keras import layers

from artray.classifiers.activation_maps import activation_maps, map_layers, overlay
from artray.errors import InputError
from artray.models.classifiers import calibrated, classifier

pytestmark = pytest.mark.slow  # networks take their time to build and trace

SIZE, PATCH = 32, 8
METHODS = ["cam", "grad-cam", "guided"]


def patches(n, seed=0):
    """Noise with a red square (class 0) or a blue one (class 1) somewhere."""
    chance = np.random.default_rng(seed)
    images = chance.integers(0, 120, (n, SIZE, SIZE, 3), np.uint8)
    classes = np.arange(n) % 2
    corners = chance.integers(0, SIZE - PATCH, (n, 2))
    for image, number, (top, left) in zip(images, classes, corners, strict=True):
        image[top : top + PATCH, left : left + PATCH] = (255, 0, 0) if number == 0 else (0, 0, 255)
    return images, classes, corners


@pytest.fixture(scope="module")
def model():
    """A small network that ends in global average pooling, trained to tell red squares from blue ones."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 255, name="scale")(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="early")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Conv2D(16, 3, padding="same", name="late")(x)
    x = layers.ReLU(name="late_relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.1)(x)
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
    images, classes, _ = patches(128, seed=1)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.optimizer.learning_rate = 0.02
    model.fit(images.astype("float32"), classes, epochs=12, batch_size=32, verbose=0)
    return model


@pytest.mark.parametrize(
    ("method", "layer"), [*((method, None) for method in METHODS), ("grad-cam", "early"), ("guided", "early")]
)
def test_maps_light_up_where_the_class_is_decided(model, method, layer):
    images, classes, corners = patches(20)
    assert (model.predict_on_batch(images).argmax(axis=1) == classes).all()
    heat = activation_maps(model, images, classes, layer=layer, method=method)
    assert heat.shape == images.shape[:3]
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    assert np.allclose(heat.max(axis=(1, 2)), 1)
    inside = np.zeros(heat.shape, bool)
    for mask, (top, left) in zip(inside, corners, strict=True):
        mask[max(0, top - 2) : top + PATCH + 2, max(0, left - 2) : left + PATCH + 2] = True
    density = (heat * inside).sum(axis=(1, 2)) / inside.sum(axis=(1, 2))
    outside = (heat * ~inside).sum(axis=(1, 2)) / (~inside).sum(axis=(1, 2))
    assert (density / outside).min() > 3
    for mask, picture in zip(inside, heat, strict=True):
        assert mask[np.unravel_index(picture.argmax(), picture.shape)]


def test_cam_adds_up_to_the_logit(model):
    """Before scaling, the mean over all places is the logit without its bias; so positive parts bound it."""
    images, classes, _ = patches(4)
    late = keras.Model(model.input, model.get_layer("late_relu").output).predict_on_batch(images)
    kernel, bias = model.get_layer("logits").get_weights()
    cam = np.einsum("nhwc,cn->nhw", late, kernel[:, classes])
    logits = model.predict_on_batch(images)[np.arange(4), classes]
    assert np.allclose(cam.mean(axis=(1, 2)) + bias[classes], logits, atol=1e-4)
    heat = activation_maps(model, images, classes, method="cam")
    positive = np.maximum(cam, 0)
    # Enlarging keeps where the maximum is, to a pixel of the small map.
    for small, large in zip(positive, heat, strict=True):
        place = np.array(np.unravel_index(large.argmax(), large.shape)) // 2
        assert small[tuple(place)] >= 0.8 * small.max()


def test_grad_cam_of_the_last_layer_is_cam(model):
    images, classes, _ = patches(5)
    cam = activation_maps(model, images, classes, method="cam")
    assert np.allclose(activation_maps(model, images, classes, method="grad-cam"), cam, atol=1e-4)
    assert np.array_equal(activation_maps(model, images, classes), cam)  # the default, where it is possible


def test_the_other_class_lights_up_elsewhere(model):
    images, classes, _ = patches(6)
    own, other = (activation_maps(model, images, each, method="cam") for each in (classes, 1 - classes))
    overlap = (own * other).sum(axis=(1, 2)) / np.sqrt((own**2).sum(axis=(1, 2)) * (other**2).sum(axis=(1, 2)) + 1e-9)
    assert overlap.max() < 0.5


@pytest.mark.parametrize("method", METHODS)
def test_mirrored_pictures_have_mirrored_maps_where_the_network_is_symmetric(model, method):
    symmetric = keras.models.clone_model(model)
    symmetric.set_weights(model.get_weights())
    for name in ("early", "late"):
        kernel, bias = symmetric.get_layer(name).get_weights()
        symmetric.get_layer(name).set_weights([(kernel + kernel[:, ::-1]) / 2, bias])
    # No flat squares: of equal values a pool takes the first one, left or mirrored.
    images = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), np.uint8)
    classes = [0, 1, 0, 1]
    heat = activation_maps(symmetric, images, classes, method=method)
    mirrored = activation_maps(symmetric, images[:, :, ::-1], classes, method=method)
    assert np.allclose(mirrored, heat[:, :, ::-1], atol=1e-3)


def test_guided_backpropagation_is_what_its_definition_says():
    """Against NumPy: two dense layers on pixels, each ReLU passing positive slopes only."""
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(5, 1, activation="relu", name="maps")(x)
    x = layers.Conv2D(4, 1, name="linear")(x)
    x = layers.ReLU(max_value=6, name="capped")(x)
    model = keras.Model(inputs, layers.Dense(2, name="logits")(layers.Flatten()(x)))
    image = np.random.default_rng(0).integers(0, 12, (1, 4, 4, 3)).astype(np.float32)
    (k1, b1), (k2, b2), (k3, _) = (model.get_layer(name).get_weights() for name in ("maps", "linear", "logits"))
    first = image @ k1[0, 0] + b1
    second = np.maximum(first, 0) @ k2[0, 0] + b2
    slope = np.maximum(k3[:, 1].reshape(second.shape), 0) * (second > 0) * (second < 6)
    slope = np.maximum(slope @ k2[0, 0].T, 0) * (first > 0)
    saliency = np.abs(slope @ k1[0, 0].T).max(axis=-1)
    expected = saliency * activation_maps(model, image, 1, "maps", "grad-cam")
    found = activation_maps(model, image, 1, "maps", "guided")
    assert expected.max() > 0
    assert np.allclose(found, expected / expected.max(), atol=1e-5)


@pytest.mark.parametrize("flip", [False, True])
def test_a_bundles_model_is_explained_like_the_plain_one(model, flip, tmp_path):
    calibrated(model, 2.0, test_time_flip=flip).save(tmp_path / "model.keras")
    bundled = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    images, classes, _ = patches(3)
    assert map_layers(bundled) == map_layers(model) == ["scale", "early", "pool", "late", "late_relu"]
    for method in METHODS:
        expected = activation_maps(model, images, classes, method=method)
        assert np.allclose(activation_maps(bundled, images, classes, method=method), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings", "method", "last"),
    [
        ("valence_cnn", {"dense": 8}, "grad-cam", "pool3"),
        ("resnet50", {"filters": 8}, "cam", "stage5_block2"),
        ("transfer", {}, "cam", "head_relu"),
        ("transfer", {"pool": "statistics", "statistics": ["block5"]}, "grad-cam", "head_relu"),
        ("transfer", {"backbone": "VGG16", "weights": None, "layer": "block3_conv3", "dense": [8]}, "guided", None),
    ],
)
def test_published_models_can_be_explained(name, settings, method, last):
    model = classifier(name, (64, 64, 3), 3, settings)
    if last:
        assert map_layers(model)[-1] == last
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    heat = activation_maps(model, images, [0, 2], method=method)
    assert heat.shape == (2, 64, 64)
    assert np.isfinite(heat).all()
    if method == "grad-cam":
        with pytest.raises(InputError, match="has no CAM"):
            activation_maps(model, images, [0, 2], method="cam")


def test_nothing_for_the_class_is_all_zero():
    x = inputs = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 1, name="maps")(x))
    model = keras.Model(inputs, layers.Dense(2, name="logits", kernel_initializer="zeros")(x))
    heat = activation_maps(model, np.full((1, 8, 8, 3), 9, np.uint8), 0)
    assert (heat == 0).all()


def test_what_can_not_be_explained(model):
    images, _, _ = patches(2)
    with pytest.raises(InputError, match=r"no layer 'lat' with feature maps.*late"):
        activation_maps(model, images, 0, layer="lat")
    with pytest.raises(InputError, match="classes are 0 to 1"):
        activation_maps(model, images, [0, 2])
    with pytest.raises(InputError, match="takes features"):
        activation_maps(classifier("linear_head", (4,), 2, {}), images, 0)
    assert activation_maps(model, images[:0], []).shape == (0, SIZE, SIZE)


def test_overlay():
    image = np.random.default_rng(0).integers(0, 256, (6, 7, 3), np.uint8)
    heat = np.linspace(0, 1, 42, dtype=np.float32).reshape(6, 7)
    drawn = overlay(image, heat)
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert np.abs(drawn[0, 0] - 0.75 * image[0, 0]).max() <= 2  # no heat: the picture, a little darker
    flat = overlay(np.full((6, 7, 3), 90, np.uint8), heat).astype(int).sum(axis=2).ravel()
    assert (np.diff(flat) >= -1).all()  # more heat is brighter
    assert np.array_equal(overlay(image, np.full((6, 7), 7.0)), overlay(image, np.ones((6, 7))))
