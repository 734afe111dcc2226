"""Classifiers and features as scikit-learn's estimators."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import artray
from artray.estimators import DiscriminantClassifier, LinearMeanClassifier, LogisticClassifier, PictureFeatures
from tests.labeling.bundles import write_pictures

CLASSIFIERS = (DiscriminantClassifier(), LogisticClassifier(), LinearMeanClassifier())


@pytest.fixture(scope="module")
def works():
    random = np.random.default_rng(0)
    y = np.array(["cubism", "realism", "ukiyo-e"])[np.arange(90) % 3]
    x = (random.normal(size=(3, 12)) * 0.9)[np.arange(90) % 3]
    x += random.normal(size=(90, 12)) * random.uniform(0.5, 3, 12)
    return x * 7 + 3, y, [f"artist {number // 6}" for number in range(90)]


@pytest.mark.slow
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=repr)
def test_scikit_learns_own_checks(estimator):
    """All of them apply, but those of other array libraries, which scikit-learn itself leaves out."""
    found = check_estimator(estimator, on_skip=None)
    assert {each["check_name"] for each in found if each["status"] != "passed"} <= {"check_array_api_input"}
    assert len(found) > 40


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=repr)
def test_probabilities_follow_from_the_linear_layer(works, estimator):
    x, y, groups = works
    fitted = clone(estimator).fit(x, y, groups=groups)
    scores = fitted.predict_proba(x)
    assert scores.sum(axis=1) == pytest.approx(1)
    logits = x @ fitted.coef_.T + fitted.intercept_
    np.testing.assert_allclose(fitted.decision_function(x), logits)
    assert (fitted.predict(x) == fitted.classes_[logits.argmax(axis=1)]).all()
    assert fitted.score(x, y) > 0.6
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(x), scores)
    strengths = fitted.strengths_
    same = clone(estimator).set_params(**strengths).fit(x, y, groups=groups)
    np.testing.assert_allclose(same.predict_proba(x), scores, atol=1e-3)


@pytest.mark.slow
def test_in_pipelines_searches_and_cross_validation(works):
    x, y, groups = works
    scores = cross_val_score(LogisticClassifier(), x, y, groups=groups, cv=GroupKFold(3))
    assert scores.mean() > 0.5
    search = GridSearchCV(DiscriminantClassifier(), {"shrinkage": [0.2, 0.9]}, cv=2).fit(x, y)
    assert search.best_params_["shrinkage"] in (0.2, 0.9)


def test_a_balanced_decision_finds_the_rare(works):
    x, y, _ = works
    few = np.flatnonzero(y != "cubism").tolist() + np.flatnonzero(y == "cubism")[:4].tolist()
    likely = DiscriminantClassifier(shrinkage=0.9).fit(x[few], y[few])
    balanced = clone(likely).set_params(decision="balanced").fit(x[few], y[few])
    assert (balanced.predict(x) == "cubism").sum() > (likely.predict(x) == "cubism").sum()
    np.testing.assert_array_equal(likely.predict_proba(x), balanced.predict_proba(x))


@pytest.mark.slow
def test_the_middle_blocks_have_an_analysis_of_their_own(works):
    x, y, _ = works
    wide = np.tile(x, (1, 10))
    fitted = LinearMeanClassifier(widths={"style_statistics": 100, "brightness": 20}).fit(wide, y)
    assert set(fitted.strengths_) == {"shrinkage", "middle_shrinkage", "penalty"}
    assert set(LinearMeanClassifier().fit(x, y).strengths_) == {"shrinkage", "penalty"}


@pytest.mark.parametrize(
    ("estimator", "arguments", "told"),
    [
        (LinearMeanClassifier(widths={"embedding": 5}), {}, "widths: 5 together, and there are 12 features"),
        (LogisticClassifier(class_weights="even"), {}, "class_weights: balanced, or None, not 'even'"),
        (DiscriminantClassifier(shrinkage=1.5), {}, "shrinkage: above 0, at most 1, not 1.5"),
        (LogisticClassifier(penalty=0), {}, "penalty: above 0, not 0"),
        (LogisticClassifier(decision="likeliest"), {}, "decision: likely or balanced, not 'likeliest'"),
        (LogisticClassifier(), {"groups": ["a"]}, "groups: 1 for 90 works"),
    ],
)
def test_mistakes(works, estimator, arguments, told):
    x, y, _ = works
    with pytest.raises(ValueError, match=told):
        estimator.fit(x, y, **arguments)


def test_pictures_as_numbers(tmp_path):
    paths = list(write_pictures(tmp_path, 3).values())
    features = PictureFeatures(["palette_hsv", "brightness", "texture"], size=32)
    found = features.fit_transform(paths)
    table = artray.extract(paths, ["brightness", "palette", "texture"], size=32).to_arrow()
    assert features.widths_ == {"palette_hsv": 60, "brightness": 1, "texture": 6}
    assert found[:, 60].tolist() == pytest.approx(table["brightness"].to_pylist())
    np.testing.assert_allclose(found[:, 61:], table["texture"].to_pylist())
    assert features.get_feature_names_out()[[0, 60, 66]].tolist() == ["palette_hsv_0", "brightness_0", "texture_5"]


def test_pictures_in_a_pipeline(tmp_path):
    paths = list(write_pictures(tmp_path, 6).values())
    pipeline = make_pipeline(PictureFeatures(["brightness"], size=32), LogisticRegression())
    labels = ["a", "b"] * 3
    assert clone(pipeline).fit(paths, labels).predict_proba(paths).shape == (6, 2)


@pytest.mark.parametrize(
    ("columns", "told"), [(["brightnes"], "columns: brightnes; there are embedding"), ([], "columns: none; there are")]
)
def test_columns_that_are_not_there(columns, told):
    with pytest.raises(artray.InputError, match=told):
        PictureFeatures(columns).fit_transform([])


def test_a_picture_that_can_not_be_read(tmp_path):
    paths = list(write_pictures(tmp_path, 1, broken=1).values())
    with pytest.raises(artray.InputError, match=r"1 of 2 pictures can't be read: .*\(truncated\); leave them out"):
        PictureFeatures(["brightness"]).fit_transform(paths)
