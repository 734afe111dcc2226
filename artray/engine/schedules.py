"""What changes from epoch to epoch: the learning rate, which layers learn, and whether to go on.

All of it follows from the settings, the epoch and the metrics so far, so a run that is resumed goes on alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

from artray.errors import InputError

Shape: TypeAlias = Literal["constant", "cosine", "step", "plateau"]
History: TypeAlias = Sequence[Mapping[str, float]]
"""The metrics of each epoch that is done."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a learning rate changes during a run.

    Attributes:
        highest: The rate after the warm-up.
        epochs: Of the run.
        shape: `cosine`: down to 0 at the last epoch. `step`: times `decay` every `decay_epochs`. `plateau`: times
            `decay` whenever `monitor` has not improved for `decay_epochs`.
        warmup_epochs: In which the rate rises from 0, before the shape begins.
        decay: See `shape`.
        decay_epochs: Likewise.
        monitor: The metric that `plateau` follows.
    """

    highest: float
    epochs: int
    shape: Shape = "constant"
    warmup_epochs: float = 0.0
    decay: float = 0.1
    decay_epochs: int = 10
    monitor: str = "validation_loss"

    def rate(self, epochs: float, history: History = ()) -> float:
        """The learning rate of one update.

        Args:
            epochs: How many epochs of training lie before the update; 2.5 is in the middle of the third.
            history: What `plateau` follows.
        """
        if epochs < self.warmup_epochs:
            return self.highest * epochs / self.warmup_epochs
        after = epochs - self.warmup_epochs
        if self.shape == "cosine":
            done = after / max(self.epochs - self.warmup_epochs, 1e-9)
            return self.highest * (1 + math.cos(math.pi * min(done, 1.0))) / 2
        if self.shape == "step":
            return self.highest * float(self.decay ** int(after / self.decay_epochs))
        if self.shape == "plateau":
            return self.highest * float(self.decay ** self._plateaus(history))
        return self.highest

    def _plateaus(self, history: History) -> int:
        """How often the monitored metric has stood still for `decay_epochs` epochs."""
        plateaus, best, since = 0, None, 0
        for metrics in history:
            value = metrics[self.monitor]
            if best is None or improved(self.monitor, value, best):
                best, since = value, 0
                continue
            since += 1
            if since == self.decay_epochs:
                plateaus, since = plateaus + 1, 0
        return plateaus


def improved(metric: str, value: float, best: float) -> bool:
    """Whether a metric's value is better than the best so far."""
    return value < best if metric.endswith("loss") else value > best


def should_stop(history: History, metric: str, patience: int) -> bool:
    """Whether early stopping ends the run after the epochs of this history.

    Args:
        history: What there was so far.
        metric: What must improve.
        patience: For how many epochs it may fail to.
    """
    values = [metrics[metric] for metrics in history]
    best = 0
    for epoch, value in enumerate(values):
        if improved(metric, value, values[best]):
            best = epoch
    return len(values) - 1 - best >= patience


class Freezing:
    """Which layers of a model learn in which epoch.

    A pattern fits a layer by its own name or by that of a model it is part of. Layers that no pattern names stay as
    the model's builder made them. A frozen BatchNormalization is in inference mode, as always in Keras.

    Args:
        model: A Keras model.
        freeze: Patterns of layers that don't learn.
        unfreeze: From the beginning of which epoch, from 1, layers of which patterns learn after all.

    Raises:
        InputError: A pattern fits no layer.
    """

    def __init__(self, model: Any, freeze: Sequence[str], unfreeze: Mapping[int, Sequence[str]]):
        self._model, self._freeze, self._unfreeze = model, freeze, unfreeze
        self._layers = [(names, layer, layer.trainable) for names, layer in leaves(model)]
        for key, patterns in [("freeze", freeze), *(("unfreeze", each) for each in unfreeze.values())]:
            for pattern in patterns:
                if not any(fits(pattern, names) for names, _, _ in self._layers):
                    known = ", ".join(dict.fromkeys(name for names, _, _ in self._layers for name in names))
                    raise InputError(f"{key}: no layer is called {pattern!r} (there are {known[:300]})")

    def changes(self, epoch: int) -> bool:
        """Whether other layers learn in this epoch, from 1, than in the one before."""
        return epoch in self._unfreeze

    def apply(self, epoch: int) -> None:
        """Make those layers trainable that learn in this epoch, from 1."""
        patterns = [pattern for begin, each in self._unfreeze.items() if begin <= epoch for pattern in each]
        _thaw(self._model)  # a frozen model hides the variables of its layers, whatever they say themselves
        for names, layer, initially in self._layers:
            frozen = any(fits(pattern, names) for pattern in self._freeze)
            thawed = any(fits(pattern, names) for pattern in patterns)
            layer.trainable = thawed or (initially and not frozen)

    def ever_trainable(self) -> list[Any]:
        """The variables that learn in some epoch, in the order of the model's."""
        self.apply(max(self._unfreeze, default=1))
        last = {id(variable) for variable in self._model.trainable_variables}
        self.apply(0)
        first = {id(variable) for variable in self._model.trainable_variables}
        return [variable for variable in self._model.variables if id(variable) in first | last]


def leaves(model: Any, within: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A model's layers that hold no others, each with its name and those of the models it is part of."""
    for layer in model.layers:
        names = (*within, layer.name)
        if hasattr(layer, "layers"):
            yield from leaves(layer, names)
        else:
            yield names, layer


def _thaw(model: Any) -> None:
    model.trainable = True


def fits(pattern: str, names: tuple[str, ...]) -> bool:
    """Whether a pattern fits a layer, by its own name or by that of a model it is part of."""
    return any(fnmatchcase(name, pattern) for name in names)
