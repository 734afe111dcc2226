"""Kill each job at random moments, run the same command again, and look whether its output is that of a calm run.

    python -m tests.tools.kill_jobs [--kills 3] [--jobs ingest,label_film,agreement] [--pictures 200] [--seed 0]

Each job is run as its users run it, with a Ray of its own: first undisturbed, then, for each kill, into an empty place
until a moment drawn evenly from the undisturbed run's life. Then its process is killed (-9), or in every second turn
ended by SIGTERM as a scheduler does it, and the same command is run again. It must end with 0, say the same counts, and
leave the same rows and files, pictures and text byte for byte; the files of the killed run's own must be gone.
A job that SIGTERM ends may say one line, and no stack. Prints a table, and ends with status 1 if anything was wrong.

For trainings see `kill_training`, for the published labels at the moment of a kill `kill_labelling`. Jobs that are made
of these (search, compare_gans, gan_augmentation), and those that only reckon for seconds (compare, estimate), are left
out.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from artray import console
from artray.storage import Location, digest
from tests.agreement.made import NAMES, simulated
from tests.download.museum_server import MuseumServer, picture, reply
from tests.exports.test_station import write_predictions
from tests.film.making import make_film, scenes, write_colour_bundle
from tests.gans.bundles import write_generator
from tests.labeling.bundles import write_bundle, write_pictures
from tests.style_transfer.making import write_network
from tests.super_resolution.bundles import write_upscaler

ROOT = Path(__file__).parents[2]
BROKEN = 3
PATIENCE = 600
CHANGING = {
    *("change", "run_id", "labeled_at", "model_id", "seconds", "out", "resumed", "started_at", "finished_at"),
    "taken_at",
    "version",  # of a file that the job wrote, its time
}
"""Columns and counts in which two runs may differ; `change` after a kill when the manifest was already there."""


@dataclass(frozen=True)
class Case:
    """A job: its options but `--out`, and the tables that it leaves below its place."""

    options: list[str]
    tables: list[str]
    same: tuple[str, ...] = ()
    """Patterns of files that must be the same byte for byte."""


class Undisturbed:
    """What a calm run of a job came to."""

    def __init__(self, name: str, case: Case, out: Path):
        begun = time.monotonic()
        done = run(name, case, out)
        self.seconds = time.monotonic() - begun
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr[-2000:]}")
        self.counts, self.rows, self.files = told(done), rows_of(case, out), names(out)
        self.digests = digests(case, out)


def command(name: str, case: Case, out: Path) -> list[str]:
    return [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *case.options, "--out", str(out)]


def run(name: str, case: Case, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(name, case, out), capture_output=True, text=True, timeout=PATIENCE)


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The counts that a job's last line says."""
    counts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {name: value for name, value in counts.items() if name in ("rows", "ok", "failed", "statuses", "matched")}


def rows_of(case: Case, out: Path) -> dict[str, list[str]]:
    """Each table's rows as text, in order."""
    found = {}
    for name in case.tables:
        table: pa.Table = Location.parse(f"{out}/{name}".rstrip("/")).dataset().to_table()
        kept = [column for column in table.column_names if column not in CHANGING]
        rows = (json.dumps(row, default=repr, sort_keys=True) for row in table.select(kept).to_pylist())
        found[name] = sorted(row.replace(f"{out}/", "OUT/") for row in rows)
    return found


def digests(case: Case, out: Path) -> dict[str, str]:
    """The files that a job makes the same each time."""
    files = [file for pattern in case.same for file in out.glob(pattern)]
    return {file.relative_to(out).as_posix(): digest(file.read_bytes()) for file in files}


def names(out: Path) -> set[str]:
    """The files below a place, but for those whose names hold a run's."""
    files = (file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file())
    return {name for name in files if "_runs/" not in name}


