"""The promise of the step: the number of replicas changes nothing but floating point."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from artray.classifiers.losses import CrossEntropy
from artray.engine.gradients import gradients
from artray.engine.sparsity import PruningConfig, pruned_groups
from artray.engine.summaries import Summaries
from artray.engine.supervised import SupervisedTrainer
from artray.engine.trainer import Trainer, _strategy
from artray.storage import Location
from tests.engine.processes import on_replicas
from tests.engine.supervised_on_replicas import BATCH, EXAMPLES, WEIGHTS, X, Y, network

CASES = ["adam", "sgd", "rmsprop", "whole", "pieces", "pillow", "device", "pruned"]


@pytest.fixture(scope="module")
def replica_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, np.ndarray]]:
    return on_replicas("tests.engine.supervised_on_replicas", tmp_path_factory.mktemp("replicas"))


def of(run: dict[str, np.ndarray], case: str) -> dict[str, np.ndarray]:
    return {name.partition("/")[2]: value for name, value in run.items() if name.partition("/")[0] == case}


@pytest.mark.parametrize(("gpus", "kind"), [(0, "AUTO"), (2, "NCCL")])
def test_workers_with_gpus_sum_by_nccl(monkeypatch, gpus, kind):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["gpu"] * gpus)
    made = []
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda **options: made.append(options) or "made")
    assert _strategy.__wrapped__(3) == "made"
    (options,) = made
    assert options["communication_options"].implementation.name == kind


@pytest.mark.parametrize("gpus", [0, 1, 2])
def test_a_worker_with_several_gpus_mirrors_on_them(monkeypatch, gpus):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda _: ["gpu"] * gpus)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: "mirrored")
    assert (_strategy.__wrapped__(1) == "mirrored") == (gpus > 1)


@pytest.mark.parametrize("case", [*CASES, "streamed", "perceptual"])
def test_the_number_of_replicas_does_not_change_the_result(replica_runs, case):
    """Every weight, moving statistic, optimizer slot and average; with shares of 4, 4 and 3, for some a batch of 2."""
    one, many = of(replica_runs[1], case), of(replica_runs[3], case)
    assert one.keys() == many.keys()
    for name, value in one.items():
        if name != "places":
            assert np.allclose(value, many[name], rtol=1e-4, atol=2e-5), name


def test_each_share_goes_to_its_replicas_device_at_once(replica_runs):
    for number, run in replica_runs.items():
        assert [place.rpartition(":")[2] for place in run["adam/places"]] == [str(index) for index in range(number)]


@pytest.mark.parametrize("replicas", [1, 3])
def test_views_made_on_the_device_are_those_made_beforehand(replica_runs, replicas):
    beforehand, there = of(replica_runs[replicas], "pillow"), of(replica_runs[replicas], "device")
    assert np.allclose(beforehand["losses"], there["losses"], rtol=1e-5)
    assert not np.allclose(beforehand["losses"][:3], of(replica_runs[replicas], "adam")["losses"][:3], rtol=1e-2)


@pytest.mark.parametrize("replicas", [1, 3])
def test_examples_in_shards_change_nothing(replica_runs, replicas):
    """Float by float."""
    memory, streamed = of(replica_runs[replicas], "adam"), of(replica_runs[replicas], "streamed")
    assert memory.keys() == streamed.keys()
    for name, value in memory.items():
        assert np.array_equal(value, streamed[name]), name


@pytest.mark.parametrize("replicas", [1, 3])
def test_pieces_add_up_to_the_whole(replica_runs, replicas):
    whole, pieces = of(replica_runs[replicas], "whole"), of(replica_runs[replicas], "pieces")
    for name, value in whole.items():
        if name != "places":
            assert np.allclose(value, pieces[name], rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("replicas", [1, 3])
def test_half_precision_learns_nearly_the_same_and_keeps_float32_weights(replica_runs, replicas):
    exact, rounded = of(replica_runs[1], "adam"), of(replica_runs[replicas], "half")
    first, second = rounded["losses"][:3], rounded["losses"][3:]
    assert np.allclose(exact["losses"][:3], first, rtol=0.02, atol=0.02)
    assert not np.array_equal(exact["losses"][:3], first)
    assert second.mean() < first.mean()
    assert {value.dtype.name for name, value in rounded.items() if name.startswith("model/")} == {"float32"}


@pytest.mark.parametrize("replicas", [1, 3])
def test_pruned_weights_are_0_in_weights_and_averages(replica_runs, replicas):
    """Half of both kernels together, an update after the last masks were made."""
    run = of(replica_runs[replicas], "pruned")
    masks = [run["mask/0"], run["mask/1"]]
    kernels = [value for name, value in run.items() if name.startswith("model/") and value.ndim > 1]
    averages = [value for name, value in run.items() if name.startswith("averaged/") and value.ndim > 1]
    for mask, kernel, average in zip(masks, kernels, averages, strict=True):
        assert np.array_equal(kernel != 0, mask)
        assert np.array_equal(average != 0, mask)
    assert sum((~mask).sum() for mask in masks) == sum(mask.size for mask in masks) // 2
    assert masks[0].mean() != masks[1].mean()


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_state_put_back_on_all_replicas_goes_on_as_before(replica_runs, replicas):
    """Dropout's random numbers too."""
    run = of(replica_runs[replicas], "again")
    for name in [name.partition("/")[2] for name in run if name.startswith("first/")]:
        assert np.allclose(run[f"first/{name}"], run[f"second/{name}"], atol=1e-6), name


