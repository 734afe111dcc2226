"""What generators and discriminators minimise, in keras.ops: one row of `LOSSES` a published loss.

Below, r and f are the discriminator's outputs for real and for generated examples, before any sigmoid: p = σ(r) is the
probability of "real" where a source speaks of D(x). A loss is given for each example, (n,); what is minimised is the
mean over the global batch. Formulas as in Lucic et al. 2018, "Are GANs Created Equal?", table 1, which the thesis
quotes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from keras import ops


def classify(real: Any, fake: Any, label_smoothing: float = 0.0) -> Any:
    """-log σ(r) - log(1 - σ(f)): two-class cross-entropy (Goodfellow et al. 2014).

    With smoothing s, one-sided (Salimans et al. 2016), the first term is -(1 - s) log σ(r) - s log(1 - σ(r)).
    """
    recognised = (1 - label_smoothing) * ops.softplus(-real) + label_smoothing * ops.softplus(real)
    return _flat(recognised) + _flat(ops.softplus(fake))


def minimax(fake: Any) -> Any:
    """log(1 - σ(f)): the generator's part of the minimax game (MM; Goodfellow et al. 2014)."""
    return -_flat(ops.softplus(fake))


def nonsaturating(fake: Any) -> Any:
    """-log σ(f): has a gradient where the discriminator is sure, as `minimax` has not (NS; Goodfellow et al. 2014)."""
    return _flat(ops.softplus(-fake))


def wasserstein(real: Any, fake: Any) -> Any:
    """-(r - f): minus the distance of the two distributions, if the discriminator is 1-Lipschitz.

    It is made so by keeping its weights between -c and c (WGAN; Arjovsky et al. 2017), or by `unit_slope` (WGAN-GP).
    """
    return _flat(fake) - _flat(real)


def raise_score(fake: Any) -> Any:
    """-f: the generator's part where scores are not bounded (WGAN, WGAN-GP, hinge)."""
    return -_flat(fake)


def squares(real: Any, fake: Any) -> Any:
    """(r - 1)² + f² (LSGAN; Mao et al. 2017)."""
    return _flat(ops.square(real - 1)) + _flat(ops.square(fake))


def square(fake: Any) -> Any:
    """(f - 1)² (LSGAN; Mao et al. 2017)."""
    return _flat(ops.square(fake - 1))


def hinge(real: Any, fake: Any) -> Any:
    """max(0, 1 - r) + max(0, 1 + f) (Lim and Ye 2017, "Geometric GAN"; Miyato et al. 2018)."""
    return _flat(ops.relu(1 - real)) + _flat(ops.relu(1 + fake))


def apart(real: Any, fake: Any) -> Any:
    """-log σ(r - f): the discriminator's part of the relativistic pairing (RpGAN; Jolicoeur-Martineau 2018).

    Each real example is paired with one generated one: only how far the two scores are apart counts.
    """
    return _flat(ops.softplus(fake - real))


def together(real: Any, fake: Any) -> Any:
    """-log σ(f - r): the generator's part of the relativistic pairing (Jolicoeur-Martineau 2018)."""
    return _flat(ops.softplus(real - fake))


def reconstruction(examples: Any, seen: Any, unit: float = 127.5) -> Any:
    """|x - AE(x)|, the mean over an example's numbers (BEGAN; Berthelot et al. 2017), on the generator's scale.

    The discriminator minimises that of real examples minus k_t times that of generated ones, the generator the latter.
    """
    return _flat(ops.absolute(examples - seen)) / unit


def next_balance(k: Any, real: Any, fake: Any, balance: float, gain: float) -> Any:
    """k_t+1 = k_t + λ_k (γ L(x) - L(G(z))), kept between 0 and 1 (BEGAN; Berthelot et al. 2017).

    Args:
        k: k_t.
        real: L(x), the mean `reconstruction` of real examples.
        fake: L(G(z)), that of generated ones.
        balance: γ.
        gain: λ_k.
    """
    return ops.clip(k + gain * (balance * real - fake), 0.0, 1.0)


def convergence(real: Any, fake: Any, balance: float) -> Any:
    """M = L(x) + |γ L(x) - L(G(z))|: falls as a BEGAN learns (Berthelot et al. 2017)."""
    return real + ops.absolute(balance * real - fake)


