"""A picture file's bytes to RGB at the size wanted; never an exception, always a status.

`decode` is the one way by which pictures enter artray, in training and in labelling. It reads JPEG, PNG, TIFF, WebP,
GIF, BMP, JPEG 2000 and AVIF (of several frames the first, of several pages the first that is no preview), turns them
upright (EXIF, not XMP), lays them over white (alpha) and converts them to sRGB (ICC). Broken metadata are ignored; a
picture of which a part is missing is none. JPEG and JPEG 2000 are scaled while decoding, to no less than twice the size
wanted (JPEG 2000: four times); a mean filter then brings any picture to no less than three times, and a bicubic one to
that size.

What is promised about a hostile or broken file:

- Size. The pixel count is read from the header and held against the limits before a pixel is decoded. A pixel decoded
  in full takes 4 to 10 bytes, in WebP, JPEG 2000 and a TIFF of floats in colour about 20, so that with the default
  limits the worst picture takes 4 GB; a usual JPEG brought to 224 pixels takes some MB.
- Time. The decoder gets its bytes from a source that looks at the clock at every read, which works in any thread, where
  signals don't. JPEG, PNG, GIF and BMP are read in small blocks, and end within about a second of the limit. TIFF,
  WebP, AVIF and JPEG 2000 are decoded by one call that can't be interrupted: for them the pixel limit is the only bound
  (some ten seconds at the default limit). A picture that gets ready late is kept.
- State. Pillow's settings (`MAX_IMAGE_PIXELS`, `LOAD_TRUNCATED_IMAGES`) are neither changed nor, but for WebP and some
  GIFs, used: `decode` may run in many threads at once. What importing this module changes in the process: Pillow's
  warnings about odd metadata are ignored, and libtiff no longer prints its errors.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import struct
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import BmpImagePlugin, Image, WebPImagePlugin, _imaging

from artray.images import tiff
from artray.images.avif import AvifReader
from artray.images.boxes import boxes_end
from artray.images.color import over_white, to_8bit, to_srgb
from artray.images.gif import GifReader
from artray.images.jpeg import JpegReader
from artray.images.jpeg2000 import Jpeg2000Reader
from artray.images.png import PngReader
from artray.images.reading import Limits, Reader, Refused, Source, Status

Fit = Literal["stretch", "inside"]

DECODE_VERSION = 3
"""Raised whenever the same bytes may give other pixels, so that a model bundle can tell what it was trained on."""

USABLE_VERSIONS = frozenset({2, 3})
"""What was made with one of these can be used on: 3 sees what 2 saw, where that was no plain mistake."""

_MEAN_GAP = 3.0  # so many times the size wanted is left by the mean filter, for the bicubic one
_LONGEST_SIDE = 2**31 - 1
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# The plugins' own classes and not Image.open: it warns and refuses by the process-wide Image.MAX_IMAGE_PIXELS.
_READERS: dict[str, Callable[[Source], Reader]] = {
    "JPEG": JpegReader,
    "PNG": PngReader,
    "TIFF": tiff.TiffReader,
    "WebP": partial(Reader, opener=WebPImagePlugin.WebPImageFile),
    "GIF": GifReader,
    "BMP": partial(Reader, opener=BmpImagePlugin.BmpImageFile),
    "JPEG 2000": Jpeg2000Reader,
    "AVIF": AvifReader,
}
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"),
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    # Known, so that the row can say what the file is, but not readable here.
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"II\xbc\x01": "JPEG XR",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"AT&TFORM": "DjVu",
    b"<svg": "SVG",
    b"FUJIFILMCCD-RAW": "Fujifilm raw",
}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
# Words of Pillow's for what is sound but not for it to read.
_UNSUPPORTED = ("cannot handle", "unknown pixel mode", "supported", "not available", "not installed", "Unsupported")

# Pillow warns about metadata it can't make sense of, once a file; what matters of it is in the status.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # our own limits decide
logging.getLogger("PIL").addHandler(logging.NullHandler())
# libtiff writes its errors to standard error unless told otherwise, and Pillow tells it so for warnings only. Its
# symbols are found through Pillow's own library; where the linker hides them, the messages stay.
with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a picture file.

    Attributes:
        status: "ok", or why there is no image.
        image: uint8 RGB, (height, width, 3), read-only; None unless the status is ok.
        width: The upright original's width, where its header could be read; below 2³¹, as tables keep it.
        height: The upright original's height.
        format: "JPEG", "PNG", …; None where the bytes are of no known picture format.
        error: For people, one line; None where the status is ok.
    """

    status: Status
    image: npt.NDArray[np.uint8] | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    error: str | None = None


