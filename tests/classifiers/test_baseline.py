import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression as Oracle
from sklearn.multiclass import OneVsRestClassifier

from artray.bundles.inputs import FeatureInput
from artray.classifiers import baseline
from artray.classifiers.baseline import PENALTIES, LogisticRegression, choose, fit_baseline
from artray.classifiers.calibration import log_loss, softmax
from artray.classifiers.examples import Examples
from artray.storage import Location, list_column


def blobs(n, d, classes, seed=0, spread=0.3):
    """Features of mean 0 and a length of about 1, and the classes they come from."""
    rng = np.random.default_rng(seed)
    true = np.append(np.arange(classes), rng.integers(0, classes, n - classes))
    x = rng.normal(size=(n, d)) * rng.uniform(0.1, 3, d) + spread * rng.normal(size=(classes, d))[true]
    return (x - x.mean(axis=0)) / x.std(axis=0) / d**0.5, true


def objective(x, targets, weights, bias, penalty, multilabel=False):
    logits = x @ weights + bias
    if multilabel:
        loss = (np.logaddexp(0, logits) - targets * logits).sum(axis=1).mean()
    else:
        loss = (np.logaddexp.reduce(logits, axis=1) - (targets * logits).sum(axis=1)).mean()
    return loss + penalty / 2 * (weights**2).sum()


@settings(max_examples=25, deadline=None)
@given(
    st.integers(20, 200), st.integers(2, 300), st.integers(2, 6), st.sampled_from(PENALTIES.tolist()), st.integers(0, 9)
)
@pytest.mark.slow
def test_the_minimum_is_scikit_learns(n, d, classes, penalty, seed):
    x, true = blobs(n, d, classes, seed)
    targets = np.eye(classes)[true]
    weights, bias = LogisticRegression(x, targets).fit(penalty)
    found = objective(x, targets, weights, bias, penalty)
    oracle = Oracle(C=1 / (n * penalty), tol=1e-8, max_iter=5_000).fit(x, true)
    if classes == 2:  # scikit-learn has one weight vector for two classes; ours are plus and minus half of it
        oracle = Oracle(C=2 / (n * penalty), tol=1e-8, max_iter=5_000).fit(x, true)
        best = (
            np.stack([-oracle.coef_[0], oracle.coef_[0]], axis=1) / 2,
            np.append(-oracle.intercept_, oracle.intercept_) / 2,
        )
    else:
        best = oracle.coef_.T, oracle.intercept_
    assert found == pytest.approx(objective(x, targets, *best, penalty), abs=1e-4)


def test_several_classes_are_fitted_one_against_the_rest():
    x, true = blobs(150, 20, 3)
    targets = np.eye(3)[true]
    targets[::4, 0] = 1
    weights, bias = LogisticRegression(x, targets, multilabel=True).fit(1e-3)
    oracle = OneVsRestClassifier(Oracle(C=1 / (150 * 1e-3), tol=1e-8, max_iter=5_000)).fit(x, targets)
    expected = np.stack([item.coef_[0] for item in oracle.estimators_], axis=1)
    intercepts = np.array([item.intercept_[0] for item in oracle.estimators_])
    best = objective(x, targets, expected, intercepts, 1e-3, multilabel=True)
    assert objective(x, targets, weights, bias, 1e-3, multilabel=True) == pytest.approx(best, abs=1e-4)


def test_a_path_of_penalties_ends_where_a_single_fit_does():
    x, true = blobs(100, 30, 3)
    targets = np.eye(3)[true]
    path = LogisticRegression(x, targets)
    for penalty in PENALTIES[:7].tolist():
        found = path.fit(penalty)
    alone = LogisticRegression(x, targets).fit(float(PENALTIES[6]))
    assert np.allclose(found[0], alone[0], atol=1e-3)


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
        oracle = Oracle(C=1 / (100 * candidate), tol=1e-8, max_iter=5_000).fit(standard[part == 0], true[part == 0])
        losses.append(log_loss(true[part == 1], oracle.predict_proba(standard[part == 1])))
    assert penalty == PENALTIES[int(np.argmin(losses))]
    assert log_loss(true[part == 1], scores[part == 1]) == pytest.approx(min(losses), abs=1e-3)
    assert (scores[part == 2].argmax(axis=1) == true[part == 2]).mean() > 0.6


def test_constant_features_and_faultless_classes_are_no_trouble():
    x = np.column_stack([np.ones(30), np.arange(30) >= 15, np.zeros(30)]).astype(float)
    targets = np.eye(2)[(np.arange(30) >= 15).astype(int)]
    even = np.arange(30) % 2 == 0
    scores = choose(x, targets, even, ~even).scores(x)
    assert np.isfinite(scores).all()
    assert (scores.argmax(axis=1) == targets.argmax(axis=1)).all()


def test_noise_gives_about_the_shares_of_the_classes():
    rng = np.random.default_rng(0)
    true = (rng.random(400) < 0.25).astype(int)
    x = rng.normal(size=(400, 200))
    scores = choose(x, np.eye(2)[true], np.arange(400) < 200, np.arange(400) >= 200).scores(x)
    assert log_loss(true[200:], scores[200:]) <= log_loss(true[200:], softmax(np.zeros((200, 2))))


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
        place=np.zeros((120, 2), np.int64),
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
