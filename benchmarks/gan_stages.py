"""What a second network gains over interpolation where a generator's pictures are enlarged.

    python benchmarks/gan_stages.py race/gan_projected.npy --pictures FOLDER --out FOLDER [--size 128]
        [--upscaler BUNDLE …] [--judge NAME|FILE]

The samples are those of a config with a smaller size that benchmarks/gan_race.py has trained, and FOLDER, size and
judge are that race's. They are enlarged by bicubic interpolation and by each network of train_upscaler, and scored as
there, so that nothing differs but the enlarging. So that it can be seen what the enlarging alone costs, the works
themselves, made as small and enlarged again, are scored too. FOLDER gets stages.csv, and stages.webp: 12 samples, a
row for each way.
"""

# ruff: noqa: E402 - TensorFlow's chatter is turned off before it is imported
import argparse
from pathlib import Path

from artray import console
from artray.console import quiet

quiet(verbose=False)

import numpy as np
from gan_race import ROW, Enlarge, Judge, enlarger, read_works, show, write_csv

from artray.gans.judges import judge_of
from artray.gans.scores import METRICS
from artray.images.digital_source import generated_by
from artray.images.encoding import webp
from artray.super_resolution.pairs import all_reduced

COLUMNS = ("config", *METRICS[:2], "kid_error", *METRICS[2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, help="NAME.npy of a race")
    parser.add_argument("--pictures", type=Path, required=True, help="the race's folder of pictures")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=128, help="the race's (default: 128)")
    parser.add_argument("--upscaler", action="append", default=[], metavar="BUNDLE", help="may be given several times")
    parser.add_argument("--judge", help="default: efficientnet-lite2")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    samples = np.load(options.samples)
    works = read_works(options.pictures, options.size)
    ways: dict[str, Enlarge] = {
        name or "interpolation": enlarger(name, options.size) for name in [None, *options.upscaler]
    }
    referee = judge_of(options.judge, ["projected"])
    judge = Judge(referee, works, len(samples))
    rows = [{"config": kind, **scores} for kind, scores in judge.beside.items()]
    small = all_reduced(works[: judge.n], options.size // samples.shape[1])
    shown = []
    for name, enlarge in ways.items():
        made = enlarge(samples)
        shown.append(np.concatenate(list(made[:ROW]), axis=1))
        rows.append({"config": name, **judge(judge.embed(made))})
        rows.append({"config": f"works, small, by {name}", **judge(judge.embed(enlarge(small)))})
        write_csv(options.out / "stages.csv", COLUMNS, rows)
        picture = np.concatenate(shown)
        (options.out / "stages.webp").write_bytes(webp([picture], 80, source=generated_by(options.samples.stem)))
    console.say("")
    show(rows, f"{judge.n} pictures against {judge.n}, judge {referee}")


if __name__ == "__main__":
    main()
