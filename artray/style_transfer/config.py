"""What the config of a stylizer says; `artray/configs/style_*.yaml` hold one each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from artray.engine.arithmetic import Compile, Precision
from artray.engine.optimizers import OptimizerConfig
from artray.job import Options, read_config_file
from artray.style_transfer.optimizing import Looks


class StylizerNetwork(BaseModel):
    """The network of `artray.models.stylizer`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["johnson"] = "johnson"
    width: int = Field(32, ge=4, le=256)
    blocks: int = Field(5, ge=1, le=32)


class StyleConfig(Options):
    """One stylizer: which styles, through what they are seen, and how it is trained."""

    target: str | None = Field(
        None, description="the column by whose classes there are styles; without one all works of --style are one"
    )
    styles: list[str] | None = Field(None, description="which classes, in order; default all there are")
    size: int = Field(256, ge=32, le=1024, description="side of the pictures to learn on")
    model: StylizerNetwork = Field(default_factory=StylizerNetwork)
    looks: Looks = Field(default_factory=Looks, description="the network that judges")
    style_weight: float = Field(3.0, gt=0, description="what style counts …")
    content_weight: float = Field(1.0, gt=0, description="… beside content")
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    clip_norm: float | None = Field(None, gt=0, description="the longest that the gradient of a batch may be")
    batch_size: int = Field(8, ge=1, description="of all workers together; what does not fill a batch waits an epoch")
    epochs: int = Field(10, ge=1)
    precision: Precision = Field("float32", description="of the computation: float32, bfloat16 or auto")
    compile: Compile = Field(
        "auto", description="whether XLA compiles the steps. auto: on one GPU, 4,000 steps and more"
    )
    checkpoint_steps: int | None = Field(None, ge=1, description="a checkpoint after so many batches too")
    seed: int = Field(0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _size_that_four_divides(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("size"), int) and values["size"] % 4:
            raise ValueError(f"size: must be a multiple of 4, not {values['size']}")
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> StyleConfig:
        if self.precision == "float16":
            raise ValueError("precision: float16 is for classifiers; half precision is bfloat16 here")
        if self.styles is not None and self.target is None:
            raise ValueError("styles: needs a target column")
        if self.styles is not None and (not self.styles or len(set(self.styles)) < len(self.styles)):
            raise ValueError("styles: one at least, each once")
        return self

    @property
    def weights(self) -> tuple[float, float, float]:
        """Of style, content and total variation."""
        return self.style_weight, self.content_weight, self.looks.smoothness


def read_config(file: str, changes: Mapping[str, str]) -> StyleConfig:
    """A config, by name or file, with changes from the command line (`model.width=16`).

    Raises:
        InputError: There is no such config, it can't be read, or a key or value is not one.
    """
    return read_config_file(StyleConfig, file, changes)
