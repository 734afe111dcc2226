"""How long a program waits for the label of one picture: in a fresh process, and when all is warm.

    python benchmarks/predict.py [--model DIR] [--picture FILE] [--repeats 3]

The picture is of the sample collection. Without a model it is EfficientNet-Lite0 (ImageNet) and a head on its
embedding; a bundle of `train` without `--config` computes more. Fresh is from the command to the printed
label, with what takes how long; the least of the repeats, with CPU seconds beside, which other programs disturb less.
Warm are the median and the least of 100 calls in the last of these processes, and what its parts take.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = 100


def child(model: str, picture: str, began: str) -> None:
    """What a program does; says when each part was done."""
    parts: dict[str, float] = {}

    def done(name: str) -> None:
        parts[name] = time.time() - float(began) - sum(parts.values())

    done("Python")
    import artray

    classifier = artray.load_bundle(model)
    done("artray, Arrow and the bundle's description")
    from artray.api.prediction import quiet_keras

    quiet_keras()
    done("TensorFlow and Keras")
    label = classifier.predict(picture).to_arrow()["label"][0].as_py()
    done("networks built, compiled and run once")
    fresh = resource.getrusage(resource.RUSAGE_SELF)
    told = {"label": label, "parts": parts, "cpu": fresh.ru_utime + fresh.ru_stime, "ray": "ray" in sys.modules}
    print(json.dumps(told | {"warm": warm(classifier, picture)}))


def warm(classifier: Any, picture: str) -> dict[str, list[float]]:
    """Milliseconds of a call, and of what it is made of: the median and the least."""
    from artray.bundles.inputs import Works
    from artray.features.specs import Extractors
    from artray.images.decoding import decode

    bundle = classifier.bundle
    found = {"a whole call": timed(lambda: classifier.predict(picture))}
    data = Path(picture).read_bytes()
    sizes = bundle.input.decode_sizes()
    found["decoding"] = timed(lambda: [decode(data, size.size, fit=size.fit) for size in sizes])
    images = {size: [decode(data, size.size, fit=size.fit).image] for size in sizes}
    extractors = Extractors(1)
    for spec in bundle.input.specs():
        found[spec["name"]] = timed(lambda spec=spec: Works(["1"], images, extractors).columns(spec))  # type: ignore[misc]
    return found


def timed(call: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(CALLS + 1):
        began = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - began))
    return [statistics.median(times[1:]), min(times[1:])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a bundle")
    parser.add_argument("--picture", default="")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = options.model
        if model is None:
            from label import write_bundles

            model = write_bundles(Path(folder))[0]
        picture = options.picture
        if not picture:
            from artray.sample.collection import FOLDER

            picture = str(FOLDER / "paintings22" / "images" / "gc-01.jpg")
        runs = []
        for _ in range(options.repeats):
            done = subprocess.run(
                [sys.executable, __file__, "--child", model, picture, str(time.time())],
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
                check=True,
                capture_output=True,
                text=True,
            )
            runs.append(json.loads(done.stdout.splitlines()[-1]))
    show(runs)


def show(runs: list[dict[str, Any]]) -> None:
    best = min(runs, key=lambda run: sum(run["parts"].values()))
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"One picture, from the call to {best['label']!r}", title_justify="left")
    for column in ("", "fresh process, s", "warm, ms", "the least"):
        table.add_column(column, justify="left" if not column else "right")
    for name, seconds in best["parts"].items():
        table.add_row(name, f"{seconds:.2f}", "", "")
    table.add_row("together", f"{sum(best['parts'].values()):.2f}", "", "")
    table.add_row("CPU", f"{best['cpu']:.2f}", "", "")
    for name, milliseconds in runs[-1]["warm"].items():
        table.add_row(name, "", *(f"{each:.1f}" for each in milliseconds))
    Console().print(table)
    print("Ray was imported" if best["ray"] else "Ray was not imported")


if __name__ == "__main__":
    main()
