"""Frames of a film at given moments, decoded from as few packets as will do.

Decoding can begin at key frames only, so moments are taken group by group: from a key frame to the next. Where one
moment alone falls into a group, its key frame is taken, which is seen less than a step before: one frame is decoded for
each that is wanted. Where several do, the group is decoded up to the last of them; frames that no other is
predicted from are left out, unless one of them is wanted. Between groups the film is not read, but sought.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from artray.film.container import EPSILON, Film, FilmError, base_of, library, opened, seen_size
from artray.images.pictures import Picture
from artray.storage import Location

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_LOOKED_AT = 8  # packets ahead by which it is told whether a frame is seen at a wanted moment; B-frames reach 4
_DAMAGED = "the film is damaged here"
_RESTS = 1.0  # seconds that the last frame may be seen longer than its file says
_TOLD_BY_DECODER = ("h264", "hevc", "vp8", "vp9", "av1")
"""Decoders that refuse damaged data when they are asked to; of the others many sound files would be refused too."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What is seen at a moment.

    Attributes:
        second: The moment that was asked for.
        at: When the frame begins to be seen; None where there is none.
        picture: RGB, upright, its pixels square; None where it can't be had.
        status: `ok`, or why not.
        error: The same as a sentence.
    """

    second: float
    at: float | None
    picture: Picture | None
    status: str = "ok"
    error: str | None = None


def frames_at(
    uri: Location, film: Film, seconds: Sequence[float], *, every: float, size: int, threads: int = 1
) -> Iterator[Frame]:
    """What is seen in a film at some moments, one frame after the other: no more than one picture is held.

    Args:
        uri: The film.
        film: What `examine` says of it; of the key frames those from the last one before the first moment on, to the
            first one after the last, will do.
        seconds: The moments, ascending, `every` apart: all of each group of frames that any of them falls into.
        every: Seconds between moments.
        size: Longest side of the pictures; larger frames are scaled down.
        threads: That decode.

    Raises:
        InputError: The S3 server refuses the keys.
    """
    done = 0
    try:
        with opened(uri, threads) as (container, stream):
            if stream.codec_context.name in _TOLD_BY_DECODER:
                stream.codec_context.options = {"err_detect": "explode"}
            reader = _Reader(container, stream, film.begin, every)
            for key, group in groupby(seconds, film.key_before):
                after = next((other for other in film.keys if other > key), None)
                for second, frame, error in reader.read(key, after, list(group)):
                    yield _seen(second, frame, error, reader, size)
                    done += 1
    except FilmError as error:  # it was sound when it was examined
        for second in seconds[done:]:
            yield Frame(second, None, None, error.status, str(error))


def _seen(second: float, frame: Any, error: str | None, reader: _Reader, size: int) -> Frame:
    if frame is None or error:
        return Frame(second, None, None, "truncated", error or "no frame can be decoded here")
    try:
        return Frame(second, round(reader.time(frame), 6), picture(frame, reader.stream, size))
    except (library().FFmpegError, ValueError) as fault:
        return Frame(second, None, None, "unsupported", f"the frame can't be made RGB: {' '.join(str(fault).split())}")


def picture(frame: Any, stream: VideoStream, size: int) -> Picture:
    """A frame as it is seen, as RGB: upright, its pixels square, its long side at most `size`."""
    width, height = seen_size(frame, stream)
    scale = min(1.0, size / max(width, height))
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    turns = round(frame.rotation / 90) % 4  # against the clock
    across, down = (height, width) if turns % 2 else (width, height)
    smaller = across * down < frame.width * frame.height
    pixels = frame.to_ndarray(
        format="rgb24", width=across, height=down, interpolation="AREA" if smaller else "BICUBIC", **_matrix(frame)
    )
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _matrix(frame: Any) -> dict[str, Any]:
    """How the frame's colours became YCbCr; where the film doesn't say, large ones did as HDTV, small ones as TV."""
    from av.video.reformatter import Colorspace

    if frame.colorspace == 2:  # not said
        return {"src_colorspace": Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601}
    return {}


class _Reader:
    """An open film, read group by group."""

    def __init__(self, container: InputContainer, stream: VideoStream, begin: int, every: float):
        self.stream = stream
        self._container = container
        self._every = every
        self._begin = begin
        self._base = base_of(stream)
        self._is_damaged = False
        self._ended = True

    def time(self, item: Any) -> float:
        """When a frame or packet is seen, in seconds since the first one."""
        return float((item.pts - self._begin) * self._base)

    def read(
        self, key: float, after: float | None, seconds: Sequence[float]
    ) -> Iterator[tuple[float, Any, str | None]]:
        """For each moment of a group its frame, or None, and what is wrong."""
        waiting = deque(seconds)
        held: Any = None
        error: str | None = None
        self._is_damaged = False
        for frame in self._decoded(key, after, seconds):
            while waiting and held is not None and self.time(frame) > waiting[0] + EPSILON:
                yield waiting.popleft(), held, error
            if not waiting:
                return
            held = frame
            if frame.key_frame:
                self._is_damaged = False
            error = _DAMAGED if self._is_damaged or frame.is_corrupt else None
        if self._is_damaged:
            error = _DAMAGED
        for second in waiting:
            if held is not None and self._ended:
                end = self.time(held) + float((held.duration or 0) * self._base)
                if second > end + max(_RESTS, self._every):
                    yield second, None, f"the picture ends at {end:.1f} s, though the file says it is longer"
                    continue
            yield second, held, error

    def _decoded(self, key: float, after: float | None, seconds: Sequence[float]) -> Iterator[Any]:
        """A group's frames in the order in which they are seen; of them those that are of use."""
        av = library()
        context = self.stream.codec_context
        alone = len(seconds) == 1
        self._ended = True
        for packet, is_needed in self._looking_ahead(self._packets(key, after), seconds):
            context.skip_frame = "DEFAULT" if is_needed else "NONREF"
            try:
                yield from packet.decode()
                if alone and packet.is_keyframe and packet.pts is not None and self.time(packet) > key - EPSILON:
                    self._ended = False
                    break
            except av.FFmpegError:
                self._is_damaged = True
        context.skip_frame = "DEFAULT"
        with suppress(av.FFmpegError, EOFError):
            yield from context.decode(None)

    def _packets(self, key: float, after: float | None) -> Iterator[Any]:
        """The packets of a group, in the order in which they are decoded."""
        av = library()
        for back in (0.0, 1.0, 10.0, key):  # an index may be a little off
            try:
                self._container.seek(self._begin + round((key - back) / self._base), stream=self.stream)
                packets = self._container.demux(self.stream)
                first = next(packets, None)
            except av.FFmpegError:
                self._is_damaged = True
                continue
            if first is None or first.pts is None or self.time(first) <= key + EPSILON or back >= key:
                break
        else:
            return
        while first is not None and first.size:
            if first.is_keyframe and after is not None and first.pts is not None and self.time(first) > after - EPSILON:
                self._ended = False
                return
            yield first
            try:
                first = next(packets, None)
            except av.FFmpegError:
                self._is_damaged = True
                return

    def _looking_ahead(self, packets: Iterator[Any], seconds: Sequence[float]) -> Iterator[tuple[Any, bool]]:
        """Packets, each with whether its frame may be what is seen at a moment: no later one before it is known."""
        ahead: deque[tuple[Any, float | None]] = deque()

        def is_needed(packet: Any, time: float | None) -> bool:
            if time is None:
                return True
            next_one = bisect_left(seconds, time - EPSILON)
            if next_one == len(seconds):
                return False
            return not any(other is not None and time < other <= seconds[next_one] + EPSILON for _, other in ahead)

        for packet in packets:
            ahead.append((packet, None if packet.pts is None else self.time(packet)))
            if len(ahead) > _LOOKED_AT:
                first = ahead.popleft()
                yield first[0], is_needed(*first)
        while ahead:
            first = ahead.popleft()
            yield first[0], is_needed(*first)
