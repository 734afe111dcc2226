"""A picture file's bytes to RGB at the size wanted; never an exception, always a status.

`decode` is the one way by which pictures enter artray, in training and in labelling. It reads JPEG, PNG, TIFF, WebP,
GIF, BMP, JPEG 2000 and AVIF (of several pages or frames the first), turns them upright (EXIF), lays them over white
(alpha) and converts them to sRGB (ICC). JPEG and JPEG 2000 are scaled while decoding, to no less than twice the size
wanted (JPEG 2000: four times); a mean filter then brings any picture to no less than three times, and a bicubic one to
that size.

What is promised about a hostile or broken file:

- Size. The pixel count is read from the header and held against the limits before a pixel is decoded. A pixel decoded
  in full takes 4 to 10 bytes, in WebP and JPEG 2000 about 20, so that with the default limits the worst picture takes
  4 GB; a usual JPEG brought to 224 pixels takes some MB.
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
import io
import logging
import math
import struct
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    _imaging,
)

from artray.collection.color import over_white, to_8bit, to_srgb

Status = Literal[
    "ok", "missing", "denied", "empty", "not_an_image", "truncated", "too_large", "unsupported", "failed"
]  # missing and denied come from reading (`artray.collection.storage`), the others from decoding
Fit = Literal["stretch", "inside"]

DECODE_VERSION = 2
"""Raised whenever the same bytes may give other pixels, so that a model bundle can tell what it was trained on."""

# How many times the size wanted is left by each step before the last. Measured: so the mean difference to a full decode
# is 0.2 to 0.6 levels.
_GAP = 1.5  # scaling while decoding a JPEG
_WAVELET_GAP = 4  # the same for JPEG 2000: its halves are sharper than means, and alias when brought down by little
_MEAN_GAP = 3.0  # the mean filter
_PROGRESSIVE_BLOCK = 1024  # of a progressive JPEG a small block can hold many passes over all pixels
_LONGEST_SIDE = 2**31 - 1
_ORIENTATION = 0x0112
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
_READERS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "JPEG 2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
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
_TIFF_STRIPS, _TIFF_STRIP_BYTES, _TIFF_TILES, _TIFF_TILE_BYTES = 273, 279, 324, 325

# Pillow warns about metadata it can't make sense of, once a file; what matters of it is in the status.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
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


class _Refused(Exception):  # noqa: N818
    def __init__(self, status: Status, error: str) -> None:
        super().__init__(error)
        self.status: Status = status


class _Source(io.BytesIO):
    """The file's bytes; reading them fails past the deadline, and is remembered if it went past the end."""

    def __init__(self, data: bytes, deadline: float) -> None:
        super().__init__(data)
        self.deadline = deadline
        self.ran_out = False

    @property
    def late(self) -> bool:
        return time.monotonic() > self.deadline

    def read(self, size: int | None = -1, /) -> bytes:
        if self.late:
            raise TimeoutError
        part = super().read(size)
        if size is not None and len(part) < size and (not part or size < _PROGRESSIVE_BLOCK):
            self.ran_out = True
        return part


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

    source = _Source(data, time.monotonic() + time_limit)
    width = height = None
    im: ImageFile.ImageFile | None = None
    try:
        im = _READERS[kind](source)
        original = im.size
        if all(0 < side <= _LONGEST_SIDE for side in original):  # a header can name any number
            width, height = original
        target = _target(*original, size, fit)
        halvings = _prepare(im, source, target, max_pixels, max_full_pixels)
        im.load()
        orientation = _orientation(im)
        image = _finish(im, original, target, halvings, orientation)
    except Exception as error:
        status, reason = _judge(error, kind, im, source, time_limit)
        return Decoded(status, None, width, height, kind, reason)
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


