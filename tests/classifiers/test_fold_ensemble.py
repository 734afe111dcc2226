import keras
import numpy as np
import pytest

from artray.classifiers.fold_ensemble import averaged, fold_metrics
from artray.models.classifiers import calibrated, classifier

pytestmark = pytest.mark.slow  # networks take their time to build and trace

SHAPES = {"linear_head": (5,), "one_block_vgg": (8, 8, 3)}
SETTINGS = {"linear_head": {}, "one_block_vgg": {"filters": 2, "dense": 3}}


def member(name, seed, multilabel=False):
    keras.utils.set_random_seed(seed)
    model = classifier(name, SHAPES[name], 3, SETTINGS[name])
    model.set_weights([np.random.default_rng(seed).normal(size=w.shape) for w in model.get_weights()])
    return calibrated(model, 1 + seed / 2, multilabel)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("number", [2, 5])
def test_a_fold_ensemble_gives_the_mean_of_its_models_scores(name, multilabel, number, tmp_path):
    models = [member(name, seed, multilabel) for seed in range(number)]
    chance = np.random.default_rng(0)
    inputs = chance.integers(0, 256, (7, *SHAPES[name])).astype(np.uint8 if len(SHAPES[name]) == 3 else np.float32)
    expected = np.mean([np.asarray(model(inputs), np.float64) for model in models], axis=0)
    ensemble = averaged(models)
    assert np.allclose(np.asarray(ensemble(inputs)), expected, atol=1e-6)
    ensemble.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    assert np.array_equal(np.asarray(again(inputs)), np.asarray(ensemble(inputs)))


def test_metrics_of_folds():
    values = [0.5, 0.7, 0.9]
    evaluations = [
        {
            "validation": {
                "artwork": {
                    "accuracy": value,
                    "balanced_accuracy": value / 2,
                    "log_loss": 1 - value,
                    "macro": {"f1": 0, "precision": 0, "recall": 0, "roc_auc": value, "average_precision": None},
                }
            }
        }
        for value in values
    ]
    found = fold_metrics(evaluations)
    assert found["n"] == 3
    assert found["figures"]["accuracy"] == {
        "mean": 0.7,
        "spread": pytest.approx(np.std(values, ddof=1)),
        "values": values,
    }
    assert "macro_average_precision" not in found["figures"]  # not defined in some fold
    assert "hamming_loss" not in found["figures"]
