"""Class activation maps (C13): which parts of a picture speak for a class, drawn over it.

Three methods:

- CAM (Zhou et al. 2016), for models that end in global average pooling and one dense layer: exact, each place's share
  in the class's logit.
- Grad-CAM (Selvaraju et al. 2017), for any layer with feature maps: the maps, weighted by the mean gradient of the
  logit. At the last layer of a model for which there is CAM, it is CAM.
- Guided Grad-CAM (ibid.): Grad-CAM times guided backpropagation (Springenberg et al. 2015), which passes only what
  speaks for the class through each ReLU: fine lines in place of a cloud.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops
from PIL import Image

from artray.errors import InputError

Method = Literal["cam", "grad-cam", "guided"]

_BATCH = 16
# Black, purple, red, orange, pale yellow: rising brightness, so that it can be read without colours too.
_RAMP = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64)


def activation_maps(
    model: keras.Model,
    images: npt.NDArray[np.uint8],
    classes: int | Sequence[int] | npt.NDArray[np.integer[Any]],
    layer: str | None = None,
    method: Method | None = None,
) -> npt.NDArray[np.float32]:
    """Heat maps of how much each place speaks for a class.

    Args:
        model: A classifier of pictures, plain or as a bundle holds it. What is explained are its logits, as they are
            without a test-time flip.
        images: (n, height, width, 3) RGB 0..255, as the model takes them.
        classes: The class of each picture, or one for all: the index of an output.
        layer: A layer with feature maps, one of `map_layers`; default the last. Early ones show detail, late ones
            meaning.
        method: Default: CAM where it is possible, else Grad-CAM.

    Returns:
        (n, height, width) in 0..1, where 1 is the strongest place of each picture; all 0 where nothing speaks for the
        class.

    Raises:
        InputError: The model takes no pictures, has no such layer or class, or no CAM.
    """
    plain = _plain(model)
    names = map_layers(plain)
    if layer is None:
        layer = names[-1]
    elif layer not in names:
        near = get_close_matches(layer, names, 3) or names[-3:]
        raise InputError(f"activation maps: no layer {layer!r} with feature maps ({', '.join(near)}, …)")
    wanted = np.broadcast_to(np.asarray(classes, np.int64), (len(images),))
    outputs = plain.output.shape[-1]
    if len(wanted) and (wanted.min() < 0 or wanted.max() >= outputs):
        raise InputError(f"activation maps: classes are 0 to {outputs - 1}, not {wanted.min()} to {wanted.max()}")
    kernel = _cam_kernel(plain, layer)
    method = method or ("grad-cam" if kernel is None else "cam")
    if method == "cam" and kernel is None:
        raise InputError(
            f"activation maps: {plain.name} has no CAM at {layer}: it needs global average pooling of that layer, then "
            "the dense layer of the classes; use grad-cam"
        )
    heat = np.zeros(images.shape[:3], np.float32)
    explain = _explainer(plain, layer, method, kernel)
    for start in range(0, len(images), _BATCH):
        rows = slice(start, start + _BATCH)
        heat[rows] = explain(images[rows], wanted[rows])
    return heat


def map_layers(model: keras.Model) -> list[str]:
    """Names of the layers whose outputs are feature maps, from the picture to the classes.

    Raises:
        InputError: The model takes no pictures, or has no such layers.
    """
    plain = _plain(model)
    if len(plain.input.shape) != 4:
        raise InputError(f"activation maps: {plain.name} takes features, not pictures")
    names = [
        layer.name
        for layer in plain.layers
        if not isinstance(layer, layers.InputLayer)
        and len(getattr(layer.output, "shape", ())) == 4
        and layer.output.shape[1] is not None
        and layer.output.shape[1] * layer.output.shape[2] > 1
    ]
    if not names:
        raise InputError(f"activation maps: {plain.name} has no layer with feature maps")
    return names


def overlay(image: npt.NDArray[np.uint8], heat: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Draw a heat map over a picture.

    Args:
        image: (height, width, 3) RGB.
        heat: (height, width) in 0..1: 0 leaves the picture, darkened a little; 1 is pale yellow.

    Returns:
        (height, width, 3) RGB.
    """
    value = np.clip(np.asarray(heat, np.float64), 0, 1)
    steps = np.linspace(0, 1, len(_RAMP))
    color = np.stack([np.interp(value, steps, channel) for channel in _RAMP.T], axis=-1)
    opacity = 0.25 + 0.5 * value[..., None]
    return np.asarray(np.rint((1 - opacity) * image + opacity * color), np.uint8)


