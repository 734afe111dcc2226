"""How many CPU milliseconds the classic features take, ours against the published code.

    python benchmarks/features.py [FOLDER] [--count 8]

Published: ColorThief on the original file (B1), Pillow's ImageStat (B2), scikit-image's SSIM with six references (B3)
and scikit-learn's MiniBatchKMeans over all pixels (B4), the last three at 224x224. Ours: the four feature classes at
224x224, all pictures in one batch. CPU time on one core, the mean over pictures, the best of three runs (of ColorThief
the only one).

Without FOLDER the pictures are the sample collection's, enlarged to a museum's size with grain. Needs the extra `test`.
"""

# ruff: noqa: E402 - the number of threads is read when the libraries are imported
import argparse
import io
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import numpy as np
from colorthief import ColorThief
from PIL import Image, ImageStat
from rich.console import Console
from rich.progress import track
from rich.table import Table
from skimage.metrics import structural_similarity
from sklearn.cluster import MiniBatchKMeans

import artray
from artray.features.brightness import Brightness
from artray.features.colormaps import ColorMaps
from artray.features.palette import Palette
from artray.features.texture import DATA_RANGE, REFERENCES, Texture, reference_texture
from artray.images.decoding import decode

warnings.filterwarnings("ignore", category=DeprecationWarning, module="colorthief")  # of Pillow's getdata

SAMPLE = Path(artray.__file__).parent / "sample" / "paintings22" / "images"
LONG_SIDES = (2400, 2800, 3200, 3600, 4000)
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")


def museum_pictures(folder: Path, count: int) -> Iterator[Path]:
    """Enlarge the sample's pictures to 2,400 to 4,000 pixels, with a scan's grain, as JPEG."""
    sources = sorted(SAMPLE.glob("*.jpg"))
    random = np.random.default_rng(0)
    for index in range(count):
        with Image.open(sources[index % len(sources)]) as source:
            scale = LONG_SIDES[index % len(LONG_SIDES)] / max(source.size)
            size = round(source.width * scale), round(source.height * scale)
            pixels = np.asarray(source.convert("RGB").resize(size, Image.Resampling.LANCZOS), np.float32)
        grain = random.normal(0, 4, pixels.shape[:2]).astype(np.float32)
        path = folder / f"{index:04d}.jpg"
        Image.fromarray((pixels + grain[..., None]).clip(0, 255).astype(np.uint8)).save(path, quality=90)
        yield path


def milliseconds(function: Callable[[], object], runs: int) -> float:
    """CPU time of the fastest run: what one core needs, however busy the machine is."""
    taken = []
    for _ in range(runs):
        start = time.process_time()
        function()
        taken.append(time.process_time() - start)
    return min(taken) * 1000


def published_brightness(image: np.ndarray) -> float:
    red, green, blue = ImageStat.Stat(Image.fromarray(image)).rms
    return float(np.sqrt(0.241 * red**2 + 0.691 * green**2 + 0.068 * blue**2))


def published_texture(image: np.ndarray, references: list[np.ndarray]) -> list[float]:
    scaled = image / 255
    return [structural_similarity(scaled, one, channel_axis=-1, data_range=DATA_RANGE) for one in references]


def published_color_map(image: np.ndarray) -> np.ndarray:
    return MiniBatchKMeans(5).fit(image.reshape(-1, 3)).cluster_centers_


def published_palette(file: Path | io.BytesIO) -> list[tuple[int, int, int]]:
    return ColorThief(file).get_palette(21, quality=10)


def decoded(path: Path) -> np.ndarray:
    image = decode(path.read_bytes(), 224).image
    if image is None:
        raise SystemExit(f"{path} is not a picture that can be read")
    return image


def measure(files: list[Path]) -> dict[str, tuple[float, float]]:
    """Ours and theirs for each row of the table."""
    images = [decoded(path) for path in files]
    references = [np.repeat(reference_texture(one)[..., None], 3, axis=-1) for one in REFERENCES]
    small = [io.BytesIO() for _ in images]
    for image, file in zip(images, small, strict=True):
        Image.fromarray(image).save(file, "PNG")

    def ours(feature: Callable[[np.ndarray], object]) -> float:
        feature(np.stack(images[:1]))  # draws the references
        return milliseconds(lambda: feature(np.stack(images)), 3) / len(images)

    def theirs(function: Callable[..., object], inputs: Sequence[object], *arguments: object, runs: int = 3) -> float:
        console = Console(stderr=True)
        steps = track(inputs, function.__name__, console=console, transient=True, disable=not console.is_terminal)
        return sum(milliseconds(lambda one=one: function(one, *arguments), runs) for one in steps) / len(inputs)

    rows = {
        "palette (B1)": (ours(Palette()), theirs(published_palette, files, runs=1)),
        "brightness (B2)": (ours(Brightness()), theirs(published_brightness, images)),
        "texture (B3)": (ours(Texture()), theirs(published_texture, images, references)),
        "colour map (B4)": (ours(ColorMaps()), theirs(published_color_map, images)),
    }
    together = np.sum(list(rows.values()), axis=0)
    rows["B1 to B4"] = tuple(together)
    at_224 = theirs(published_palette, small, runs=1)
    rows["B1 to B4, ColorThief at 224x224"] = together[0], together[1] - rows["palette (B1)"][1] + at_224
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="pictures of your own")
    parser.add_argument("--count", type=int, default=8, help="how many pictures (default: 8)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        if options.folder:
            files = [path for path in sorted(options.folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
            if not files:
                parser.error(f"no pictures in {options.folder}")
            pictures = files[: options.count]
        else:
            pictures = list(museum_pictures(Path(made), options.count))
        rows = measure(pictures)
    table = Table(title=f"CPU milliseconds per picture, {len(pictures)} pictures, one core")
    for heading in ("", "ours", "published", "ratio"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, (ours, theirs) in rows.items():
        table.add_row(name, f"{ours:,.2f}", f"{theirs:,.1f}", f"{theirs / ours:,.0f}x")
    Console().print(table)


if __name__ == "__main__":
    main()
