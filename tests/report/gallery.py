"""A page of two dozen works with all that a curator may be told of them: two models, the catalogue, queues, a test."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from artray.labeling.contract import Models
from artray.report.overview import Overview
from artray.report.page import Queue, write_page
from artray.report.works import Label, Work

STYLES = ["Cubism", "Fauvism", "Rococo"]
COUNT = 24


def said(i: int, model: int) -> str:
    """What a model says of a work: the second errs where the first doesn't."""
    truth = STYLES[i % 3]
    return STYLES[(i + 1) % 3] if i % 6 == 3 * model else truth


def make_work(i: int) -> Work:
    """Works 0 to 7 are what the models learned from."""
    labels = {}
    for model, task in enumerate(("style", "style_2")):
        label, score = said(i, model), 0.5 + 0.02 * i
        scores = {name: score if name == label else (1 - score) / 2 for name in STYLES}
        labels[task] = Label(label, score, scores, None, f"m{model}", learned_from=i < 8)
    address = "https://iiif.example/iiif/2/w/info.json" if i == 9 else ""
    return Work(
        f"w{i:02}",
        f"/museum/w{i:02}.jpg",
        labels=labels,
        record={"title": f"Work {i}", "artist": "Rosa Bonheur", "style": STYLES[i % 3], "image_service": address},
        thumbnail="thumbs/0.png",
        zoom="thumbs/1.png" if i == 9 else None,
        maps={"style": "thumbs/1.png"} if i == 9 else {},
    )


def write_gallery(folder: Path, language: str = "en") -> str:
    """Write the page; its address."""
    (folder / "thumbs").mkdir()
    for i, side in enumerate((40, 160)):
        Image.new("RGB", (side, side), (200, 90, 60)).save(folder / "thumbs" / f"{i}.png")
    works = [make_work(i) for i in range(COUNT)]
    ids = [work.object_id for work in works]
    tested = range(8, COUNT)
    predictions = pa.table(
        {
            "object_id": [ids[i] for i in tested],
            "true": [STYLES[i % 3] for i in tested],
            "label": [said(i, 0) for i in tested],
            "scores": pa.array(
                [list(works[i].labels["style"].scores.items()) for i in tested], pa.map_(pa.string(), pa.float32())
            ),
        }
    )
    confusion = [[0, 0, 0] for _ in STYLES]
    for i in tested:
        confusion[i % 3][STYLES.index(said(i, 0))] += 1
    right = sum(confusion[i][i] for i in range(3)) / len(tested)
    level = {
        "n": len(tested),
        "accuracy": right,
        "balanced_accuracy": right,
        "confusion": confusion,
        "intervals": {"accuracy": [0.6, 0.95], "balanced_accuracy": [0.6, 0.95]},
        "majority": {"per_class": {name: {"recall": float(name == "Rococo")} for name in STYLES}},
    }
    evaluation = {
        "task": "style",
        "model_id": "m0",
        "classes": STYLES,
        "majority_share": 0.34,
        "levels": {"artwork": level},
        "predictions": predictions,
    }
    around = (np.arange(COUNT)[:, None] + np.arange(1, 4)) % COUNT
    turn = 2 * np.pi * np.arange(COUNT) / COUNT
    positions = (0.5 + 0.5 * np.stack([np.cos(turn), np.sin(turn)], 1)).astype(np.float32)
    overview = Overview(ids, around.astype(np.int32), np.full((COUNT, 3), 0.8, np.float32), positions)
    page = write_page(
        folder,
        works,
        [evaluation],
        {"title": "Two dozen", "run": "run 1"},
        models=Models({"m0": 0.6}, targets={"m0": "style", "m1": "style"}),
        overview=overview,
        queues=[
            Queue(
                "differs",
                "style",
                ["w12", "w18", "gone"],
                ["Rococo", "Fauvism", "x"],
                [0.9, 0.8, 0.7],
                [None, "w13", None],
            )
        ],
        language=language,
    )
    return page.as_uri()
