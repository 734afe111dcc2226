"""The step of two networks: any number of replicas, every loss, and that it learns."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from artray.engine.adversarial import AdversarialTrainer
from artray.engine.adversarial_step import METRICS, Shares
from artray.gans.latents import draw_latents
from artray.models.gans.residual import SpectralDense
from tests.engine.adversarial_on_replicas import BATCH, CASES, LATENT_SIZE, X, fit, trainer
from tests.engine.processes import on_replicas

pytestmark = pytest.mark.slow  # networks take their time to build and trace


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, np.ndarray]]:
    return on_replicas("tests.engine.adversarial_on_replicas", tmp_path_factory.mktemp("adversarial"), 2)


@pytest.mark.parametrize("case", CASES)
def test_the_number_of_replicas_does_not_change_the_result(runs, case):
    """Metrics, weights, moving statistics, optimizer slots, averages and k_t; with shares of 4 and 3 examples."""
    one, many = ({name: value for name, value in runs[n].items() if name.startswith(f"{case}/")} for n in (1, 2))
    assert one.keys() == many.keys()
    for name, value in one.items():
        assert np.allclose(value, many[name], rtol=1e-3, atol=1e-4, equal_nan=True), name


@pytest.mark.parametrize("case", CASES)
def test_a_compiled_step_is_the_step(runs, case):
    """With the same random numbers, augmentation's and the penalty's too."""
    settings = CASES[case]
    compiled = trainer(case, compile="on", **settings)
    metrics = fit(compiled, range(4), settings.get("labelled", False))
    assert np.allclose(metrics, runs[1][f"{case}/metrics"], rtol=1e-3, atol=1e-4, equal_nan=True)
    for name, value in compiled.state().items():
        assert np.allclose(value, runs[1][f"{case}/{name}"], rtol=1e-3, atol=1e-4), name


def test_half_precision_learns_nearly_the_same(runs):
    rounded = trainer("hinge", precision="bfloat16", **CASES["hinge"])
    metrics = [runs[1]["hinge/metrics"], fit(rounded, range(4))]
    assert np.allclose(*metrics, rtol=0.2, atol=0.1)
    assert not np.allclose(*metrics, rtol=1e-3, atol=1e-4)
    assert {value.dtype.name for name, value in rounded.state().items() if name[:3] != "ste"} <= {"float32", "int64"}


def test_the_generator_learns_in_every_second_step_only(runs):
    metrics = runs[1]["ns/metrics"]
    learns = np.isfinite(metrics[:, METRICS.index("generator_loss")])
    assert learns.tolist() == [False, True, False, True]
    assert np.isfinite(metrics[:, :4]).all()
    assert runs[1]["ns/step/0"] == 4  # two updates in each of two steps


def test_clipped_weights(runs):
    weights = [value for name, value in runs[1].items() if name.startswith("wgan/discriminator/")]
    assert max(np.abs(value).max() for value in weights) == pytest.approx(0.05)


def test_began_moves_its_balance(runs):
    """k_t is what NumPy says of the steps' mean errors."""
    k = 0.0
    for _, real, fake, *_ in runs[1]["began/metrics"]:
        k = min(max(k + 0.5 * (0.5 * real - fake), 0), 1)
    assert runs[1]["began/step/1"] == pytest.approx(k, abs=1e-5)


def test_a_state_put_back_goes_on_as_if_nothing_had_happened():
    case = CASES["hinge"]
    undisturbed = trainer("hinge", ema=0.9, **case)
    metrics = fit(undisturbed, range(4))
    first = trainer("hinge", ema=0.9, **case)
    fit(first, range(2))
    second = trainer("hinge", ema=0.9, **case)
    second.load(first.state())
    assert np.allclose(fit(second, range(2, 4)), metrics[2:], atol=1e-5)
    for name, value in undisturbed.state().items():
        assert np.allclose(value, second.state()[name], atol=1e-5), name


def linear(sizes: tuple[int, int], start: np.ndarray) -> keras.Model:
    inputs = keras.Input((sizes[0],))
    return keras.Model(
        inputs, layers.Dense(sizes[1], use_bias=False, kernel_initializer=lambda *_, **__: start)(inputs)
    )


