"""The boxes that AVIF and JPEG 2000 files are made of (ISO base media file format)."""

from __future__ import annotations

import struct
from collections.abc import Iterator


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes in a part of a file: name, and where the content begins and ends.

    Raises:
        struct.error: A box's header is cut.
    """
    end = min(end, len(data))
    while start + 8 <= end:
        length, name = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1:
            length, head = struct.unpack_from(">Q", data, start + 8)[0], 16
        if length < head:  # 0: up to the end
            length = end - start
        yield name, start + head, start + length
        start += length


def boxes_end(data: bytes) -> int:
    """Where a file's last box ends by its own length.

    Raises:
        struct.error: A box's header is cut.
    """
    return max([len(data), *(end for _, _, end in boxes(data, 0, len(data)))])
