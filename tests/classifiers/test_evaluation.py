import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from artray.bundles.thresholds import class_thresholds, doubt_of
from artray.classifiers.baseline import Baseline
from artray.classifiers.calibration import sigmoid, softmax
from artray.classifiers.evaluation import evaluation_of, true_classes
from artray.classifiers.metrics import evaluate

CLASSES = ["oil", "ink", "print"]
ABOUT = {"task": "technique", "labels": "one"}
PARTS = ["train", "validation", "test"]


def test_true_classes_of_soft_targets():
    targets = np.array([[0.2, 0.5, 0.3], [1, 0, 0]], np.float32)
    assert true_classes(targets, multilabel=False).tolist() == [1, 0]
    assert true_classes(targets, multilabel=True).tolist() == [[0, 1, 0], [1, 0, 0]]


def experiment(works=90, patches=1, labels="one", seed=0):
    """What an evaluation looks at of examples, and logits that are right more often than not."""
    rng = np.random.default_rng(seed)
    ids = [f"w{row:03}" for row in range(works)]
    if labels == "multilabel":
        targets = rng.integers(0, 2, (works, 3)).astype(np.float32)
    else:
        targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, works)]
    targets = np.repeat(targets, patches, axis=0)
    table = pa.table(
        {
            "object_id": np.repeat(ids, patches).tolist(),
            "image_uri": [f"/scans/{name}.jpg" for name in np.repeat(ids, patches)],
            "part": [PARTS[row // patches % 3] for row in range(works * patches)],
        }
    )
    examples = SimpleNamespace(
        table=table,
        classes=CLASSES,
        targets=targets,
        part=lambda name: np.flatnonzero(np.asarray(table["part"]) == name),
    )
    logits = 3 * (2 * targets - 1 + 1.5 * rng.normal(size=targets.shape))
    return examples, logits


@pytest.mark.parametrize("labels", ["one", "soft", "multilabel"])
@pytest.mark.parametrize("patches", [1, 4])
def test_an_evaluation(labels, patches):
    examples, logits = experiment(patches=patches, labels=labels)
    evaluation, predictions = evaluation_of(examples, logits, 2.0, task="technique", labels=labels)
    assert json.loads(json.dumps(evaluation, allow_nan=False)) == json.loads(json.dumps(evaluation))
    link = sigmoid if labels == "multilabel" else softmax
    frame = pd.DataFrame(link(logits / 2)).groupby(examples.table["object_id"].to_pandas()).mean()
    true = true_classes(examples.targets, labels == "multilabel")[::patches]
    test = np.arange(90) % 3 == 2
    level = evaluation["levels"]["artwork"]
    chosen = np.arange(90) % 3 == 1
    told = 0.5
    if labels == "multilabel":
        told = class_thresholds(true[chosen], frame.to_numpy()[chosen])
        assert (told != 0.5).any()
        assert evaluation["thresholds"] == pytest.approx(dict(zip(CLASSES, told, strict=True)))
    else:
        assert evaluation["thresholds"] is None
    expected = evaluate(true[test], frame.to_numpy()[test], CLASSES, told)
    assert {name: level[name] for name in expected if name != "per_class"} == {
        name: value for name, value in expected.items() if name != "per_class"
    }
    assert evaluation["majority_share"] == level["majority_share"] == level["majority"]["accuracy"]
    assert level["majority"]["macro"]["roc_auc"] == 0.5
    assert level["baseline"] is None
    assert level["expected_calibration_error"] == evaluation["calibration"]["artwork"]["after"]["ece"]
    assert level["uncalibrated"] == evaluation["calibration"]["artwork"]["before"]["ece"]
    for name in ("accuracy", "balanced_accuracy"):
        assert level["intervals"][name][0] <= level[name] <= level["intervals"][name][1]
    for values in level["per_class"].values():
        assert values["intervals"]["f1"][0] <= values["f1"] <= values["intervals"]["f1"][1]
    assert evaluation["validation"]["artwork"]["accuracy"] == pytest.approx(
        evaluate(true[chosen], frame.to_numpy()[chosen], CLASSES, told)["accuracy"]
    )
    assert ("patch" in evaluation["levels"]) == (patches > 1)
    assert predictions["object_id"].to_pylist() == frame.index.tolist()
    assert predictions["image_uri"].to_pylist() == [f"/scans/{name}.jpg" for name in frame.index]
    scores = np.array([[dict(row)[name] for name in CLASSES] for row in predictions["scores"].to_pylist()])
    assert np.allclose(scores, frame.to_numpy(), atol=1e-6)
    if labels == "multilabel":
        assert predictions["true"].to_pylist()[0] == [CLASSES[k] for k in np.flatnonzero(true[0])]
        assert predictions["label"].to_pylist() == [
            [CLASSES[k] for k in np.flatnonzero(row)] for row in frame.to_numpy() >= told
        ]
    else:
        assert predictions["true"].to_pylist() == [CLASSES[k] for k in true]
        assert predictions["label"].to_pylist() == [CLASSES[k] for k in frame.to_numpy().argmax(axis=1)]


def test_a_baseline_stands_beside_every_number_whatever_its_order_of_works():
    examples, logits = experiment()
    ids = examples.table["object_id"].to_pylist()
    order = np.random.default_rng(1).permutation(90)
    scores = softmax(2 * logits)
    baseline = Baseline(["embedding"], 0.1, [ids[row] for row in order], scores[order])
    evaluation, _ = evaluation_of(examples, logits, 1.0, **ABOUT, baseline=baseline)
    level = evaluation["levels"]["artwork"]
    # The same classes win: the counts are the model's own, the log loss is not.
    assert level["baseline"]["columns"] == ["embedding"]
    for name in ("accuracy", "balanced_accuracy"):
        assert level["baseline"][name] == level[name]
    assert level["baseline"]["log_loss"] != level["log_loss"]
    assert level["baseline"]["per_class"].keys() == level["per_class"].keys()


def test_a_class_absent_from_the_test_part_is_null():
    examples, logits = experiment()
    test = examples.part("test")
    examples.targets[test] = np.eye(3)[np.zeros(len(test), int)]
    examples.targets[test[0]] = [0, 1, 0]
    evaluation, _ = evaluation_of(examples, logits, 1.0, **ABOUT)
    json.dumps(evaluation, allow_nan=False)
    absent = evaluation["levels"]["artwork"]["per_class"]["print"]
    assert absent["support"] == 0
    assert absent["roc_auc"] is absent["average_precision"] is None
    assert evaluation["curves"]["artwork"]["print"] == {"roc": None, "precision_recall": None}
    assert evaluation["curves"]["artwork"]["oil"]["roc"][0] == (0, 0)


def test_an_empty_validation_part_is_null():
    examples, logits = experiment()
    part = ["train" if name == "validation" else name for name in examples.table["part"].to_pylist()]
    examples.table = examples.table.set_column(2, "part", [part])
    evaluation, _ = evaluation_of(examples, logits, 1.0, **ABOUT)
    assert evaluation["validation"] is None


@pytest.mark.parametrize("labels", ["one", "multilabel"])
def test_a_model_that_learned_nothing_is_doubted_and_one_that_did_is_not(labels):
    examples, logits = experiment(works=300, labels=labels)
    good, _ = evaluation_of(examples, logits, 1.0, task="technique", labels=labels)
    assert doubt_of(good["levels"]) is None
    guessed = np.random.default_rng(0).permutation(logits)
    bad, _ = evaluation_of(examples, guessed, 1.0, task="technique", labels=labels)
    assert "all its labels are uncertain" in doubt_of(bad["levels"])


def test_the_regression_beside_a_model_of_several_labels_has_thresholds_of_its_own():
    examples, logits = experiment(works=300, labels="multilabel")
    ids = examples.table["object_id"].to_pylist()
    # The same order of works by scores that are far too low.
    baseline = Baseline(["embedding"], 0.1, ids, sigmoid(logits) / 4)
    evaluation, _ = evaluation_of(examples, logits, 1.0, task="technique", labels="multilabel", baseline=baseline)
    level = evaluation["levels"]["artwork"]
    assert level["baseline"]["macro"]["f1"] == level["macro"]["f1"] > 0.7
