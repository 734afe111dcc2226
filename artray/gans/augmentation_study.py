"""Do generated works help a classifier (D7)? It is trained without and with them, and judged on real works alone.

A conditional generator learns from the training part, so no validation or test work is anywhere in what it makes. Its
pictures join the training part with the label they were asked for; validation and test part stay as they are. Each
share is trained once a seed, and a smaller share's pictures are the first of a larger one's.

With `real` below 100 generator and classifiers learn from some of the real training part only: of each label the share,
one work at least, those of a smaller share among those of a larger one. The test part stays whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from artray import console
from artray.bundles.classifier import read_evaluation
from artray.bundles.generator import load_generator_bundle
from artray.catalogs.targets import encode_targets
from artray.classifiers.config import TrainConfig, read_config
from artray.classifiers.evaluation import metric
from artray.classifiers.search import SearchOptions, searches
from artray.errors import InputError
from artray.features.specs import trusted_spec
from artray.features.station import compute_features
from artray.gans.embeddings import class_counts, training_works
from artray.gans.sampling import sample
from artray.gans.station import GanOptions, train_gan
from artray.job import Counts, Options
from artray.storage import RUN, Location, digest, keep_apart, refuse_other_job
from artray.storage.passes import read_run

RESULTS = "augmentation.json"
METRICS = ("accuracy", "balanced_accuracy", "macro_f1")


class AugmentationOptions(Options):
    """Train a classifier without and with generated works, and compare on real works that nothing has seen."""

    config: str = Field(description="the classifier: a packaged config's name, or a file", examples=["NAME|FILE"])
    gan: str = Field(description="the GAN, which learns the classifier's labels: likewise", examples=["NAME|FILE"])
    data: Location = Field(description="feature table or manifest, as the classifier's `input` says", examples=["URI"])
    out: Location = Field(description="folder or s3:// prefix for all that is made, and the table", examples=["URI"])
    task: str | None = Field(
        None,
        description="the classifier learns this task: the column of that name, which the labels are called by too; "
        "default: its config's `task` and `target`",
        examples=["NAME"],
    )
    shares: list[float] = Field(
        [0, 25, 50, 100],
        min_length=1,
        description="generated works added, in percent of the training part",
        examples=["N,N"],
    )
    real: float = Field(
        100,
        gt=0,
        le=100,
        description="how much of the real training part all of them learn from, in percent, by label: what generated "
        "works do where there are few real ones",
        examples=["N"],
    )
    seeds: list[int] = Field([0, 1, 2], min_length=2, description="of the classifiers", examples=["N,N"])
    set: dict[str, str] = Field({}, description="change a key of the classifier's config", examples=["KEY=VALUE"])
    set_gan: dict[str, str] = Field({}, description="change a key of the GAN's config", examples=["KEY=VALUE"])
    detector: Location | None = Field(
        None, description="a detector as in extract_features, where the feature table has objects", examples=["DIR"]
    )
    workers: int = Field(1, ge=1, description="processes that share each batch of the GAN")
    gpus_per_worker: int = Field(0, ge=0, description="GPUs of each worker, and of each classifier")

    @field_validator("shares")
    @classmethod
    def _are_shares(cls, shares: list[float]) -> list[float]:
        if not all(0 <= share <= 1000 for share in shares):
            raise ValueError("must be percentages from 0 to 1000, such as 0,25,50,100")
        return sorted(set(shares))


def compare_augmentation(options: AugmentationOptions) -> Counts:
    """Train the generator, then the classifier with each share of its works, and write `augmentation.json`.

    Run again, it does what is missing.

    Raises:
        InputError: A config or the data can't be used.
        ArtrayError: Training failed.
    """
    config = _checked(options)
    out = options.out
    for place in (out, *(out / name for name in ("data", "generated"))):
        keep_apart(place, {}, {"--data": options.data})
        refuse_other_job(place, "augmentation")
    _refuse_other_works(out / RESULTS, options)
    data = options.data
    if options.real < 100:
        # A place for each share: what a generator learned from must stay where another share is asked for by mistake.
        options = options.model_copy(update={"data": out / "real" / f"{options.real:g}"})
        _write(_fewer(data.dataset().to_table(), str(config.target), options.real), config, data, options.data)
    generator = out / "gan"
    console.heading("the generator, from the training part alone")
    names = [] if config.classes is None else [("classes", json.dumps(config.classes))]
    train_gan(
        GanOptions(
            config=options.gan,
            data=options.data,
            out=generator,
            set={**options.set_gan, "target": json.dumps(config.target), **dict(names)},
            workers=options.workers,
            gpus_per_worker=options.gpus_per_worker,
        )
    )
    bundle = load_generator_bundle(generator)
    works = training_works(options.data, config.target, bundle.classes)
    counts = [math.floor(share / 100 * len(works) + 0.5) for share in options.shares]
    generated = out / "generated"
    table = None
    if max(counts):
        console.heading("its pictures")
        sample(generator, generated, max(counts), shares=class_counts(works, bundle), overwrite=True)
        table = _as_data(options, config, generated)
    asked = []
    for share, count in zip(options.shares, counts, strict=True):
        place = out / "data" / f"{share:g}"
        _write_data(options, config, None if table is None else table.slice(0, count), place)
        asked.append(
            SearchOptions(
                config=options.config,
                data=[place],
                out=out / "classifiers" / f"{share:g}",
                seeds=options.seeds,
                set=options.set,
                task=options.task,
                show_test=True,
                gpus_per_worker=options.gpus_per_worker,
            )
        )
    told = ", ".join(f"{count} ({share:g} %)" for share, count in zip(options.shares, counts, strict=True))
    console.heading(f"the classifiers, with {told} generated works beside {len(works)} of the training part")
    rows = [
        {"share": share, "generated": count, **_metrics(Location(searched["out"]))}
        for share, count, searched in zip(options.shares, counts, searches(asked, out / "classifiers"), strict=True)
    ]
    results = {
        "works": len(works),
        "real": options.real,
        "seeds": options.seeds,
        "generator": bundle.model_id,
        "rows": rows,
    }
    (out / RESULTS).write_json(results)
    _show(rows, len(works), len(options.seeds))
    return {
        "rows": len(rows),
        "ok": len(rows),
        "failed": 0,
        "out": str(out),
        "works": len(works),
        "majority_share": rows[0]["majority_share"],
        "balanced_accuracy": {f"{row['share']:g}": row["balanced_accuracy"] for row in rows},
    }


def _refuse_other_works(results: Location, options: AugmentationOptions) -> None:
    """Say what is there before the generator is asked for, which would speak of flags that this job hasn't."""
    before = results.read_json().get("real", 100) if results.exists() else options.real
    if before != options.real:
        raise InputError(
            f"--out {options.out}: is of {before:g} % of the real works; give another, or --real {before:g}"
        )


