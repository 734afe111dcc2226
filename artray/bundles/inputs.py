"""What a bundle's model looks at, and how that comes out of a work: features, patches or the picture.

A bundle keeps one of the three specifications as its `input`. Training, labelling and the evaluation page all prepare a
model's input by it, so that a model sees everywhere what it was trained on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from artray.errors import InputError
from artray.features.colormaps import color_map_distances
from artray.features.columns import matrix
from artray.features.specs import FEATURES, Columns, Extractors, Spec, columns_of, decode_size_of, spec_key
from artray.images.pictures import DecodeSize, Picture
from artray.models.batches import largest_batch
from artray.patches.squares import draw, resized
from artray.storage import digest

COLOR_MAP = "color_map"
COLOR_MAP_DISTANCES = "color_map_distances"
_LARGEST = 8192  # side of a picture, and number of patches: with more, a bundle's inputs would fill the memory

Floats = npt.NDArray[np.floating[Any]]


class Works:
    """A batch of works whose pictures could be read; a feature that several models need is computed once.

    Attributes:
        ids: Their object_ids.
        images: Their pictures, by decode size.
    """

    def __init__(
        self,
        ids: Sequence[str],
        images: Mapping[DecodeSize, Sequence[Picture] | Picture],
        extractors: Extractors | None = None,
        known: Mapping[str, Columns] | None = None,
    ):
        """Nothing is computed yet.

        Args:
            ids: The works' object_ids.
            images: Their pictures in each of the decode sizes that are asked for, also as arrays (n, height, width, 3).
            extractors: What computes features, kept from batch to batch; None where no model asks for any.
            known: Columns that need not be computed, by `spec_key`.
        """
        self.ids = ids
        self.images = images
        self._extractors = extractors
        self._columns = dict(known or {})

    def columns(self, spec: Spec) -> Columns:
        """A feature's columns, a row a work."""
        key = spec_key(spec)
        if key not in self._columns:
            assert self._extractors is not None
            feature = self._extractors[spec]
            self._columns[key] = feature(_stacked(self.images[DecodeSize(decode_size_of(spec))]))
        return self._columns[key]


def _stacked(images: Sequence[Picture] | Picture) -> Picture:
    """Pictures of one size as (n, height, width, 3); such an array as it is."""
    return images if isinstance(images, np.ndarray) else np.stack(images)