def decode(
    data: bytes,
    size: int | None,
    *,
    fit: Fit = "stretch",
    max_pixels: int = 500_000_000,
    max_full_pixels: int = 200_000_000,
    time_limit: float = 30.0,
) -> Decoded:
    """Decode a picture file to upright 8-bit RGB in sRGB.

    Example:
        >>> decode(Path("nightwatch.tif").read_bytes(), 224).image.shape
        (224, 224, 3)

    Args:
        data: The file's bytes.
        size: Pixels wanted, or None for the original size.
        fit: "stretch" gives exactly size × size; "inside" keeps the aspect, gives a long side of at most `size`, and
            never enlarges.
        max_pixels: A picture whose header names more is refused.
        max_full_pixels: The same for what has to be decoded in full: formats that can't be scaled while decoding,
            progressive JPEG, and any picture where `size` is None or too large to scale down by.
        time_limit: Seconds; see above what it promises.

    Returns:
        The picture, or why there is none. A bad file never raises.
    """
    if not data:
        return Decoded("empty", error="the file is empty")
    kind = _sniff(data)
    if kind is None:
        return Decoded("not_an_image", error=f"no picture format begins with {data[:12]!r}")
    if kind not in _READERS:
        return Decoded("unsupported", format=kind, error=f"{kind} files can't be read")

    source = Source(data, time.monotonic() + time_limit)
    width = height = None
    try:
        reader = _READERS[kind](source)
        original = reader.size
        if all(0 < side <= _LONGEST_SIDE for side in original):  # a header can name any number
            width, height = original
        target = _target(*original, size, fit)
        reader.plan(target, Limits(max_pixels, max_full_pixels))
        image = _finish(reader.load(), reader, original, target)
        orientation = reader.orientation
    except Exception as error:
        status, reason = _judge(error, kind, data, source, time_limit)
        return Decoded(status, None, width, height, format=kind, error=reason)
    if orientation >= 5:
        width, height = height, width
    return Decoded("ok", image, width, height, kind)


def _sniff(data: bytes) -> str | None:
    """The format by its first bytes."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        # mif1 and the like say nothing about the codec: the compatible brands after it do.
        brands = {data[at : at + 4] for at in (8, *range(16, min(struct.unpack(">I", data[:4])[0], 128), 4))}
        return "AVIF" if brands & {b"avif", b"avis"} else "HEIC" if brands & _HEIC_BRANDS else None
    return next((kind for signature, kind in _SIGNATURES.items() if data.startswith(signature)), None)


def _target(width: int, height: int, size: int | None, fit: Fit) -> tuple[int, int]:
    """The size to resize to. Turning the picture upright afterwards doesn't change it but for swapping the sides."""
    if size is None:
        return width, height
    if fit == "stretch":
        return size, size
    scale = min(1.0, size / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _finish(
    im: Image.Image, reader: Reader, original: tuple[int, int], target: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Bring a loaded picture to the size, colours and orientation wanted."""
    im = to_8bit(im)
    if im.size != target:
        im, box = reader.region(im, original)
        im = im.resize(target, Image.Resampling.BICUBIC, box, reducing_gap=_MEAN_GAP)
    im = to_srgb(over_white(im), reader.profile)
    if reader.orientation in _TRANSPOSE:
        im = im.transpose(_TRANSPOSE[reader.orientation])
    return np.asarray(im)


def _judge(error: Exception, kind: str, data: bytes, source: Source, time_limit: float) -> tuple[Status, str]:
    """Status and reason for a picture that could not be decoded."""
    if isinstance(error, Refused):
        return error.status, str(error)
    if source.late:
        return "failed", f"{kind}: not decoded within {time_limit:g} s"
    if isinstance(error, Image.DecompressionBombError):
        return "too_large", f"{kind}: {error}"
    if isinstance(error, MemoryError):
        return "failed", f"{kind}: not enough memory to decode it"
    if _ends_early(error, kind, data, source):
        return "truncated", f"{kind}: the file ends before the picture does"
    reason = " ".join(str(error).split()) or type(error).__name__
    unsupported = any(words in reason for words in _UNSUPPORTED)
    return "unsupported" if unsupported else "failed", f"{kind}: {reason}"


def _ends_early(error: Exception, kind: str, data: bytes, source: Source) -> bool:
    """Whether a file that could not be decoded is shorter than it says."""
    try:
        if kind == "TIFF":  # Pillow takes much for the file's end that is not
            return tiff.ends_early(data)
        if source.ran_out or "truncated" in str(error).lower():
            return True
        if kind == "WebP":
            return len(data) < 8 + int.from_bytes(data[4:8], "little")
        if data.startswith(b"\xff\x4f"):  # a bare JPEG 2000 codestream
            return not data.endswith(b"\xff\xd9")
        return kind in ("AVIF", "JPEG 2000") and boxes_end(data) > len(data)
    except struct.error:
        return True
