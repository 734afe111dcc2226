"""Time to hash pictures and to group 100,000 hashes.

    python benchmarks/duplicates.py [--pictures 500] [--hashes 100000]

Pictures are noise of 224 × 224 pixels, decoded already: the time does not depend on what they show. Fingerprints are
grouped in four collections: all different; a fifth equal; a fifth almost equal (one placeholder, recompressed); and
fifty scans of each work. The issue's limit for both steps over 100,000 pictures is 60 s on 2 cores.
"""

import argparse
import time

import numpy as np

from artray.images.perceptual_hash import perceptual_hash
from artray.ingest.duplicates import near_duplicate_groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--hashes", type=int, default=100_000)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)

    images = rng.integers(0, 256, (arguments.pictures, 224, 224, 3), np.uint8)
    perceptual_hash(images[:1])
    start = time.perf_counter()
    for first in range(0, len(images), 32):
        perceptual_hash(images[first : first + 32])
    seconds = time.perf_counter() - start
    print(f"hash: {len(images) / seconds:,.0f} pictures of 224 × 224 a second")

    n = arguments.hashes
    for name, hashes in _collections(rng, n).items():
        start = time.perf_counter()
        groups = len(np.unique(near_duplicate_groups(hashes)))
        print(f"near_duplicate_groups: {n:,} {name}: {groups:,} groups in {time.perf_counter() - start:.1f} s")


def _collections(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    different = rng.integers(0, 2**64, (n, 4), dtype=np.uint64)
    equal, almost_equal = different.copy(), different.copy()
    equal[: n // 5] = equal[0]
    almost_equal[: n // 5] = _rescanned(rng, equal[: n // 5], 0.01)
    scans = _rescanned(rng, np.repeat(different[: n // 50], 50, axis=0), 0.05)
    return {"different": different, "a fifth equal": equal, "a fifth almost equal": almost_equal, "scans": scans}


def _rescanned(rng: np.random.Generator, hashes: np.ndarray, share: float) -> np.ndarray:
    """The hashes with a share of their bits changed."""
    bits = np.unpackbits(hashes.view(np.uint8), axis=1)
    return np.packbits(bits ^ (rng.random(bits.shape) < share), axis=1).view(np.uint64)


if __name__ == "__main__":
    main()