@pytest.mark.slow
def test_a_step_is_what_numpy_says():
    """Softmax regression with weighted examples, by plain gradient descent."""

    def build() -> keras.Model:
        features = keras.Input((4,))
        return keras.Model(features, layers.Dense(3, kernel_initializer="zeros")(features))

    rng = np.random.default_rng(1)
    x, weights = rng.normal(size=(7, 4)).astype(np.float32), rng.uniform(0.5, 2, 7).astype(np.float32)
    y = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 7)]
    trained = SupervisedTrainer(build, lambda: keras.optimizers.SGD(1.0), CrossEntropy())
    kernel, bias = np.zeros((4, 3)), np.zeros(3)
    expected = []
    batches, rates = [np.arange(4), np.arange(4, 7)], [0.5, 0.1]
    for batch, rate in zip(batches, rates, strict=True):
        logits = x[batch] @ kernel + bias
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected.append((-np.log((scores * y[batch]).sum(axis=1)) * weights[batch]).mean())
        error = (scores - y[batch]) * weights[batch, None] / len(batch)
        kernel, bias = kernel - rate * x[batch].T @ error, bias - rate * error.sum(axis=0)
    losses = np.concatenate(list(trained.train(lambda rows: (x[rows], y[rows], weights[rows]), batches, rates)))
    assert losses == pytest.approx(expected, rel=1e-5)
    state = trained.state()
    assert np.allclose(state["model/0"], kernel, atol=1e-6)
    assert np.allclose(state["model/1"], bias, atol=1e-6)


@pytest.mark.slow
def test_a_compiled_step_is_the_step():
    """Full batches by XLA, the last one without."""

    def build() -> keras.Model:
        features = keras.Input((4,))
        return keras.Model(features, layers.Dense(3)(features))

    rng = np.random.default_rng(1)
    x, weights = rng.normal(size=(19, 4)).astype(np.float32), rng.uniform(0.5, 2, 19).astype(np.float32)
    y = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 19)]
    batches = [np.arange(start, min(start + 8, 19)) for start in (0, 8, 16)]
    found = []
    for how in ("off", "on"):
        trained = trainer(build, compile=how)
        losses = trained.train(lambda rows: (x[rows], y[rows], weights[rows]), batches, [0.1] * 3)
        found.append(np.concatenate([*losses, *(value.ravel() for value in trained.state().values())]))
    assert np.allclose(*found, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"clip_norm": 0.3, "ema": 0.9}, {"precision": "float16"}, {"accumulate": 3}],
    ids=["whole", "half", "pieces"],
)
def test_a_compiled_network_learns_the_same(settings):
    build = lambda: network(normalized="accumulate" not in settings)  # noqa: E731
    plain, compiled = trainer(build, compile="off", **settings), trainer(build, compile="on", **settings)
    for trained in (plain, compiled):
        fit(trained, range(2))
    tolerance = 0.05 if "precision" in settings else 1e-5
    for name, value in plain.state().items():
        assert np.allclose(value, compiled.state()[name], rtol=tolerance, atol=tolerance), name
    logits = [trained.predict(lambda rows: X[rows], np.arange(EXAMPLES), 16) for trained in (plain, compiled)]
    assert np.allclose(*logits, rtol=tolerance, atol=10 * tolerance)


def trainer(build=network, **settings: object) -> SupervisedTrainer:
    keras.utils.set_random_seed(0)
    return SupervisedTrainer(build, lambda: keras.optimizers.Adam(0.01), CrossEntropy(), **settings)


def fit(trained: SupervisedTrainer, epochs: range, sparsities: dict[int, list[float | None]] | None = None) -> None:
    for epoch in epochs:
        order = np.random.default_rng(epoch).permutation(EXAMPLES)
        batches = [order[start : start + BATCH] for start in range(0, EXAMPLES, BATCH)]
        take = lambda rows: (X[rows], Y[rows], WEIGHTS[rows])  # noqa: E731
        list(trained.train(take, batches, [0.01] * len(batches), None, (sparsities or {}).get(epoch)))


