"""Labelling in bfloat16 beside float32: seconds a picture, and how many labels stay the same.

    python benchmarks/half_precision.py --manifest M --model BUNDLE [--model BUNDLE …] [--pictures 128] [--turns 5]

Pictures of the manifest go through the workers of `label-catalog`, decoding included, one in float32 and one in
bfloat16, in turns in this process and on one thread. Ratios are medians over the pairs of turns. On a processor
without instructions for bfloat16 (AMX or AVX-512 BF16) it is no faster. The last column says how many pictures
could be read.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

from artray.console import quiet

quiet(verbose=False)

import pyarrow as pa  # noqa: E402 - TensorFlow's chatter is turned off before it is imported

from artray.bundles.classifier import load_bundle  # noqa: E402
from artray.classifiers.metrics import decisions  # noqa: E402
from artray.images.decoding import DECODE_VERSION  # noqa: E402
from artray.labeling.half_precision import PassPrecision  # noqa: E402
from artray.labeling.models import LabelWorker, identity  # noqa: E402
from artray.models.half_precision import is_bfloat16_fast  # noqa: E402
from artray.storage import Location, stack_lists  # noqa: E402

PRECISIONS: tuple[PassPrecision, PassPrecision] = ("float32", "bfloat16")


def works(manifest: str, number: int) -> pa.Table:
    """The first pictures of a manifest as rows of a pass, for its first model."""
    rows = Location.parse(manifest).dataset().head(number, columns=["object_id", "image_uri"])
    none = pa.nulls(len(rows), pa.string())
    return (
        rows.append_column("models", pa.array([1] * len(rows)))
        .append_column("part", none)
        .append_column("row", pa.nulls(len(rows), pa.int64()))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--pictures", type=int, default=128)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    rows = works(options.manifest, options.pictures)
    print(f"{len(rows)} pictures, {options.turns} turns; bfloat16 is fast here: {is_bfloat16_fast()}\n")
    print("| model | float32: CPU ms, wall ms | bfloat16 | … times as fast: CPU, wall | the same label |")
    print("|---|---|---|---|---|")
    for place in options.model:
        uri = Location.parse(place)
        bundle = load_bundle(uri)
        about = [{"uri": place, "task": bundle.task, "identity": identity(bundle)}]
        workers = {each: LabelWorker(about, None, DECODE_VERSION, precision=each) for each in PRECISIONS}
        said, spent = {}, {each: ([], []) for each in PRECISIONS}
        for turn in range(options.turns + 1):
            for precision, worker in workers.items():
                cpu, wall = time.process_time(), time.perf_counter()
                table = worker.finish(list(worker.prepare(rows)))
                if turn:  # the first one builds the networks
                    for values, now, begun in zip(
                        spent[precision], (time.process_time(), time.perf_counter()), (cpu, wall), strict=True
                    ):
                        values.append((now - begun) * 1000 / len(rows))
                scores = stack_lists(table["scores_0"].drop_null(), "scores", len(bundle.classes))
                said[precision] = decisions(scores, bundle.multilabel, bundle.class_thresholds())
        cells = [", ".join(f"{statistics.median(values):.1f}" for values in spent[each]) for each in PRECISIONS]
        ratios = [
            statistics.median(one / half for one, half in zip(single, other, strict=True))
            for single, other in zip(spent["float32"], spent["bfloat16"], strict=True)
        ]
        same = (said["float32"] == said["bfloat16"]).all(axis=1).mean()
        cells += [", ".join(f"{ratio:.2f}" for ratio in ratios), f"{same:.1%} of {len(scores)}"]
        print(f"| {bundle.model_id} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
