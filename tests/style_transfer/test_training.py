"""Stylizers: their configs, their step, and painting by them."""

import keras
import numpy as np
import pytest

from artray.bundles.description import read_history
from artray.bundles.keras_files import keras_file, made_now
from artray.bundles.stylizer import StylizerBundle, load_stylizer, load_stylizer_bundle, save_stylizer_bundle
from artray.engine.shards import Shard
from artray.errors import InputError
from artray.gans.examples import Pictures
from artray.models.style import flat_grams, style_network
from artray.models.stylizer import stylizer
from artray.storage import Location, digest
from artray.style_transfer.config import read_config
from artray.style_transfer.feed_forward import Stylizer, style_of
from artray.style_transfer.loop import StyleTraining
from artray.style_transfer.optimizing import unflattened
from artray.style_transfer.training import TrainStyleOptions, train_style
from tests.checkpoints import Kept
from tests.style_transfer.making import spots, stripes, write_manifest, write_network

pytestmark = pytest.mark.slow  # whole stations

STYLES = ["spots", "stripes"]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "tiny.keras")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    model = stylizer(2, width=4, blocks=1)
    file, out = keras_file(model), Location.parse(tmp_path_factory.mktemp("bundle"))
    about = StylizerBundle(
        model_id="johnson-test", config={}, size=32, styles=STYLES, stylizer_sha=digest(file), data={}, metrics={},
        **made_now(),
    )  # fmt: skip
    save_stylizer_bundle(out, about, file, [])
    return out


def test_a_killed_training_goes_on_lowers_the_loss_and_leaves_the_judge_alone(network, tmp_path):
    changes = {
        "target": "kind", "size": "32", "model.width": "4", "model.blocks": "1", "batch_size": "4", "epochs": "15",
        "style_weight": "10", "looks.backbone": network, "looks.smoothness": "1",
        "optimizer.learning_rate": "0.003", "checkpoint_steps": "1",
    }  # fmt: skip
    looks = style_network(network)
    works = (spots(32, 32, 3), stripes(32, 32, 4))
    rows = [flat_grams(looks(work[None].astype(np.float32))[0])[0] for work in works]
    file = Location.parse(tmp_path / "0.raw")
    file.write_bytes(np.stack([spots(32, 32, seed) for seed in range(8)]).tobytes())

    def training(name):
        return StyleTraining(
            config=read_config("style_lite0", changes),
            pictures=Pictures(
                ids=list("abcdefgh"),
                classes=[],
                labels=np.zeros((8, 0), np.float32),
                blocks=[Shard(file, 8, (32, 32, 3), "uint8")],
                positions=np.stack([np.zeros(8, np.int64), np.arange(8)], axis=1),
                source="",
                dropped={},
            ),
            styles=STYLES,
            targets=[unflattened(row, [6, 8, 10]) for row in rows],
            works=[1, 1],
            out=Location.parse(tmp_path / name),
            source="",
        )

    whole, killed = training("whole"), training("killed")
    calm, kept = Kept(), Kept(dies_after=5)
    whole.work(0, calm, None)
    with pytest.raises(KeyboardInterrupt):
        killed.work(0, kept, None)
    kept.dies_after = None
    killed.work(0, kept, None)
    networks = [load_stylizer(one.out, load_stylizer_bundle(one.out)) for one in (whole, killed)]
    for first, second in zip(*(one.get_weights() for one in networks), strict=True):
        assert (first == second).all()
    losses = [epoch["loss"] for epoch in read_history(whole.out)]
    assert losses[-1] < 0.8 * losses[0]
    assert calm.last is not None
    for weight in looks.model.get_weights():
        assert any(np.array_equal(weight, state) for state in calm.last[0].values())


def test_a_bundles_network_paints_any_size_by_strength(bundle):
    about = load_stylizer_bundle(bundle)
    painter = Stylizer(bundle, about, "stripes")
    pictures = np.stack([spots(48, 64), spots(48, 64, 2)])
    whole, half = painter(pictures, [1.0, 1.0]), painter(pictures, [0.5, 1.0])
    assert whole.shape == pictures.shape
    assert (half[1] == whole[1]).all()
    assert half[0] == pytest.approx((pictures[0].astype(float) + whole[0]) / 2, abs=1)


def test_which_style_is_meant(bundle):
    about = load_stylizer_bundle(bundle)
    assert style_of(about, bundle, "spots") == style_of(about, bundle, "kind=spots") == "spots"
    with pytest.raises(InputError, match=r"knows 2 styles: --style-class says which .spots, stripes."):
        style_of(about, bundle, None)
    with pytest.raises(InputError, match="has no style 'stripe'; did you mean stripes"):
        style_of(about, bundle, "stripe")
    assert style_of(about.model_copy(update={"styles": ["one"]}), bundle, None) == "one"


def test_the_packaged_config():
    config = read_config("style_lite0", {"styles": "[Cubism, Rococo]", "model.width": "16"})
    assert (config.target, config.styles, config.model.width) == ("style", ["Cubism", "Rococo"], 16)
    assert config.weights == (3, 1, 10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": "66"}, "must be a multiple of 4"),
        ({"target": "null", "styles": "[a]"}, "styles: needs a target column"),
        ({"styles": "[a, a]"}, "one at least, each once"),
        ({"precision": "float16"}, "bfloat16"),
        ({"model.widht": "3"}, "unknown key; did you mean"),
    ],
)
def test_what_a_config_can_not_say(changes, message):
    with pytest.raises(InputError, match=message):
        read_config("style_lite0", changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "kind", "styles": "[dots]"}, "has no work of 'dots' in 'kind' .spots, stripes."),
        ({"target": "style"}, "has no column 'style'; it is the config's target"),
    ],
)
def test_styles_that_are_not_there(tmp_path, changes, message):
    works = write_manifest(tmp_path, {"a": spots(32, 32), "b": stripes(32, 32)}, kind=["spots", "stripes"])
    options = {"config": "style_lite0", "data": works, "out": tmp_path / "out", "set": changes}
    with pytest.raises(InputError, match=message):
        train_style(TrainStyleOptions.model_validate(options))


def test_what_is_far_away_changes_nothing():
    """A network that evens out whole maps can make all else of a map small by one glaring spot, and learns to."""
    keras.utils.set_random_seed(0)
    network = stylizer(1, width=4, blocks=1)
    last = network.get_layer("last")
    last.set_weights([np.random.default_rng(0).normal(0, 0.1, one.shape) for one in last.get_weights()])
    one = spots(128, 24)[None].astype(np.float32)
    other = one.copy()
    other[:, :32] = 255 - other[:, :32]
    style = np.ones((1, 1), np.float32)
    painted, again = (np.asarray(network([picture, style])) for picture in (one, other))
    assert not np.allclose(painted[:, :32], again[:, :32], atol=20)
    assert painted[:, 80:] == pytest.approx(again[:, 80:], abs=1e-3)
