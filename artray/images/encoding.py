"""Pictures as the bytes of a file."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from artray.images.digital_source import DigitalSource
from artray.images.pictures import Picture


def jpeg(picture: Picture | Image.Image, quality: int, *, source: DigitalSource | None = None) -> bytes:
    """A JPEG file, as small as its quality (1..95) allows.

    Args:
        picture: RGB or grey; large ones as Pillow's image, which saves a copy.
        quality: 1..95.
        source: What made the picture, to be said in the file's XMP; a model's pictures always say it.
    """
    sink = io.BytesIO()
    told = {} if source is None else {"xmp": source.xmp()}
    _image(picture).save(sink, "JPEG", quality=quality, optimize=True, **told)
    return sink.getvalue()


def png(picture: Picture | Image.Image, compression: int = 6, *, source: DigitalSource | None = None) -> bytes:
    """A PNG file.

    Args:
        picture: As for `jpeg`.
        compression: From 0 (none) to 9 (slowest).
        source: Likewise.
    """
    sink = io.BytesIO()
    told = None
    if source is not None:
        told = PngInfo()
        told.add_itxt("XML:com.adobe.xmp", source.xmp().decode())
    _image(picture).save(sink, "PNG", compress_level=compression, pnginfo=told)
    return sink.getvalue()


def webp(
    pictures: Sequence[Picture], quality: int, *, milliseconds: Sequence[int] = (), source: DigitalSource
) -> bytes:
    """A WebP file of one picture, or of several of one size that follow each other over and over.

    Args:
        pictures: RGB.
        quality: 1..100.
        milliseconds: For which each of several is seen.
        source: As for `jpeg`.
    """
    sink = io.BytesIO()
    first, *rest = (Image.fromarray(picture) for picture in pictures)
    told = {"append_images": rest, "save_all": True, "duration": list(milliseconds), "loop": 0} if rest else {}
    first.save(sink, "WEBP", quality=quality, xmp=source.xmp(), **told)
    return sink.getvalue()


def _image(picture: Picture | Image.Image) -> Image.Image:
    return picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