def _prepare(
    im: ImageFile.ImageFile, source: _Source, target: tuple[int, int], max_pixels: int, max_full_pixels: int
) -> int:
    """Refuse what is too large and choose the scale to decode at; gives how often that halves the sides."""
    width, height = im.size
    halvings = 0
    if isinstance(im, Jpeg2KImagePlugin.Jpeg2KImageFile):
        # What is decoded is the codestream, whatever the file's header says of it.
        width, height, levels = _codestream(source.getvalue())
    _refuse_over(max_pixels, width, height)

    if isinstance(im, JpegImagePlugin.JpegImageFile):
        im.draft(None, (math.ceil(_GAP * target[0]), math.ceil(_GAP * target[1])))
        halvings = im.decoderconfig[0].bit_length() - 1  # it divides by 1, 2, 4 or 8
        if _holds_all_coefficients(im, source):
            im.decodermaxblock = _PROGRESSIVE_BLOCK
        else:
            width, height = im.size
    elif isinstance(im, Jpeg2KImagePlugin.Jpeg2KImageFile):
        ratio = min(width // (_WAVELET_GAP * target[0]), height // (_WAVELET_GAP * target[1]))
        halvings = min(levels, int(math.log2(max(1, ratio))))
        width, height = -(-width >> halvings), -(-height >> halvings)
        # Not its `reduce`: it rounds where the format rounds up, and then fails on most sizes.
        tile = im.tile[0]
        form, _, *rest = cast("tuple[Any, ...]", tile.args)
        im.tile = [tile._replace(extents=(0, 0, width, height), args=(form, halvings, *rest))]
        im._size = width, height
    _refuse_over(max_full_pixels, width, height)

    if isinstance(im, TiffImagePlugin.TiffImageFile):
        # Its own allocation would apply the process-wide limit.
        im.im = Image.new(im.mode, im._tile_size, None).im
    elif isinstance(im, PngImagePlugin.PngImageFile):
        _scale_transparent_color(im)
    return halvings


def _refuse_over(limit: int, width: int, height: int) -> None:
    if width * height > limit:
        raise _Refused("too_large", f"{width} × {height} pixels, over the limit of {limit / 1e6:g} megapixels")


def _holds_all_coefficients(im: JpegImagePlugin.JpegImageFile, source: _Source) -> bool:
    """Whether a JPEG comes in several scans, so that its decoder keeps the whole picture whatever the scale."""
    scan = source.getvalue().rfind(b"\xff\xda", 0, source.tell())  # its header is what was read last
    return "progressive" in im.info or source.getvalue()[scan + 4] < im.layers


def _codestream(data: bytes) -> tuple[int, int, int]:
    """Width, height and number of halvings in a JPEG 2000 codestream (ISO 15444-1, annex A: SIZ and COD)."""
    at = data.index(b"\xff\x4f\xff\x51") + 2
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 6)
    while (marker := data[at : at + 2]) != b"\xff\x52":
        if marker in (b"\xff\x90", b""):  # the tiles begin
            raise _Refused("failed", "JPEG 2000: no coding style in its header")
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return right - left, bottom - top, data[at + 9]


def _scale_transparent_color(im: PngImagePlugin.PngImageFile) -> None:
    """Bring a PNG's transparent colour from the file's bit depth to the 8 bits that Pillow unpacks pixels to."""
    key, layout = im.info.get("transparency"), im.tile[0].args
    if layout in ("L;2", "L;4") and isinstance(key, int):
        im.info["transparency"] = key * (85 if layout == "L;2" else 17)
    elif layout == "RGB;16B" and isinstance(key, tuple):
        im.info["transparency"] = tuple(value >> 8 for value in key)


def _orientation(im: Image.Image) -> int:
    """EXIF orientation, 1 to 8, of a loaded picture (a TIFF is turned by Pillow while loading, and then says 1)."""
    try:
        orientation = im.getexif().get(_ORIENTATION)
    except Exception:  # metadata may be broken in any way: the picture is not
        return 1
    return orientation if orientation in _TRANSPOSE else 1


