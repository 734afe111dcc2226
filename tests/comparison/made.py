"""Bundles that are nothing but what they said: no network is trained, and none is needed."""

import json

import numpy as np
import pyarrow as pa

from artray.bundles.classifier import BUNDLE, EVALUATION, PREDICTIONS, Bundle, BundleClass
from artray.classifiers.evaluation import predictions_table
from artray.images.decoding import DECODE_VERSION
from artray.storage import Location

CLASSES = ("landscape", "portrait", "still life")


def described(task="genre", classes=CLASSES, **changes):
    values = {
        "model_id": f"{task}-0123456789ab",
        "task": task,
        "target": task,
        "classes": [BundleClass(name=name) for name in classes],
        "input": {"kind": "pictures", "size": 8},
        "decode_version": DECODE_VERSION,
        "temperature": 1.5,
        "model_sha": "0" * 64,
        "data": {
            "train": 60,
            "validation": 20,
            "test": 40,
            "dropped": {"unlabelled": 7, "unreadable": 1},
            "source": "s",
        },
        "config": {"model": {"name": "lda"}, "seed": 0},
        "metrics": {},
        "versions": {"artray": "0.1.0", "keras": "3.15.1", "tensorflow": "2.21.0"},
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    return Bundle.model_validate(values | changes)


def scores_of(true, classes, skill, seed):
    """Scores that are right about as often as `skill`."""
    chance = np.random.default_rng(seed)
    scores = chance.dirichlet(np.ones(classes), len(true))
    known = chance.random(len(true)) < skill
    scores[known] = 0.3 * scores[known] + 0.7 * np.eye(classes)[true[known]]
    return scores


def write_model(
    place,
    *,
    skill=0.7,
    seed=0,
    works=40,
    per_group=2,
    part="test",
    true=None,
    ids=None,
    scores=None,
    learned=(),
    classes=CLASSES,
    **changes,
):
    """A bundle without its network, in the folder `place`.

    Args:
        learned: Works of its training part.
    """
    chance = np.random.default_rng(99)
    multilabel = changes.get("labels") == "multilabel"
    if true is None:
        true = chance.integers(0, len(classes), works)
        if multilabel:
            true = (chance.random((works, len(classes))) < 0.4).astype(np.int64)
    if scores is None:
        scores = (
            np.clip(true * 0.5 + np.random.default_rng(seed).random(true.shape) * 0.7, 0, 1)
            if multilabel
            else scores_of(true, len(classes), skill, seed)
        )
    ids = [f"w{number:03d}" for number in range(len(true))] if ids is None else list(ids)
    table = pa.table(
        {
            "object_id": [*ids, *learned],
            "image_uri": [f"/nowhere/{name}.jpg" for name in [*ids, *learned]],
            "group": [f"g{number // per_group:03d}" for number in range(len(ids))] + ["learned"] * len(learned),
            "part": [part] * len(ids) + ["train"] * len(learned),
        }
    )
    every = np.concatenate([true, true[: len(learned)]])
    told = np.concatenate([scores, scores[: len(learned)]])
    out = Location.parse(place)
    (out / PREDICTIONS).write_table(predictions_table(table, every, told, classes))
    (out / EVALUATION).write_json({"task": "genre", "levels": {}, "validation": None})
    (out / BUNDLE).write_bytes(json.dumps(json.loads(described(classes=classes, **changes).model_dump_json())).encode())
    return str(place)
