"""What changes from epoch to epoch: the learning rate, which layers learn, and whether to go on.

All of it follows from the config, the epoch and the metrics so far, so a run that is resumed goes on alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol

from artray.classifiers.config import TrainConfig
from artray.errors import InputError

History = Sequence[Mapping[str, float]]


def learning_rate(config: TrainConfig, epochs: float, history: History) -> float:
    """The learning rate of one update.

    Args:
        config: Its `optimizer.learning_rate`, `schedule`, `warmup_epochs`, `decay` and `decay_epochs`.
        epochs: How many epochs of training lie before the update; 2.5 is in the middle of the third.
        history: The metrics of the finished epochs (for `plateau`).
    """
    plateaus = _plateaus(config, history) if config.schedule == "plateau" else 0
    return scheduled(config.optimizer.learning_rate, config, epochs, config.epochs, plateaus)


class Schedule(Protocol):
    """The keys that say how a learning rate changes; see `TrainConfig`."""

    @property
    def schedule(self) -> str: ...  # noqa: D102

    @property
    def warmup_epochs(self) -> float: ...  # noqa: D102

    @property
    def decay(self) -> float: ...  # noqa: D102

    @property
    def decay_epochs(self) -> int: ...  # noqa: D102


def scheduled(highest: float, how: Schedule, epochs: float, total: int, plateaus: int = 0) -> float:
    """The learning rate of one update.

    Args:
        highest: After the warm-up.
        how: It changes.
        epochs: How many epochs of training lie before the update.
        total: Epochs of the run.
        plateaus: How often the monitored metric has stood still, for the schedule `plateau`.
    """
    if epochs < how.warmup_epochs:
        return highest * epochs / how.warmup_epochs
    if how.schedule == "cosine":
        done = (epochs - how.warmup_epochs) / max(total - how.warmup_epochs, 1e-9)
        return highest * (1 + math.cos(math.pi * min(done, 1.0))) / 2
    if how.schedule == "step":
        return highest * float(how.decay ** int((epochs - how.warmup_epochs) / how.decay_epochs))
    return highest * float(how.decay**plateaus)


def _plateaus(config: TrainConfig, history: History) -> int:
    """How often the monitored metric has stood still for `decay_epochs` epochs."""
    found, best, since = 0, None, 0
    for metrics in history:
        value = metrics[config.monitor]
        if best is None or improved(config.monitor, value, best):
            best, since = value, 0
            continue
        since += 1
        if since == config.decay_epochs:
            found, since = found + 1, 0
    return found


def improved(metric: str, value: float, best: float) -> bool:
    """Whether a metric's value is better than the best so far."""
    return value < best if metric.endswith("loss") else value > best


def should_stop(config: TrainConfig, history: History) -> bool:
    """Whether early stopping ends the run after the epochs of this history."""
    rule = config.early_stopping
    if rule is None or not history:
        return False
    metric = rule.metric or config.monitor
    values = [metrics[metric] for metrics in history]
    best = 0
    for epoch, value in enumerate(values):
        if improved(metric, value, values[best]):
            best = epoch
    return len(values) - 1 - best >= rule.patience


class Freezing:
    """Which layers of a model learn in which epoch (`freeze` and `unfreeze`).

    A pattern fits a layer by its own name or by that of a model it is part of. Layers that no pattern names stay as
    the model's builder made them. A frozen BatchNormalization is in inference mode, as always in Keras.

    Raises:
        InputError: A pattern fits no layer.
    """

    def __init__(self, config: TrainConfig, model: Any):
        self._config = config
        self._model = model
        self._layers = [(names, layer, layer.trainable) for names, layer in leaves(model)]
        for key, patterns in [("freeze", config.freeze), *(("unfreeze", each) for each in config.unfreeze.values())]:
            for pattern in patterns:
                if not any(_fits(pattern, names) for names, _, _ in self._layers):
                    known = ", ".join(dict.fromkeys(name for names, _, _ in self._layers for name in names))
                    raise InputError(f"{key}: no layer is called {pattern!r} (there are {known[:300]})")

    def changes(self, epoch: int) -> bool:
        """Whether other layers learn in this epoch, from 1, than in the one before."""
        return epoch in self._config.unfreeze

    def apply(self, epoch: int) -> None:
        """Make those layers trainable that learn in this epoch, from 1."""
        patterns = [pattern for begin, each in self._config.unfreeze.items() if begin <= epoch for pattern in each]
        _thaw(self._model)  # a frozen model hides the variables of its layers, whatever they say themselves
        for names, layer, initially in self._layers:
            frozen = any(_fits(pattern, names) for pattern in self._config.freeze)
            thawed = any(_fits(pattern, names) for pattern in patterns)
            layer.trainable = thawed or (initially and not frozen)

    def ever_trainable(self) -> list[Any]:
        """The variables that learn in some epoch, in the order of the model's."""
        self.apply(max(self._config.unfreeze, default=1))
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


def _fits(pattern: str, names: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)
