"""Throw broken picture files at `artray.images.decoding.decode` and watch what happens.

    python tests/tools/fuzz_decoding.py --files 10000 --seed 0

Sound files of every format that artray reads are damaged (bits flipped, bytes set, cut short, parts lost, doubled or
replaced by parts of other files) and decoded in a child process. A file that kills the child, keeps it longer than
--hang seconds, raises instead of giving a status, or takes more than --memory MB ends the run with exit status 1 and is
kept in --keep. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
import zlib
from collections import Counter, defaultdict
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageCms

from artray.images.decoding import Decoded, decode

SIZE = 224
TIME_LIMIT = 5.0


@cache
def seed_files() -> dict[str, bytes]:
    """Small sound files, named "format/variant"."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(0, 1, 180), np.linspace(0, 1, 140))
    waves = np.stack([np.sin(9 * x + 4 * y), np.cos(7 * y), np.sin(5 * x * y)], axis=-1) * 100 + 128
    pixels = (waves + rng.normal(0, 8, waves.shape)).clip(0, 255).astype(np.uint8)
    rgb = Image.fromarray(pixels)
    rgba = rgb.copy()
    rgba.putalpha(Image.linear_gradient("L").resize(rgb.size))
    gray16 = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    # sRGB with red and green exchanged: a sound profile that has to be applied.
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = srgb.replace(b"rXYZ", b"swap").replace(b"gXYZ", b"rXYZ").replace(b"swap", b"gXYZ")
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = pixels.astype(np.uint16).transpose(2, 0, 1) * 257

    def saved(im: Image.Image, **options: object) -> bytes:
        file = io.BytesIO()
        im.save(file, **options)
        return file.getvalue()

    def tiff(data: np.ndarray, **options: object) -> bytes:
        file = io.BytesIO()
        tifffile.imwrite(file, data, **options)
        return file.getvalue()

    return {
        "JPEG/baseline": saved(rgb, format="JPEG", exif=exif, icc_profile=icc),
        "JPEG/progressive": saved(rgb, format="JPEG", progressive=True),
        "JPEG/gray": saved(rgb.convert("L"), format="JPEG", restart_marker_rows=1),
        "JPEG/cmyk": saved(rgb.convert("CMYK"), format="JPEG"),
        "PNG/rgb": saved(rgb, format="PNG", exif=exif, icc_profile=icc),
        "PNG/rgba": saved(rgba, format="PNG"),
        "PNG/palette": saved(rgba.quantize(64), format="PNG"),
        "PNG/1-bit": saved(rgb.convert("1"), format="PNG"),
        "PNG/16-bit": saved(gray16, format="PNG"),
        "TIFF/raw": saved(rgb, format="TIFF", exif=exif, icc_profile=icc),
        "TIFF/lzw": saved(rgb, format="TIFF", compression="tiff_lzw"),
        "TIFF/deflate": saved(rgba, format="TIFF", compression="tiff_adobe_deflate"),
        "TIFF/jpeg": saved(rgb, format="TIFF", compression="jpeg"),
        "TIFF/packbits": saved(rgb.convert("CMYK"), format="TIFF", compression="packbits"),
        "TIFF/group4": saved(rgb.convert("1"), format="TIFF", compression="group4"),
        "TIFF/lab": saved(rgb.convert("LAB"), format="TIFF"),
        "TIFF/float": saved(gray16.convert("F"), format="TIFF"),
        "TIFF/pages": saved(rgb, format="TIFF", save_all=True, append_images=[rgba]),
        "TIFF/big": saved(rgb, format="TIFF", big_tiff=True, compression="tiff_lzw"),
        "TIFF/16-bit": tiff(pixels.astype(np.uint16) * 257, photometric="rgb"),
        "TIFF/tiled": tiff(pixels, photometric="rgb", tile=(64, 64), compression="zlib"),
        "TIFF/planar": tiff(pixels.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
        "TIFF/16-bit planar": tiff(
            deep, photometric="rgb", planarconfig="separate", rowsperstrip=30, compression="zlib"
        ),
        "TIFF/float colour": tiff((pixels / 255).astype(np.float32), photometric="rgb", byteorder=">"),
        "TIFF/big-endian big": tiff(pixels, photometric="rgb", bigtiff=True, byteorder=">"),
        "TIFF/colour map": tiff(
            pixels[..., 0], photometric="palette", colormap=np.tile(np.arange(256, dtype="H"), (3, 1))
        ),
        "WebP/lossy": saved(rgb, format="WEBP", exif=exif, icc_profile=icc),
        "WebP/lossless": saved(rgba, format="WEBP", lossless=True),
        "WebP/animated": saved(rgb, format="WEBP", save_all=True, append_images=[rgb.rotate(9)], duration=40),
        "GIF/plain": saved(rgb.quantize(128), format="GIF"),
        "GIF/animated": saved(rgb, format="GIF", save_all=True, append_images=[rgb.rotate(9)], duration=40),
        "BMP/rgb": saved(rgb, format="BMP"),
        "BMP/palette": saved(rgb.quantize(64), format="BMP"),
        "JPEG 2000/jp2": saved(rgba, format="JPEG2000"),
        "JPEG 2000/codestream": saved(rgb, format="JPEG2000", no_jp2=True, tile_size=(64, 64), irreversible=True),
        "AVIF/still": saved(rgba, format="AVIF", speed=10, exif=exif, icc_profile=icc),
    }


def damage(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """One to three random injuries. Half of them near the file's start, where headers are."""
    broken = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        end = len(broken) if rng.random() < 0.5 else min(len(broken), 600)
        at = rng.randrange(end + 1)
        length = min(int(2 ** rng.uniform(0, 11)), len(broken) - at)
        match rng.choice(("flip", "flip", "set", "cut", "lose", "double", "splice")):
            case "flip":
                for _ in range(int(2 ** rng.uniform(0, 6)) if broken else 0):
                    broken[rng.randrange(max(1, min(end, len(broken))))] ^= 1 << rng.randrange(8)
            case "set":
                broken[at : at + 4] = rng.choice(
                    (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff")
                )
            case "cut":
                del broken[at:]
            case "lose":
                del broken[at : at + length]
            case "double":
                broken[at:at] = broken[at : at + length]
            case "splice":
                other = rng.choice(others)
                start = rng.randrange(len(other))
                broken[at : at + length] = other[start : start + length]
    if broken.startswith(b"\x89PNG") and rng.random() < 0.7:
        _mend_checksums(broken)
    return bytes(broken)


def _mend_checksums(png: bytearray) -> None:
    """Make the chunks' CRCs right again: otherwise damage to a PNG never gets past them."""
    at = 8
    while at + 12 <= len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4], "big")
        if end + 4 <= len(png):
            png[end : end + 4] = zlib.crc32(png[at + 4 : end]).to_bytes(4, "big")
        at = end + 4


def flaw(result: Decoded) -> str | None:
    """What is wrong with an answer of `decode(..., SIZE)`, if anything."""
    if result.status == "ok":
        if result.error or result.image is None or result.image.shape != (SIZE, SIZE, 3):
            return "ok, but without a picture of the size asked for"
    elif result.image is not None or not result.error or "\n" in result.error:
        return f"{result.status}, but with a picture or without a line of explanation"
    return None


def _work(files: Connection, stderr: str) -> None:
    os.dup2(os.open(stderr, os.O_WRONLY | os.O_APPEND | os.O_CREAT), 2)
    while (data := files.recv()) is not None:
        start = time.monotonic()
        try:
            result = decode(data, SIZE, time_limit=TIME_LIMIT)
            answer, wrong = f"{result.status}", flaw(result)
        except Exception as error:
            answer, wrong = "raised", f"raised {error!r}"
        files.send((answer, wrong, time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


class _Child:
    def __init__(self, stderr: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.files, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, stderr), daemon=True)
        self.process.start()
        theirs.close()

    def decode(self, data: bytes, patience: float) -> tuple[str, str | None, float, float]:
        self.files.send(data)
        if not self.files.poll(patience):
            self.process.kill()
            return "hang", f"no answer within {patience:g} s", patience, 0.0
        try:
            answer: tuple[str, str | None, float, float] = self.files.recv()
            return answer
        except EOFError:
            self.process.join()
            return "crash", f"the process ended with {self.process.exitcode}", 0.0, 0.0

    def end(self) -> None:
        if self.process.is_alive():
            self.files.send(None)
        self.process.join()


def main() -> int:
    parser = argparse.ArgumentParser(description="Decode damaged picture files in a watched process.")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hang", type=float, default=15.0, help="seconds after which a decode counts as hanging")
    parser.add_argument("--memory", type=float, default=3072.0, help="MB that the decoding process may take")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for files that fail")
    options = parser.parse_args()

    seeds = seed_files()
    names, contents = list(seeds), list(seeds.values())
    table: dict[str, Counter[str]] = defaultdict(Counter)
    failures = 0
    slowest, memory, begin = (0.0, ""), 0.0, time.monotonic()
    with tempfile.NamedTemporaryFile() as stderr:
        child = _Child(stderr.name)
        for number in range(options.files):
            rng = random.Random(f"{options.seed}/{number}")
            name = names[number % len(names)]
            data = damage(seeds[name], contents, rng)
            status, wrong, seconds, used = child.decode(data, options.hang)
            if not wrong and used > options.memory:
                status, wrong = "memory", f"{used:.0f} MB"
            table[name.split("/")[0]][status] += 1
            slowest = max(slowest, (seconds, f"{name} #{number}"))
            memory = max(memory, used)
            if wrong:
                failures += 1
                options.keep.mkdir(parents=True, exist_ok=True)
                kept = options.keep / f"{options.seed}-{number}-{name.replace('/', '-')}"
                kept.write_bytes(data)
                print(f"{name}: {wrong}; kept as {kept}")
                child.end()
                child = _Child(stderr.name)
        child.end()
        noise = stderr.read().decode(errors="replace")

    statuses = sorted({status for counts in table.values() for status in counts})
    print("".join(f"{head:>14}" for head in ("format", "files", *statuses)))
    for kind, counts in table.items():
        print("".join(f"{cell:>14}" for cell in (kind, counts.total(), *(counts[status] for status in statuses))))
    if noise:
        print(f"on standard error: {noise[:2000]}")
    summary = {
        "files": options.files,
        "failures": failures,
        "slowest_seconds": round(slowest[0], 2),
        "slowest": slowest[1],
        "peak_mb": round(memory),
        "stderr_bytes": len(noise),
        "seconds": round(time.monotonic() - begin),
    }
    print(json.dumps(summary))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
