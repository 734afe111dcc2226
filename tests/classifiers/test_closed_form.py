from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from artray.bundles.classifier import load_bundle, load_model, load_novelty, read_evaluation, read_predictions
from artray.bundles.description import read_history
from artray.bundles.inputs import FeatureInput
from artray.bundles.novelty import LIMIT
from artray.classifiers import closed_form
from artray.classifiers.closed_form import ClosedFormTraining, fit, others_told, training_class
from artray.classifiers.config import read_config
from artray.classifiers.discriminant import SHRINKAGES
from artray.classifiers.examples import Examples
from artray.classifiers.loop import ClassifierTraining
from artray.errors import InputError
from artray.estimators import DiscriminantClassifier, LinearMeanClassifier
from artray.storage import Location
from artray.vocabulary import Class

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

    @property
    def other_inputs(self):
        return InMemory(self.blocks[0][self.others[:, 1]] + np.float32(30))


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
        positions=np.stack([np.zeros(120, np.int64), np.arange(120)], axis=1),
        widths={"style_statistics": D},
        input=FeatureInput(features=[], columns=["style_statistics"], color_maps=None),
        dropped={"unreadable": 0},
        others=np.stack([np.zeros(25, np.int64), np.arange(25)], axis=1),
        others_table=pa.table(
            {
                "object_id": [f"other-{number:03}" for number in range(25)],
                "label": ["d"] * 25,
                "part": ["train"] * 15 + ["validation"] * 6 + ["test"] * 4,
            }
        ),
    )


def training(examples: Examples, out: Path, config: str = "lda", **changes) -> ClosedFormTraining:
    config = read_config(config, changes)
    x = examples.blocks[0][examples.part("train")]
    return ClosedFormTraining(
        config=config,
        examples=examples,
        standardize=(x.mean(axis=0).tolist(), x.var(axis=0).tolist()),
        out=Location.parse(str(out)),
        source="data",
    )


def test_the_bundle_is_scikit_learns_on_all_but_the_test_part(examples, tmp_path):
    fitted, told = training(examples, tmp_path), Silent()
    assert fitted.length == 90
    fit(fitted, told)
    x, labels = examples.blocks[0], examples.targets.argmax(axis=1)
    part = np.asarray(examples.table["part"])
    mean, variance = (np.array(values) for values in fitted.standardize)
    z = (x - mean) / np.sqrt(variance)
    (found,) = read_history(fitted.out)
    assert found["shrinkage"] in SHRINKAGES
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=found["shrinkage"])
    best = oracle.fit(z[part != "test"], labels[part != "test"]).decision_function(z)
    bundle = load_bundle(fitted.out)
    scores = load_model(fitted.out, bundle).predict_on_batch(x)
    np.testing.assert_array_equal(scores.argmax(axis=1), best.argmax(axis=1))
    # The scores are those of the oracle at one temperature.
    ratios = (np.log(scores) - np.log(scores[:, :1]))[:, 1:] / (best - best[:, :1])[:, 1:]
    np.testing.assert_allclose(ratios, ratios.mean(), rtol=1e-2)
    accuracy = (scores.argmax(axis=1) == labels)[part == "test"].mean()
    evaluation = read_evaluation(fitted.out)
    assert evaluation["levels"]["artwork"]["accuracy"] == pytest.approx(accuracy, abs=1e-4)
    assert told.metrics["epoch"] == 1
    # Each work that is learned from is judged by a classifier that has not seen it.
    predictions = read_predictions(fitted.out)
    counts = predictions.group_by("part").aggregate([("object_id", "count")]).to_pylist()
    assert {row["part"]: row["object_id_count"] for row in counts} == {"validation": 90, "test": 30}
    judged = predictions.filter(np.asarray(predictions["part"]) == "validation")
    seen = dict(zip(examples.table["object_id"].to_pylist(), scores.max(axis=1).tolist(), strict=True))
    unseen = [
        dict(row)[label] for row, label in zip(judged["scores"].to_pylist(), judged["label"].to_pylist(), strict=True)
    ]
    assert np.mean(unseen) < np.mean([seen[name] for name in judged["object_id"].to_pylist()])


@pytest.mark.parametrize("config", ["default", "lda"])
def test_of_a_fold_the_validation_part_is_not_learned_from(examples, tmp_path, config):
    changes = {"model.name": "logistic", "folds": "3", "columns": "[style_statistics]"}
    one = training(examples, tmp_path / "one", config=config, **changes)
    other = np.asarray(examples.table["part"]) == "validation"
    spoilt = replace(examples, targets=np.where(other[:, None], np.roll(examples.targets, 1, axis=1), examples.targets))
    two = replace(one, examples=spoilt, out=Location.parse(str(tmp_path / "two")))
    for each in (one, two):
        fit(each, Silent())
    first, second = (load_model(each.out, load_bundle(each.out)).get_weights() for each in (one, two))
    for weights, again in zip(first, second, strict=True):
        np.testing.assert_array_equal(weights, again)


