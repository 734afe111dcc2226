"""TIFF files: the page that is meant, by Pillow where it reads that rightly, sample by sample elsewhere."""

from __future__ import annotations

import struct
import sys
from functools import cached_property

import numpy as np
from PIL import Image, ImagePalette, TiffImagePlugin

from artray.images import tiff_directory as tiff
from artray.images.reading import Limits, Reader, Refused, Source, cut_short, lacking
from artray.images.tiff_directory import Directory, picture_directory
from artray.images.tiff_samples import color_map, is_lossless, read_samples, readable

_NATIVE = "<" if sys.byteorder == "little" else ">"


class TiffReader(Reader):
    """TIFF."""

    im: TiffImagePlugin.TiffImageFile

    def __init__(self, source: Source) -> None:
        source.check()
        self.source, self.halvings = source, 0
        self._page = page = picture_directory(source.getvalue())
        self._limits = Limits(0, 0)
        self._by_samples = _is_misread(page) and readable(page)
        if self._by_samples:
            return
        if _is_raw_ycbcr(page) and not page.planar:
            source.replace(tiff.deflated(page))
        elif _is_misread(page) and is_lossless(page):
            raise lacking("TIFF") if page.lacks_pixels() else _unsupported(page)
        elif page.order == ">" and page.big:
            source.replace(tiff.classic(page))
        elif page.offset != tiff.read_directory(page.data).offset:
            source.replace(tiff.beginning_with(page))
        try:
            super().__init__(source, TiffImagePlugin.TiffImageFile)
        except (SyntaxError, KeyError, ValueError, TypeError) as error:
            self._by_samples = readable(page)
            if not self._by_samples:
                raise _unreadable(page, error) from error

    @property
    def size(self) -> tuple[int, int]:
        """As of any reader."""
        return (self._page.width, self._page.height) if self._by_samples else self.im.size

    @property
    def profile(self) -> bytes | None:
        """As of any reader."""
        return self._page.entries.get(tiff.PROFILE, (0, 0, None))[2]

    @cached_property
    def orientation(self) -> int:
        """As of any reader. Pillow turns a picture while it loads it, and says 1 then."""
        return self._page.value(tiff.ORIENTATION, 1) if self._by_samples else super().orientation

    def plan(self, target: tuple[int, int], limits: Limits) -> None:
        """As of any reader."""
        self._limits = limits
        super().plan(target, limits)
        limits.check(self._page.tile)  # libtiff has room for a whole one, however little of it is in the picture

    def load(self) -> Image.Image:
        """Decode the pixels, where they are all there."""
        page = self._page
        if page.lacks_pixels():
            raise lacking("TIFF")
        try:
            return read_samples(page, self._limits.full_pixels) if self._by_samples else self._by_pillow()
        except OSError as error:
            if page.ends_early():
                raise cut_short("TIFF") from error
            raise OSError(f"{error} ({page.describe()})") from error

    def _by_pillow(self) -> Image.Image:
        im = self.im
        im.info.pop("xmp", None)  # see `Reader.orientation`
        # Its own allocation would apply the process-wide limit.
        im.im = Image.new(im.mode, im._tile_size, None).im
        if im.mode in ("P", "PA"):
            im.palette = ImagePalette.raw("RGB", color_map(self._page).tobytes())
        im.load()
        if self._may_have_12_bits() and np.asarray(im.getextrema())[:3].max() < 1 << 4:
            return read_samples(self._page, self._limits.full_pixels)  # Pillow keeps the high bytes of colours only
        return im

    def _may_have_12_bits(self) -> bool:
        page = self._page
        return page.photometric == tiff.RGB and set(page.bits) == {16} and page.form == tiff.UNSIGNED and readable(page)


def ends_early(data: bytes) -> bool:
    """Whether a file that could not be opened ends before its first directory does."""
    try:
        picture_directory(data)
    except struct.error:
        return True
    return False


def _is_misread(page: Directory) -> bool:
    """Whether Pillow may give wrong pixels of such a page and not say so."""
    if page.planar or (page.form == tiff.SIGNED and 8 in page.bits):
        return True
    if _is_raw_ycbcr(page):
        return True
    if page.value(tiff.PLANAR, 1) == 2 and page.compression == 1 and page.bits[0] > 8:
        return True  # a single channel that is said to lie apart, for which Pillow knows no name
    # libtiff brings compressed samples to the machine's byte order; Pillow takes some for the file's.
    swapped = page.compression != 1 and page.order != _NATIVE
    return swapped and page.channels == 1 and page.bits[0] > 8 and (page.form != tiff.UNSIGNED or page.bits[0] > 16)


def _is_raw_ycbcr(page: Directory) -> bool:
    return page.photometric == tiff.YCBCR and page.compression == 1 and page.channels == 3


def _unsupported(page: Directory) -> Refused:
    return Refused("unsupported", f"TIFF: {page.describe()} can't be read")


def _unreadable(page: Directory, error: Exception) -> Refused:
    if page.lacks_pixels():
        return lacking("TIFF")
    if isinstance(error.__cause__, KeyError) or "unknown" in str(error) or "Invalid value for samples" in str(error):
        return _unsupported(page)
    return Refused("failed", f"TIFF: {' '.join(str(error).split()) or type(error).__name__}")
