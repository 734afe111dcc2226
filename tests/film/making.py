"""Films of a few seconds, made by PyAV from pictures, and a bundle that knows their colours."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from artray.film.cuts import Histogram, histogram
from artray.storage import Location
from tests.labeling.bundles import save_bundle

av.logging.set_level(None)

Picture = npt.NDArray[np.uint8]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 30),
    "green": (30, 190, 40),
    "blue": (30, 40, 220),
    "grey": (128, 128, 128),
}
CODECS = {".mp4": "libx264", ".mkv": "libx264", ".webm": "libvpx", ".mov": "mpeg4", ".avi": "mpeg4"}
FAST = {
    "libx264": {"preset": "ultrafast", "sc_threshold": "0"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
}


def flat(name: str, width: int = 64, height: int = 48) -> Picture:
    """A picture of one colour, with some structure in it."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = COLOURS[name]
    picture[:, ::8] //= 2
    return picture


def scenes(names: Sequence[str], each: float, **size: int) -> Callable[[float], Picture]:
    """What is seen at a moment of a film in which one colour follows the other."""
    return lambda second: flat(names[min(int(second / each + 1e-6), len(names) - 1)], **size)


def make_film(
    path: Path,
    seen: Callable[[float], Picture],
    seconds: float,
    *,
    rate: int = 10,
    gop: int = 20,
    at: Sequence[float] | None = None,
    aspect: Fraction | None = None,
    **options: str,
) -> Path:
    """Write a film.

    Args:
        path: Its suffix chooses container and codec.
        seen: The picture at a second.
        seconds: How long.
        rate: Frames a second.
        gop: Frames from one key frame to the next.
        at: When frames begin to be seen, where they are not evenly spaced.
        aspect: Of a pixel.
        options: Of the encoder.
    """
    moments = at if at is not None else [number / rate for number in range(round(seconds * rate))]
    first = seen(0)
    codec = CODECS[path.suffix]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {**FAST.get(codec, {}), "g": str(gop), **options}
        stream.codec_context.time_base = Fraction(1, 1000 if at is not None else rate)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        base = stream.codec_context.time_base
        for moment in moments:
            frame = av.VideoFrame.from_ndarray(seen(moment), format="rgb24")
            frame.pts, frame.time_base = round(moment / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def without_end(path: Path, share: float) -> Path:
    """A film of which no more than a share of its packets is left, and nothing of an index at the end."""
    data = path.read_bytes()
    begin = data.find(b"movi") if path.suffix == ".avi" else 0
    end = data.find(b"idx1") if path.suffix == ".avi" else len(data)
    path.write_bytes(data[: begin + round((end - begin) * share)])
    return path


def make_sound(path: Path) -> Path:
    """A file with a second of silence and no picture."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=16_000, layout="mono")
        for number in range(16):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.rate, frame.pts = 16_000, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def colour_of(picture: Picture) -> str:
    """The colour that a picture is nearest to."""
    mean = picture.reshape(-1, 3).mean(axis=0)
    told = {name: float(np.abs(flat(name).reshape(-1, 3).mean(axis=0) - mean).sum()) for name in COLOURS}
    return min(told, key=lambda name: told[name])


def write_colour_bundle(uri: Path, task: str = "colour", names: Sequence[str] = ("blue", "green", "red")) -> Path:
    """A model that says which of some colours a picture is nearest to: softmax of 2·c·x - c·c over its mean colour."""
    centres = np.array([flat(name).reshape(-1, 3).mean(axis=0) / 64 for name in names], np.float32)
    given = keras.Input((16, 16, 3))
    dense = layers.Dense(len(names), activation="softmax")
    model = keras.Model(given, dense(layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 64)(given))))
    dense.set_weights([2 * centres.T, -(centres**2).sum(axis=1)])
    save_bundle(str(uri), model, {"kind": "pictures", "size": 16}, task, len(names))
    told = json.loads((uri / "bundle.json").read_text())
    told["classes"] = [{"name": name} for name in names]
    (uri / "bundle.json").write_text(json.dumps(told))
    return uri


def histograms(pictures: Sequence[Picture | None]) -> list[Histogram | None]:
    return [None if picture is None else histogram(picture) for picture in pictures]


def place(path: Path) -> Location:
    return Location.parse(path)