class _Input(BaseModel, ABC):
    """What every kind of input offers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    dtype: ClassVar[type[np.number[Any]]] = np.uint8
    """Of what `prepare` gives."""
    values: ClassVar[str]
    """What that is, in a sentence for people who give it to the model by a program of their own."""

    def specs(self) -> list[Spec]:
        """The features that have to be computed; none where the model looks at pixels."""
        return []

    def check_backbone(self, spec: Spec, files: Mapping[str, str] | None = None) -> None:
        """See that a feature of `specs` is computed by the network that the model was trained with.

        Args:
            spec: The feature's.
            files: Digests of files by path, as a feature table has them; None: the files themselves are looked at.

        Raises:
            InputError: The file of its backbone is another one.
        """

    @abstractmethod
    def decode_sizes(self) -> list[DecodeSize]:
        """How pictures have to be decoded."""

    def batch_size(self, usual: int) -> int:
        """How many inputs go through the model at once where of pictures of 224 by 224 `usual` do."""
        return usual

    @abstractmethod
    def prepare(self, works: Works) -> npt.NDArray[Any]:
        """The model's input, (inputs, *shape); `by_work` takes what the model says of it."""

    def by_work(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The works' scores (works, classes) from those of the inputs (inputs, classes)."""
        return scores

    @model_serializer(mode="wrap")
    def _without_nothing(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None}


class FeatureInput(_Input):
    """Columns of a feature table, side by side.

    Attributes:
        features: The features of the table that the model was trained on; it may need only some of them.
        columns: Which columns, in the order of the input.
        color_maps: Reference maps (B4) by class, whose distances from a work's colour map stand after the columns.
        files: Digests of the files that the features name as backbones, by path; None: they name none.
    """

    dtype = np.float32
    values = "float32 (n, width): the columns side by side, as extract-features computes them"

    kind: Literal["features"] = "features"
    features: list[dict[str, Any]]
    columns: list[str]
    color_maps: dict[str, list[list[float]]] | None = None
    files: dict[str, str] | None = None

    @field_validator("features")
    @classmethod
    def _are_known(cls, features: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for spec in features:
            if spec.get("name") not in FEATURES:
                raise ValueError(f"there is no feature {spec.get('name')!r} ({', '.join(FEATURES)})")
        return features

    def specs(self) -> list[Spec]:
        """The features that the columns are from.

        Raises:
            InputError: A column is from none of them.
        """
        needed = {*self.columns, *([COLOR_MAP] if self.color_maps else [])}
        specs = [spec for spec in self.features if needed & set(columns_of(spec))]
        unknown = sorted(needed - {name for spec in specs for name in columns_of(spec)})
        if unknown:
            raise InputError(f"the model needs the column {', '.join(unknown)}, which can't be computed from a picture")
        return list(specs)

    def check_backbone(self, spec: Spec, files: Mapping[str, str] | None = None) -> None:
        """As above; bundles of before don't know the file."""
        name = str(spec.get("backbone"))
        known, now = (self.files or {}).get(name), (files or {}).get(name)
        if known is not None and files is None and Path(name).is_file():
            now = digest(Path(name).read_bytes())
        if known is not None and now not in (None, known):
            raise InputError(
                f"{name}: is another network than the one that the model was trained with: put that one back there, "
                "or compute the features and train the model again"
            )

    def decode_sizes(self) -> list[DecodeSize]:
        """One for each size that a feature wants."""
        return [DecodeSize(size) for size in sorted({decode_size_of(spec) for spec in self.specs()})]

    def groups(self, columns: Columns) -> dict[str, npt.NDArray[np.float32]]:
        """The model's input in groups, by name: concatenated along the last axis they are it.

        Args:
            columns: Of a feature table, those of `specs` at least.

        Raises:
            InputError: A column is not numeric, or holds values that are not finite.
        """
        groups = {name: matrix(columns[name], name) for name in self.columns}
        if self.color_maps:
            maps = matrix(columns[COLOR_MAP], COLOR_MAP)
            groups[COLOR_MAP_DISTANCES] = color_map_distances(maps, self.color_maps).astype(np.float32)
        return groups

    def prepare(self, works: Works) -> npt.NDArray[np.float32]:
        """(works, width) float32."""
        columns = {name: values for spec in self.specs() for name, values in works.columns(spec).items()}
        return np.concatenate(list(self.groups(columns).values()), axis=1)


class PatchInput(_Input):
    """Squares drawn from a work's picture (A6), each judged for itself; the work's scores are their mean.

    Attributes:
        model_size: Side at which the model sees a square.
        size: Side of a square in the picture.
        per_image: Squares of a work.
        seed: Which squares.
        long_side: Larger pictures are scaled down to it before the squares are cut.
        decode_version: With which the squares to learn from were made; older bundles may lack it.
    """

    values = (
        "float32 (n, model_size, model_size, 3): squares cut from the picture, RGB 0..255; a work's scores are the "
        "mean of its squares'"
    )

    kind: Literal["patches"] = "patches"
    model_size: int = Field(ge=1, le=_LARGEST)
    size: int = Field(ge=1, le=_LARGEST)
    per_image: int = Field(ge=1, le=_LARGEST)
    seed: int = Field(ge=0)
    long_side: int = Field(ge=1, le=8 * _LARGEST)
    decode_version: int | None = None

    def decode_sizes(self) -> list[DecodeSize]:
        """That of the pictures from which squares are cut."""
        return [DecodeSize(self.long_side, "inside")]

    def batch_size(self, usual: int) -> int:
        """As many as have the pixels of the usual ones."""
        return largest_batch(usual, self.model_size)

    def prepare(self, works: Works) -> npt.NDArray[np.uint8]:
        """(works * per_image, model_size, model_size, 3) uint8, a work's patches one after the other."""
        (decode_size,) = self.decode_sizes()
        return np.stack(
            [
                resized(patch, self.model_size)
                for picture, object_id in zip(works.images[decode_size], works.ids, strict=True)
                for patch in draw(picture, object_id, size=self.size, per_image=self.per_image, seed=self.seed)
            ]
        )

    def by_work(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The mean of each work's patches."""
        _, means = by_artwork(np.arange(len(scores)) // self.per_image, scores)
        return means.astype(np.float32)


class PictureInput(_Input):
    """The whole picture, stretched to a square.

    Attributes:
        size: Its side.
    """

    values = "float32 (n, size, size, 3): the whole picture stretched to a square, RGB 0..255"

    kind: Literal["pictures"] = "pictures"
    size: int = Field(ge=1, le=_LARGEST)

    def decode_sizes(self) -> list[DecodeSize]:
        """The one that the model looks at."""
        return [DecodeSize(self.size)]

    def batch_size(self, usual: int) -> int:
        """As many as have the pixels of the usual ones."""
        return largest_batch(usual, self.size)

    def prepare(self, works: Works) -> npt.NDArray[np.uint8]:
        """(works, size, size, 3) uint8."""
        (decode_size,) = self.decode_sizes()
        return _stacked(works.images[decode_size])


BundleInput: TypeAlias = Annotated[FeatureInput | PatchInput | PictureInput, Field(discriminator="kind")]


def by_artwork(owners: Sequence[str] | npt.NDArray[np.int64], scores: Floats) -> tuple[list[Any], Floats]:
    """The decision for an artwork from its patches (E3): the mean of their scores.

    Args:
        owners: Each patch's object_id, or its work's number.
        scores: (n, classes) probabilities of the patches.

    Returns:
        The works, sorted, and their scores (artworks, classes).
    """
    names, index = np.unique(np.asarray(owners), return_inverse=True)
    total = np.zeros((len(names), scores.shape[1]))
    np.add.at(total, index, scores)
    return names.tolist(), total / np.bincount(index)[:, None]
