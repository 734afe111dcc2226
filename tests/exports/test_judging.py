import zlib

import numpy as np
import pytest

from artray.bundles.classifier import Bundle
from artray.exports.judging import BATCH, figures_of, rate_of, scores_of, size_of
from artray.exports.works import Judges
from artray.images.decoding import DECODE_VERSION


def bundle(labels: str = "one", **values: object) -> Bundle:
    return Bundle.model_validate(
        {
            "model_id": "m",
            "task": "colour",
            "target": "colour",
            "classes": [{"name": "red"}, {"name": "blue"}],
            "input": {"kind": "pictures", "size": 4},
            "decode_version": DECODE_VERSION,
            "temperature": 1,
            "model_sha": "",
            "labels": labels,
            "data": {},
            "config": {},
            "metrics": {},
            "versions": {},
            "created_at": "",
            **values,
        }
    )


def test_figures_of_one_label():
    model = np.float32([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    form = np.float32([[0.8, 0.2], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    found = figures_of(form, model, bundle(), np.array([0, 1, 0, 1]))
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == 0.75
    assert found["agreement"] == 0.75
    assert found["difference"] == pytest.approx(0.2)
    # One work a bin: |.8 - 1|, |.8 - 1| share one, |.6 - 0|, |.7 - 1|.
    assert found["calibration_error"] == pytest.approx((0.4 + 0.6 + 0.3) / 4, abs=1e-4)


def test_figures_of_one_label_go_by_the_decision():
    """Blue is rare: balanced, it is said from .25 on, as the bundle's own labels and evaluation have it."""
    about = bundle(decision="balanced", shares={"red": 0.75, "blue": 0.25})
    model = np.float32([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.3, 0.7]])
    form = np.float32([[0.9, 0.1], [0.76, 0.24], [0.6, 0.4], [0.3, 0.7]])
    found = figures_of(form, model, about, np.array([0, 1, 1, 1]))
    assert (found["agreement"], found["accuracy"]) == (0.75, 0.75)
    whole = figures_of(model, model, about, np.array([0, 1, 1, 1]))
    assert whole["balanced_accuracy"] == 1.0
    assert whole["calibration_error"] == pytest.approx((0.1 + 0.7 + 0.6 + 0.3) / 4, abs=1e-4)  # of the said ones


def test_figures_of_several_labels_go_by_thresholds():
    about = bundle("multilabel", thresholds={"red": 0.3, "blue": 0.9})
    model = np.float32([[0.4, 0.95], [0.2, 0.5]])
    form = np.float32([[0.35, 0.92], [0.31, 0.5]])
    found = figures_of(form, model, about, np.array([[1, 1], [0, 0]]))
    assert (found["agreement"], found["accuracy"]) == (0.5, 0.5)


def test_scores_come_in_full_batches_and_patches_are_put_together():
    seen = []

    def run(inputs: np.ndarray) -> np.ndarray:
        seen.append(inputs.shape)
        assert inputs.dtype == np.float32
        return inputs.mean(axis=(1, 2))[:, :2]

    patches = {"kind": "patches", "size": 8, "per_image": 3, "seed": 0, "long_side": 16, "model_size": 4}
    inputs = np.random.default_rng(0).integers(0, 256, (21, 4, 4, 3), np.uint8)
    judges = Judges(ids=[str(n) for n in range(7)], inputs=inputs, true=np.zeros(7, np.int64))
    found = scores_of(run, bundle(input=patches), judges)
    assert seen == [(BATCH, 4, 4, 3)] * 2
    assert np.allclose(found, inputs.mean(axis=(1, 2))[:, :2].reshape(7, 3, 2).mean(axis=1), atol=1e-3)


def test_the_rate_is_that_of_the_best_batch(monkeypatch):
    clock = iter([0.0, 1.0, 3.0, 3.0, 4.0, 4.0, 4.5, 9.0])  # begun; then start and end of each try
    monkeypatch.setattr("artray.exports.judging.time.perf_counter", lambda: next(clock, 9.0))
    assert rate_of(lambda inputs: inputs, np.zeros((3, 2)), seconds=0) == BATCH / 0.5


def test_sizes(tmp_path):
    (tmp_path / "a").write_bytes(bytes(1000))
    (tmp_path / "b").write_bytes(b"xy")
    compressed = len(zlib.compress(bytes(1000))) + len(zlib.compress(b"xy"))
    assert size_of([tmp_path / "a", tmp_path / "b"]) == {"bytes": 1002, "compressed": compressed}
