"""In which precision a bundle's networks compute when they label.

Training has seen whether the bundle says the same in bfloat16 (`classifiers.half_precision_check`). Where it does,
`label-catalog --precision auto` computes so on CPUs that are faster so. On GPUs passes are not compiled, where
casts cost more than rounded numbers save, and decoding is the limit anyhow.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from artray.bundles.classifier import Bundle
from artray.models.half_precision import is_bfloat16_fast

PassPrecision: TypeAlias = Literal["auto", "float32", "bfloat16"]
"""What `--precision` of a pass can be."""

KEY = "bfloat16"
"""Of a bundle's metrics: what the check found."""


def computes_in_half(precision: PassPrecision, bundle: Bundle, *, gpu: bool = False) -> bool:
    """Whether a bundle's networks are computed in bfloat16 on this machine.

    Args:
        precision: What is asked for.
        bundle: Says what training has found.
        gpu: Whether the networks are on a GPU.
    """
    if precision != "auto":
        return precision == "bfloat16"
    found = bundle.metrics.get(KEY)
    return not gpu and isinstance(found, dict) and found.get("holds") is True and is_bfloat16_fast()
