"""Style transfer in one pass, by a network that was trained for some styles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from artray.bundles.stylizer import StylizerBundle, load_stylizer
from artray.errors import InputError, did_you_mean
from artray.images.pictures import Picture
from artray.storage import Location


def style_of(bundle: StylizerBundle, uri: Location, style_class: str | None) -> str:
    """Which of a bundle's styles is meant; of one style it need not be said.

    Args:
        bundle: The bundle.
        uri: Its place, for messages.
        style_class: As `--style-class`: the style's name, or COLUMN=NAME.

    Raises:
        InputError: It has no such style, or several.
    """
    if style_class is None:
        if len(bundle.styles) > 1:
            raise InputError(f"{uri}: knows {len(bundle.styles)} styles: --style-class says which ({_known(bundle)})")
        return bundle.styles[0]
    name = style_class if style_class in bundle.styles else style_class.partition("=")[2]
    if name not in bundle.styles:
        hint = did_you_mean(name or style_class, bundle.styles)
        raise InputError(f"{uri}: has no style {name or style_class!r}{hint} (styles: {_known(bundle)})")
    return name


def _known(bundle: StylizerBundle) -> str:
    return ", ".join(bundle.styles)


class Stylizer:
    """A bundle's network at work. TensorFlow is imported when it is made.

    Args:
        uri: The bundle.
        bundle: What it says of itself.
        style: One of its styles.
    """

    def __init__(self, uri: Location, bundle: StylizerBundle, style: str | None):
        self._network = load_stylizer(uri, bundle)
        self._network.jit_compile = False
        self._style = np.eye(len(bundle.styles), dtype=np.float32)[bundle.styles.index(style_of(bundle, uri, style))]

    def __call__(self, pictures: Picture, strengths: Sequence[float]) -> Picture:
        """Pictures in the style, (n, height, width, 3), of the same shape.

        Args:
            pictures: RGB, sides that 4 divides.
            strengths: Of each, 0..1: how much of the network's picture is mixed with the work's.
        """
        styles = np.tile(self._style, (len(pictures), 1))
        painted = np.asarray(self._network.predict_on_batch([pictures.astype(np.float32), styles]), np.float32)
        painted = np.clip(painted, 0, 255)
        share = np.asarray(strengths, np.float32)[:, None, None, None]
        mixed = pictures + share * (painted - pictures)
        return np.clip(np.round(mixed), 0, 255).astype(np.uint8)
