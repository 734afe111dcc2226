"""From a model's scores to the label that is said, under the mix of classes that a collection has.

A model's scores are probabilities in a collection with the training part's mix of classes. Where another mix holds, so
does Bayes' rule: each score times its class's new share over its old one, divided by their sum. The new mix is said to
be even, or estimated from the collection itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.classifier import Bundle, Decision
from artray.bundles.novelty import LIMIT
from artray.bundles.thresholds import TARGET, abstention

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

Prior: TypeAlias = Literal["training", "balanced", "estimated"]
"""Which mix of classes a collection is taken to have."""

_STEPS, _STILL = 1000, 1e-6
_LEAST, _MOST = 50, 1_000_000  # works that an estimate needs, and looks at
_SURE = 0.1  # the largest standard error of a share that is still an estimate


@dataclass(frozen=True)
class Decided:
    """What is said of works.

    Attributes:
        label: (n,) the class.
        score: (n,) the probability that it is right.
        scores: (n, classes) those of all classes, under the mix that was used.
        novel: (n,) which are taken to be of none of the classes; None where nobody knows.
    """

    label: Ints
    score: Floats
    scores: Floats
    novel: npt.NDArray[np.bool_] | None = None


def decide(
    scores: Floats,
    decision: Decision = "likely",
    *,
    shares: Floats | None = None,
    prior: Floats | None = None,
    novelty: Floats | None = None,
) -> Decided:
    """The label of each work of one label.

    Args:
        scores: (n, classes) probabilities under the mix `shares`.
        decision: likely: the class with the highest score. balanced: that whose score is the largest multiple of its
            share; it is the same under every mix.
        shares: (classes,) of the training part; needed unless the decision is likely and the mix the same.
        prior: (classes,) the mix that holds, of sum 1; None: `shares`.
        novelty: (n,) 0..1, how little each work looks like any of the classes.
    """
    if prior is not None:
        assert shares is not None
        scores = reweighted(scores, shares, prior)
        shares = prior
    ranked = scores if decision == "likely" else scores / np.maximum(shares if shares is not None else 1, 1e-9)
    label = ranked.argmax(axis=1)
    score = np.take_along_axis(scores, label[:, None], axis=1)[:, 0]
    return Decided(label, score, scores, None if novelty is None else novelty >= LIMIT)


def reweighted(scores: Floats, shares: Floats, prior: Floats) -> Floats:
    """Scores under another mix of classes.

    Args:
        scores: (n, classes) probabilities under the mix `shares`.
        shares: (classes,), all above 0.
        prior: (classes,) the other mix.
    """
    moved = scores * (prior / shares)
    return np.asarray(moved / np.maximum(moved.sum(axis=1, keepdims=True), 1e-30))


@dataclass(frozen=True)
class Estimate:
    """A collection's mix of classes.

    Attributes:
        shares: (classes,) of sum 1.
        error: The largest standard error of a share; infinite where they can't be told at all.
        n: From how many works.
    """

    shares: Floats
    error: float
    n: int

    @property
    def is_sure(self) -> bool:
        """Whether the works tell the mix: enough of them, and classes that the model can tell apart."""
        return self.n >= _LEAST and self.error <= _SURE


def estimate_prior(scores: Floats, shares: Floats) -> Estimate:
    """The mix of classes under which a collection's scores are most likely (Saerens, Latinne & Decaestecker 2002).

    EM: scores under a mix; their mean is the next mix. It converges to the maximum of a concave function. How sharp
    that maximum is (the observed information) tells whether there is anything to see: scores that hardly depend on the
    picture fit every mix.

    Args:
        scores: (n, classes) calibrated probabilities under the mix `shares`, of unlabelled works.
        shares: (classes,) of the training part.
    """
    drawn = scores[:: max(1, len(scores) // _MOST)].astype(np.float64)
    n, classes = drawn.shape
    if not n:
        return Estimate(shares, float("inf"), 0)
    ratios = drawn / shares
    mix = np.asarray(shares, np.float64)
    for _ in range(_STEPS):
        joint = ratios * mix
        following = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
        moved, mix = float(np.abs(following - mix).max()), following
        if moved < _STILL:
            break
    # Shares sum to 1: they move within the plane that the differences to their mean span.
    plane = np.linalg.svd(np.eye(classes) - 1 / classes)[0][:, : classes - 1]
    density = ratios / (ratios @ mix)[:, None]
    information = plane.T @ (density.T @ density) @ plane
    values, vectors = np.linalg.eigh(information)
    if values[0] <= 1e-9 * n:
        return Estimate(mix, float("inf"), n)
    spread = plane @ vectors
    return Estimate(mix, float(np.sqrt((spread**2 / values).sum(axis=1).max())), n)


def abstention_under(predictions: pa.Table, bundle: Bundle, prior: Floats) -> dict[str, Any] | None:
    """From which score on labels are certain where another mix of classes holds.

    Of each class so many of the works that the model has not seen are drawn that their mix is the other one.

    Args:
        predictions: `predictions.parquet` of the bundle.
        bundle: Of one label, with its classes' shares.
        prior: (classes,) the other mix.
    """
    validation = predictions.filter(pc.equal(predictions["part"], "validation"))
    names = [item.name for item in bundle.classes]
    shares = bundle.class_shares()
    if shares is None or bundle.multilabel or not len(validation):
        return None
    target = (bundle.metrics.get("abstain") or {}).get("target", TARGET)
    scores = np.array([[dict(row)[name] for name in names] for row in validation["scores"].to_pylist()], np.float64)
    true = np.array([names.index(name) for name in validation["true"].to_pylist()])
    there = np.bincount(true, minlength=len(names)) / len(true)
    wanted = np.divide(prior, there, out=np.zeros(len(names)), where=there > 0)
    drawn = np.random.default_rng(0).random(len(true)) * wanted.max() < wanted[true]
    decided = decide(scores, bundle.decision, shares=shares, prior=prior)
    groups = (
        np.array(validation["group"].to_pylist(), dtype=str)[drawn].tolist()
        if "group" in validation.column_names
        else None
    )
    return abstention((decided.label == true)[drawn], decided.score[drawn], target, groups)