def test_a_step_is_what_numpy_says():
    """Linear networks, NS, gradient descent: the discriminator first, then the generator against the new one."""
    rng = np.random.default_rng(0)
    x, g, d = rng.normal(size=(6, 3)), rng.normal(size=(2, 3)), rng.normal(size=(3, 1))
    latents = draw_latents(6, 2, "normal", (5, 0))
    trained = AdversarialTrainer(
        lambda: linear((2, 3), g),
        lambda: linear((3, 1), d),
        [lambda: keras.optimizers.SGD(1.0)] * 2,
        lambda step, count: draw_latents(count, 2, "normal", (5, step)),
        unit=1.0,
    )
    take = lambda rows: (x[rows].astype(np.float32), np.zeros((len(rows), 0)))  # noqa: E731
    metrics, _ = next(trained.train(take, [np.arange(6)], 0, [(0.3, 0.2)]))
    sigmoid = lambda values: 1 / (1 + np.exp(-values))  # noqa: E731
    fake = latents @ g
    real_p, fake_p = sigmoid(x @ d), sigmoid(fake @ d)
    slope = (x.T @ (real_p - 1) + fake.T @ fake_p) / 6
    after = d - 0.2 * slope
    pull = latents.T @ ((sigmoid(fake @ after) - 1) @ after.T) / 6
    assert np.allclose(trained.discriminator_weights()[0], after, atol=1e-5)
    assert np.allclose(trained.generator_weights()[0], g - 0.3 * pull, atol=1e-5)
    expected = [
        np.mean(-np.log(real_p) - np.log(1 - fake_p)),
        real_p.mean(),
        fake_p.mean(),
        np.linalg.norm(slope),
        np.mean(-np.log(sigmoid(fake @ after))),
        np.linalg.norm(pull),
        np.sign(x @ d).mean(),
        0,
    ]
    assert np.allclose(metrics[0], expected, atol=1e-5)


def scores(judge: keras.Model, pictures: np.ndarray) -> np.ndarray:
    return judge(pictures, training=False).numpy()[:, 0].astype(np.float64)


def slopes(judge: keras.Model, pictures: np.ndarray) -> np.ndarray:
    """The score's slope at each value of each picture, by differences, where black to white is 2."""
    steps = 0.5 * np.eye(pictures[0].size, dtype=np.float32).reshape(-1, *pictures.shape[1:])
    differences = [scores(judge, picture + steps) - scores(judge, picture - steps) for picture in pictures]
    return np.stack(differences) * 127.5


def test_a_gradient_penalty_is_what_finite_differences_say():
    """WGAN-GP's loss less WGAN's is λ times the penalty at points between, by differences of the score."""
    penalized = trainer("wgan_gp", constants={"penalty": 2.0})
    judge = penalized.discriminator
    judge.set_weights([2 * weight for weight in judge.get_weights()])
    real = X[:BATCH].astype(np.float32)
    latents = draw_latents(BATCH, LATENT_SIZE, "normal", (5, 0))
    fake = penalized.generator(latents, training=True).numpy()
    points = penalized._points(real, fake, chance(penalized, real, 0)).numpy()
    share = ((points - fake) / (real - fake)).reshape(BATCH, -1)
    assert np.allclose(share, np.median(share, axis=1, keepdims=True), atol=1e-2)  # on the line between the two
    assert np.ptp(np.median(share, axis=1)) > 0.1
    norms = np.linalg.norm(slopes(judge, points), axis=1)
    expected = (scores(judge, fake) - scores(judge, real)).mean() + 2 * ((norms - 1) ** 2).mean()
    metrics = fit_once(penalized, real)
    assert metrics[0] == pytest.approx(expected, rel=0.02)
    assert ((norms - 1) ** 2).mean() > 0.01


def test_slopes_are_to_be_0_where_r1_and_r2_look():
    """γ / 2 times the squared slopes of the score at real and at generated examples, by differences of the score."""
    penalized = trainer("rpgan")
    judge = penalized.discriminator
    real = X[:BATCH].astype(np.float32)
    fake = penalized.generator(draw_latents(BATCH, LATENT_SIZE, "normal", (5, 0)), training=True).numpy()
    squares = (slopes(judge, np.concatenate([real, fake])) ** 2).sum(axis=1)
    squares = squares[:BATCH] + squares[BATCH:]
    expected = np.log1p(np.exp(scores(judge, fake) - scores(judge, real))).mean() + 3 / 2 * squares.mean()
    metrics = fit_once(penalized, real, penalties=[3.0])
    assert metrics[0] == pytest.approx(expected, rel=0.02)
    assert squares.mean() > 0.01


