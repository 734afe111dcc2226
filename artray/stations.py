"""The stations, in the order of the walk: what `artray STATION …` and the scripts in `jobs/` run.

A station's module is imported when the station runs, not before: most of them load Ray, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple


class Station(NamedTuple):
    """One station.

    Attributes:
        module: Where it is.
        options: The name there of its options, an `artray.job.Options`.
        function: The name there of what takes them and returns the counts.
        summary: The first line of the options' docstring, to be known without importing the module.
        example: Flags of a usual call, those that are required among them.
    """

    module: str
    options: str
    function: str
    summary: str
    example: str


STATIONS = {
    "download": Station(
        "artray.download.station",
        "DownloadOptions",
        "download",
        "Fetch the pictures that a catalogue names by address.",
        "--catalog catalog.csv --out work/download",
    ),
    "ingest": Station(
        "artray.ingest.station",
        "IngestOptions",
        "ingest",
        "List the pictures of a collection, join its catalogue, write the manifest.",
        "--images scans --catalog catalog.csv --label style=style --split-by artist --out work/manifest",
    ),
    "sample-plan": Station(
        "artray.comparison.sample_plan",
        "PlanOptions",
        "sample_plan",
        "Say which works to label first: balanced over artists, decades or what else is known, and unlike each other.",
        "--manifest work/manifest --features work/features --works 50 --out work/plan",
    ),
    "agreement": Station(
        "artray.agreement.station",
        "AgreementOptions",
        "agreement",
        "Compare the labels that several people gave to the same works, and bring them together.",
        "--annotations annotations.csv --label emotion=emotion --out work/agreement",
    ),
    "prepare-backbone": Station(
        "artray.words.preparing",
        "PrepareOptions",
        "prepare_backbone",
        "Turn a preset of keras-hub into one .keras file, which machines without keras-hub can load.",
        "--preset siglip2_base_patch16_224 --out work/siglip2.keras",
    ),
    "extract-features": Station(
        "artray.features.station",
        "FeatureOptions",
        "extract_features",
        "Compute features of every picture of a manifest.",
        "--manifest work/manifest --out work/features",
    ),
    "make-patches": Station(
        "artray.patches.station",
        "PatchOptions",
        "make_patches",
        "Cut random squares from every picture of a manifest, as PNG in Parquet.",
        "--manifest work/manifest --out work/patches",
    ),
    "train": Station(
        "artray.classifiers.station",
        "TrainOptions",
        "train",
        "Train a classifier as a config says, on several workers, and evaluate it on works it never saw.",
        "--task style --data work/features --out work/model",
    ),
    "search": Station(
        "artray.classifiers.search",
        "SearchOptions",
        "search",
        "Train a config with every combination of some settings, on some seeds and splits, and rank them.",
        "--config lite0_head --data work/features --grid epochs=20,40 --out work/search",
    ),
    "prompt-model": Station(
        "artray.words.prompt_model",
        "PromptOptions",
        "prompt_model",
        "Make a classifier of a model that knows words and the classes' names; it needs no labelled works.",
        "--backbone siglip2_base_patch16_224 --prompts prompts.yaml --out work/prompted",
    ),
    "compare": Station(
        "artray.comparison.station",
        "CompareOptions",
        "compare",
        "Compare trained classifiers on the same works, and write figures, tables and text for a paper.",
        "--model work/model,work/other --manifest work/manifest --out work/comparison",
    ),
    "learning-curve": Station(
        "artray.comparison.learning_curve",
        "CurveOptions",
        "trace_learning_curve",
        "Train on ever more of the labelled works, and say what more of them would bring.",
        "--task style --data work/features --out work/curve",
    ),
    "export-model": Station(
        "artray.exports.station",
        "ExportOptions",
        "export_model",
        "Write a trained classifier as LiteRT, ONNX, OpenVINO and SavedModel, and compare each with the model.",
        "--model work/model --out work/exported",
    ),
    "train-gan": Station(
        "artray.report.gans.station",
        "TrainGanOptions",
        "train_gan_with_page",
        "Train a generator of pictures as a config says, score it, and write a page about it.",
        "--config gan_projected --data work/manifest --out work/gan",
    ),
    "sample-gan": Station(
        "artray.gans.sample_station",
        "SampleOptions",
        "sample_gan",
        "Write pictures of a trained generator as a collection with a manifest, which all other jobs read.",
        "--model work/gan --out work/generated",
    ),
    "compare-gans": Station(
        "artray.report.gans.station",
        "ComparisonOptions",
        "compare_gans_with_pages",
        "Train several GANs on the same works, and score all of them alike.",
        "--config gan_basic,gan_dcgan --data work/manifest --out work/gans",
    ),
    "gan-augmentation": Station(
        "artray.comparison.augmentation_study",
        "AugmentationOptions",
        "compare_augmentation",
        "Train a classifier without and with generated works, and compare on real works that nothing has seen.",
        "--config lite0_head --gan gan_dcgan --data work/features --out work/augmentation",
    ),
    "train-style": Station(
        "artray.style_transfer.training",
        "TrainStyleOptions",
        "train_style",
        "Train a network that paints pictures in one or several styles in one pass, as a config says.",
        "--config style_lite0 --data work/manifest --out work/stylizer",
    ),
    "transfer-style": Station(
        "artray.style_transfer.station",
        "TransferOptions",
        "transfer_style",
        "Paint a collection's pictures in the style of other works, judge the results, and write a page of them.",
        "--content work/manifest --style work/manifest --style-class style=Ukiyo-e --out work/styled",
    ),
    "train-upscaler": Station(
        "artray.super_resolution.station",
        "UpscalerOptions",
        "train_upscaler",
        "Train a network that enlarges pictures (super-resolution), and measure it beside interpolation.",
        "--config sr_edsr_x2 --data work/patches --out work/upscaler",
    ),
    "upscale": Station(
        "artray.super_resolution.upscaling",
        "UpscaleOptions",
        "upscale",
        "Enlarge the pictures of a manifest with an upscaler; they become a collection with a manifest of its own.",
        "--model work/upscaler --manifest work/manifest --out work/larger",
    ),
    "label-catalog": Station(
        "artray.labeling.station",
        "LabelOptions",
        "label_catalog",
        "Label every picture of a manifest with one or more model bundles; what is labelled already is kept.",
        "--manifest work/manifest --features work/features --model work/model --out work/labels",
    ),
    "report": Station(
        "artray.report.station",
        "ReportOptions",
        "report",
        "Write a page that shows every picture with its labels; it needs no server and no internet.",
        "--labels work/labels --features work/features --evaluation work/model --out page",
    ),
    "label-film": Station(
        "artray.film.station",
        "FilmOptions",
        "label_film",
        "Label films: each one's curve of every task's scores over its seconds, with its cuts, as page and Parquet.",
        "--films films --model work/model --out work/films",
    ),
    "estimate": Station(
        "artray.estimate",
        "EstimateOptions",
        "estimate",
        "Estimate how long a collection takes on which machines, and what it costs.",
        "--work label --pictures 500000",
    ),
    "demo": Station(
        "artray.demo",
        "DemoOptions",
        "demo",
        "Label the sample collection: 22 works by hand, 24 by code, two broken files.",
        "",
    ),
}


def run(name: str, argv: Sequence[str] | None = None, program: str | None = None) -> None:
    """Run a station as a command; see `artray.job.main`.

    Args:
        name: One of `STATIONS`.
        argv: The station's command line; default is the process's.
        program: What its help calls it; default is the script's name.
    """
    from artray.job import main

    station = STATIONS[name]
    module = import_module(station.module)
    main(getattr(module, station.options), getattr(module, station.function), argv, program, example=station.example)