def test_the_default_is_one_linear_layer_and_decides_by_share(examples, tmp_path):
    fitted = training(examples, tmp_path, config="default")
    fit(fitted, Silent())
    bundle = load_bundle(fitted.out)
    assert bundle.decision == "balanced"
    x, test = examples.blocks[0], np.asarray(examples.table["part"]) == "test"
    novelty = load_novelty(fitted.out, bundle)
    assert (novelty(x[test]) >= LIMIT).mean() == pytest.approx(read_evaluation(fitted.out)["novelty"]["lost"], abs=1e-4)
    assert (novelty(x[test]) >= LIMIT).mean() < 0.2
    assert (novelty(x[test] + 30) >= LIMIT).all()
    other = read_evaluation(fitted.out)["novelty"]["other"]
    assert (other["n"], other["found"], other["roc_auc"]) == (25, 1.0, 1.0)
    learned = replace(
        training(examples, tmp_path / "learned", config="lda", other="learn"), known={"b": Class("b", "http://b")}
    )
    fit(learned, Silent())
    other = read_evaluation(learned.out)["novelty"]["other"]
    assert (other["n"], other["found"]) == (4, 1.0)  # those of the test part
    assert [item.uri for item in load_bundle(learned.out).classes] == [None, "http://b", None]
    known = load_novelty(learned.out, load_bundle(learned.out))
    assert known.other_weights.shape == (D, CLASSES + 1)
    again = replace(fitted, refit=True)
    fit(again, Silent())
    assert load_novelty(again.out, load_bundle(again.out)) is not None
    shares = examples.targets[np.asarray(examples.table["part"]) != "test"].mean(axis=0)
    np.testing.assert_allclose(bundle.class_shares(), shares, atol=1e-6)
    (found,) = read_history(fitted.out)
    assert {"shrinkage", "middle_shrinkage", "penalty"} <= found.keys()
    model = load_model(fitted.out, load_bundle(fitted.out))  # the second fit's, whose file has a date of its own
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == (D + 1) * CLASSES
    scores = model.predict_on_batch(examples.blocks[0])
    predictions = read_predictions(fitted.out)
    tested = predictions.filter(np.asarray(predictions["part"]) == "test")
    expected = np.array(examples.classes)[(scores / shares).argmax(axis=1)][
        np.asarray(examples.table["part"]) == "test"
    ]
    assert tested["label"].to_pylist() == expected.tolist()
    artwork = read_evaluation(fitted.out)["levels"]["artwork"]
    assert artwork["kept"] is None or 0 <= artwork["kept"]["share"] <= 1


def test_the_mix_is_the_examples_own_though_classes_are_weighted(examples, tmp_path):
    """In a fold ensemble too, which would else decide for the likeliest label and take the scores for another mix's."""
    solved = training(examples, tmp_path, "default")
    learned = np.sort(np.concatenate([examples.part("train")[:40], examples.part("validation")]))
    expected = examples.targets[learned].mean(axis=0)
    assert solved.shares(learned) == pytest.approx(expected)
    given = {name: getattr(solved, name) for name in ("examples", "standardize", "out", "source")}
    stepped = ClassifierTraining(config=read_config("lite0_head", {"class_weights": "balanced"}), **given)
    assert stepped.shares(learned) == pytest.approx([1 / 3] * 3)


def test_it_is_said_from_how_many_works_of_other_labels_it_learns(examples, tmp_path):
    told = "other: learn: {} works have a label that is none of the classes"
    config = training(examples, tmp_path, other="learn").config
    assert others_told(config, examples) == told.format(21)
    of_a_fold = training(examples, tmp_path, other="learn", folds="3").config  # its validation part is not learned from
    assert others_told(of_a_fold, examples) == told.format(15) + ": too few to learn from"


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


def test_of_more_examples_than_memory_holds_all_are_learned_from(examples, tmp_path, monkeypatch):
    whole, streamed = (training(examples, tmp_path / name, config="default") for name in ("whole", "streamed"))
    fit(whole, Silent())
    monkeypatch.setattr(closed_form, "_IN_MEMORY", 0)
    monkeypatch.setattr(closed_form, "_BLOCK", 16)
    fit(streamed, Silent())
    one, other = (
        load_model(each.out, load_bundle(each.out)).predict_on_batch(examples.blocks[0]) for each in (whole, streamed)
    )
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_what_a_config_must_say(tmp_path):
    assert training_class(read_config("lda", {})) is ClosedFormTraining
    assert training_class(read_config("fusion", {})) is ClassifierTraining
    with pytest.raises(InputError, match="lda takes features"):
        training_class(read_config("lda", {"input": "pictures"}))
    with pytest.raises(InputError, match="class_weights: of logistic"):
        training_class(read_config("lda", {"model.name": "logistic", "class_weights": "{a: 2}"}))
    with pytest.raises(InputError, match="lda gives a work one label"):
        training_class(read_config("lda", {"labels": "multilabel"}))


@pytest.mark.parametrize(
    ("config", "estimator"),
    [
        ("lda", DiscriminantClassifier()),
        ("default", LinearMeanClassifier(widths={"style_statistics": D}, decision="balanced")),
    ],
)
def test_the_estimator_is_the_bundle(examples, tmp_path, config, estimator):
    """Of the same works scikit-learn's estimator says what the station's model does."""
    part = np.where(np.asarray(examples.table["part"]) == "test", "test", "train")
    table = examples.table.set_column(1, "part", pa.array(part.tolist()))
    told = training(replace(examples, table=table), tmp_path, config)
    fit(told, Silent())
    x, learned = examples.blocks[0], told.examples.part("train")
    names = np.array(examples.classes)[examples.targets.argmax(axis=1)]
    ids = np.array(examples.table["object_id"].to_pylist())
    estimator.fit(x[learned], names[learned], groups=ids[learned])
    out = Location.parse(tmp_path)
    bundle = load_bundle(out)
    assert estimator.strengths_ == {name: read_history(out)[0][name] for name in estimator.strengths_}
    expected = load_model(out, bundle).predict(x, verbose=0)
    np.testing.assert_allclose(estimator.predict_proba(x), expected, atol=2e-5)
    said = read_predictions(out).to_pylist()
    by_id = dict(zip(ids.tolist(), estimator.predict(x).tolist(), strict=True))
    tested = [row for row in said if row["part"] == "test"]
    assert [row["label"] for row in tested] == [by_id[row["object_id"]] for row in tested]
