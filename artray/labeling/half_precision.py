"""In which precision a bundle's networks compute when they label.

Training has seen whether the bundle says the same in bfloat16 (`classifiers.half_precision_check`). Where it does,
`label-catalog --precision auto` computes so on CPUs and GPUs that have instructions for it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from artray.bundles.classifier import Bundle
from artray.models.half_precision import FAST_FROM, is_bfloat16_fast

PassPrecision: TypeAlias = Literal["auto", "float32", "bfloat16"]
"""What `--precision` of a pass can be."""

KEY = "bfloat16"
"""Of a bundle's metrics: what the check found."""


def computes_in_half(precision: PassPrecision, bundle: Bundle, *, gpu: tuple[int, int] | None = None) -> bool:
    """Whether a bundle's networks are computed in bfloat16 on this machine.

    Args:
        precision: What is asked for.
        bundle: Says what training has found.
        gpu: The compute capability of the GPU that the networks are on; None: they are on the CPU.
    """
    if precision != "auto":
        return precision == "bfloat16"
    checked = bundle.metrics.get(KEY)
    holds = isinstance(checked, dict) and checked.get("holds") is True
    return holds and (is_bfloat16_fast() if gpu is None else gpu >= FAST_FROM)
