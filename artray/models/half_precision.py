"""Networks computed in bfloat16, where a processor has instructions for it: about half the time of float32.

Weights stay float32. Sums are made in float32 by the processors themselves; what is rounded is what one layer hands to
the next, to 8 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

FAST_FROM = (8, 0)
"""The first compute capability of NVIDIA's GPUs whose tensor cores know bfloat16."""
_FLAGS = {"amx_bf16", "avx512_bf16"}
_KEPT = {"temperature", "scores"}  # of a bundle's model: they cost nothing, and are what people see


@cache
def is_bfloat16_fast(cpus: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this machine's processor multiplies matrices of bfloat16: AMX, or AVX-512 BF16.

    Args:
        cpus: Where Linux says what its processors can do; elsewhere nobody says it, and it is taken that they can't.
    """
    try:
        text = cpus.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    lines = (line.partition(":")[2] for line in text.splitlines() if line.startswith("flags"))
    return any(_FLAGS & set(line.split()) for line in lines)


def in_bfloat16(model: Any) -> Any:
    """The same model, computed in bfloat16 from now on; before it is called for the first time."""
    for layer in _layers_of(model):
        if layer.name not in _KEPT:
            layer.dtype_policy = "mixed_bfloat16"
    return model


def _layers_of(layer: Any) -> Iterator[Any]:
    """The layers of a model, those of models in it, and those of our own layers."""
    for each in [*getattr(layer, "layers", ()), *(layer.own_layers() if hasattr(layer, "own_layers") else ())]:
        yield each
        yield from _layers_of(each)
