"""Backbones by name: RGB pictures in, one pooled embedding a picture out."""

import difflib
import socket
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Literal

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from artray.errors import InputError
from artray.models import DEFAULT_BACKBONE, EMBEDDED
from artray.models.efficientnet_lite import efficientnet_lite
from artray.models.hub import is_preset, keras_hub, load_hub_backbone

_DOWNLOAD_TIMEOUT = 20.0  # seconds without an answer


def backbone_names() -> list[str]:
    """The names that `backbone` knows: the embedded ones, then those of `keras.applications`."""
    return [*EMBEDDED, *sorted(_applications())]


def refuse_unknown(name: str) -> None:
    """Refuse a name that `backbone` doesn't know, before anything is loaded.

    Raises:
        InputError: It is no file that is there, none of `backbone_names`, and no preset.
    """
    if name.endswith(".keras"):
        if not Path(name).is_file():
            raise InputError(f"backbone {name}: no such file")
    elif name not in EMBEDDED and name not in _applications() and not is_preset(name):
        raise InputError(f"unknown backbone {name!r}{_suggestion(name)}")


def backbone(name: str = DEFAULT_BACKBONE, size: int = 224, weights: str | None = "imagenet") -> keras.Model:
    """Builds or loads a backbone.

    Args:
        name: One of `backbone_names`, or the path of a `.keras` file: a model of RGB values 0..255 that ends in a
            feature map (which gets pooled here) or in an embedding; or a preset of keras-hub, by name or folder.
        size: Height and width of the pictures in pixels.
        weights: "imagenet", None or "none" for random ones, or the path of a weights file for this architecture,
            without its classifier. Those of `keras.applications` are downloaded once. Without meaning for a `.keras`
            file, which has its own.

    Returns:
        A model from RGB pictures (n, size, size, 3) with values 0..255 to embeddings (n, d), with the scaling that its
        weights expect as layers of its own. It can be saved, and loaded in safe mode.

    Raises:
        InputError: Unknown name, impossible size, weights that can't be fetched or don't fit, or a file that is no such
            model or holds code.
    """
    refuse_unknown(name)
    if name.endswith(".keras"):
        return _saved(Path(name), size)
    if weights == "none":  # as a YAML file or a command line says it
        weights = None
    if weights not in ("imagenet", None) and not Path(weights).is_file():
        raise InputError(f"weights {weights}: no such file (known are 'imagenet' and paths)")
    initial: Literal["imagenet"] | None = "imagenet" if weights == "imagenet" else None
    if name in EMBEDDED:
        model = efficientnet_lite(name, weights=initial, size=size)
    elif name in _applications():
        model = _application(name, size, initial)
    else:
        return load_hub_backbone(name, size=size).model
    if weights not in ("imagenet", None):
        try:
            model.load_weights(weights)
        except Exception as error:  # Keras has no exception of its own for a bad file.
            raise InputError(f"weights {weights}: don't fit {name} ({_first_line(error)})") from error
    return model


def _suggestion(name: str) -> str:
    names = {known.lower(): known for known in backbone_names()}
    close = difflib.get_close_matches(name.lower(), names, n=3)
    if close:
        return f": did you mean {' or '.join(names[key] for key in close)}?"
    return f": known are {', '.join(backbone_names())}, paths of .keras files, and presets of keras-hub if it is there"


def _saved(path: Path, size: int) -> keras.Model:
    try:
        _load_classes_of(path)
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        inputs, outputs = model.inputs, model.outputs
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"backbone {path}: not a Keras model that can be loaded ({_first_line(error)})") from error
    if len(inputs) != 1 or len(outputs) != 1:
        raise InputError(f"backbone {path}: has {len(inputs)} inputs and {len(outputs)} outputs instead of one each")
    shape, x = tuple(inputs[0].shape), outputs[0]
    if len(shape) != 4 or shape[3] != 3 or any(n not in (None, size) for n in shape[1:3]):
        raise InputError(f"backbone {path}: takes inputs of shape {shape[1:]}, not pictures ({size}, {size}, 3)")
    if len(x.shape) == 4:
        return keras.Model(inputs, layers.GlobalAveragePooling2D()(x), name=model.name)
    if len(x.shape) != 2:
        raise InputError(f"backbone {path}: gives outputs of shape {tuple(x.shape[1:])}, not an embedding")
    return model


def _load_classes_of(path: Path) -> None:
    """Have the classes known of which a file's model is made."""
    import artray.models.vision_transformer  # noqa: F401

    with zipfile.ZipFile(path) as archive:
        if b"keras_hub" in archive.read("config.json"):
            keras_hub()


def _applications() -> dict[str, FunctionType]:
    """The builders in `keras.applications` by name."""
    return {name: build for name, build in vars(keras.applications).items() if isinstance(build, FunctionType)}


def _application(name: str, size: int, weights: Literal["imagenet"] | None) -> keras.Model:
    build = _applications()[name]
    # An architecture and its `preprocess_input` stand in one module.
    scaled = _scaling(sys.modules[build.__module__].preprocess_input, keras.Input((size, size, 3)))
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT)  # `keras.utils.get_file` sets none, and would wait for ever.
    try:
        return build(
            include_top=False, weights=weights, input_tensor=scaled, input_shape=(size, size, 3), pooling="avg"
        )
    except ValueError as error:
        raise InputError(f"backbone {name} at {size} pixels: {_first_line(error)}") from error
    except Exception as error:  # what `get_file` raises
        if weights is None:
            raise
        raise InputError(
            f"the ImageNet weights of {name} can't be fetched ({_first_line(error)}); "
            f"without internet use {DEFAULT_BACKBONE}, or give a file of weights"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)


def _scaling(
    preprocess_input: Callable[[NDArray[np.float32]], NDArray[np.float32]], x: keras.KerasTensor
) -> keras.KerasTensor:
    """A `preprocess_input` of `keras.applications` as layers that can be saved.

    Each of them is linear per channel, after BGR for those from Caffe: its values for black and for pure red, green
    and blue tell all of it.
    """
    offset = np.ravel(preprocess_input(np.zeros((1, 1, 1, 3), "float32")))
    gains = preprocess_input(255 * np.eye(3, dtype="float32").reshape(3, 1, 1, 3)).reshape(3, 3) - offset
    if gains[0, 0] == 0:
        x = ops.flip(x, axis=-1)
        gains = gains[::-1]
    scale = np.diag(gains) / 255
    if np.array_equal(scale, [1, 1, 1]) and not offset.any():
        return x  # the scaling is part of the architecture
    return layers.Rescaling(scale.tolist(), offset=offset.tolist(), name="preprocessing")(x)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
