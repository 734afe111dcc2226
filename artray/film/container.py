"""A film's file by PyAV: what it says of itself, and where its key frames are. A broken one is a status, no exception.

PyAV brings FFmpeg's libraries in its wheel. It is an extra (`pip install 'artray[film]'`), imported where it is used.
Only containers that hold the film itself are opened: a playlist called `.mp4` could name any file or address.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, TYPE_CHECKING, Any

from artray.errors import InputError
from artray.storage import Location, failure, read_error

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

SUFFIXES = (".mp4", ".m4v", ".mkv", ".webm", ".mov", ".avi")

_FORMATS = "mov,matroska,avi"  # FFmpeg's names of these suffixes' demuxers
_MOV, _MATROSKA = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"), b"\x1aE\xdf\xa3"
_BUFFER = 1 << 20  # bytes that FFmpeg asks of us at once
_AHEAD = 4 << 20  # bytes of an object on S3 that one request brings
_LONGEST = 48 * 3600.0  # seconds that a header may claim without being asked
_MOST_PIXELS = 1 << 26  # of a frame: 8192 by 8192


class FilmError(Exception):
    """Why a film, or a moment of it, can't be seen; `status` is one of a row's statuses."""

    def __init__(self, status: str, message: str):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Film:
    """What a film's file says of itself.

    Attributes:
        duration: Of its picture, in seconds.
        width: Of a frame as it is seen, in pixels.
        height: Likewise.
        rate: Frames a second on average; None: not known.
        codec: FFmpeg's name of it.
        begin: When its first frame is seen, in the stream's time base: second 0.
        keys: Seconds at which key frames are seen, ascending: from these alone decoding can begin.
    """

    duration: float
    width: int
    height: int
    rate: float | None
    codec: str
    begin: int
    keys: tuple[float, ...]

    def key_before(self, second: float) -> float:
        """The last key frame that is seen at a moment or before; the first one where there is none."""
        return self.keys[max(0, bisect_right(self.keys, second + EPSILON) - 1)]


EPSILON = 1e-4
"""Seconds by which two moments may differ and be the same: containers round to milliseconds or finer."""


def library() -> Any:
    """PyAV, with FFmpeg's own messages off.

    Raises:
        InputError: It is not installed.
    """
    try:
        import av
    except ImportError:
        raise InputError("to read films the package av is needed: pip install 'artray[film]'") from None
    av.logging.set_level(None)
    return av


@contextmanager
def opened(uri: Location, threads: int = 1) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A film's container and its picture, ready to be decoded.

    Args:
        uri: The file.
        threads: That decode.

    Raises:
        FilmError: It can't be opened, or has no picture that can be decoded.
        InputError: The S3 server refuses the keys.
    """
    av = library()
    with _file(uri) as file:
        try:
            container = av.open(file, buffer_size=_BUFFER, options={"format_whitelist": _FORMATS})
        except (av.FFmpegError, ValueError) as error:
            raise _refused(file, error) from error
        with container:
            yield container, _picture(container, threads)


@contextmanager
def _file(uri: Location) -> Iterator[IO[bytes]]:
    """The film's bytes, whatever storage they are in."""
    try:
        fs, path = uri.filesystem()
        options = {"block_size": _AHEAD, "cache_type": "readahead"} if uri.is_s3 else {}
        file = fs.open(path, "rb", **options)
        size = file.seek(0, 2)
        file.seek(0)
    except OSError as error:
        fault = read_error(error)
        if fault.status == "denied" and uri.is_s3:
            raise failure(error, uri) from error
        raise FilmError(fault.status, fault.message) from error
    with file:
        if not size:
            raise FilmError("empty", "the file has no bytes")
        yield file


def _refused(file: IO[bytes], error: BaseException) -> FilmError:
    """Why a file can't be opened: it is no film at all, or one whose beginning or end is lacking."""
    file.seek(0)
    head = file.read(12)
    if head[4:8] in _MOV or head[:4] == _MATROSKA or (head[:4], head[8:12]) == (b"RIFF", b"AVI "):
        return FilmError("truncated", f"the film's file is damaged or lacks its end{_told(error)}")
    return FilmError("not_a_film", f"no MP4, MOV, MKV, WebM or AVI inside{_told(error)}")


def _picture(container: InputContainer, threads: int) -> VideoStream:
    # A cover picture in a file of sound is a stream of pictures too.
    streams = [stream for stream in container.streams.video if not stream.disposition & stream.disposition.attached_pic]
    if not streams:
        raise FilmError("unsupported", "the file has sound or data, but no moving picture")
    (stream,) = streams[:1]
    context = stream.codec_context
    if context is None:
        raise FilmError("unsupported", "its picture is in a format that FFmpeg's library here can't decode")
    if context.width * context.height > _MOST_PIXELS:
        raise FilmError("too_large", f"frames of {context.width}x{context.height} pixels")
    context.thread_count = threads
    return stream


