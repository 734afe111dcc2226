"""Generator bundles as files; what their networks do is tried in tests/gans and tests/models/gans."""

import json

import pytest

from artray.bundles.description import read_history
from artray.bundles.generator import (
    BUNDLE,
    GeneratorBundle,
    is_scored,
    load_generator,
    load_generator_bundle,
    read_scores,
    save_generator_bundle,
    write_scores,
)
from artray.errors import InputError
from artray.images.decoding import DECODE_VERSION
from artray.storage import Location, digest
from tests.gans.bundles import LATENT_SIZE, write_generator

NETWORK = b"no network"


def describe(**changes: object) -> GeneratorBundle:
    values = {
        "model_id": "dcgan-0123456789ab",
        "size": 16,
        "latent_size": 8,
        "distribution": "normal",
        "classes": ["oil", "ink"],
        "generator_sha": digest(NETWORK),
        "discriminator_sha": digest(NETWORK),
        "decode_version": DECODE_VERSION,
        "data": {"train": 3},
        "config": {},
        "metrics": {"loss": 1.0},
        "versions": {},
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    return GeneratorBundle.model_validate(values | changes)


def test_what_is_saved_is_read_again(tmp_path):
    out, bundle = Location.parse(tmp_path), describe()
    history = [{"epoch": 1, "generator_loss": 0.5}]
    save_generator_bundle(out, bundle, NETWORK, NETWORK, history)
    assert load_generator_bundle(out) == bundle
    assert read_history(out) == history
    assert max(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns).name == BUNDLE  # a whole bundle, or none
    with pytest.raises(InputError, match=r"generator.keras can't be loaded safely"):
        load_generator(out, bundle)
    with pytest.raises(InputError, match=r"generator.keras is not the one generator.json was written for"):
        load_generator(out, describe(generator_sha="0"))


def test_scores_are_told_in_the_bundle_too(tmp_path):
    out = Location.parse(tmp_path)
    save_generator_bundle(out, describe(), NETWORK, NETWORK, [])
    assert not is_scored(out)
    with pytest.raises(InputError, match="not found"):
        read_scores(out)
    write_scores(out, {"rows": {}}, describe(metrics={"loss": 1.0, "scores": {}}))
    assert is_scored(out)
    assert read_scores(out) == {"rows": {}}
    assert load_generator_bundle(out).metrics == {"loss": 1.0, "scores": {}}


@pytest.mark.parametrize("changes", [{"distribution": "even"}, {"classes": ["oil", "oil"]}, {"classes": ["a\nb"]}])
def test_a_strangers_bundle(tmp_path, changes):
    values = describe().model_dump() | changes
    (tmp_path / BUNDLE).write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"not a generator bundle of this release: generator.json: ") as raised:
        load_generator_bundle(Location.parse(tmp_path))
    assert "\n" not in str(raised.value)


def test_the_old_word_for_the_latents_size_is_read(tmp_path):
    written = write_generator(str(tmp_path))
    values = json.loads((tmp_path / BUNDLE).read_text())
    values["codes"] = values.pop("latent_size")
    (tmp_path / BUNDLE).write_text(json.dumps(values))
    bundle = load_generator_bundle(Location.parse(tmp_path))
    assert bundle == written
    assert load_generator(Location.parse(tmp_path), bundle).input_shape == (None, LATENT_SIZE)
    assert "codes" not in bundle.model_dump()
