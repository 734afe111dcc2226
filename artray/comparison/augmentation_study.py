"""Do generated works help a classifier (D7)? It is trained without and with them, and judged on real works alone.

A conditional generator learns from the training part, so no validation or test work is anywhere in what it makes. Its
pictures join the training part with the label they were asked for; validation and test part stay as they are. Each
share is trained once a seed, and a smaller share's pictures are the first of a larger one's. Of several generators each
has its own classifiers.

OUT/augmentation.html    the page, with samples in OUT/augmentation/
OUT/augmentation.json    all figures
OUT/gan, OUT/generated, OUT/data/SHARE, OUT/classifiers/SHARE
                         a generator, its pictures, what the classifiers learn from, and these
OUT/generators/SEED/     all this of one of several generators

With `real` below 100 generator and classifiers learn from some of the real training part only: of each label the share,
one work at least, those of a smaller share among those of a larger one. The test part stays whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from artray import console
from artray.bundles.generator import load_generator_bundle
from artray.catalogs.targets import encode_targets
from artray.classifiers.config import TrainConfig, read_config
from artray.classifiers.search import SearchOptions, searches
from artray.comparison.augmentation_page import augmentation_page, table_of, told_of
from artray.comparison.augmentation_results import Trained, rows_of
from artray.errors import ArtrayError, InputError
from artray.features.specs import trusted_spec
from artray.features.station import compute_features
from artray.gans.embeddings import class_counts, training_works
from artray.gans.sampling import sample
from artray.gans.station import GanOptions, train_gan, train_gans
from artray.job import Counts, Options
from artray.storage import RUN, Location, digest, keep_apart, refuse_other_job
from artray.storage.passes import read_run

RESULTS = "augmentation.json"
GENERATOR = "gan"


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
    gan_seeds: list[int] = Field(
        [],
        description="train a generator on each of these seeds, and classifiers with the works of each, so that "
        "intervals say what another generator might do; default: one, of its config's seed",
        examples=["N,N"],
    )
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
    """Train the generators, then the classifier with each share of their works; write `augmentation.json` and the page.

    Run again, it does what is missing.

    Raises:
        InputError: A config or the data can't be used.
        ArtrayError: Training failed.
    """
    config = _checked(options)
    out = options.out
    generators = _generators(options)
    for folder in (out, *(each / name for each in (out, *generators.values()) for name in ("data", "generated"))):
        keep_apart(folder, {}, {"--data": options.data})
        refuse_other_job(folder, "augmentation")
    _refuse_other_works(out / RESULTS, options)
    data = options.data
    if options.real < 100:
        # A place for each share: what a generator learned from must stay where another share is asked for by mistake.
        options = options.model_copy(update={"data": out / "real" / f"{options.real:g}"})
        _write(_fewer(data.dataset().to_table(), str(config.target), options.real), config, data, options.data)
    _train_generators(options, config, generators)
    bundles = [load_generator_bundle(folder / GENERATOR) for folder in generators.values()]
    works = training_works(options.data, config.target, bundles[0].classes)
    counts = [math.floor(share / 100 * len(works) + 0.5) for share in options.shares]
    tables: list[pa.Table | None] = [None] * len(generators)
    if max(counts):
        console.heading("generated works")
        for at, (folder, bundle) in enumerate(zip(generators.values(), bundles, strict=True)):
            generated = folder / "generated"
            sample(folder / GENERATOR, generated, max(counts), shares=class_counts(works, bundle), overwrite=True)
            tables[at] = _as_data(options, config, generated)
    asked: dict[float, list[SearchOptions]] = {}
    for share, count in zip(options.shares, counts, strict=True):
        # Without generated works it doesn't matter whose they are.
        several = list(zip(generators.values(), tables, strict=True)) if count else [(out, None)]
        asked[share] = []
        for folder, table in several:
            data_folder = folder / "data" / f"{share:g}"
            _write_data(options, config, None if table is None else table.slice(0, count), data_folder)
            asked[share].append(_search(options, data_folder, folder / "classifiers" / f"{share:g}"))
    told = ", ".join(f"{count} ({share:g} %)" for share, count in zip(options.shares, counts, strict=True))
    console.heading(f"the classifiers, with {told} generated works beside {len(works)} of the training part")
    searches([one for several in asked.values() for one in several], out / "classifiers")
    trained = [
        Trained(share, count, [_runs(one.out) for one in asked[share]])
        for share, count in zip(options.shares, counts, strict=True)
    ]
    rows = rows_of(trained)
    results = {
        "works": len(works),
        "real": options.real,
        "seeds": options.seeds,
        "gan_seeds": options.gan_seeds,
        "generator": bundles[0].model_id,
        "rows": rows,
    }
    (out / RESULTS).write_json(results)
    page = augmentation_page(out, results, {seed: folder / GENERATOR for seed, folder in generators.items()})
    _show(results)
    console.say(f"open {page}")
    return {
        "rows": len(rows),
        "ok": len(rows),
        "failed": 0,
        "out": str(out),
        "works": len(works),
        "majority_share": rows[0]["majority_share"],
        "balanced_accuracy": {f"{row['share']:g}": row["balanced_accuracy"] for row in rows},
        "difference": {
            f"{row['share']:g}": row["difference"]["balanced_accuracy"] for row in rows if row.get("difference")
        },
    }


def _generators(options: AugmentationOptions) -> dict[int | None, Location]:
    """Where each generator and all that comes of it lies, by its seed; None: the config's own."""
    if not options.gan_seeds:
        return {None: options.out}
    return {seed: options.out / "generators" / str(seed) for seed in options.gan_seeds}