def _checked(options: AugmentationOptions) -> TrainConfig:
    config = read_config(options.config, options.set, options.task)
    if config.input == "patches":
        raise InputError(f"{options.config}: input: patches: generated works are pictures; give features or pictures")
    if config.labels != "one" or config.folds is not None:
        raise InputError(f"{options.config}: needs labels: one, and no folds")
    if config.input == "features":
        _specs(options)
    return config


def _specs(options: AugmentationOptions) -> list[dict[str, Any]]:
    """The features of the data, to be computed of the generated works too."""
    specs = read_run(options.data)["arguments"]["features"]
    return [trusted_spec(spec, options.detector, options.data) for spec in specs]


def _as_data(options: AugmentationOptions, config: TrainConfig, generated: Location) -> pa.Table:
    """The generated works as rows of the classifier's data, in the order in which they are added."""
    manifest = generated / "manifest"
    if config.input == "pictures":
        return manifest.dataset().to_table().sort_by("image_uri")
    features = generated / "features"
    compute_features(manifest, features, _specs(options), overwrite=True)
    return features.dataset().to_table().sort_by("image_uri")


def _write_data(options: AugmentationOptions, config: TrainConfig, generated: pa.Table | None, out: Location) -> None:
    """The data with generated works added to the training part."""
    real = options.data.dataset()
    table = real.to_table()
    if generated is not None:
        columns = [
            generated[field.name].cast(field.type)
            if field.name in generated.column_names
            else pa.nulls(len(generated), field.type)
            for field in table.schema
        ]
        table = pa.concat_tables([table, pa.table(columns, schema=table.schema)])
    _write(table, config, options.data, out)


