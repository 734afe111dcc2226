"""What the config of an upscaler says; `artray/configs/sr_*.yaml` hold one each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from artray.engine.arithmetic import Compile, Precision
from artray.gans.config import GanOptimizer
from artray.job import Options, read_config_file


class UpscalerModelConfig(BaseModel):
    """The network; see `artray.models.super_resolution.edsr`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["edsr"] = "edsr"
    blocks: int = Field(16, ge=1, le=256)
    width: int = Field(64, ge=1, le=1024)
    residual_scale: float = Field(0.1, gt=0)
    interpolated: bool = False


class UpscalerLoss(BaseModel):
    """What is minimised.

    Attributes:
        name: `l1`, or `srgan`: the sum of what follows.
        adversarial: Weight of -log D(picture), D being a discriminator that is trained meanwhile.
        content: Weight of the mean squared difference of the default backbone's features, in the variance of each map.
        pixel: Weight of the L1 loss, on a scale of -1 to 1.
        layer: After which of the backbone's blocks features are taken.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["l1", "srgan"] = "l1"
    adversarial: float = Field(1e-3, ge=0)
    content: float = Field(1.0, ge=0)
    pixel: float = Field(0.01, ge=0)
    layer: int = Field(3, ge=1, le=15)


class UpscalerConfig(Options):
    """One upscaler: what it learns from, the network, and how it is trained."""

    input: Literal["pictures", "patches"] = Field(
        "patches", description="whether the data are patches of make_patches, or a manifest of pictures of one size"
    )
    size: int | None = Field(
        None, ge=16, le=1024, description="side to which a manifest's pictures are brought; patches have their own"
    )
    scale: Literal[2, 3, 4] = Field(2, description="how many times as high and wide pictures become")
    crop: int = Field(96, ge=8, le=1024, description="side of the squares that a step sees, at the large size")
    model: UpscalerModelConfig = Field(default_factory=UpscalerModelConfig)
    loss: UpscalerLoss = Field(default_factory=UpscalerLoss)
    optimizer: GanOptimizer = Field(default_factory=GanOptimizer, description="of the upscaler")
    discriminator: GanOptimizer = Field(default_factory=GanOptimizer, description="srgan: of the discriminator")
    batch_size: int = Field(16, ge=2)
    epochs: int = Field(100, ge=1)
    ema: float | None = Field(None, gt=0, lt=1, description="keep the weights' moving average, with this momentum")
    precision: Precision = Field("float32", description="float32, bfloat16, or auto; weights are float32 always")
    compile: Compile = "auto"
    validated: int = Field(64, ge=1, description="examples of the validation part that are looked at after an epoch")
    checkpoint_steps: int | None = Field(None, ge=1, description="a checkpoint after so many batches too")
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> UpscalerConfig:
        if self.input == "pictures" and self.size is None:
            raise ValueError("size: is needed with input: pictures; it is the side that these have")
        if self.input == "patches" and self.size is not None:
            raise ValueError("size: is for input: pictures; patches have the size they were cut with")
        if self.crop % self.scale or (self.size or self.crop) < self.crop:
            raise ValueError(f"crop: must be a multiple of the scale ({self.scale}), and no larger than size")
        if self.size is not None and self.size % self.scale:
            raise ValueError(f"size: must be a multiple of the scale ({self.scale})")
        if self.precision == "float16":
            raise ValueError("precision: float16 is for classifiers; half precision is bfloat16 here")
        return self


def read_config(file: str, changes: Mapping[str, str]) -> UpscalerConfig:
    """A config, by name or file, with changes from the command line (`model.blocks=8`).

    Raises:
        InputError: There is no such config, it can't be read, or a key or value is not one.
    """
    return read_config_file(UpscalerConfig, file, changes)
