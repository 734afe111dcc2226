"""Pictures as the bytes of a file."""

from __future__ import annotations

import io

from PIL import Image

from artray.images.pictures import Picture


def jpeg(picture: Picture, quality: int) -> bytes:
    """A JPEG file, as small as its quality (1..95) allows."""
    sink = io.BytesIO()
    Image.fromarray(picture).save(sink, "JPEG", quality=quality, optimize=True)
    return sink.getvalue()


def png(picture: Picture, compression: int = 6) -> bytes:
    """A PNG file; compression from 0 (none) to 9 (slowest)."""
    sink = io.BytesIO()
    Image.fromarray(picture).save(sink, "PNG", compress_level=compression)
    return sink.getvalue()
