import numpy as np
import pyarrow as pa
import pytest

from artray.bundles.classifier import Bundle, BundleClass
from artray.classifiers.evaluation import predictions_table
from artray.images.decoding import DECODE_VERSION
from artray.labeling.decisions import abstention_under, decide, estimate_prior, reweighted

SHARES = np.array([0.6, 0.3, 0.1])


def collection(n, mix, apart=1.5, seed=0):
    """Works of three classes whose posteriors are known: a number each, normal about the class's own place."""
    rng = np.random.default_rng(seed)
    true = rng.choice(3, n, p=mix)
    places = apart * np.eye(3)
    x = places[true] + rng.normal(size=(n, 3))
    logits = x @ places.T - 0.5 * apart**2 + np.log(SHARES)
    scores = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True), true


def bundle(decision="likely", shares=SHARES, **metrics):
    names = ["a", "b", "c"]
    return Bundle(
        model_id="style-1",
        task="style",
        target="style",
        classes=[BundleClass(name=name) for name in names],
        input={"kind": "pictures", "size": 8},
        decode_version=DECODE_VERSION,
        temperature=1.0,
        model_sha="0",
        data={},
        config={},
        metrics=metrics,
        versions={},
        created_at="2026-01-01T00:00:00+00:00",
        decision=decision,
        shares=dict(zip(names, shares.tolist(), strict=True)),
    )


@pytest.mark.parametrize("mix", [[0.1, 0.3, 0.6], [0.34, 0.33, 0.33], [0.6, 0.3, 0.1], [0.9, 0.09, 0.01]])
def test_a_shift_that_is_known_is_found(mix):
    scores, _ = collection(4000, mix)
    found = estimate_prior(scores, SHARES)
    assert found.is_sure
    np.testing.assert_allclose(found.shares, mix, atol=0.03)
    assert found.error < 0.03


def test_the_standard_error_is_that_of_many_collections():
    estimates = [estimate_prior(collection(300, [0.2, 0.3, 0.5], seed=seed)[0], SHARES) for seed in range(40)]
    spread = np.std([each.shares for each in estimates], axis=0).max()
    assert np.mean([each.error for each in estimates]) == pytest.approx(spread, rel=0.35)


@pytest.mark.parametrize("apart", [0.0, 0.05])
def test_scores_that_hardly_depend_on_the_picture_tell_no_mix(apart):
    assert not estimate_prior(collection(1000, [0.1, 0.3, 0.6], apart=apart)[0], SHARES).is_sure


def test_few_works_tell_no_mix():
    assert not estimate_prior(collection(30, [0.1, 0.3, 0.6], apart=9)[0], SHARES).is_sure
    assert not estimate_prior(np.zeros((0, 3)), SHARES).is_sure


def test_scores_under_another_mix_are_probabilities_there():
    mix = np.array([0.1, 0.3, 0.6])
    scores, true = collection(20_000, mix)
    moved = reweighted(scores, SHARES, mix)
    np.testing.assert_allclose(moved.sum(axis=1), 1)
    best = moved.max(axis=1)
    for low in (0.4, 0.6, 0.8):
        some = (best >= low) & (best < low + 0.2)
        assert (moved.argmax(axis=1) == true)[some].mean() == pytest.approx(best[some].mean(), abs=0.03)
    assert np.abs(scores.max(axis=1).mean() - (scores.argmax(axis=1) == true).mean()) > 0.05


def test_balanced_is_the_same_label_under_every_mix_and_its_score_is_that_labels():
    scores, _ = collection(50, SHARES)
    plain = decide(scores, "balanced", shares=SHARES)
    even = decide(scores, "balanced", shares=SHARES, prior=np.full(3, 1 / 3))
    np.testing.assert_array_equal(plain.label, even.label)
    np.testing.assert_array_equal(even.label, even.scores.argmax(axis=1))
    np.testing.assert_allclose(plain.score, scores[np.arange(50), plain.label])
    likely = decide(scores)
    np.testing.assert_array_equal(likely.label, scores.argmax(axis=1))
    assert (likely.label != plain.label).any()


def test_novelty_says_which_works_are_of_none_of_the_classes():
    scores, _ = collection(4, SHARES)
    assert decide(scores).novel is None
    assert decide(scores, novelty=np.array([0, 0.94, 0.95, 1])).novel.tolist() == [False, False, True, True]


@pytest.mark.parametrize("decision", ["likely", "balanced"])
def test_the_threshold_under_another_mix_is_that_of_such_a_collection(decision):
    scores, true = collection(4000, SHARES, apart=2.0)
    table = pa.table({"object_id": [str(number) for number in range(4000)], "part": ["validation"] * 4000})
    predictions = predictions_table(table, true, scores, ["a", "b", "c"])
    mix = np.array([0.2, 0.3, 0.5])
    found = abstention_under(predictions, bundle(decision), mix)
    there, right = collection(6000, mix, apart=2.0, seed=1)
    said = decide(there, decision, shares=SHARES, prior=mix)
    kept = said.score >= found["threshold"]
    assert (said.label == right)[kept].mean() >= 0.89
    assert kept.mean() == pytest.approx(found["coverage"], abs=0.06)
    assert 500 < found["n"] < 900  # as many as the new mix has of the rarest class


def test_a_bundle_without_shares_knows_no_other_mix():
    known = bundle().model_copy(update={"shares": {}})
    predictions = pa.table({"part": ["validation"], "true": ["a"]})
    assert abstention_under(predictions, known, SHARES) is None