def between(real: Any, fake: Any, share: Any) -> Any:
    """α x + (1 - α) G(z): where WGAN-GP looks at the slope (Gulrajani et al. 2017).

    Args:
        real: (n, …) examples.
        fake: (n, …) generated ones.
        share: α, (n,) from 0 to 1.
    """
    share = ops.reshape(share, (-1, *(1 for _ in real.shape[1:])))
    return share * real + (1 - share) * fake


def around(real: Any, noise: Any, reach: float) -> Any:
    """`x + c s ε`: where DRAGAN looks at the slope (Kodali et al. 2017).

    Args:
        real: (n, …) examples.
        noise: ε, of the same shape, normal.
        reach: c. The paper's noise has the standard deviation c; here it is measured in s, the standard deviation of
            an example's own numbers, as the paper's code measures it in that of a batch's.
    """
    axes = tuple(range(1, len(real.shape)))
    return real + reach * ops.std(real, axis=axes, keepdims=True) * noise


def unit_slope(slopes: Any, unit: float = 127.5) -> Any:
    """(‖∇‖₂ - 1)²: the gradient penalty of WGAN-GP and DRAGAN, to be weighted by λ.

    Args:
        slopes: (n, …) gradient of each example's score with respect to it.
        unit: How much of the examples' scale is 1 of the generator's.
    """
    flat = ops.reshape(slopes, (ops.shape(slopes)[0], -1)) * unit
    # The root of 0 has no slope of its own.
    return ops.square(ops.sqrt(ops.sum(ops.square(flat), axis=1) + 1e-12) - 1)


def no_slope(slopes: Any, unit: float = 127.5) -> Any:
    """‖∇‖₂² / 2: the zero-centred gradient penalty, to be weighted by γ.

    At real examples it is R1, at generated ones R2 (Mescheder et al. 2018); R3GAN has both (Huang et al. 2024).

    Args:
        slopes: (n, …) gradient of each example's score with respect to it.
        unit: How much of the examples' scale is 1 of the generator's.
    """
    flat = ops.reshape(slopes, (ops.shape(slopes)[0], -1)) * unit
    return ops.sum(ops.square(flat), axis=1) / 2


@dataclass(frozen=True)
class GanLoss:
    """A row of the table.

    Attributes:
        discriminator: From r and f to what the discriminator minimises; None for an autoencoder.
        generator: From f, where it is relativistic from r and f, to what the generator minimises; None for an
            autoencoder.
        slope: Where the gradient penalty looks: `between` real and generated examples, `around` real ones, at the
            `real` ones, or at `both` the real and the generated ones. At these two the slope is to be 0, else 1.
        smoothing: Whether `discriminator` takes `label_smoothing`, as those do whose score is a logit.
        clipped: Whether the discriminator's weights are kept between -c and c.
        relativistic: Whether the generator's loss needs the scores of real examples too.
    """

    discriminator: Callable[..., Any] | None
    generator: Callable[..., Any] | None
    slope: Literal["between", "around", "real", "both"] | None = None
    smoothing: bool = False
    clipped: bool = False
    relativistic: bool = False

    def shown(self, score: Any) -> Any:
        """A score as people are shown it: the probability of being real where it is a logit."""
        return ops.sigmoid(score) if self.smoothing else score


LOSSES: dict[str, GanLoss] = {
    "mm": GanLoss(classify, minimax, smoothing=True),
    "ns": GanLoss(classify, nonsaturating, smoothing=True),
    "wgan": GanLoss(wasserstein, raise_score, clipped=True),
    "wgan_gp": GanLoss(wasserstein, raise_score, slope="between"),
    "lsgan": GanLoss(squares, square),
    "dragan": GanLoss(classify, minimax, slope="around", smoothing=True),
    "began": GanLoss(None, None),
    "hinge": GanLoss(hinge, raise_score),
    "r1": GanLoss(classify, nonsaturating, slope="real", smoothing=True),
    "rpgan": GanLoss(apart, together, slope="both", relativistic=True),
}


def _flat(values: Any) -> Any:
    """The mean of an example's numbers, (n,)."""
    return ops.mean(ops.reshape(values, (ops.shape(values)[0], -1)), axis=1)
