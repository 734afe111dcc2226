"""What a training finds where its bundle goes, and says of the examples that it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from artray import console
from artray.engine.worker_group import TRAINING
from artray.errors import InputError
from artray.storage import Location

BundleT = TypeVar("BundleT")


def earlier_bundle(
    out: Location,
    load: Callable[[Location], BundleT],
    is_the_same: Callable[[BundleT], bool],
    *,
    file: str,
    network: str | None,
    overwrite: bool,
) -> BundleT | None:
    """The bundle that is there already, where it is what this training would make.

    Args:
        out: Where the bundle goes.
        load: Reads one.
        is_the_same: Whether it is what this config makes of these data.
        file: The file that says that a bundle is there.
        network: The file with its network; None where it may be what a killed training has left.
        overwrite: One that is there is to be replaced, whatever it is.

    Returns:
        None where there is none, or where it is to be replaced.

    Raises:
        InputError: It is another, and not to be replaced; or a network is there that no training has put there.
    """
    begun = (out / file).exists() or (out / TRAINING).exists()
    if network and not begun and (out / network).exists():
        raise InputError(
            f"{out}: holds {network}, which artray has not written and does not replace; give another --out"
        )
    if overwrite or not (out / file).exists():
        return None
    bundle = load(out)
    if not is_the_same(bundle):
        raise InputError(f"{out}: holds a bundle of another config or data; give another --out, or --overwrite")
    return bundle


def say_left_out(dropped: Mapping[str, int]) -> None:
    """Say how many examples were left out, and why."""
    for reason, number in dropped.items():
        if number:
            console.say(f"left out: {number} {reason}")