def _finish(
    im: Image.Image, original: tuple[int, int], target: tuple[int, int], halvings: int, orientation: int
) -> npt.NDArray[np.uint8]:
    """Bring a loaded picture to the size, colours and orientation wanted."""
    profile = im.info.get("icc_profile")
    wavelet = isinstance(im, Jpeg2KImagePlugin.Jpeg2KImageFile)
    im = to_8bit(im)
    if im.size != target:
        scale = 0.5**halvings
        # Halved sizes are rounded up: the original lies in the first width * scale of them.
        box = (0.0, 0.0, original[0] * scale, original[1] * scale) if halvings else None
        if wavelet and box:
            im, box = _center(im, box, (1 - scale) / 2)
        im = im.resize(target, Image.Resampling.BICUBIC, box, reducing_gap=_MEAN_GAP)
    im = to_srgb(over_white(im), profile)
    if orientation in _TRANSPOSE:
        im = im.transpose(_TRANSPOSE[orientation])
    return np.asarray(im)


def _center(
    im: Image.Image, box: tuple[float, float, float, float], shift: float
) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """Where the original lies in a picture halved by a wavelet.

    The halves stand where the even pixels stood, not between two pixels as those of a mean do: taken as they come, the
    picture would move by up to half a pixel. The edge is repeated once, so that the moved box has pixels to lie on.
    """
    framed = Image.new(im.mode, (im.width + 1, im.height + 1))
    for corner in ((1, 1), (1, 0), (0, 1), (0, 0)):
        framed.paste(im, corner)
    return framed, (box[0] + shift, box[1] + shift, box[2] + shift, box[3] + shift)


def _judge(
    error: Exception, kind: str, im: Image.Image | None, source: _Source, time_limit: float
) -> tuple[Status, str]:
    """Status and reason for a picture that could not be decoded."""
    if isinstance(error, _Refused):
        return error.status, str(error)
    if source.late:
        return "failed", f"{kind}: not decoded within {time_limit:g} s"
    if isinstance(error, Image.DecompressionBombError):
        return "too_large", f"{kind}: {error}"
    if isinstance(error, MemoryError):
        return "failed", f"{kind}: not enough memory to decode it"
    if source.ran_out or "truncated" in str(error).lower() or _ends_early(source.getvalue(), kind, im):
        return "truncated", f"{kind}: the file ends before the picture does"
    reason = " ".join(str(error).split()) or type(error).__name__
    if kind == "TIFF" and isinstance(error.__cause__, KeyError):
        return "unsupported", f"TIFF: compression {reason} can't be read"
    unsupported = any(words in reason for words in _UNSUPPORTED)
    return "unsupported" if unsupported else "failed", f"{kind}: {reason}"


def _ends_early(data: bytes, kind: str, im: Image.Image | None) -> bool:
    """Whether a file that could not be decoded is shorter than its own table of contents says."""
    try:
        if kind == "WebP":
            return len(data) < 8 + int.from_bytes(data[4:8], "little")
        if kind == "TIFF":
            return _tiff_end(data, im) > len(data)
        if data.startswith(b"\xff\x4f"):  # a bare JPEG 2000 codestream
            return not data.endswith(b"\xff\xd9")
        return kind in ("AVIF", "JPEG 2000") and _boxes_end(data) > len(data)
    except struct.error:
        return True


def _tiff_end(data: bytes, im: Image.Image | None) -> int:
    """Where the last strip or tile of a TIFF ends, or its directory begins where that could not be read."""
    if isinstance(im, TiffImagePlugin.TiffImageFile):
        offsets = im.tag_v2.get(_TIFF_STRIPS, im.tag_v2.get(_TIFF_TILES, ()))
        counts = im.tag_v2.get(_TIFF_STRIP_BYTES, im.tag_v2.get(_TIFF_TILE_BYTES, ()))
        return max((offset + count for offset, count in zip(offsets, counts, strict=False)), default=0)
    order = "<" if data[:2] == b"II" else ">"
    big = b"+" in data[:4]
    directory: int = struct.unpack_from(f"{order}Q" if big else f"{order}I", data, 8 if big else 4)[0]
    return directory + 2


def _boxes_end(data: bytes) -> int:
    """Where the last box of an ISO base media file (AVIF, JPEG 2000) ends by its own length."""
    at = 0
    while at < len(data):
        length: int = struct.unpack_from(">I", data, at)[0]
        if length == 1:
            length = struct.unpack_from(">Q", data, at + 8)[0]
        if length < 8:  # 0: up to the file's end
            return len(data)
        at += length
    return at
