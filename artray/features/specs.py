"""A feature's spec: its name and settings as JSON values, from which every process builds the same feature."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from artray.errors import InputError
from artray.features.brightness import Brightness
from artray.features.colormaps import ColorMaps
from artray.features.embedding import Embedding, embedding_columns
from artray.features.objects import Objects
from artray.features.palette import Palette
from artray.features.texture import Texture
from artray.models.batches import largest_batch
from artray.storage import Location

Spec: TypeAlias = Mapping[str, Any]
"""`name`, one of `FEATURES`; all other keys are its keyword arguments."""

Columns: TypeAlias = Mapping[str, Any]
"""Arrow columns by name."""

FEATURES: dict[str, Callable[..., Any]] = {
    "palette": Palette,
    "brightness": Brightness,
    "texture": Texture,
    "colormaps": ColorMaps,
    "embedding": Embedding,
    "objects": Objects,
}
"""What `--features` can name."""

DEFAULT_FEATURES = ("palette", "brightness", "texture", "colormaps", "embedding")
"""What is computed where nothing is said; for objects one has to bring a detector."""


class Feature(Protocol):
    """What computes columns from pictures.

    Attributes:
        size: Side in pixels at which it wants pictures decoded, stretched to a square.
    """

    size: int

    @property
    def fields(self) -> list[pa.Field]:
        """Its columns."""

    def __call__(self, images: NDArray[np.uint8]) -> Columns:
        """The columns of pictures (n, size, size, 3)."""


def build_feature(spec: Spec) -> Feature:
    """The feature of a spec."""
    settings = dict(spec)
    feature: Feature = FEATURES[settings.pop("name")](**settings)
    return feature


def needs_model(spec: Spec) -> bool:
    """Whether a spec's feature is a network's output: what a GPU makes faster."""
    return spec["name"] in (Embedding.name, Objects.name)


def decode_size_of(spec: Spec) -> int:
    """The side at which a spec's feature wants pictures, without building its model."""
    return int(spec.get("size") or FEATURES[spec["name"]].size)  # type: ignore[attr-defined]


def trusted_spec(spec: Spec, detector: Location | None, source: object) -> dict[str, Any]:
    """A spec out of a bundle or feature table, which may be a stranger's, with the detector that the user names.

    A SavedModel is a program: the one that a stranger names is never loaded.

    Args:
        spec: The feature's.
        detector: What `--detector` says.
        source: Where the spec is from.

    Raises:
        InputError: The feature needs a detector, and none is named.
    """
    if spec["name"] != Objects.name:
        return dict(spec)
    if detector is None:
        raise InputError(
            f"{source}: needs an object detector, which is a program and is not loaded from where the file says "
            f"({spec.get('detector')!r}): name one that you trust with --detector DIR"
        )
    return {**spec, "detector": str(detector)}


def columns_of(spec: Spec) -> list[str]:
    """The names of the columns that a spec's feature gives, without building its model."""
    if spec["name"] == Embedding.name:
        return embedding_columns(spec.get("column", Embedding.column), bool(spec.get("statistics")))
    return [field.name for field in FEATURES[spec["name"]].fields]  # type: ignore[attr-defined]


def spec_key(spec: Spec) -> str:
    """Equal for specs of the same feature with the same settings."""
    return json.dumps(spec, sort_keys=True)


class Extractors:
    """Features by their specs, each built once."""

    def __init__(self, batch: int, detector: Location | None = None, *, half: bool = False):
        """No feature is built yet.

        Args:
            batch: How many pictures of 224 by 224 go through a feature's model at once; of larger ones fewer do.
            detector: The object detector that the user names; see `trusted_spec`.
            half: Whether embeddings are computed in bfloat16.
        """
        self._half = half
        self._batch, self._detector = batch, detector
        self._built: dict[str, Feature] = {}

    @property
    def batch(self) -> int:
        """How many pictures of 224 by 224 go through a feature's model at once."""
        return self._batch

    @batch.setter
    def batch(self, batch: int) -> None:
        self._batch = batch
        for feature in self._built.values():
            if isinstance(feature, Embedding):
                feature.batch_size = largest_batch(batch, feature.size)

    def __getitem__(self, spec: Spec) -> Feature:
        key = spec_key(spec)
        if key not in self._built:
            feature = build_feature(trusted_spec(spec, self._detector, "the model"))
            if isinstance(feature, Embedding):
                feature.precision = "bfloat16" if self._half else feature.precision
                feature.batch_size = largest_batch(self._batch, feature.size)
            self._built[key] = feature
        return self._built[key]
