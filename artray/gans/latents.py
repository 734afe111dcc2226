"""The numbers that a generator makes pictures of; every latent in artray is drawn here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from artray.bundles.generator import Distribution
from artray.errors import InputError


def draw_latents(
    count: int,
    size: int,
    distribution: Distribution,
    seed: int | Sequence[int],
    truncation: float | None = None,
) -> npt.NDArray[np.float32]:
    """Latents for a generator.

    Args:
        count: How many.
        size: Numbers in each.
        distribution: `normal`, mean 0 and standard deviation 1, or `uniform` from -1 to 1.
        seed: One number or several; the same give the same latents.
        truncation: Numbers farther from 0 than this are drawn again (Brock et al. 2019, "Large Scale GAN Training"):
            the nearer to 0, the more the pictures look like the average one, with fewer flaws.

    Returns:
        (count, size) float32.

    Raises:
        InputError: The truncation is not above 0.
    """
    if truncation is not None and not truncation > 0:
        raise InputError(f"truncation: must be above 0, not {truncation}")
    chance = np.random.default_rng(seed)
    if distribution == "uniform":
        most = 1.0 if truncation is None else min(truncation, 1.0)
        return chance.uniform(-most, most, (count, size)).astype(np.float32)
    latents = chance.standard_normal((count, size))
    if truncation is not None:
        while (far := np.abs(latents) > truncation).any():
            if truncation < 0.1:  # few numbers fall so near, and there the normal distribution is even
                latents[far] = chance.uniform(-truncation, truncation, int(far.sum()))
            else:
                latents[far] = chance.standard_normal(int(far.sum()))
    return latents.astype(np.float32)
