"""Image towers of keras-hub as models that need no keras-hub: same outputs, in layers of Keras and of ours.

keras-hub (extra `hub`) reads presets by name, which are downloaded once, or from a folder, without internet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from artray.errors import InputError
from artray.models.hub_towers import TOWERS, set_weights

Scaling: TypeAlias = Literal["preset", "imagenet", "clip", "one", "symmetric"]
"""What the weights expect of RGB 0..255. imagenet, clip: less the mean of what they were trained on, by its deviation;
one: 0..1; symmetric: -1..1."""

Floats = npt.NDArray[np.floating[Any]]


def _standardising(mean: Sequence[float], deviation: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(1 / (255 * each) for each in deviation), tuple(
        -each / by for each, by in zip(mean, deviation, strict=True)
    )


SCALINGS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": _standardising((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": _standardising((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "one": ((1 / 255,) * 3, (0.0,) * 3),
    "symmetric": ((1 / 127.5,) * 3, (-1.0,) * 3),
}
_OWN_SCALING = {"DINOV2Backbone": "imagenet", "DINOV3Backbone": "imagenet", "ViTBackbone": "symmetric"}
_OWN_SCALING |= {"DeiTBackbone": "imagenet", "SigLIPBackbone": "symmetric"}
_OWN_SCALING |= {"CLIPBackbone": "clip", "MetaCLIP2Backbone": "clip"}
_LICENCES = {"DINOV3Backbone": "DINOv3 License (Meta), with terms of its own", "CLIPBackbone": "MIT"}
_LICENCES |= {"SigLIPBackbone": "Apache-2.0", "DINOV2Backbone": "Apache-2.0", "DeiTBackbone": "Apache-2.0"}
_LICENCES |= {"ViTBackbone": "Apache-2.0", "MetaCLIP2Backbone": "CC-BY-NC-4.0"}
_BATCH = 64


@dataclass(frozen=True)
class HubBackbone:
    """A preset's image tower.

    Attributes:
        model: From RGB (n, size, size, 3), 0..255, to embeddings (n, d).
        hub: The preset as keras-hub has it.
        preset: Its name or folder.
        notes: As JSON: `preset`, `kind`, `size`, `width` of the embedding, `scale`, `offset`, `licence`, and whether it
            is `portable`, which means that it needs no keras-hub to be loaded.
    """

    model: keras.Model
    hub: Any
    preset: str
    notes: dict[str, Any]

    @property
    def has_words(self) -> bool:
        """Whether it knows texts too."""
        return hasattr(self.hub, "get_text_embeddings")

    def logit_scale(self) -> tuple[float, float]:
        """By what a cosine is multiplied, and what is added, to become a logit.

        Raises:
            InputError: It knows no texts.
        """
        head = next((getattr(self.hub, name) for name in _HEADS if hasattr(self.hub, name)), None)
        if head is None:
            raise InputError(f"{self.preset}: knows no words: CLIP, SigLIP and MetaCLIP 2 do")
        bias = getattr(head, "logit_bias", None)
        return float(np.exp(np.asarray(head.logit_scale))), 0.0 if bias is None else float(np.asarray(bias))

    def text_embeddings(self, texts: Sequence[str]) -> Floats:
        """What it makes of texts, (n, d), each of length 1.

        Raises:
            InputError: It knows no texts, or brings no tokenizer along.
        """
        self.logit_scale()
        tokens = self._tokens()
        vectors = []
        for start in range(0, len(texts), _BATCH):
            some = np.asarray(self.hub.get_text_embeddings(tokens(list(texts[start : start + _BATCH]))))
            vectors.append(some / np.linalg.norm(some, axis=1, keepdims=True))
        return np.concatenate(vectors)

    def _tokens(self) -> Callable[[list[str]], Any]:
        hub = keras_hub()
        length = (
            self.hub.text_encoder.max_sequence_length if hasattr(self.hub.text_encoder, "max_sequence_length") else 77
        )
        try:
            made = hub.models.Preprocessor.from_preset(self.preset, image_converter=None)
        except Exception:
            made = _preprocessor(hub, self.hub, self.preset)
        side = self.model.input_shape[1]

        def tokens(texts: list[str]) -> Any:
            images = np.zeros((len(texts), side, side, 3), "float32")
            return made({"images": images, "prompts": texts}, sequence_length=length)["token_ids"]

        return tokens


_HEADS = ("siglip_head", "clip_head", "metaclip_2_head")


def is_preset(name: str) -> bool:
    """Whether a backbone's name is keras-hub's: a preset's folder, an address such as `hf://…`, or a known name."""
    if "://" in name or (Path(name) / "config.json").is_file():
        return True
    try:
        hub = keras_hub()
    except InputError:
        return False
    return any(name in kind.presets for kind in _kinds(hub))