def cases(folder: Path, museum: MuseumServer, pictures: int) -> dict[str, Case]:
    """The jobs, each with an input of its own that a calm run of those before it has made."""
    paths = write_pictures(folder / "pictures", pictures, broken=BROKEN)
    with (folder / "works.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "file", "title", "image_url"])
        for number, (name, path) in enumerate(paths.items()):
            url = museum.add(f"/{number}.jpg", reply(picture(number)))
            writer.writerow([name, Path(path).name, f"Work {number}", url])
    bundles = [write_bundle(f"{folder}/model-{kind}", kind, kind) for kind in ("pictures", "features")]
    manifest, features, labels = (f"{folder}/{name}" for name in ("manifest", "features", "labels"))
    write_generator(f"{folder}/generator", ["calm", "storm"])
    (folder / "films").mkdir()
    for number in range(4):
        path = folder / "films" / f"{number}{('.mp4', '.mkv')[number % 2]}"
        make_film(path, scenes(["red", "green", "blue"], 5 + number), 15 + 3 * number)
    (folder / "films" / "text.mp4").write_bytes(b"no film")
    colours = write_colour_bundle(folder / "colours")
    write_upscaler(Location.parse(folder / "upscaler"))
    network = write_network(folder / "network.keras")
    write_predictions(bundles[0], paths, [f"pictures {number}" for number in range(3)])
    with (folder / "people.csv").open("w", newline="") as file:
        csv.writer(file).writerows([NAMES, *simulated(10 * pictures, [0.9, 0.8, 0.7, 0.2])[0]])
    catalog = ["--catalog", f"{folder}/works.csv"]
    return {
        "ingest": Case(["--images", f"{folder}/pictures", *catalog, "--id-column", "id"], [""]),
        "download": Case([*catalog, "--allow-private", "--rate", "500", "--id-column", "id"], ["downloads"]),
        "extract_features": Case(["--manifest", manifest, "--features", "brightness,texture,palette"], [""]),
        "make_patches": Case(["--manifest", manifest, "--per-image", "2", "--size", "16"], [""]),
        "label_catalog": Case(
            ["--manifest", manifest, *(part for uri in bundles for part in ("--model", uri))], ["task=pictures"]
        ),
        "report": Case(["--labels", labels, "--features", features], []),
        "sample_gan": Case(
            ["--model", f"{folder}/generator", "--count", str(3 * pictures)], ["manifest"], ("pictures/*/*.png",)
        ),
        "upscale": Case(
            ["--model", f"{folder}/upscaler", "--manifest", manifest], ["manifest"], ("pictures/**/*.png",)
        ),
        "transfer_style": Case(
            [
                *("--content", manifest, "--style", next(iter(paths.values())), "--backbone", network),
                *("--size", "32", "--steps", "20", "--scales", "1", "--measure", "off"),
            ],
            ["manifest"],  # pixels may differ by rounding in another company
        ),
        "export_model": Case(["--model", bundles[0], "--forms", "saved_model,litert,onnx", "--works", "40"], []),
        "label_film": Case(
            ["--films", f"{folder}/films", "--model", str(colours), "--smooth", "0", "--every", "0.5"],
            ["films.parquet", "seconds.parquet", "manifest", "labels/task=colour"],
            ("frames/*/*.jpg", "films/*.svg"),
        ),
        "agreement": Case(
            ["--annotations", f"{folder}/people.csv", "--object", NAMES[0], "--label", f"emotion={NAMES[2]}"],
            ["consensus.parquet", "errors.parquet"],
            ("*.csv",),
        ),
    }


PLACES = {"ingest": "manifest", "extract_features": "features", "label_catalog": "labels"}
"""Where the calm run of a job lies that others read."""


def with_needed(wanted: list[str], every: dict[str, Case], folder: Path) -> set[str]:
    """The jobs that are wanted, and those whose output they read."""
    chosen = set(wanted)
    for name in reversed(every):
        read = {option for other in chosen for option in every[other].options}
        if name in PLACES and str(folder / PLACES[name]) in read:
            chosen.add(name)
    return chosen


def disturb(name: str, case: Case, out: Path, moment: float, sign: signal.Signals) -> str:
    """Run a job until a moment; what was wrong with its end."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command(name, case, out), stdout=subprocess.DEVNULL, stderr=errors)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(sign)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return f"still there a minute after {sign.name}"
        else:
            return ""  # it was done before
        errors.seek(0)
        text = errors.read()
    return "a stack after SIGTERM" if sign == signal.SIGTERM and ("Traceback" in text or "*** " in text) else ""


def kill(name: str, case: Case, calm: Undisturbed, folder: Path, chance: random.Random, turn: int) -> list[str]:
    """One kill, and the run after it: signal, moment, what was left by the kill, what came out."""
    out = folder / f"{name}-{turn}"
    sign = signal.SIGTERM if turn % 2 else signal.SIGKILL
    moment = chance.uniform(0.2, calm.seconds)
    wrong = [disturb(name, case, out, moment, sign)]
    left = len(names(out)) if out.exists() else 0
    done = run(name, case, out)
    if done.returncode:
        wrong.append(f"status {done.returncode}: {done.stderr.strip().splitlines()[-1][:200]}")
    else:
        if told(done) != calm.counts:
            wrong.append(f"said {told(done)} instead of {calm.counts}")
        for table, rows in rows_of(case, out).items():
            if rows != calm.rows[table]:
                odd = sorted({*rows} ^ {*calm.rows[table]})
                wrong.append(f"other rows: {len(rows)} for {len(calm.rows[table])}, such as {odd[:1]}"[:600])
        if names(out) != calm.files:
            odd = sorted(names(out) ^ calm.files)
            wrong.append(f"other files: {', '.join(odd[:3])}")
        if changed := [name for name, found in digests(case, out).items() if calm.digests.get(name) != found]:
            wrong.append(f"files with other content: {', '.join(sorted(changed)[:3])}")
    shutil.rmtree(out, ignore_errors=True)
    return [sign.name, f"{moment:.1f} of {calm.seconds:.1f} s", f"{left} files", "; ".join(filter(None, wrong)) or "ok"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=3, help="of each job")
    parser.add_argument("--jobs", help="names, with commas; default: all")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    chance = random.Random(options.seed)
    table: list[list[str]] = []
    with tempfile.TemporaryDirectory() as place, MuseumServer() as museum:
        folder = Path(place)
        every = cases(folder, museum, options.pictures)
        wanted = options.jobs.split(",") if options.jobs else list(every)
        chosen = with_needed(wanted, every, folder)
        for name, case in every.items():
            if name not in chosen:
                continue
            calm = Undisturbed(name, case, folder / PLACES.get(name, f"{name}-calm"))
            for turn in range(options.kills if name in wanted else 0):
                table.append([name, *kill(name, case, calm, folder, chance, turn)])
                console.say(" · ".join(table[-1]))
    console.table("jobs killed and run again", ["job", "by", "at", "left", "then"], table)
    bad = sum(row[-1] != "ok" for row in table)
    console.say(f"{len(table)} kills, {bad} wrong")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