def test_the_strength_of_changes_follows_the_signs(runs):
    """Looked at after the fourth step: until then nothing is changed."""
    assert runs[1]["r1/metrics"][:, METRICS.index("strength")].tolist() == [0, 0, 0, 0]
    mean = runs[1]["r1/metrics"][:, METRICS.index("real_sign")].mean()
    expected = 0.7 if mean > 0 else 0.0  # 4 steps of 7 examples, of 40
    assert runs[1]["r1/step/2"] == pytest.approx(expected, abs=1e-6)
    assert runs[1]["r1/step/3"] == 0


def test_what_is_frozen_never_learns(runs):
    """The projector's weights stay as they were drawn, and the rest does not."""
    before = trainer("lsgan", **CASES["lsgan"]).state()
    after = {name: runs[1][f"lsgan/{name}"] for name in before}
    still = {name for name in before if np.array_equal(before[name], after[name])}
    judges = [name for name in before if name.startswith("discriminator/")]
    assert still.issuperset(judges[:4])
    assert still.isdisjoint(judges[4:])
    assert runs[1]["lsgan/step/0"] == 8  # two updates in each step


def test_dragan_looks_around_the_pictures():
    penalized = trainer("dragan")
    real = X[:BATCH].astype(np.float32)
    away = penalized._points(real, real, chance(penalized, real, 3)).numpy() - real
    expected = 0.5 * real.reshape(BATCH, -1).std(axis=1)
    assert np.allclose(away.reshape(BATCH, -1).std(axis=1), expected, rtol=0.15)
    assert np.isfinite(fit_once(penalized, real)).all()


def chance(trained: AdversarialTrainer, real: np.ndarray, step: int) -> Any:
    """The random numbers of a step."""
    import tensorflow as tf

    batch = Shares(x=tf.constant(real), changes=None, y=None, latents=None)
    return trained._chance(batch, tf.constant(step, tf.int64), tf.constant(len(real), tf.int64))


def fit_once(trained: AdversarialTrainer, real: np.ndarray, **options: Any) -> np.ndarray:
    take = lambda rows: (real[rows], np.zeros((len(rows), 0)))  # noqa: E731
    metrics, _ = next(trained.train(take, [np.arange(len(real))], 0, [(0.0, 0.0)], **options))
    return metrics[0]


def test_eight_gaussians_are_all_found():
    """NS with spectral normalisation: samples come near to all eight centres, and to little else."""
    corners = np.arange(8) * np.pi / 4
    centres = np.stack([np.cos(corners), np.sin(corners)], 1) * 20
    chance = np.random.default_rng(0)
    points = (centres[chance.integers(0, 8, 4096)] + chance.normal(size=(4096, 2)) * 0.5).astype(np.float32)

    def network(inputs: int, outputs: int, dense: type, activation: str) -> keras.Model:
        x = given = keras.Input((inputs,))
        for _ in range(2):
            x = layers.Activation(activation)(dense(128)(x))
        return keras.Model(given, dense(outputs)(x))

    keras.utils.set_random_seed(0)
    trained = AdversarialTrainer(
        lambda: network(16, 2, layers.Dense, "relu"),
        lambda: network(2, 1, SpectralDense, "leaky_relu"),
        [lambda: keras.optimizers.Adam(0.002, beta_1=0.5)] * 2,
        lambda step, count: draw_latents(count, 16, "normal", (0, step)),
        ema=0.99,
        unit=1.0,
    )
    batches = [np.random.default_rng([1, step]).integers(0, 4096, 128) for step in range(2000)]
    take = lambda rows: (points[rows], np.zeros((len(rows), 0)))  # noqa: E731
    for _ in trained.train(take, batches, 0, [(0.002, 0.002)] * len(batches)):
        pass
    plain = network(16, 2, layers.Dense, "relu")
    plain.set_weights(trained.generator_weights())
    samples = plain.predict_on_batch(draw_latents(2000, 16, "normal", 9))
    distances = np.linalg.norm(samples[:, None] - centres, axis=2)
    near = distances.min(axis=1) < 3
    shares = np.bincount(distances.argmin(axis=1)[near], minlength=8) / len(samples)
    assert shares.min() > 0.02, shares
    assert near.mean() > 0.6
