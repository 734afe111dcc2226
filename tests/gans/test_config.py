from pathlib import Path

import pytest

from artray.engine.schedules import Schedule
from artray.errors import InputError
from artray.gans.config import GanConfig, read_config

FILE = str(Path(__file__).parents[2] / "jobs" / "configs" / "gan_dcgan.yaml")


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        ("epoch", "3", ["epoch: unknown key", "epochs"]),
        ("loss.name", "nss", ["loss.name", "'hinge'", "'nss'"]),
        ("loss.clip", "0.1", ["clip is for wgan, not for ns"]),
        ("loss.gamma", "0.1", ["loss.gamma"]),
        ("model.name", "stylegan", ["model.name", "'resnet'"]),
        ("size", "4", ["size", "greater than or equal to 8"]),
        ("size", "64.5", ["size"]),
        ("batch_size", "1", ["batch_size"]),
        ("diff_augment", "[blur]", ["diff_augment", "'cutout'"]),
        ("generator.learning_rate", "-1", ["generator.learning_rate"]),
        ("discriminator.schedule", "plateau", ["discriminator.schedule"]),
        ("classes", "[a, b]", ["classes: needs a target column"]),
        ("loss.penalty_end", "1", ["penalty_end is for r1, rpgan, not for ns"]),
        ("adaptive", "{}", ["adaptive: says how likely diff_augment's changes are, and there are none"]),
        ("blur", "{sigma: 0}", ["blur.sigma"]),
        ("distribution", "gauss", ["distribution", "'uniform'"]),
    ],
)
def test_wrong_values_are_one_line(path, text, names):
    with pytest.raises(InputError) as raised:
        read_config(FILE, {path: text})
    line = str(raised.value)
    assert "\n" not in line
    assert [name for name in [FILE, *names] if name not in line] == []


def test_networks_have_optimizers_and_schedules_of_their_own():
    config = read_config(FILE, {"generator.schedule": "cosine", "discriminator.learning_rate": "0.01"})
    assert config.generator.settings() == {"learning_rate": 0.0002, "beta_1": 0.5}
    assert config.discriminator.settings() == {"learning_rate": 0.01, "beta_1": 0.5}
    assert config.generator.learning_rates(10) == Schedule(highest=0.0002, epochs=10, shape="cosine")
    assert config.discriminator.learning_rates(10) == Schedule(highest=0.01, epochs=10)


@pytest.mark.parametrize("loss", ["wgan", "wgan_gp", "began", "hinge", "mm", "lsgan", "dragan", "r1", "rpgan"])
def test_a_loss_is_changed_by_its_name_alone(loss):
    config = read_config(FILE, {"loss.name": loss})
    assert config.loss.name == loss
    assert GanConfig.model_validate_json(config.model_dump_json()) == config


def test_what_does_not_go_together_is_refused():
    with pytest.raises(InputError, match="it must be hinge, ns, mm or lsgan, which need no penalty"):
        read_config("gan_projected", {"loss.name": "rpgan"})
    with pytest.raises(InputError, match="adaptive: goes with color and translation"):
        read_config("gan_projected", {"adaptive": "{}"})
    adaptive = read_config("gan_projected", {"adaptive": "{}", "diff_augment": "[color]"}).adaptive
    assert adaptive is not None
    assert (adaptive.target, adaptive.length, adaptive.most) == (0.6, 500_000, 0.8)


def test_the_old_word_for_the_latents_size_is_read():
    assert read_config(FILE, {"codes": "8"}) == read_config(FILE, {"latent_size": "8"})
    old = read_config(FILE, {}).model_dump()
    old["codes"] = old.pop("latent_size")
    assert GanConfig.model_validate(old) == read_config(FILE, {})


def test_every_key_is_described():
    plain = {"model", "loss", "epochs", "seed"}
    assert [name for name, key in GanConfig.model_fields.items() if not key.description and name not in plain] == []
