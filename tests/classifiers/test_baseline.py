import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression as Oracle
from sklearn.metrics import log_loss as sklearn_loss

from artray.bundles.inputs import FeatureInput
from artray.classifiers import baseline
from artray.classifiers.baseline import PENALTIES, choose, fit_baseline
from artray.classifiers.examples import Examples
from artray.classifiers.logistic import balanced_weights
from artray.storage import Location, list_column


def blobs(n, d, classes, seed=0, spread=0.3):
    """Features of mean 0 and a length of about 1, and the classes they come from."""
    rng = np.random.default_rng(seed)
    true = np.append(np.arange(classes), rng.integers(0, classes, n - classes))
    x = rng.normal(size=(n, d)) * rng.uniform(0.1, 3, d) + spread * rng.normal(size=(classes, d))[true]
    return (x - x.mean(axis=0)) / x.std(axis=0) / d**0.5, true


@pytest.mark.slow
def test_choose_takes_the_penalty_of_the_lowest_validation_loss():
    x, true = blobs(300, 40, 3, spread=0.2)
    targets = np.eye(3)[true]
    part = np.arange(300) % 3
    chosen = choose(x * 7 + 3, targets, part == 0, part == 1)  # scale and place of the features don't matter
    penalty, scores = chosen.penalty, chosen.scores(x * 7 + 3)
    again = choose(x, targets, part == 0, part == 1)
    assert penalty == again.penalty
    assert np.allclose(scores, again.scores(x), atol=1e-4)
    standard = (x - x[part == 0].mean(axis=0)) / x[part == 0].std(axis=0) / 40**0.5
    losses = []
    for candidate in PENALTIES.tolist():
        oracle = Oracle(C=1 / (100 * candidate), tol=1e-8, max_iter=5_000, class_weight="balanced")
        oracle.fit(standard[part == 0], true[part == 0])
        counts = balanced_weights(np.bincount(true[part == 0]))[true[part == 1]]
        losses.append(sklearn_loss(true[part == 1], oracle.predict_proba(standard[part == 1]), sample_weight=counts))
    assert penalty == PENALTIES[int(np.argmin(losses))]
    assert sklearn_loss(true[part == 1], scores[part == 1], sample_weight=counts) == pytest.approx(
        min(losses), abs=1e-3
    )
    assert (scores[part == 2].argmax(axis=1) == true[part == 2]).mean() > 0.6


def test_constant_features_and_faultless_classes_are_no_trouble():
    x = np.column_stack([np.ones(30), np.arange(30) >= 15, np.zeros(30)]).astype(float)
    targets = np.eye(2)[(np.arange(30) >= 15).astype(int)]
    even = np.arange(30) % 2 == 0
    scores = choose(x, targets, even, ~even).scores(x)
    assert np.isfinite(scores).all()
    assert (scores.argmax(axis=1) == targets.argmax(axis=1)).all()


def test_noise_gives_about_as_much_to_each_class():
    rng = np.random.default_rng(0)
    true = (rng.random(400) < 0.25).astype(int)
    x = rng.normal(size=(400, 200))
    scores = choose(x, np.eye(2)[true], np.arange(400) < 200, np.arange(400) >= 200).scores(x)
    assert np.abs(scores[200:] - 0.5).mean() < 0.1


def test_of_many_works_some_are_learned_from_and_all_are_judged(tmp_path, monkeypatch):
    """Rows of a table in another order than the examples, some of them of other works, or unreadable."""
    x, true = blobs(120, 4, 2, spread=2.0)
    part = np.array(["train", "validation", "test"])[np.arange(120) % 3]
    table = pa.table({"object_id": [f"w{row:03d}" for row in range(120)], "part": part})
    examples = Examples(
        table=table,
        classes=["a", "b"],
        targets=np.eye(2, dtype=np.float32)[true],
        shape=(4,),
        blocks=[],
        positions=np.zeros((120, 2), np.int64),
        widths={},
        input=FeatureInput(features=[], columns=["embedding"]),
        dropped={},
    )
    order = np.random.default_rng(3).permutation(120)
    ids = [*(f"w{row:03d}" for row in order), "other", "w000"]
    columns = {"object_id": ids, "status": ["ok"] * 121 + ["missing"], "embedding": list_column(x[[*order, 0, 0]])}
    features = Location.parse(tmp_path / "features")
    (features / "part-000000.parquet").write_table(pa.table(columns), 50)
    whole = fit_baseline(examples, features, ["embedding"])
    assert whole.about().keys() == {"name", "columns", "penalty"}
    monkeypatch.setattr(baseline, "_MOST", 30)
    some = fit_baseline(examples, features, ["embedding"])
    assert some.about()["learned"] == 30
    assert whole.object_ids == some.object_ids == table["object_id"].to_pylist()
    right = [(fitted.scores.argmax(axis=1) == true)[part == "test"].mean() for fitted in (whole, some)]
    assert right[1] >= right[0] - 0.1 > 0.7


def test_a_rare_class_counts_as_much_as_a_common_one():
    x, true = blobs(400, 6, 2, spread=0.5)
    rare = (true == 0) | (np.arange(400) % 8 == 0)
    x, true = x[rare], true[rare]
    part = np.arange(len(x)) % 2 == 0
    said = choose(x, np.eye(2)[true], part, ~part).scores(x).argmax(axis=1)
    recall = [(said[~part & (true == label)] == label).mean() for label in range(2)]
    assert abs(recall[0] - recall[1]) < 0.2


def test_with_fewer_works_than_features_the_classifier_is_the_same():
    x, true = blobs(40, 90, 3)
    part = np.arange(40) < 30
    few = choose(x, np.eye(3)[true], part, ~part)
    seen = (x[part] - few.mean) / few.scale
    oracle = Oracle(C=1 / (30 * few.penalty), tol=1e-8, max_iter=5_000, class_weight="balanced").fit(seen, true[part])
    assert np.allclose(few.scores(x), oracle.predict_proba((x - few.mean) / few.scale), atol=5e-3)