def load_hub_backbone(preset: str, *, size: int | None = None, scaling: Scaling = "preset") -> HubBackbone:
    """A preset's image tower, as a model of Keras' own layers and ours where it is a transformer of a kind known here.

    Args:
        preset: Its name, an address (`hf://keras/…`, `kaggle://…`), or a folder.
        size: Side of the pictures in pixels; default: the preset's.
        scaling: What the weights expect; default: what the preset says, or where it says nothing, what is usual.

    Raises:
        InputError: keras-hub is not installed, or there is no such preset, or it has no image tower.
    """
    hub = keras_hub()
    given = {} if size is None else {"image_shape": (size, size, 3)}
    try:
        made = hub.models.Backbone.from_preset(preset, dtype="float32", **given)
    except Exception as error:
        raise InputError(f"backbone {preset}: {_told(error, preset)}") from error
    kind = type(made).__name__
    size_there = _side(made)
    if size_there is None:
        raise InputError(f"backbone {preset}: {kind} looks at no pictures")
    if size is not None and size_there != size:
        raise InputError(f"backbone {preset}: {kind} takes pictures of {size_there} pixels, not {size}")
    scale, offset = _scaling(hub, preset, kind, scaling)
    if kind in TOWERS:
        shape, weights = TOWERS[kind](made)
        shape = replace(shape, size=size_there, scale=scale, offset=offset)
        model = shape.build(_plain(preset))
        set_weights(model, weights)
        portable = True
    else:
        model = _whole(made, size_there, scale, offset, _plain(preset))
        portable = all(module.split(".")[0] == "keras" for module in _modules(json.loads(model.to_json())))
    notes = {
        "preset": preset,
        "kind": kind,
        "size": size_there,
        "width": model.output_shape[1],
        "scale": list(scale),
        "offset": list(offset),
        "licence": _LICENCES.get(kind, "see the preset's page"),
        "portable": portable,
    }
    return HubBackbone(model, made, preset, notes)


def keras_hub() -> Any:
    """The library.

    Raises:
        InputError: It is not installed.
    """
    try:
        import keras_hub as library
    except ImportError as error:
        raise InputError("keras-hub is not installed: pip install 'artray[hub]' (Python 3.11 and later)") from error
    return library


def _kinds(hub: Any) -> list[Any]:
    names = (name for name in dir(hub.models) if name.endswith("Backbone"))
    return [getattr(hub.models, name) for name in names if hasattr(getattr(hub.models, name), "presets")]


def _preprocessor(hub: Any, made: Any, preset: str) -> Any:
    kind = type(made).__name__.removesuffix("Backbone")
    preprocessor = getattr(hub.models, f"{kind}Preprocessor", None) or getattr(
        hub.models, f"{kind}CausalLMPreprocessor", None
    )
    tokenizer = getattr(hub.models, f"{kind}Tokenizer", None)
    try:
        assert preprocessor is not None
        assert tokenizer is not None
        return preprocessor(tokenizer.from_preset(preset))
    except Exception as error:
        raise InputError(f"backbone {preset}: brings no tokenizer for its words ({_told(error, preset)})") from error


def _told(error: Exception, preset: str) -> str:
    first = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    if "://" not in preset and not Path(preset).exists():
        first += "; without internet name a folder with the preset"
    return first[:300]


def _plain(preset: str) -> str:
    """A model's name, of letters, digits, `_` and `-`."""
    name = preset.rstrip("/").rpartition("/")[2]
    return "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in name) or "backbone"


def _side(made: Any) -> int | None:
    tower = getattr(made, "vision_encoder", made)
    shape = getattr(tower, "image_shape", None)
    if shape is None or len(shape) != 3 or shape[2] != 3:
        return None
    return 224 if shape[0] is None else int(shape[0])


def _scaling(
    hub: Any, preset: str, kind: str, scaling: Scaling
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    if scaling == "preset":
        try:
            converter = hub.layers.ImageConverter.from_preset(preset)
        except Exception:  # a folder of Hugging Face's has none, which it says in many ways
            scaling = _OWN_SCALING.get(kind, "imagenet")  # type: ignore[assignment]
        else:
            scale, offset = (1.0 if converter.scale is None else converter.scale), converter.offset or 0.0
            return _three(scale), _three(offset)
    scale, offset = SCALINGS[scaling]
    return _three(scale), _three(offset)


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = np.broadcast_to(np.asarray(values, np.float64), 3).tolist()
    return red, green, blue


def _modules(config: Any) -> set[str]:
    """The modules of the classes that a model's configuration names."""
    names, waiting = set(), [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                names.add(str(item.get("module") or "keras"))
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return names


def _whole(made: Any, size: int, scale: Any, offset: Any, name: str) -> keras.Model:
    """Any other kind: keras-hub's own model, its maps or tokens averaged."""
    inputs = keras.Input((size, size, 3), name="picture")
    x = layers.Rescaling(list(scale), offset=list(offset), name="scaling")(inputs)
    names = list(made.input) if isinstance(made.input, Mapping) else None
    if names is not None and len(names) > 1:
        raise InputError(f"{type(made).__name__} takes more than pictures: {', '.join(names)}")
    if isinstance(made.output, Mapping):
        raise InputError(f"{type(made).__name__} gives several outputs, not one embedding")
    # Its graph without its class: where that is of Keras' layers alone, nothing of keras-hub is left.
    x = keras.Model(made.inputs[0], made.output, name="tower")(x)
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(name="embedding")(x)
    elif len(x.shape) == 3:
        x = layers.GlobalAveragePooling1D(name="embedding")(x)
    return keras.Model(inputs, x, name=name)
