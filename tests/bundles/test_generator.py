import json

from artray.bundles.generator import BUNDLE, load_generator, load_generator_bundle
from artray.storage import Location
from tests.gans.bundles import LATENT_SIZE, write_generator


def test_the_old_word_for_the_latents_size_is_read(tmp_path):
    written = write_generator(str(tmp_path))
    values = json.loads((tmp_path / BUNDLE).read_text())
    values["codes"] = values.pop("latent_size")
    (tmp_path / BUNDLE).write_text(json.dumps(values))
    bundle = load_generator_bundle(Location.parse(tmp_path))
    assert bundle == written
    assert load_generator(Location.parse(tmp_path), bundle).input_shape == (None, LATENT_SIZE)
    assert "codes" not in bundle.model_dump()