def with_dropout() -> keras.Model:
    model = network()
    return keras.Model(model.input, layers.Dropout(0.5)(model.output))


@pytest.mark.slow
def test_a_state_put_back_goes_on_as_if_nothing_had_happened():
    """Dropout's random numbers, optimizer, moving average, masks and all."""
    settings = {"ema": 0.9, "prune": partial(pruned_groups, PruningConfig(skip_last=False))}
    planned = {0: [None, 0.2, None, 0.4], 1: [0.5, None, None, None]}  # later only what is kept tells what is 0
    undisturbed = trainer(with_dropout, **settings)
    fit(undisturbed, range(4), planned)
    first = trainer(with_dropout, **settings)
    fit(first, range(2), planned)
    second = trainer(with_dropout, **settings)
    second.load(first.state())
    fit(second, range(2, 4))
    assert {1 - value.mean() for name, value in second.state().items() if name.startswith("mask/")} == {0.5}
    for name, value in undisturbed.state().items():
        assert np.allclose(value, second.state()[name], atol=1e-6), name


@pytest.mark.slow
def test_the_average_lags_behind_and_the_weights_come_back():
    trained = trainer(ema=0.99)
    before = trained.state()["model/0"].copy()
    fit(trained, range(3))
    after = trained.state()["model/0"].copy()
    with trained.averaged():
        average = trained.state()["model/0"].copy()
    assert np.array_equal(trained.state()["model/0"], after)
    assert 0 < np.abs(average - before).mean() < np.abs(after - before).mean()


@pytest.mark.slow
def test_a_frozen_normalisation_keeps_its_statistics_and_weights():
    def frozen() -> keras.Model:
        model = network()
        model.get_layer("inner").trainable = False
        return model

    trained = trainer(frozen)
    before = trained.state()
    fit(trained, range(1))
    after = trained.state()
    names = [variable.path.split("/")[-1] for variable in trained.model.variables]
    kept = [
        name for index, name in enumerate(names) if np.array_equal(before[f"model/{index}"], after[f"model/{index}"])
    ]
    assert sorted(kept) == ["beta", "gamma", "moving_mean", "moving_variance"]


@pytest.mark.slow
def test_an_overflow_skips_the_update_and_halves_the_scale():
    trained = trainer(lambda: network(normalized=False), precision="mixed_float16")
    before = trained.state()
    huge = np.full(EXAMPLES, 1e30, np.float32)
    list(trained.train(lambda rows: (X[rows], Y[rows], huge[rows]), [np.arange(8)], [0.1]))
    after = trained.state()
    assert all(np.array_equal(after[name], before[name]) for name in before if name.startswith("model/"))
    assert after["step/1"] == before["step/1"] / 2


class Shares(Trainer):
    """A trainer of nothing, one replica of `count`, in the worker of this number."""

    def __init__(self, count: int, worker: int):
        super().__init__()
        self.count, self._here, self._first = count, 1, worker

    def variables(self) -> dict[str, object]:
        return {}


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("examples", [1, 2, 7, 8, 64])
@pytest.mark.parametrize("most", [1, 4])
def test_shares_hold_each_example_once_and_none_is_empty(count, examples, most):
    indices = np.arange(examples) + 100
    counted = np.zeros(examples)
    for worker in range(count):
        trainer = Shares(count, worker)
        share = trainer.share(indices)
        bounds = trainer.bounds(examples, trainer.pieces(examples, most))
        assert bounds[0, 0] == 0
        assert bounds[0, -1] == len(share)
        assert (np.diff(bounds) >= 1).all()
        np.add.at(counted, share - 100, trainer.weight(examples))
    assert np.allclose(counted, 1)


def test_gradients():
    inputs = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)

    def function(x):
        twice = x * 2
        return twice, twice**3

    values, slopes = gradients(function, inputs)
    assert np.allclose(values, inputs * 2)
    assert np.allclose(slopes, 3 * (inputs * 2) ** 2, rtol=1e-5)


def test_summaries_are_what_tensorboard_reads(tmp_path):
    import tensorflow as tf

    summaries = Summaries(Location.parse(tmp_path))
    for step in (1, 2):
        summaries.write(step, {"loss": 1 / step, "learning_rate": 0.1})
    (file,) = tmp_path.iterdir()
    read = {
        (event.step, value.tag): tf.make_ndarray(value.tensor).item()
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "scalars"
    }
    assert read == {
        (1, "loss"): 1,
        (2, "loss"): 0.5,
        (1, "learning_rate"): pytest.approx(0.1),
        (2, "learning_rate"): pytest.approx(0.1),
    }
