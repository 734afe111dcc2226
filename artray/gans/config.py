"""What the config of a GAN says; `artray/configs/gan_*.yaml` hold one each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from artray.bundles.conditions import Kind
from artray.bundles.generator import Distribution
from artray.engine.arithmetic import Compile, Precision
from artray.engine.augmentation import Augmentation
from artray.engine.optimizers import OptimizerConfig
from artray.engine.schedules import Schedule
from artray.job import Options, read_config_file

LossName: TypeAlias = Literal["mm", "ns", "wgan", "wgan_gp", "lsgan", "dragan", "began", "hinge", "r1", "rpgan"]
"""The losses in `artray.models.gans.losses`."""

Change: TypeAlias = Literal["color", "translation", "cutout"]


class GanModelConfig(BaseModel):
    """`name` of a pair of networks in `artray.models.gans`; all other keys are their builders' keyword arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Literal["basic", "deconv", "dcgan", "resnet", "projected"]

    def settings(self) -> dict[str, Any]:
        """The builders' keyword arguments."""
        return dict(self.model_extra or {})


class LossConfig(BaseModel):
    """A loss of `artray.models.gans.losses` and its constants.

    Attributes:
        name: Which.
        label_smoothing: mm, ns, dragan, r1: real pictures are to be recognised as real by 1 - s only.
        clip: wgan: the discriminator's weights stay between -c and c.
        penalty: wgan_gp, dragan, r1, rpgan: the gradient penalty's weight, λ or γ.
        penalty_end: r1, rpgan: γ at the end of the run, to which it goes along a cosine; None: it stays.
        noise: dragan: how far from the pictures the gradient is looked at, in their standard deviations.
        balance: began: γ, the error of generated over that of real pictures; the higher, the more diverse.
        gain: began: λ_k, how fast k_t moves.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: LossName = "ns"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    clip: float = Field(0.01, gt=0)
    penalty: float = Field(10.0, ge=0)
    penalty_end: float | None = Field(None, ge=0)
    noise: float = Field(0.5, gt=0)
    balance: float = Field(0.5, gt=0)
    gain: float = Field(0.001, gt=0)

    @model_validator(mode="after")
    def _is_of_this_loss(self) -> LossConfig:
        for key, losses in _OF.items():
            if getattr(self, key) != type(self).model_fields[key].default and self.name not in losses:
                raise ValueError(f"{key} is for {', '.join(losses)}, not for {self.name}")
        return self

    def penalty_at(self, progress: float) -> float:
        """The gradient penalty's weight when a part of the run is done, 0..1."""
        if self.penalty_end is None:
            return self.penalty
        return self.penalty_end + (self.penalty - self.penalty_end) * (1 + math.cos(math.pi * progress)) / 2


class AdaptiveConfig(BaseModel):
    """How likely `diff_augment`'s changes are, by how well the discriminator knows real pictures (ADA).

    Attributes:
        target: The mean sign of the scores of real pictures, above which changes become likelier, below which rarer.
        length: Pictures in which the likelihood of each change can go from 0 to 1.
        most: Its greatest value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: float = Field(0.6, gt=-1, lt=1)
    length: int = Field(500_000, ge=1)
    most: float = Field(0.8, gt=0, lt=1)


class BlurConfig(BaseModel):
    """What the discriminator sees is blurred in the beginning, real and generated pictures alike.

    Attributes:
        sigma: By how much at first, in pixels.
        length: Pictures after which nothing is left of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sigma: float = Field(2.0, gt=0)
    length: int = Field(20_000, ge=1)


_OF: dict[str, tuple[LossName, ...]] = {
    "label_smoothing": ("mm", "ns", "dragan", "r1"),
    "clip": ("wgan",),
    "penalty": ("wgan_gp", "dragan", "r1", "rpgan"),
    "penalty_end": ("r1", "rpgan"),
    "noise": ("dragan",),
    "balance": ("began",),
    "gain": ("began",),
}


class GanOptimizer(OptimizerConfig):
    """One network's Keras optimizer and its learning rate's schedule; other keys are the optimizer's arguments."""

    learning_rate: float = Field(2e-4, gt=0)
    schedule: Literal["constant", "cosine", "step"] = "constant"
    warmup_epochs: float = Field(0.0, ge=0)
    decay: float = Field(0.1, gt=0, lt=1)
    decay_epochs: int = Field(10, ge=1)

    def learning_rates(self, epochs: int) -> Schedule:
        """How the learning rate changes in a run of so many epochs."""
        return Schedule(
            highest=self.learning_rate,
            epochs=epochs,
            shape=self.schedule,
            warmup_epochs=self.warmup_epochs,
            decay=self.decay,
            decay_epochs=self.decay_epochs,
        )


@dataclass(frozen=True, kw_only=True)
class PictureChoice:
    """Which pictures are learned from: those keys of a `GanConfig` on which they depend, described there.

    Attributes:
        size: Side in pixels.
        batch_size: Fewer pictures than that are an error.
        input: pictures or patches.
        target: A column with labels.
        classes: Which of them.
        conditions: Columns by which pictures are described.
        held_out: Combinations of their values that are left out.
    """

    size: int
    batch_size: int
    input: Literal["pictures", "patches"] = "pictures"
    target: str | None = None
    classes: list[str] | None = None
    conditions: dict[str, Kind | Literal["auto"]] = field(default_factory=dict)
    held_out: list[dict[str, str]] = field(default_factory=list)


