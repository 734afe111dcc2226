"""Study 002 on real pictures: were they made by hand or by code? The whole walk on the sample collection.

This is also the shortest example of how the stations follow each other: every line of `demo` is one of them, called
with the options that its flags would give.
"""

from pathlib import Path

from pydantic import Field

from artray import console
from artray.classifiers.station import TrainOptions, train
from artray.features.options import FeatureOptions
from artray.features.station import extract_features
from artray.ingest.options import IngestOptions
from artray.ingest.station import ingest
from artray.job import Counts, Options
from artray.labeling.station import LabelOptions, label_catalog
from artray.patches.station import PatchOptions, make_patches
from artray.report.station import ReportOptions, report
from artray.sample.collection import write_sample


class DemoOptions(Options):
    """Label the sample collection: 22 works by hand, 24 by code, two broken files."""

    out: str = Field("demo-out", description="folder for everything the demo makes", examples=["DIR"])
    workers: int = Field(2, ge=1, description="training workers")
    seed: int = Field(0, ge=0, description="of the split, the patches and the training")


def demo(options: DemoOptions) -> Counts:
    """Sample collection to page, station by station."""
    out = Path(options.out).absolute()
    seed = options.seed

    _step("1 of 6", "the sample collection and its manifest")
    catalog = write_sample(out / "collection")
    ingest(
        IngestOptions(
            images=f"{out}/collection",
            catalog=str(catalog),
            out=f"{out}/manifest",
            label={"medium": "medium"},
            split_by=["family"],  # an artist's works, or an algorithm's, are all on one side
            split={"train": 0.5, "validation": 0.2, "test": 0.3},
            seed=seed,
        )
    )

    _step("2 of 6", "features: palette, brightness and the embedding of EfficientNet-Lite0")
    extract_features(FeatureOptions(manifest=f"{out}/manifest", out=f"{out}/features"))

    _step("3 of 6", "patches: twenty squares from each picture")
    make_patches(PatchOptions(manifest=f"{out}/manifest", out=f"{out}/patches", size=128, per_image=20, seed=seed))

    _step("4 of 6", "two models, trained on a part of the artists and algorithms")
    models = [f"{out}/models/head", f"{out}/models/vgg"]
    trained = [
        train(
            TrainOptions(
                config=config,
                data=f"{out}/{data}",
                out=model,
                workers=options.workers,
                set={"seed": str(seed), "task": task, "target": "medium"},
            )
        )
        for config, task, data, model in [
            ("default", "hand_or_code", "features", models[0]),
            ("hand_or_code_vgg", "hand_or_code_vgg", "patches", models[1]),
        ]
    ]

    _step("5 of 6", "labels for the whole collection")
    counts = label_catalog(LabelOptions(manifest=f"{out}/manifest", model=models, out=f"{out}/labels"))

    _step("6 of 6", "the page")
    page = report(
        ReportOptions(
            labels=f"{out}/labels",
            features=f"{out}/features",
            evaluation=models,
            out=f"{out}/page",
            title="Hand or code? The sample collection",
        )
    )
    return {
        "rows": counts["rows"],
        "ok": counts["ok"],
        "failed": counts["failed"],
        "majority_share": trained[0]["majority_share"],
        "head": trained[0]["levels"],
        "vgg": trained[1]["levels"],
        "out": str(out),
        "page": page["page"],
    }


def _step(number: str, what: str) -> None:
    console.heading(f"{number}  {what}")
