"""Pictures a second of the embedding feature (B6) against the bare Keras model on the same batches.

    python benchmarks/embedding.py [--pictures 128] [--repeats 5] [--backbone NAME]

Ours is what `extract_features` calls, from pictures (n, 224, 224, 3) to Arrow columns. Bare is the backbone's
`predict_on_batch` on the same pictures, in batches of the same size. Both take turns; rates are medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from artray.console import quiet, silent_stderr
from artray.features.embedding import Embedding
from artray.models import DEFAULT_BACKBONE

SIZE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=128, help="how many (default: 128)")
    parser.add_argument("--repeats", type=int, default=5, help="how often each is measured (default: 5)")
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE, help="default: %(default)s")
    options = parser.parse_args()
    quiet(verbose=False)
    with silent_stderr():
        from artray.models.backbones import backbone

        model = backbone(options.backbone, SIZE)
    pictures = np.random.default_rng(0).integers(0, 256, (options.pictures, SIZE, SIZE, 3), np.uint8)
    feature = Embedding(options.backbone, SIZE)

    def bare() -> None:
        for start in range(0, len(pictures), feature.batch_size):
            model.predict_on_batch(pictures[start : start + feature.batch_size])

    contenders: dict[str, Callable[[], object]] = {"ours": lambda: feature(pictures), "bare Keras model": bare}
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for contend in contenders.values():
        contend()  # builds and compiles
    for _ in range(options.repeats):
        for name, contend in contenders.items():
            start = time.perf_counter()
            contend()
            rates[name].append(len(pictures) / (time.perf_counter() - start))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    table = Table("", "pictures/s", "ours is … times it")
    for name, rate in medians.items():
        table.add_row(name, f"{rate:.1f}", f"{medians['ours'] / rate:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
