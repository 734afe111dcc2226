from types import SimpleNamespace

import keras
import numpy as np
import pyarrow as pa
import pytest

from artray.classifiers.closed_form import training_class
from artray.classifiers.config import read_config
from artray.classifiers.logistic import fit_logistic
from artray.classifiers.losses import CrossEntropy
from artray.classifiers.out_of_fold import LOGISTIC, Folds
from artray.classifiers.penalty import found_by_folds, several_labels_penalty
from artray.errors import InputError
from artray.models.classifiers import classifier

N, D, CLASSES = 120, 20, 3
HEAD = {"model": "{name: linear_head, l2: folds}"}


def works(noise: float, several: bool = False) -> SimpleNamespace:
    """Works of six artists, 90 of them to learn from; a stand-in for `Examples` without Ray."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, N)
    targets = np.eye(CLASSES, dtype=np.float32)[labels]
    if several:
        targets[:, 2] = random.random(N) < 0.5
    x = (targets @ random.normal(size=(CLASSES, D)) + noise * random.normal(size=(N, D))).astype(np.float32)
    part = np.array(["train"] * 90 + ["test"] * 30)
    return SimpleNamespace(
        x=x,
        table=pa.table({"object_id": [str(n) for n in range(N)], "group": [f"artist {n % 6}" for n in range(N)]}),
        targets=targets,
        inputs=SimpleNamespace(take=lambda rows: x[rows]),
        part=lambda name: np.flatnonzero(part == name),
    )


def found(given: SimpleNamespace, **changes: str) -> dict[str, float]:
    learned = given.x[:90]
    moments = learned.mean(axis=0).tolist(), learned.var(axis=0).tolist()
    config = read_config("lite0_head", {**HEAD, **changes})
    balanced = config.class_weights == "balanced"
    return found_by_folds(config.model, given, moments, multilabel=config.multilabel, balanced=balanced)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_folds_of_the_training_part_choose(weighted):
    given = works(3.0)
    learned = given.x[:90]
    x = (learned - learned.mean(axis=0)) / learned.std(axis=0)
    groups = given.table["group"].to_pylist()[:90]
    folds = Folds(x, given.targets[:90].astype(float), groups, weighted=weighted)
    expected = folds.choose(LOGISTIC, slice(0, D)).strength / 2
    changes = {"class_weights": "balanced"} if weighted else {}
    assert found(given, **changes) == {"l2": pytest.approx(expected)}
    given.targets[90:] = 1 / CLASSES  # nothing is known of other parts
    given.x[90:] = 0
    assert found(given, **changes) == {"l2": pytest.approx(expected)}


def test_of_several_labels_the_noisier_the_features_the_larger_the_penalty():
    little, much = (found(works(noise, several=True), labels="multilabel")["l2"] for noise in (0.3, 4.0))
    assert little < much


def test_a_number_stays():
    assert found(works(1.0), model="{name: linear_head, l2: 0.3}") == {}
    with pytest.raises(InputError, match=r"^model.l2: folds is for linear_head; of fusion give a number"):
        training_class(read_config("fusion", {"model": "{name: fusion, l2: folds}"}))


@pytest.mark.parametrize("several", [False, True])
def test_what_the_head_makes_small_is_the_regressions_loss(several):
    given = works(2.0, several)
    x = (given.x - given.x.mean(axis=0)) / given.x.std(axis=0)
    penalty = several_labels_penalty(x, given.targets, given.table["group"].to_pylist()) if several else 0.01
    weights, bias = fit_logistic(lambda: [(x, given.targets)], penalty * D, multilabel=several, tolerance=1e-6)
    l2 = penalty / 2 / (CLASSES if several else 1)
    head = classifier("linear_head", (D,), CLASSES, {"l2": l2})
    layer, loss = head.get_layer("logits"), CrossEntropy(several)

    def at(weights: np.ndarray, bias: np.ndarray) -> float:
        layer.set_weights([weights * D**0.5, bias])
        return float(keras.ops.mean(loss(given.targets, head(x)))) + float(sum(head.losses))

    lowest, chance = at(weights, bias), np.random.default_rng(0)
    for _ in range(10):
        step = chance.normal(size=weights.shape) * 0.02
        assert lowest < at(weights + step, bias)
        assert lowest < at(weights, bias + chance.normal(size=CLASSES) * 0.05)
    assert lowest < min(at(weights * factor, bias) for factor in (0.9, 1.1))
