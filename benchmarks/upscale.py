"""How much memory it takes to enlarge a large picture tile by tile.

    python benchmarks/upscale.py [--size 4000x3000] [--scale 2] [--blocks 4] [--width 16] [--tile 192]

The network is EDSR, untrained, as its weights cost nothing; the picture is noise. Prints the process' peak (ru_maxrss)
when a picture of one tile is done, libraries and all, and when the large one is; and what the pictures themselves take.
"""

# ruff: noqa: E402 - TensorFlow's chatter is turned off before it is imported
import argparse
import resource
import time

from artray.console import quiet

quiet(verbose=False)

import numpy as np
from rich.console import Console
from rich.table import Table

from artray.models.batches import predict
from artray.models.super_resolution import edsr, margin
from artray.super_resolution.tiles import TILE, enlarged

MB = 1e6


def peak() -> float:
    """MB that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="4000x3000", help="WIDTHxHEIGHT (default: %(default)s)")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--tile", type=int, default=TILE)
    options = parser.parse_args()
    across, down = map(int, options.size.split("x"))
    network = edsr(options.scale, blocks=options.blocks, width=options.width, interpolated=True)
    around = margin(options.scale, options.blocks)
    chance = np.random.default_rng(0)

    def enlarge(height: int, width: int) -> tuple[float, float]:
        """Bytes of both pictures in MB, and seconds."""
        picture = chance.integers(0, 256, (height, width, 3), np.uint8)
        began = time.perf_counter()
        found = enlarged(picture, lambda tile: predict(network, tile, 1), options.scale, around, tile=options.tile)
        return picture.nbytes * (1 + found.width * found.height / (height * width)) / MB, time.perf_counter() - began

    side = options.tile + 2 * around
    enlarge(side, side)
    first = peak()
    pictures, seconds = enlarge(down, across)
    title = f"{options.size} ×{options.scale}, {options.blocks} blocks of {options.width} maps, tiles of {options.tile}"
    table = Table("MB after a tile", "MB at most", "of it both pictures", "seconds", title=title)
    table.add_row(*(f"{figure:,.0f}" for figure in (first, peak(), pictures, seconds)))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
