import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from artray.classifiers.feature_inputs import all_columns
from artray.classifiers.out_of_fold import LDA, LDA_MIDDLE, LOGISTIC, Folds, coordinates, drawn, fold_numbers
from artray.features.options import FeatureOptions, requested_specs


def artists(number=24, works=6, classes=3, d=40, seed=0):
    """Works of artists, each of whom has a class and a hand of their own."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(number) % classes, works)
    hand = np.repeat(rng.normal(size=(number, d)), works, axis=0)
    x = 0.3 * rng.normal(size=(classes, d))[label] + hand + rng.normal(size=(number * works, d)) * 0.3
    groups = np.repeat([f"artist-{one}" for one in range(number)], works).tolist()
    return (x - x.mean(axis=0)) / x.std(axis=0), np.eye(classes)[label], groups


@pytest.mark.parametrize("family", [LDA, LOGISTIC])
def test_scores_are_of_classifiers_that_have_not_seen_the_artist(family):
    x, targets, groups = artists()
    found = Folds(x, targets, groups).choose(family, slice(0, 40))
    assert found.strength in family.strengths
    right = (found.logits.argmax(axis=1) == targets.argmax(axis=1)).mean()
    seen = Folds(x, targets, [str(number) for number in range(len(x))]).choose(family, slice(0, 40))
    by_work = (seen.logits.argmax(axis=1) == targets.argmax(axis=1)).mean()
    assert by_work > right + 0.1  # with works of the same artist to learn from it looks easier than it is


def test_a_fold_is_scikit_learns():
    x, targets, groups = artists()
    folds = fold_numbers(groups, targets.argmax(axis=1))
    found = Folds(x, targets, groups).choose(LDA, slice(0, 40), 0.6)
    held = folds == 0
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.6)
    expected = oracle.fit(x[~held], targets[~held].argmax(axis=1)).decision_function(x[held]) / found.temperature
    given = found.logits[held]
    np.testing.assert_allclose(given - given[:, :1], expected - expected[:, :1], atol=1e-6)


def test_of_a_class_with_one_artist_nothing_can_be_said():
    x, targets, groups = artists()
    targets = np.column_stack([targets, np.zeros(len(x))])
    targets[:6] = [0, 0, 0, 1]  # the first artist's works
    folds = Folds(x, targets, groups)
    assert not folds.judged[:6].any()
    assert folds.judged[6:].all()
    found = folds.choose(LDA, slice(0, 40))
    assert np.isfinite(found.loss)
    assert (found.logits[:6].argmax(axis=1) < 3).all()


def test_coordinates_keep_distances_and_angles():
    x = np.random.default_rng(0).normal(size=(12, 50))
    few = coordinates(x)
    assert few.shape == (12, 12)
    np.testing.assert_allclose(few @ few.T, x @ x.T, rtol=1e-4, atol=1e-3)


def test_groups_are_drawn_whole():
    groups = [f"g{number // 10}" for number in range(200)]
    rows = drawn(groups, 50)
    assert len(rows) == 50
    assert len({groups[row] for row in rows}) == 5
    assert drawn(groups, 200).tolist() == list(range(200))


def test_the_middle_of_the_statistics_is_seen_where_there_are_any():
    assert LDA_MIDDLE.columns({"style_statistics": 6176, "brightness": 1}) == slice(288, 2208)
    both = LDA_MIDDLE.columns({"style_statistics": 6176, "embedding_lite2_statistics": 6176, "texture": 6})
    assert both.tolist() == [*range(288, 2208), *range(6464, 8384)]
    assert LDA_MIDDLE.columns({"embedding": 1280}) is None
    assert LDA.columns({"embedding": 1280, "brightness": 1}) == slice(0, 1281)


def test_works_that_span_few_dimensions_have_coordinates():
    """Of features that repeat each other float32's rounding left a matrix with no root."""
    x = np.random.default_rng(0).normal(size=(90, 12)).astype(np.float32)
    wide = np.tile(x * 7, (1, 10))
    found = coordinates(wide)
    np.testing.assert_allclose(found @ found.T, wide.astype(float) @ wide.T, rtol=1e-3, atol=0.1)


def test_of_several_backbones_statistics_come_before_embeddings():
    names = ["palette_hsv", "embedding", "embedding_lite2", "embedding_lite2_statistics", "embedding_clip", "title"]
    assert all_columns(names) == ["embedding", "embedding_lite2_statistics", "embedding_clip", "palette_hsv"]
    specs = requested_specs(
        FeatureOptions(
            manifest="m", out="o", statistics=True, embed={"lite2": "efficientnet-lite2", "clip": "clip.keras"}
        )
    )
    told = {spec.get("column", "embedding"): spec["statistics"] for spec in specs if spec["name"] == "embedding"}
    assert told == {"embedding": True, "embedding_lite2": True, "embedding_clip": False}
