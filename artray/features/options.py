"""What `extract-features` is asked for, and the specs that follow from it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from artray.errors import InputError, did_you_mean
from artray.features.specs import DEFAULT_FEATURES, FEATURES
from artray.job import Options
from artray.models import DEFAULT_BACKBONE, EMBEDDED
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
        "(efficientnet-lite0: 224, lite1: 240, lite2: 260), else 224",
    )
    colors: int = Field(20, ge=1, le=256, description="how many colours a palette has")
    backbone: str = Field(
        DEFAULT_BACKBONE,
        description="of the embedding: also efficientnet-lite1 and -lite2 (extra `lite`), any keras.applications name, "
        "or a .keras file",
        examples=["NAME|FILE"],
    )
    weights: str | None = Field("imagenet", description="of the backbone: imagenet, none or a file", examples=["NAME"])
    statistics: bool = Field(False, description="the embedding's second form too: style statistics of every block")
    overwrite: bool = Field(False, description="replace a table made with other options")


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
        spec["size"] = options.size or EMBEDDED.get(options.backbone, 224)
    if name == "palette":
        spec["n"] = options.colors
    if name == "objects":
        if options.detector is None:
            raise InputError("--features objects: needs --detector")
        spec["detector"] = str(options.detector)
    if name == "embedding":
        spec |= {"backbone": options.backbone, "weights": options.weights, "statistics": options.statistics}
    return spec