def _plain(model: keras.Model) -> keras.Model:
    """The model from a picture to logits: without calibration, and out of the test-time flip around it."""
    names = [layer.name for layer in model.layers]
    if "test_time_flip" in names:
        return _plain(next(layer for layer in model.layers if isinstance(layer, keras.Model)))
    if "logits" in names:
        return keras.Model(model.input, model.get_layer("logits").output, name=model.name)
    return model


def _cam_kernel(model: keras.Model, layer: str) -> npt.NDArray[np.float32] | None:
    """The weights (channels, classes) from the mean of this layer's maps to the logits, where that is all there is."""
    last: Any = model.layers[-1]
    if not isinstance(last, layers.Dense):
        return None
    kernel: npt.NDArray[np.float32] = ops.convert_to_numpy(last.kernel)
    while True:
        source = last.input
        if isinstance(source, list):
            return None
        last = source._keras_history.operation
        if isinstance(last, layers.GlobalAveragePooling2D):
            return kernel if last.input is model.get_layer(layer).output else None
        if not isinstance(last, layers.Dropout | layers.Identity):
            return None


Explain = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.int64]], npt.NDArray[np.float32]]


def _explainer(model: keras.Model, layer: str, method: Method, kernel: npt.NDArray[np.float32] | None) -> Explain:
    maps = model.get_layer(layer).output
    if method == "cam" and kernel is not None:
        mapper = keras.Model(model.input, maps)
        return lambda images, classes: _heat(
            np.einsum("nhwc,cn->nhw", mapper.predict_on_batch(images), kernel[:, classes]), images.shape[1:3]
        )
    # Here and not above: with it comes TensorFlow.
    from artray.engine.gradients import gradients

    both = keras.Model(model.input, [maps, model.output])

    def chosen(logits: Any, classes: npt.NDArray[np.int64]) -> Any:
        return ops.take_along_axis(logits, ops.convert_to_tensor(classes[:, None]), axis=1)

    def grad_cam(images: npt.NDArray[np.uint8], classes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        def function(x: Any) -> tuple[Any, Any]:
            values, logits = both(x, training=False)
            return values, chosen(logits, classes)

        values, slopes = gradients(function, images)
        return _heat(np.einsum("nhwc,nc->nhw", values, slopes.mean(axis=(1, 2))), images.shape[1:3])

    if method == "grad-cam":
        return grad_cam
    guided = _guided(model)

    def guided_grad_cam(images: npt.NDArray[np.uint8], classes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        _, slopes = gradients(lambda x: (x, chosen(guided(x, training=False), classes)), images)
        return _scaled(np.abs(slopes).max(axis=-1) * grad_cam(images, classes))

    return guided_grad_cam


def _heat(values: npt.NDArray[np.floating[Any]], size: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """What speaks for the class, (n, h, w), enlarged to the picture's size and scaled to 0..1."""
    height, width = size
    positive = np.maximum(values, 0).astype(np.float32)
    enlarged = [
        np.asarray(Image.fromarray(each).resize((width, height), Image.Resampling.BILINEAR)) for each in positive
    ]
    return _scaled(np.stack(enlarged))


def _scaled(heat: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    highest = heat.max(axis=(1, 2), keepdims=True)
    return np.asarray(np.divide(heat, highest, out=np.zeros_like(heat), where=highest > 0))


def _guided(model: keras.Model) -> keras.Model:
    """The same function, in which each ReLU lets only positive gradients back."""

    def clone(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if isinstance(layer, layers.ReLU) and not layer.negative_slope and not layer.threshold:
            limit = float("inf") if layer.max_value is None else layer.max_value
            return layers.Activation(_guided_relu(limit), name=layer.name)
        function = getattr(layer, "activation", None)
        if function in (keras.activations.relu, keras.activations.relu6):
            copy = layer.__class__.from_config(config)
            copy.activation = _guided_relu(6.0 if function is keras.activations.relu6 else float("inf"))
            return copy
        return layer.__class__.from_config(config)

    guided = keras.models.clone_model(model, clone_function=clone)
    guided.set_weights(model.get_weights())
    return guided


def _guided_relu(limit: float) -> Callable[[Any], Any]:
    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def relu(x: Any) -> tuple[Any, Callable[..., Any]]:
        def gradient(*args: Any, upstream: Any = None) -> Any:
            slope = args[0] if upstream is None else upstream
            passes = ops.cast(ops.logical_and(x > 0, x < limit), slope.dtype)
            return ops.maximum(slope, 0) * passes

        return ops.clip(x, 0, limit), gradient

    return lambda x: relu(x)
