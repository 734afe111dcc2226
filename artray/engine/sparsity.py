"""How sparse a network becomes while it is trained (C14), and how sparse it is; TensorFlow is not needed for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from artray.engine.schedules import fits, leaves
from artray.errors import InputError, count_of

Scope: TypeAlias = Literal["layer", "global"]
"""Whose weights are compared: those of each layer among themselves, or all of them."""

_PRUNED = ("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose")
"""Layers whose kernels are pruned. Depthwise kernels are few, and each map has only its own."""


class PruningConfig(BaseModel):
    """Magnitude pruning during training: the smallest weights of kernels become 0, more and more of them, and stay 0.

    Attributes:
        target: Share of the pruned kernels' weights that is 0 in the end.
        initial: Share with which it begins.
        scope: Whether it is that of each layer, or of all of them together.
        begin: When it begins, as a share of the training's updates.
        end: When the target is reached, likewise.
        every: After how many updates it is chosen anew which weights are 0.
        skip_last: Whether the last layer is left out, which gives the logits.
        skip_frozen: Whether layers are left out that never learn.
        skip: More layers that are left out, by name or pattern, as in `freeze`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: float = Field(0.5, ge=0, lt=1)
    initial: float = Field(0.0, ge=0, lt=1)
    scope: Scope = "layer"
    begin: float = Field(0.1, ge=0, le=1)
    end: float = Field(0.8, ge=0, le=1)
    every: int = Field(10, ge=1)
    skip_last: bool = True
    skip_frozen: bool = True
    skip: list[str] = []

    @model_validator(mode="after")
    def _goes_up(self) -> PruningConfig:
        if self.begin > self.end:
            raise ValueError(f"begin: {self.begin:g} comes after end: {self.end:g}")
        if self.initial > self.target:
            raise ValueError(f"initial: {self.initial:g} is more than target: {self.target:g}")
        return self


@dataclass(frozen=True)
class SparsitySchedule:
    """The sparsity after each update: Zhu and Gupta's polynomial of degree 3 (2017), as in TensorFlow's tfmot.

    s_f + (s_i - s_f) (1 - (t - t_0) / (t_n - t_0))³

    Attributes:
        config: s_i, s_f, and when.
        updates: Of the whole training.
    """

    config: PruningConfig
    updates: int

    @property
    def begin(self) -> int:
        """The first update after which weights are 0, from 1."""
        return max(1, round(self.config.begin * self.updates))

    @property
    def end(self) -> int:
        """The one after which the target is reached."""
        return max(self.begin, round(self.config.end * self.updates))

    def planned(self, update: int) -> float:
        """The formula's value after an update: 0..1.

        Args:
            update: From 1; before `begin` it is 0, after `end` the target.

        Example:
            >>> schedule = SparsitySchedule(PruningConfig(target=0.5, begin=0.0, end=1.0), 101)
            >>> [round(schedule.planned(update), 4) for update in (1, 51, 101)]
            [0.0, 0.4375, 0.5]
        """
        if update < self.begin:
            return 0.0
        config, length = self.config, self.end - self.begin
        done = min((update - self.begin) / length, 1.0) if length else 1.0
        return config.target + (config.initial - config.target) * (1 - done) ** 3

    def at(self, update: int) -> float | None:
        """The sparsity for which masks are made after this update; None where they stay as they are."""
        if not self.begin <= update <= self.end:
            return None
        due = (update - self.begin) % self.config.every == 0 or update == self.end
        return self.planned(update) if due else None

    def reached(self, updates: int) -> float:
        """The sparsity of the last masks, after so many updates."""
        if updates >= self.end:
            return self.config.target
        last = updates - (updates - self.begin) % self.config.every
        return self.planned(last) if updates >= self.begin else 0.0


def kernels(model: Any) -> list[tuple[tuple[str, ...], Any]]:
    """The kernels of dense and convolution layers, each with its layer's name and those of the models it is part of."""
    by_id: dict[int, tuple[tuple[str, ...], Any]] = {}
    for names, layer in leaves(model):
        # A layer that stands in a model twice has one kernel.
        if type(layer).__name__ in _PRUNED and getattr(layer, "kernel", None) is not None:
            by_id.setdefault(id(layer.kernel), (names, layer.kernel))
    return list(by_id.values())


def pruned_groups(config: PruningConfig, model: Any, learning: Sequence[Any]) -> list[list[Any]]:
    """The kernels that are pruned, in groups whose weights are compared with each other.

    Args:
        config: Which are left out.
        model: A Keras model.
        learning: Its variables that learn at some time.

    Raises:
        InputError: None is left, or a pattern fits no layer.
    """
    every = kernels(model)
    for pattern in config.skip:
        if not any(fits(pattern, names) for names, _ in leaves(model)):
            raise InputError(f"pruning.skip: no layer is called {pattern!r}")
    learn = {id(variable) for variable in learning}
    left = [(names, kernel) for names, kernel in every if not any(fits(pattern, names) for pattern in config.skip)]
    if config.skip_last and every:
        left = [item for item in left if item[1] is not every[-1][1]]
    if config.skip_frozen:
        left = [item for item in left if id(item[1]) in learn]
    if not left:
        raise InputError(
            f"pruning: nothing is left to prune of {count_of(len(every), 'kernel')}: the last layer "
            "is left out unless skip_last: false says otherwise, and layers that never learn unless skip_frozen: false"
        )
    variables = [kernel for _, kernel in left]
    return [variables] if config.scope == "global" else [[variable] for variable in variables]


def sparsity_of(model: Any) -> dict[str, Any]:
    """How many of a model's weights are 0.

    Returns:
        `parameters`, `zeros` among them; `share` of zeros in the weights of dense and convolution kernels, 0..1, and
        in `layers` of each of them, by name.
    """
    from keras import ops

    layers, zeros, size = {}, 0, 0
    for names, kernel in kernels(model):
        values = ops.convert_to_numpy(kernel)
        none = int(values.size - np.count_nonzero(values))
        layers["/".join(names)] = round(none / max(values.size, 1), 4)
        zeros, size = zeros + none, size + values.size
    weights = [np.asarray(weight) for weight in model.get_weights()]
    return {
        "parameters": sum(weight.size for weight in weights),
        "zeros": sum(int(weight.size - np.count_nonzero(weight)) for weight in weights),
        "share": round(zeros / max(size, 1), 4),
        "layers": layers,
    }
