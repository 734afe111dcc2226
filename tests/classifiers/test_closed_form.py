from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import log_loss

from artray.bundles.classifier import load_bundle, load_model, read_evaluation, read_predictions
from artray.bundles.description import read_history
from artray.bundles.inputs import FeatureInput
from artray.classifiers.closed_form import ClosedFormTraining, fit, training_class
from artray.classifiers.config import read_config
from artray.classifiers.discriminant import SHRINKAGES
from artray.classifiers.examples import Examples
from artray.classifiers.loop import ClassifierTraining
from artray.errors import InputError
from artray.storage import Location

pytestmark = pytest.mark.slow  # TensorFlow takes its time to load

D, CLASSES = 30, 3


class Silent:
    """Nobody watches."""

    def epoch(self, metrics: dict) -> None:
        self.metrics = metrics


class InMemory:
    def __init__(self, values):
        self._values = values

    def follow(self, batches, share) -> None:
        pass

    def take(self, indices):
        return self._values[indices]


class Given(Examples):
    """Examples whose inputs need no Ray."""

    @property
    def inputs(self):
        return InMemory(self.blocks[0])


@pytest.fixture(scope="module")
def examples() -> Given:
    random = np.random.default_rng(0)
    labels = np.concatenate([np.arange(CLASSES), random.integers(0, CLASSES, 117)])
    part = np.array(["train"] * 60 + ["validation"] * 30 + ["test"] * 30)
    x = (random.normal(size=(CLASSES, D)) * 0.7)[labels] + random.normal(size=(120, D)) * random.uniform(0.5, 3, D)
    ids = [f"work-{number:03}" for number in range(120)]
    return Given(
        table=pa.table({"object_id": ids, "part": part.tolist()}),
        classes=["a", "b", "c"],
        targets=np.eye(CLASSES, dtype=np.float32)[labels],
        shape=(D,),
        blocks=[x.astype(np.float32)],
        place=np.stack([np.zeros(120, np.int64), np.arange(120)], axis=1),
        widths={"style_statistics": D},
        input=FeatureInput(features=[], columns=["style_statistics"], color_maps=None),
        dropped={"unreadable": 0},
    )


def training(examples: Examples, out: Path, **changes) -> ClosedFormTraining:
    config = read_config("lda", changes)
    x = examples.blocks[0][examples.part("train")]
    return ClosedFormTraining(
        config=config,
        examples=examples,
        standardize=(x.mean(axis=0).tolist(), x.var(axis=0).tolist()),
        out=Location.parse(str(out)),
        source="data",
    )


def test_the_bundle_is_the_best_of_scikit_learns(examples, tmp_path):
    fitted, told = training(examples, tmp_path), Silent()
    fit(fitted, told)
    x, labels = examples.blocks[0], examples.targets.argmax(axis=1)
    part = np.asarray(examples.table["part"])
    mean, variance = (np.array(values) for values in fitted.standardize)
    z = (x - mean) / np.sqrt(variance)
    (found,) = read_history(fitted.out)
    losses = {}
    for shrinkage in SHRINKAGES:
        oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
        oracle.fit(z[part == "train"], labels[part == "train"])
        logits = oracle.decision_function(z)
        seen, true = logits[part == "validation"], labels[part == "validation"]
        losses[shrinkage] = min(
            log_loss(true, np.exp(seen / t) / np.exp(seen / t).sum(axis=1, keepdims=True))
            for t in np.geomspace(0.1, 100, 400)
        )
        if shrinkage == found["shrinkage"]:
            best = logits
    assert losses[found["shrinkage"]] == pytest.approx(min(losses.values()), abs=2e-3)
    bundle = load_bundle(fitted.out)
    scores = load_model(fitted.out, bundle).predict_on_batch(x)
    np.testing.assert_array_equal(scores.argmax(axis=1), best.argmax(axis=1))
    # The scores are those of the oracle at one temperature.
    ratios = (np.log(scores) - np.log(scores[:, :1]))[:, 1:] / (best - best[:, :1])[:, 1:]
    np.testing.assert_allclose(ratios, ratios.mean(), rtol=1e-2)
    accuracy = (scores.argmax(axis=1) == labels)[part == "test"].mean()
    assert read_evaluation(fitted.out)["levels"]["artwork"]["accuracy"] == pytest.approx(accuracy, abs=1e-4)
    assert told.metrics["epoch"] == 1
    assert set(read_predictions(fitted.out)["part"].to_pylist()) >= {"validation", "test"}


def test_a_shrinkage_that_is_said(examples, tmp_path):
    said = training(examples, tmp_path, **{"model.shrinkage": "0.3"})
    fit(said, Silent())
    assert read_history(said.out)[0]["shrinkage"] == 0.3


def test_the_last_fit_on_all_parts_keeps_shrinkage_and_evaluation(examples, tmp_path):
    first = training(examples, tmp_path)
    fit(first, Silent())
    before, evaluation = load_bundle(first.out), read_evaluation(first.out)
    part = examples.table.column_names.index("part")
    everything = replace(
        examples, table=examples.table.set_column(part, "part", pa.array(["train"] * len(examples.table)))
    )
    fit(replace(first, examples=everything, refit=True), Silent())
    after = load_bundle(first.out)
    assert after.metrics["finalized"]
    assert after.model_sha != before.model_sha
    assert read_history(first.out)[0]["shrinkage"] in SHRINKAGES
    assert read_evaluation(first.out)["levels"] == evaluation["levels"]


def test_what_a_config_must_say(tmp_path):
    assert training_class(read_config("lda", {})) is ClosedFormTraining
    assert training_class(read_config("fusion", {})) is ClassifierTraining
    with pytest.raises(InputError, match="lda takes features"):
        training_class(read_config("lda", {"input": "pictures"}))
    with pytest.raises(InputError, match="lda gives a work one label"):
        training_class(read_config("lda", {"labels": "multilabel"}))
