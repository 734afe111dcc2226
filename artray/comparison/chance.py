"""Whether a model knows more than chance, by permutation: labels change places, and what it said stays.

Nothing is trained again: the model has not seen the works, so if it knew nothing of them any order of their labels
would be as likely as the true one. Three ways for labels to change places ask three questions:

works    any label may go to any work: does it know anything at all? Works of one artist are taken for independent.
blocks   groups change their order, and take the labels of their works with them: does it know more than chance, if
         works of a group may be right or wrong together?
within   labels change places within each group only: does it know anything that the group (the artist) doesn't tell?
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.classifiers.metrics import from_tallies, one_hot

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ChanceTest:
    """Tests by permutation of a model's balanced accuracy.

    Attributes:
        value: The balanced accuracy.
        works: p where any labels change places.
        blocks: p where groups do as a whole; None where each work is its own group.
        within: p where labels change places within groups; None where no group has two labels.
        movable: How many works are in groups of two labels or more.
        expected: The mean balanced accuracy where labels change places within groups; None likewise.
    """

    value: float
    works: float
    blocks: float | None
    within: float | None
    movable: int
    expected: float | None


def chance_test(true: Ints, given: Ints, groups: Ints, *, permutations: int = 10_000, seed: int = 0) -> ChanceTest:
    """Tests of what a model said.

    Args:
        true: True classes, (n,) or (n, classes) (see `classifiers.metrics`).
        given: What was said, in the same form.
        groups: (n,) numbers of the works' groups, from 0.
        permutations: How many.
        seed: Of their drawing.
    """
    classes = true.shape[1] if true.ndim == 2 else int(max(true.max(), given.max())) + 1
    # Each set of labels is a kind: kinds change places, whether a work has one label or several.
    kinds, kind = np.unique(one_hot(true, classes), axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    said = one_hot(given, classes)
    score = _Score(kinds, said, kind, true.ndim == 2)
    reached = float(score.of_many([kind])[0])
    chance = np.random.default_rng(seed)
    sizes = np.bincount(groups)
    several = np.zeros(len(sizes), bool)
    first = np.zeros(len(sizes), np.int64)
    first[groups[::-1]] = kind[::-1]
    several[groups[kind != first[groups]]] = True
    movable = np.flatnonzero(several[groups])
    everything = score.of_many(chance.permutation(kind) for _ in range(permutations))
    blocks = within = None
    if len(sizes) < len(groups):
        order = np.argsort(groups, kind="stable")
        sorted_groups = groups[order]
        blocks = score.of_many(_moved_blocks(kind, order, sorted_groups, chance) for _ in range(permutations))
    if len(movable):
        movable_groups, movable_kinds = groups[movable], kind[movable]
        rows = movable[np.argsort(movable_groups, kind="stable")]

        def moved() -> Ints:
            labels = kind.copy()
            labels[rows] = movable_kinds[np.lexsort((chance.random(len(movable_groups)), movable_groups))]
            return labels

        within = score.of_many(moved() for _ in range(permutations))
    return ChanceTest(
        value=round(reached, 4),
        works=_p(everything, reached),
        blocks=None if blocks is None else _p(blocks, reached),
        within=None if within is None else _p(within, reached),
        movable=len(movable),
        expected=None if within is None else round(float(np.mean(within)), 4),
    )


class _Score:
    """The balanced accuracy of what was said, for labels in any order."""

    def __init__(self, kinds: Ints, said: Ints, kind: Ints, multilabel: bool):
        patterns, self._said = np.unique(said, axis=0, return_inverse=True)
        self._said = self._said.reshape(-1)
        self._shape = len(kinds), len(patterns)
        # What a work of each kind adds, where each pattern was said.
        hits = kinds[:, None, :] * patterns[None, :, :]
        right = (kinds[:, None, :] == patterns[None, :, :]).all(axis=2)
        self._tallies = np.concatenate(
            [
                np.ones((*self._shape, 1)),
                right[..., None],
                hits,
                np.broadcast_to(kinds[:, None, :], hits.shape),
                np.broadcast_to(patterns[None, :, :], hits.shape),
            ],
            axis=2,
        ).reshape(-1, 2 + 3 * kinds.shape[1])
        self._multilabel = multilabel

    def of_many(self, orders: Iterable[Ints]) -> Floats:
        """Of labels in several orders, one after the other."""
        size = self._shape[0] * self._shape[1]
        sums = [np.bincount(kind * self._shape[1] + self._said, minlength=size) @ self._tallies for kind in orders]
        return from_tallies(np.array(sums), self._multilabel)["balanced_accuracy"]


def _moved_blocks(kind: Ints, order: Ints, groups: Ints, chance: np.random.Generator) -> Ints:
    """The labels, group after group in another order."""
    moved = np.empty_like(kind)
    sequence = order[np.argsort(chance.random(groups[-1] + 1)[groups], kind="stable")]
    moved[order] = kind[sequence]
    return moved


def _p(drawn: Floats, reached: float) -> float:
    """How often chance reaches as much."""
    return float((drawn >= reached - 1e-12).sum() + 1) / (len(drawn) + 1)
