"""What the readers of single formats share: the bytes being read, and how a file is refused."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from PIL import Image, ImageFile

Status = Literal[
    "ok", "missing", "denied", "empty", "not_an_image", "truncated", "too_large", "unsupported", "failed"
]  # missing and denied come from reading (`artray.storage`), the others from decoding

_ORIENTATION = 0x0112
PROGRESSIVE_BLOCK = 1024  # of a progressive JPEG a small block can hold many passes over all pixels


Box = tuple[float, float, float, float]


class Refused(Exception):  # noqa: N818
    """There is no picture for this reason.

    Attributes:
        status: What the row says.
    """

    def __init__(self, status: Status, error: str) -> None:
        super().__init__(error)
        self.status: Status = status


def cut_short(kind: str) -> Refused:
    """The refusal of a file that ends before its picture."""
    return Refused("truncated", f"{kind}: the file ends before the picture does")


def lacking(kind: str) -> Refused:
    """The refusal of a file that has an end, but too little before it."""
    return Refused("truncated", f"{kind}: its data end before the picture does")


class Source(io.BytesIO):
    """The file's bytes; reading them fails past the deadline, and is remembered if it went past the end.

    Attributes:
        deadline: On the monotonic clock, in seconds.
        ran_out: Whether more was asked for than there is.
    """

    def __init__(self, data: bytes, deadline: float) -> None:
        super().__init__(data)
        self.deadline = deadline
        self.ran_out = False

    @property
    def late(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() > self.deadline

    def check(self) -> None:
        """Raise TimeoutError past the deadline."""
        if self.late:
            raise TimeoutError

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        self.check()
        data = super().read(size)
        if size is not None and len(data) < size and (not data or size < PROGRESSIVE_BLOCK):
            self.ran_out = True
        return data

    def replace(self, data: bytes) -> None:
        """Go on with these bytes, from their beginning."""
        self.seek(0)
        self.truncate()
        self.write(data)
        self.seek(0)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many pixels a picture may have.

    Attributes:
        pixels: In its header.
        full_pixels: Decoded in full.
    """

    pixels: int
    full_pixels: int

    def check(self, size: tuple[int, int], decoded: tuple[int, int] | None = None) -> None:
        """Hold a size, and what of it has to be decoded, against the limits.

        Raises:
            Refused: It is over one.
        """
        _refuse_over(self.pixels, *size)
        _refuse_over(self.full_pixels, *(decoded or size))


def _refuse_over(limit: int, width: int, height: int) -> None:
    if width * height > limit:
        raise Refused("too_large", f"{width} × {height} pixels, over the limit of {limit / 1e6:g} megapixels")


class Reader:
    """From a file's bytes to a Pillow picture; a format that needs more than Pillow has a class of its own.

    Attributes:
        source: The file.
        im: It, opened.
        halvings: How often the scale chosen by `plan` halves the sides.
    """

    def __init__(self, source: Source, opener: Callable[[Source], ImageFile.ImageFile]) -> None:
        """Read the header.

        Raises:
            Refused: There can't be a picture.
            Exception: Whatever Pillow makes of a broken header.
        """
        self.source = source
        self.halvings = 0
        self.im = opener(source)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as stored; turned upright where `load` turns."""
        return self.im.size

    @property
    def profile(self) -> bytes | None:
        """The ICC profile."""
        return self.im.info.get("icc_profile")

    @cached_property
    def orientation(self) -> int:
        """EXIF orientation, 1 to 8, of what `load` gave."""
        # One in XMP alone is heeded by Pillow, but by no browser: programs that turn pictures leave it behind.
        for key in ("xmp", "XML:com.adobe.xmp"):
            self.im.info.pop(key, None)
        try:
            orientation = self.im.getexif().get(_ORIENTATION)
        except Exception:  # metadata may be broken in any way: the picture is not
            return 1
        return orientation if isinstance(orientation, int) and 1 < orientation < 9 else 1

    def plan(self, target: tuple[int, int], limits: Limits) -> None:
        """Choose the scale to decode at for a size wanted.

        Raises:
            Refused: The picture is too large.
        """
        limits.check(self.size)

    def region(self, im: Image.Image, original: tuple[int, int]) -> tuple[Image.Image, Box | None]:
        """Where the original lies in what `load` gave, now in 8 bits a channel; None where it is all of it."""
        if not self.halvings:
            return im, None
        scale = 0.5**self.halvings  # halved sizes are rounded up: it lies in the first width * scale of them
        return im, (0.0, 0.0, original[0] * scale, original[1] * scale)

    def load(self) -> Image.Image:
        """Decode the pixels.

        Raises:
            Refused: They are not all there.
            Exception: Whatever Pillow makes of broken data.
        """
        self.im.load()
        return self.im