def _train_generators(
    options: AugmentationOptions, config: TrainConfig, generators: Mapping[int | None, Location]
) -> None:
    told = "generator" if len(generators) == 1 else f"{len(generators)} generators"
    console.heading(f"the {told}, from the training part alone")
    own_settings = {"target": json.dumps(config.target)}
    if config.classes is not None:
        own_settings["classes"] = json.dumps(config.classes)
    asked = {
        seed: GanOptions(
            config=options.gan,
            data=options.data,
            out=folder / GENERATOR,
            set={**options.set_gan, **own_settings, **({} if seed is None else {"seed": str(seed)})},
            workers=options.workers,
            gpus_per_worker=options.gpus_per_worker,
        )
        for seed, folder in generators.items()
    }
    if None in asked:
        train_gan(asked[None])
        return
    failed = train_gans([(f"seed {seed}", one) for seed, one in asked.items()], options.out / "generators")
    if failed:
        raise ArtrayError("; ".join(f"{folder}: {error}" for folder, error in failed.items()))


def _search(options: AugmentationOptions, data: Location, out: Location) -> SearchOptions:
    """The classifiers of one share, one a seed."""
    return SearchOptions(
        config=options.config,
        data=[data],
        out=out,
        seeds=options.seeds,
        set=options.set,
        task=options.task,
        show_test=True,
        gpus_per_worker=options.gpus_per_worker,
    )


def _runs(searched: Location) -> list[Location]:
    """The classifiers of a search with one combination, one a seed."""
    (row,) = (searched / "results.parquet").dataset().to_table().to_pylist()
    if row.get("error"):
        raise ArtrayError(f"{searched}: not all classifiers could be trained: {row['error']}")
    return [Location.parse(run) for run in row["runs"]]


def _refuse_other_works(results: Location, options: AugmentationOptions) -> None:
    """Say what is there before the generator is asked for, which would speak of flags that this job hasn't."""
    earlier = results.read_json() if results.exists() else {}
    before = earlier.get("real", 100 if earlier else options.real)
    if before != options.real:
        raise InputError(
            f"--out {options.out}: is of {before:g} % of the real works; give another, or --real {before:g}"
        )
    if earlier and bool(earlier.get("gan_seeds")) != bool(options.gan_seeds):
        seeds = ",".join(map(str, earlier.get("gan_seeds") or []))
        raise InputError(
            f"--out {options.out}: is of {f'generators of the seeds {seeds}' if seeds else 'one generator'}; give "
            f"another, or {f'--gan-seeds {seeds}' if seeds else 'leave out --gan-seeds'}"
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
    part_file = out / "part-000000.parquet"
    if part_file.exists():
        before = out.dataset()
        if before.schema.equals(table.schema) and before.to_table().equals(table):
            return  # a file written anew would be other data, to be trained on anew
    if config.input == "features":  # first: once the table is there, nothing more is written
        (out / RUN).write_bytes(json.dumps(read_run(source)).encode())
    part_file.write_table(table)


def _show(results: Mapping[str, Any]) -> None:
    title = f"{told_of(results)}; always the same label: {results['rows'][0]['majority_share']:.3f}"
    console.table(title, *table_of(results))