def examine(uri: Location) -> Film:
    """What a film's file says of itself; its first frame is decoded, its index read, its whole only where it has none.

    Raises:
        FilmError: It can't be opened, or not one frame of it can be decoded.
        InputError: The S3 server refuses the keys.
    """
    av = library()
    with opened(uri) as (container, stream):
        try:
            first = next(container.decode(stream), None)
        except (av.FFmpegError, ValueError) as error:
            raise FilmError("truncated", f"no frame can be decoded{_told(error)}") from error
        if first is None or first.pts is None:
            raise FilmError("truncated", "no frame can be decoded")
        base, begin = base_of(stream), first.pts
        duration = _duration(container, stream, begin * base)
        keys = _index(container, stream, begin)
        # The index may be lacking, or end early. Then its packets are read, though not decoded.
        if not keys or duration is None or float(keys[-1] * base) < duration / 2:
            keys, last = _scan(container, stream, begin)
            if duration is None or duration > _LONGEST:  # nobody sits so long: a damaged header
                duration = last
        width, height = seen_size(first, stream)
        rate = stream.average_rate
        times = sorted({round(float(key * base), 6) for key in keys if key >= 0} | {0.0})
        return Film(
            duration=round(max(duration, 1e-3), 6),
            width=width,
            height=height,
            rate=round(float(rate), 3) if rate else None,
            codec=stream.codec_context.name,
            begin=begin,
            keys=tuple(times),
        )


def base_of(stream: VideoStream) -> Fraction:
    """Seconds of a step of a stream's time."""
    return stream.time_base or Fraction(1, 1000)


def seen_size(frame: Any, stream: VideoStream) -> tuple[int, int]:
    """Width and height of a frame as it is seen: its pixels square, turned as the film says."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width = max(1, round(frame.width * aspect)) if Fraction(1, 8) <= aspect <= 8 else frame.width
    return (frame.height, width) if frame.rotation % 180 else (width, frame.height)


def _duration(container: InputContainer, stream: VideoStream, begin: Fraction) -> float | None:
    """Seconds of the picture; where the file doesn't say them of the whole, sound included."""
    if stream.duration:
        # An AVI without its end counts its frames all the same.
        counted = stream.frames / stream.average_rate if stream.average_rate else 0
        return float(max(stream.duration * base_of(stream), counted))
    told = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "").strip("\0 "))
    if told:  # Matroska, by most of its writers
        seconds = int(told[1]) * 3600 + int(told[2]) * 60 + float(told[3])
        if seconds:
            return max(seconds - float(begin), 0)
    if container.duration:
        return float(Fraction(container.duration, 1_000_000))
    return None


def _index(container: InputContainer, stream: VideoStream, begin: int) -> list[int]:
    """Key frames by the file's own index, in the stream's time base from the first frame on."""
    av = library()
    try:  # Matroska reads its index when somebody seeks
        container.seek(begin + int(1 / base_of(stream)), stream=stream)
    except av.FFmpegError:
        return []
    entries = [entry for entry in stream.index_entries if not entry.is_discard]
    keys = [entry.timestamp for entry in entries if entry.is_keyframe]
    # Some indices count when frames are decoded, which is a constant earlier than when they are seen.
    return [key - keys[0] for key in keys]


def _scan(container: InputContainer, stream: VideoStream, begin: int) -> tuple[list[int], float]:
    """Key frames by the packets, and the end of the last one in seconds."""
    av = library()
    keys, last = [], 0
    try:
        container.seek(begin, stream=stream)
        for packet in container.demux(stream):
            if packet.pts is None:
                continue
            last = max(last, packet.pts - begin + (packet.duration or 0))
            if packet.is_keyframe:
                keys.append(packet.pts - begin)
    except (av.FFmpegError, ValueError):
        pass  # as far as it goes
    return sorted(keys), float(last * base_of(stream))


def _told(error: BaseException) -> str:
    """FFmpeg's sentence in brackets, where it says more than that the data are invalid."""
    text = " ".join((getattr(error, "strerror", None) or str(error)).split())[:200]
    return "" if not text or text.startswith("Invalid data") else f" ({text})"


def moments(duration: float, every: float) -> int:
    """How many moments `every` seconds apart a film has, the first at 0."""
    return max(1, math.ceil(round(duration / every, 6)))
