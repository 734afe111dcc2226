"""What goes into a step of two networks, and what it tells."""

from __future__ import annotations

from typing import Any, NamedTuple

METRICS = (
    "discriminator_loss",
    "real_score",
    "fake_score",
    "discriminator_gradient",
    "generator_loss",
    "generator_gradient",
    "real_sign",
    "strength",
)
"""What a step tells, in this order. Scores are means, of probabilities where the loss has them, and for an autoencoder
of reconstruction errors; gradients are norms. The generator's are NaN in steps in which it does not learn. `real_sign`
is the mean sign of real examples' scores before any sigmoid, `strength` how likely each change of them is
(`Adaptive`)."""


class Adaptive(NamedTuple):
    """How likely changes are, by how well the discriminator knows real examples (ADA; Karras et al. 2020).

    Attributes:
        target: What the mean sign of their scores is to be.
        length: Examples in which the likelihood can go from 0 to 1.
        most: The greatest likelihood. Below 1 there are always some unchanged examples, so that a generator that makes
            changed ones is found out: what the discriminator is shown does not leak.
    """

    target: float = 0.6
    length: int = 500_000
    most: float = 0.8


class Blur(NamedTuple):
    """Real and generated pictures are blurred in the beginning.

    Attributes:
        sigma: By how much before the first step, in pixels (see `models.gans.augment.blurred`).
        length: Examples after which nothing is left of it.
    """

    sigma: float
    length: int


class Shares(NamedTuple):
    """A replica's shares of some global batches of one size; arrays or tensors.

    Attributes:
        x: (batches, share, …) real examples.
        changes: (batches, share, n) numbers that say how they are to be changed, none where nothing is.
        y: (batches, share, classes) their labels.
        latents: (batches, share, updates, latent size).
    """

    x: Any
    changes: Any
    y: Any
    latents: Any


class Steps(NamedTuple):
    """What steers the steps of these batches, the same in all replicas; arrays or tensors.

    Attributes:
        rates: (batches, 2) the generator's and the discriminator's learning rate.
        penalties: (batches,) the weight of the gradient penalty.
        first: The first step's number.
        size: Examples in a global batch.
    """

    rates: Any
    penalties: Any
    first: Any
    size: Any


class Weights(NamedTuple):
    """What counts how much in a step.

    Attributes:
        example: An example, so that all of the global batch together are 1.
        penalty: The gradient penalty.
    """

    example: Any
    penalty: Any


class Chance(NamedTuple):
    """A replica's random numbers of a step.

    Attributes:
        augment: (share, NUMBERS) for each time that examples are changed before the discriminator sees them.
        slope: (share, …) for the places where the gradient penalty looks.
        chosen: (share, changes) 1 for what is changed, where that is adapted.
        sigma: By how much pictures are blurred, where they are.
    """

    augment: tuple[Any, ...]
    slope: tuple[Any, ...]
    chosen: tuple[Any, ...] = ()
    sigma: tuple[Any, ...] = ()