class GanConfig(Options):
    """One GAN: what it learns from, the two networks and how they are trained against each other."""

    input: Literal["pictures", "patches"] = Field("pictures", description="whether the data are a manifest or patches")
    target: str | None = Field(
        None,
        description="the catalogue column by whose labels pictures can be asked for; rows without one are left out",
    )
    classes: list[str] | None = Field(None, description="which labels, in order; default all of the training part")
    conditions: dict[str, Kind | Literal["auto"]] = Field(
        {},
        description="in the place of a target: columns by which pictures can be asked for together, each with what it "
        "holds (label, labels, number, vector, auto); a list of names: auto",
    )
    held_out: list[dict[str, str]] = Field(
        [], description="combinations of conditions that are left out of the training, to be asked for afterwards"
    )
    size: int = Field(64, ge=8, le=1024, description="side of the pictures")
    augment: Augmentation = Field(
        default_factory=Augmentation, description="of the real pictures; the generator learns to make such pictures too"
    )
    model: GanModelConfig
    latent_size: int = Field(128, ge=1, description="numbers in a latent, of which the generator makes a picture")
    distribution: Distribution = Field("normal", description="of the latents: normal, or uniform from -1 to 1")
    loss: LossConfig = Field(default_factory=LossConfig)
    diff_augment: list[Change] = Field(
        [],
        description="changes of real and generated pictures that only the discriminator sees, for small collections: "
        "color, translation, cutout. The generator does not learn them",
    )
    adaptive: AdaptiveConfig | None = Field(
        None,
        description="make diff_augment's changes by chance, the more often the better the discriminator knows the real "
        "pictures (ADA): target, length, most; {} takes the defaults",
    )
    blur: BlurConfig | None = Field(
        None, description="blur what the discriminator sees in the beginning, until it has fallen to 0: sigma, length"
    )
    generator: GanOptimizer = Field(default_factory=GanOptimizer, description="optimizer of the generator")
    discriminator: GanOptimizer = Field(default_factory=GanOptimizer, description="optimizer of the discriminator")
    discriminator_steps: int = Field(1, ge=1, description="batches, each an update of the discriminator, before …")
    generator_steps: int = Field(1, ge=1, description="… so many updates of the generator")
    batch_size: int = Field(64, ge=2, description="of all workers together; what does not fill a batch waits an epoch")
    epochs: int = Field(100, ge=1)
    seconds: float | None = Field(
        None,
        gt=0,
        description="stop at the end of the epoch in which the steps have taken so long, at the latest after the last: "
        "to compare trainings of equal length; for one worker",
    )
    ema: float | None = Field(
        None, gt=0, lt=1, description="watch and keep the generator's moving average, with this momentum (0.999)"
    )
    precision: Precision = Field(
        "float32",
        description="of the computation: float32, bfloat16, or auto (bfloat16 where XLA compiles the steps for GPUs "
        "that compute it fast); weights are float32 always",
    )
    compile: Compile = Field(
        "auto",
        description="whether XLA compiles the steps. auto: on one GPU, if it can, 4,000 steps and more",
    )
    samples: int = Field(64, ge=2, le=400, description="pictures on the sheet that is made after an epoch")
    sample_epochs: int = Field(1, ge=1, description="after every how many epochs")
    checkpoint_steps: int | None = Field(
        None, ge=1, description="a checkpoint after so many batches too, for epochs that take long"
    )
    seed: int = Field(0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _in_the_words_of_today(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        if isinstance(values.get("conditions"), list):
            values = {**values, "conditions": dict.fromkeys(values["conditions"], "auto")}
        # Of both words the last one counts: a change on the command line.
        return {"latent_size" if key == "codes" else key: value for key, value in values.items()}

    @model_validator(mode="after")
    def _fits_together(self) -> GanConfig:
        if self.precision == "float16":
            raise ValueError("precision: float16 is for classifiers; a GAN's half precision is bfloat16")
        if self.model.name == "projected" and self.loss.name not in ("ns", "mm", "lsgan", "hinge"):
            raise ValueError(
                "loss: of the projected discriminator it must be hinge, ns, mm or lsgan, which need no penalty"
            )
        if self.adaptive is not None and not self.diff_augment:
            raise ValueError("adaptive: says how likely diff_augment's changes are, and there are none")
        if self.adaptive is not None and "cutout" in self.diff_augment:
            raise ValueError("adaptive: goes with color and translation; what a cutout hides can't be inferred")
        if self.classes is not None and self.target is None:
            raise ValueError("classes: needs a target column")
        if self.classes is not None and len(set(self.classes)) < max(2, len(self.classes)):
            raise ValueError("classes: two different ones at least, each once")
        if self.conditions and self.target is not None:
            raise ValueError("conditions: go without a target; name it among them")
        for wish in self.held_out:
            if not wish or not set(wish) <= set(self.conditions):
                raise ValueError(f"held_out: {wish} must name some of the conditions ({', '.join(self.conditions)})")
        return self


def read_config(file: str, changes: Mapping[str, str]) -> GanConfig:
    """A config, by name or file, with changes from the command line (`loss.name=hinge`).

    Raises:
        InputError: There is no such config, it can't be read, or a key or value is not one.
    """
    return read_config_file(GanConfig, file, changes)
