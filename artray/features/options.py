"""What `extract-features` is asked for, and the specs that follow from it."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from artray.errors import InputError, did_you_mean
from artray.features.embedding import Embedding
from artray.features.specs import DEFAULT_FEATURES, FEATURES
from artray.job import Options
from artray.models import DEFAULT_BACKBONE, EMBEDDED
from artray.models.sizes import backbone_size
from artray.storage import Location


class FeatureOptions(Options):
    """Compute features of every picture of a manifest."""

    manifest: Location = Field(description="the manifest of ingest", examples=["URI"])
    out: Location = Field(description="folder or s3:// prefix for the feature table", examples=["URI"])
    features: list[str] = Field(
        list(DEFAULT_FEATURES),
        min_length=1,
        description="which ones; there is also objects",
        examples=["NAME,NAME"],
    )
    detector: Location | None = Field(
        None, description="a TensorFlow SavedModel of the Object Detection API; adds objects", examples=["DIR"]
    )
    size: int | None = Field(
        None,
        ge=16,
        le=2048,
        description="side in pixels at which pictures are decoded; default: what an embedded backbone was trained with "
        "(efficientnet-lite0: 224, lite1: 240, lite2: 260), what a .keras file takes, else 224",
    )
    colors: int = Field(20, ge=1, le=256, description="how many colours a palette has")
    backbone: str = Field(
        DEFAULT_BACKBONE,
        description="of the embedding: also efficientnet-lite1 and -lite2 (extra `lite`), any keras.applications name, "
        "a .keras file, or a preset of keras-hub (extra `hub`) by name or folder",
        examples=["NAME|FILE"],
    )
    embed: dict[str, str] = Field(
        {},
        description="one more backbone, whose embedding becomes the column embedding_NAME; give it again for more",
        examples=["NAME=BACKBONE"],
    )
    weights: str | None = Field("imagenet", description="of the backbone: imagenet, none or a file", examples=["NAME"])
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="in which embeddings are computed; bfloat16 takes about half the time where the processor has it, "
        "and gives slightly other numbers: train and label with the same",
        examples=["float32|bfloat16"],
    )
    statistics: bool = Field(False, description="the embedding's second form too: style statistics of every block")
    overwrite: bool = Field(False, description="replace a table made with other options")


def requested_specs(options: FeatureOptions) -> list[dict[str, Any]]:
    """The specs of all features that are asked for.

    Raises:
        InputError: There is no such feature, or a column can't be called so.
    """
    names = [*options.features, *(["objects"] if options.detector else [])]
    specs = [feature_spec(name, options) for name in dict.fromkeys(names)]
    return specs + [
        _one_more(name, given, options.statistics) | _half(options) for name, given in options.embed.items()
    ]


def feature_spec(name: str, options: FeatureOptions) -> dict[str, Any]:
    """A feature's name and settings as JSON values, from which every actor builds the same feature.

    Raises:
        InputError: There is no such feature.
    """
    if name not in FEATURES:
        raise InputError(
            f"--features: there is no feature {name!r} ({', '.join(FEATURES)}){did_you_mean(name, FEATURES)}"
        )
    spec: dict[str, Any] = {"name": name}
    if name not in ("texture", "objects"):  # these two have a decode size of their own
        spec["size"] = options.size or backbone_size(options.backbone)
    if name == "palette":
        spec["n"] = options.colors
    if name == "objects":
        if options.detector is None:
            raise InputError("--features objects: needs --detector")
        spec["detector"] = str(options.detector)
    if name == "embedding":
        spec |= {"backbone": options.backbone, "weights": options.weights, "statistics": options.statistics}
        spec |= _half(options)
    return spec


def _half(options: FeatureOptions) -> dict[str, Any]:
    """What a spec says of the precision: nothing of the usual one, as in tables of before."""
    return {} if options.precision == "float32" else {"precision": options.precision}


def _one_more(name: str, given: str, statistics: bool) -> dict[str, Any]:
    """The spec of one more embedding; with its statistics where it is embedded."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name) or name.endswith("statistics"):
        raise InputError(f"--embed {name}={given}: a name is of a-z, 0-9 and _, and does not end in statistics")
    column = f"{Embedding.name}_{name}"
    return {
        "name": Embedding.name,
        "size": backbone_size(given),
        "backbone": given,
        "weights": "imagenet",
        "statistics": statistics and given in EMBEDDED,
        "column": column,
    }
