"""Frames a second of label-film's sampling against PyAV alone, its memory on a two-hour film, and the cuts it finds.

    python benchmarks/film.py [--seconds 15] [--height 720] [--repeats 3]
    python benchmarks/film.py --memory [--hours 2]
    python benchmarks/film.py --cuts
    python benchmarks/film.py --works MANIFEST --model BUNDLE

Films are made by PyAV: a camera that moves over the sample collection's works, with grain. Ours is what the job's
actors do: moments to frames, JPEG files on the disk and histograms. PyAV alone decodes the same film from its beginning
on and makes the frames at the same moments RGB of the same size; `by seeking` seeks to each moment's key frame first.
All have one thread, take turns, and are measured by the CPU time of the process, since machines are shared.

`--memory` says by how much the process grows while a film of hours is sampled at one frame a second. `--cuts` compares
the cuts with those that were made, and with PySceneDetect's, which sees every frame, where that is installed (`pip
install scenedetect opencv-python-headless`).

`--works` cuts a film together from works of a manifest's test part, each for three seconds, in scenes of five works of
one class of the bundle's; each class has two scenes. label_film labels it, and the curve is compared with what was cut.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import psutil
import pyarrow.compute as pc
from PIL import Image
from rich.console import Console
from rich.table import Table

from artray.film.container import examine
from artray.film.cuts import differences, find_cuts, histogram
from artray.film.frames import frames_at
from artray.film.sampling import _Sampler, cut_stretches
from artray.sample.collection import write_sample
from artray.storage import Location

RATE = 25
SIZE = 640
WORK_SECONDS, SLOW = 3, 5
"""How long each work is seen in a film of works, and its frames a second."""


def works(folder: Path) -> list[Image.Image]:
    write_sample(folder)
    files = sorted(file for file in folder.rglob("*.jpg") if "paintings" in str(file) or "gc-" in file.name)
    found = []
    for file in files:
        try:
            found.append(Image.open(file).convert("RGB"))
        except OSError:  # the sample's two broken files
            continue
    return found


def pictures(
    images: list[Image.Image], shots: list[float], width: int, height: int, seed: int = 0
) -> Iterator[np.ndarray]:
    """A camera that moves over one work after the other, with grain and a light that wavers."""
    chance = np.random.default_rng(seed)
    grain = chance.normal(0, 4, (5, height, width, 1)).astype(np.float32)
    last = -1
    for length in shots:
        last = int(chance.choice([number for number in range(len(images)) if number != last]))
        wide, high = int(width * 1.5), int(height * 1.5)
        image = np.asarray(images[last].resize((wide, high)), np.float32)
        begin, end = chance.uniform(0, 1, 2), chance.uniform(0, 1, 2)
        frames = round(length * RATE)
        for number in range(frames):
            share = begin + (end - begin) * number / frames
            x, y = int(share[0] * (wide - width)), int(share[1] * (high - height))
            light = 1 + 0.04 * np.sin(number / 3)
            part = image[y : y + height, x : x + width] * light + grain[number % 5]
            yield np.clip(part, 0, 255).astype(np.uint8)


def write_film(path: Path, frames: Iterator[np.ndarray], gop: int, rate: int = RATE, preset: str = "veryfast") -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": preset, "g": str(gop)}
        for number, picture in enumerate(frames):
            if not number:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def repeat(path: Path, times: int, target: Path) -> None:
    """The same film several times in one, without encoding it again."""
    with av.open(str(target), "w") as container, av.open(str(path)) as film:
        source = film.streams.video[0]
        stream = container.add_stream_from_template(source)
        length = source.duration
        for turn in range(times):
            film.seek(0)
            for packet in film.demux(source):
                if packet.dts is None:
                    continue
                packet.pts += turn * length
                packet.dts += turn * length
                packet.stream = stream
                container.mux(packet)


def sample(path: Path, every: float, out: Path) -> int:
    film = examine(Location.parse(path))
    sampler = _Sampler(every, SIZE, 1)
    frames = 0
    for first, count, keys in cut_stretches(film, every):
        row = {"image_uri": str(path), "film": path.name, "place": str(out), "begin": film.begin, "keys": keys}
        frames += len(sampler._sample({**row, "first": first, "count": count}))
    return frames


def plain(path: Path, every: float) -> int:
    """PyAV as its documentation has it: decode, and keep what is wanted."""
    frames, wanted = 0, 0.0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            if frame.time >= wanted - 1e-6:
                convert(frame)
                frames += 1
                wanted += every
    return frames


def seeking(path: Path, every: float) -> int:
    """PyAV with a seek for each moment, and decoding from there on."""
    frames, wanted = 0, 0.0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        while wanted < float(stream.duration * stream.time_base):
            container.seek(int(wanted / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                if frame.time >= wanted - 1e-6:
                    convert(frame)
                    frames += 1
                    break
            wanted += every
    return frames


def convert(frame: av.VideoFrame) -> np.ndarray:
    scale = min(1, SIZE / max(frame.width, frame.height))
    return frame.to_ndarray(format="rgb24", width=round(frame.width * scale), height=round(frame.height * scale))


def speed(options: argparse.Namespace, folder: Path) -> None:
    width = options.height * 16 // 9
    table = Table("key frames", "a frame each", "PyAV alone", "by seeking", "ours", "ours is … times the faster")
    images = works(folder / "sample")
    shots = [5.0] * (options.seconds // 5)
    for gop in (RATE, 250):
        path = folder / f"gop{gop}.mp4"
        write_film(folder / "once.mp4", pictures(images, shots, width, options.height), gop)
        repeat(folder / "once.mp4", 4, path)
        for every in (1.0, 10.0):
            contenders: dict[str, Callable[[], int]] = {
                "plain": lambda path=path, every=every: plain(path, every),
                "seeking": lambda path=path, every=every: seeking(path, every),
                "ours": lambda path=path, every=every: sample(path, every, folder / "frames"),
            }
            rates: dict[str, list[float]] = {name: [] for name in contenders}
            for _ in range(options.repeats):
                for name, contend in contenders.items():
                    begun = time.process_time()
                    frames = contend()
                    rates[name].append(frames / (time.process_time() - begun))
            medians = {name: statistics.median(found) for name, found in rates.items()}
            table.add_row(
                f"each {gop / RATE:g} s",
                f"{every:g} s",
                *(f"{medians[name]:.1f}/s" for name in contenders),
                f"{medians['ours'] / max(medians['plain'], medians['seeking']):.2f}",
            )
    Console().print(table)


def memory(options: argparse.Namespace, folder: Path) -> None:
    images = works(folder / "sample")
    few = list(pictures(images, [1.0] * 10, 320, 180))
    path = folder / "long.mp4"
    seconds = round(options.hours * 3600)
    write_film(path, (few[number % len(few)] for number in range(seconds * 5)), 50, rate=5, preset="ultrafast")
    process = psutil.Process()
    sample(path, 600, folder / "warm")
    before = process.memory_info().rss
    peak = before
    film = examine(Location.parse(path))
    sampler = _Sampler(1.0, SIZE, 1)
    frames = 0
    for first, count, keys in cut_stretches(film, 1.0):
        row = {"image_uri": str(path), "film": path.name, "place": str(folder / "frames")}
        frames += len(sampler._sample({**row, "begin": film.begin, "keys": keys, "first": first, "count": count}))
        peak = max(peak, process.memory_info().rss)
    print(f"{film.duration / 3600:.2f} hours, {frames:,} frames: {(peak - before) / 1e6:.0f} MB more than before")


def cuts(folder: Path) -> None:
    chance = np.random.default_rng(1)
    shots = [round(float(length) * RATE) / RATE for length in chance.uniform(1.5, 9, 60)]
    path = folder / "cuts.mp4"
    write_film(path, pictures(works(folder / "sample"), shots, 160, 90, seed=2), 250)
    made = np.cumsum(shots)[:-1].tolist()
    film = examine(Location.parse(path))
    table = Table("", "sees", "cuts", "found of made", "found that are none")
    for every in (1.0, 0.5, 0.2):
        seconds = [number * every for number in range(int(film.duration / every))]
        found = list(frames_at(Location.parse(path), film, seconds, every=every, size=SIZE))
        first = find_cuts(differences([histogram(frame.picture) for frame in found]), 0.15)
        told = [(before.at, frame.at) for (before, frame), cut in zip(pairwise(found), first[1:], strict=True) if cut]
        hit = sum(any(begin < cut + 1e-3 and cut < end + 0.05 for begin, end in told) for cut in made)
        wrong = sum(not any(begin < cut + 1e-3 and cut < end + 0.05 for cut in made) for begin, end in told)
        table.add_row("ours", f"a frame each {every:g} s", f"{len(made)}", f"{hit}", f"{wrong}")
    try:
        from scenedetect import AdaptiveDetector, ContentDetector, HistogramDetector, detect
    except ImportError:
        pass
    else:
        for detector in (ContentDetector(), AdaptiveDetector(), HistogramDetector()):
            scenes = detect(str(path), detector)
            told = [begin.seconds for begin, _ in scenes[1:]]
            hit = sum(any(abs(second - cut) < 0.1 for second in told) for cut in made)
            wrong = sum(all(abs(second - cut) >= 0.1 for cut in made) for second in told)
            name = f"PySceneDetect's {type(detector).__name__}"
            table.add_row(name, "every frame", f"{len(made)}", f"{hit}", f"{wrong}")
    Console(width=110).print(table)


def curve(options: argparse.Namespace, folder: Path) -> None:
    from artray.bundles.classifier import load_bundle
    from artray.film.station import FilmOptions, label_film

    bundle = load_bundle(options.model)
    names, task = [one.name for one in bundle.classes], bundle.task
    table = options.works.dataset().to_table(columns=["image_uri", "split", bundle.config["target"]])
    rows = [row for row in table.rename_columns(["image", "split", "label"]).to_pylist() if row["split"] == "test"]
    chance = np.random.default_rng(0)
    drawn = {name: chance.permutation([row["image"] for row in rows if row["label"] == name])[:10] for name in names}
    cut = [(name, image) for scene in (0, 5) for name in names for image in drawn[name][scene : scene + 5]]
    seen = (
        np.asarray(Image.open(image).convert("RGB").resize((224, 224)))
        for _, image in cut
        for _ in range(WORK_SECONDS * SLOW)
    )
    write_film(folder / "works.mp4", seen, 250, rate=SLOW)
    out = Location.parse(folder / "labelled")
    label_film(FilmOptions(films=Location.parse(folder / "works.mp4"), model=[options.model], out=out))
    told = (out / "seconds.parquet").dataset().to_table().filter(pc.field("task") == task)
    true = np.array([names.index(cut[int(second) // WORK_SECONDS][0]) for second in told["second"].to_pylist()])
    scores, smooth = (np.array([[dict(row)[name] for name in names] for row in told[column].to_pylist()])
                      for column in ("scores", "smoothed"))  # fmt: skip
    inside = np.arange(len(true))
    table = Table("", "mean score of the scene's class", "of another one", "seconds at which it is the highest")
    for what, found in (("frame by frame", scores), ("smoothed over 15 s", smooth)):
        own = found[inside, true]
        others = (found.sum(axis=1) - own) / (len(names) - 1)
        right = float((found.argmax(axis=1) == true).mean())
        table.add_row(what, f"{own.mean():.2f}", f"{others.mean():.2f}", f"{right:.0%}")
    begins = {number * WORK_SECONDS for number in range(1, len(cut))}
    found_cuts = {int(second) for second, begun in zip(*(told[name].to_pylist() for name in ("second", "cut")),
                                                       strict=True) if begun and second}  # fmt: skip
    Console(width=110).print(table)
    hit = len(found_cuts & begins)
    print(f"{len(true)} seconds, {len(cut)} works; cuts: {hit} of {len(begins)}, and {len(found_cuts) - hit} others")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=15, help="of a film that is there four times (default: 15)")
    parser.add_argument("--height", type=int, default=720, help="of its frames (default: 720)")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--memory", action="store_true", help="instead: memory on a long film")
    parser.add_argument("--hours", type=float, default=2, help="how long it is (default: 2)")
    parser.add_argument("--cuts", action="store_true", help="instead: cuts found")
    parser.add_argument("--works", type=Location.parse, help="instead: the curve of a film of this manifest's works")
    parser.add_argument("--model", type=Location.parse, help="by which it is labelled")
    options = parser.parse_args()
    if options.works and not options.model:
        parser.error("--works needs --model")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.memory:
            memory(options, folder)
        elif options.cuts:
            cuts(folder)
        elif options.works:
            curve(options, folder)
        else:
            speed(options, folder)


if __name__ == "__main__":
    main()
