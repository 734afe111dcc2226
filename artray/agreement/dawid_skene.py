"""The model of Dawid and Skene (1979): true labels and each annotator's errors, estimated together by EM.

An annotator who is shown a work of class k says l with a probability of their own, π[k, l], independently of all
others. EM goes back and forth between the works' classes, given π, and π, given the classes.

    A. P. Dawid, A. M. Skene: Maximum likelihood estimation of observer error-rates using the EM algorithm.
    Applied Statistics 28 (1979), 20-28.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from artray.agreement.coefficients import Floats, Integers

_LEAST = 1e-12  # of a probability


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """What EM found.

    Attributes:
        classes: (works, classes): each work's probabilities; a work without annotations has the shares of all works.
        shares: (classes,): of all works.
        errors: (annotators, classes, classes): the probability of saying the second of a work of the first.
        rounds: Of EM.
        converged: Whether they ended because nothing changed any more.
        log_likelihood: Of the annotations at the end.
    """

    classes: Floats
    shares: Floats
    errors: Floats
    rounds: int
    converged: bool
    log_likelihood: float


def dawid_skene(
    work: Integers,
    annotator: Integers,
    label: Integers,
    shape: tuple[int, int, int],
    *,
    known: Integers | None = None,
    trust: float = 1.0,
    smoothing: float = 0.01,
    rounds: int = 200,
    tolerance: float = 1e-6,
) -> DawidSkene:
    """Estimate the works' classes and the annotators' errors.

    Args:
        work: (n,): each annotation's work; sorted.
        annotator: (n,): who gave it.
        label: (n,): which class it is.
        shape: Numbers of works, annotators and classes.
        known: (works,): the classes known to be right, -1 where none is.
        trust: How many works of each class everybody is taken to have labelled rightly beforehand: of somebody with few
            works nothing is believed that a single one of them says. With 0 and `smoothing` 0 it is the paper's
            maximum likelihood.
        smoothing: Added to each count of errors, so that what never happened is unlikely, not impossible.
        rounds: At most; 1 or more.
        tolerance: EM ends where no probability of a class moves by more.
    """
    works, annotators, width = shape
    said = work, annotator, label
    classes = _first_guess(work, label, works, width)
    fixed: Integers = np.zeros(0, np.int64)
    certain: Floats = np.zeros((0, width))
    if known is not None:
        fixed = np.flatnonzero(known >= 0)
        certain = np.eye(width)[known[fixed]]
    classes[fixed] = certain
    beforehand = smoothing + trust * np.eye(width)
    labelled = np.bincount(work, minlength=works) > 0
    labelled[fixed] = True
    converged, done = False, 0
    while not converged and done < rounds:
        shares, errors = _errors(classes[labelled], classes, said, annotators, beforehand)
        new, likelihood = _expected(said, works, shares, errors)
        new[fixed] = certain
        converged = bool(np.abs(new - classes).max(initial=0) < tolerance)
        classes, done = new, done + 1
    likelihood[fixed] += np.log(np.maximum(certain, _LEAST))
    of_works = np.logaddexp.reduce(likelihood[labelled], axis=1)
    return DawidSkene(
        classes=classes,
        shares=shares,
        errors=errors,
        rounds=done,
        converged=converged,
        log_likelihood=float(of_works.sum()),
    )


def _first_guess(work: Integers, label: Integers, works: int, width: int) -> Floats:
    """The shares of the votes."""
    votes = np.bincount(work * width + label, minlength=works * width).reshape(works, width).astype(np.float64)
    votes[votes.sum(axis=1) == 0] = 1
    return np.asarray(votes / votes.sum(axis=1, keepdims=True))


def _errors(
    labelled: Floats, classes: Floats, said: tuple[Integers, Integers, Integers], annotators: int, beforehand: Floats
) -> tuple[Floats, Floats]:
    """The M step: shares of the classes, and errors, from the works' classes."""
    work, annotator, label = said
    width = classes.shape[1]
    counts = np.empty((annotators, width, width))
    for true in range(width):
        weights = classes[work, true]
        counts[:, true] = np.bincount(annotator * width + label, weights, annotators * width).reshape(annotators, width)
    counts += beforehand
    totals = counts.sum(axis=2, keepdims=True)
    errors = np.where(totals > 0, counts / np.where(totals > 0, totals, 1), 1 / width)
    return np.maximum(labelled.mean(axis=0), _LEAST), np.maximum(errors, _LEAST)


def _expected(
    said: tuple[Integers, Integers, Integers], works: int, shares: Floats, errors: Floats
) -> tuple[Floats, Floats]:
    """The E step: the works' classes, and the log-likelihood of each work and class."""
    work, annotator, label = said
    likelihood = np.empty((works, len(shares)))
    logarithms = np.log(errors)
    for true, share in enumerate(np.log(shares)):
        likelihood[:, true] = share + np.bincount(work, logarithms[annotator, true, label], works)
    top = likelihood.max(axis=1, keepdims=True)
    classes = np.exp(likelihood - top)
    return np.asarray(classes / classes.sum(axis=1, keepdims=True)), likelihood