def _fewer(table: pa.Table, target: str, percent: float) -> pa.Table:
    """The table with a share of each label's rows of the training part; the other parts stay."""
    labels = encode_targets(table[target], "one", target).main()
    left_out = np.zeros(len(table), bool)
    training = np.asarray(pc.fill_null(pc.equal(table["split"], "train"), False))
    # A work's place in the order is its own: more works of the catalogue, or another share, don't change it.
    order = np.argsort([digest(str(name).encode()) for name in table["object_id"].to_pylist()], kind="stable")
    for label in np.unique(labels[training]):
        rows = order[(training & (labels == label))[order]]
        left_out[rows[math.ceil(percent * len(rows) / 100) :]] = True
    return table.filter(pa.array(~left_out))


def _write(table: pa.Table, config: TrainConfig, source: Location, out: Location) -> None:
    """Data for the classifiers, unless they are there already."""
    place = out / "part-000000.parquet"
    if place.exists():
        before = out.dataset()
        if before.schema.equals(table.schema) and before.to_table().equals(table):
            return  # a file written anew would be other data, to be trained on anew
    if config.input == "features":  # first: once the table is there, nothing more is written
        (out / RUN).write_bytes(json.dumps(read_run(source)).encode())
    place.write_table(table)


def _metrics(out: Location) -> dict[str, Any]:
    """Mean and spread over the seeds of the classifiers of a search, and of the regression beside them."""
    (row,) = (out / "results.parquet").dataset().to_table().to_pylist()
    levels = [read_evaluation(Location(run))["levels"]["artwork"] for run in row["runs"]]
    metrics: dict[str, Any] = {"majority_share": levels[0]["majority_share"], "test": levels[0]["n"]}
    for name in METRICS:
        metrics[name] = _spread([metric(level, name) for level in levels])
        if all(level["baseline"] for level in levels):
            metrics[f"regression_{name}"] = metric(levels[0]["baseline"], name)  # the same for every seed
    return metrics


def _spread(values: Sequence[float | None]) -> dict[str, float]:
    numbers = [value or 0.0 for value in values]
    return {"mean": round(float(np.mean(numbers)), 4), "spread": round(float(np.std(numbers, ddof=1)), 4)}


def _show(rows: Sequence[Mapping[str, Any]], works: int, seeds: int) -> None:
    regression = all(f"regression_{METRICS[0]}" in row for row in rows)
    header = ["generated", "works", *(name.replace("_", " ") for name in METRICS)]
    header += ["logistic regression, balanced"] if regression else []
    lines = []
    for row in rows:
        line = [f"{row['share']:g} %", f"{works} + {row['generated']}"]
        line += [f"{row[name]['mean']:.3f} ± {row[name]['spread']:.3f}" for name in METRICS]
        line += [f"{row['regression_balanced_accuracy']:.3f}"] if regression else []
        lines.append(line)
    share, test = rows[0]["majority_share"], rows[0]["test"]
    title = f"{test} test works, all real; mean ± spread over {seeds} seeds; always the same label: {share:.3f}"
    console.table(title, header, lines)
