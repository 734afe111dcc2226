"""The generator's picture that is most like a given one."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artray.errors import InputError
from artray.gans import projection
from artray.gans.sample_station import SampleOptions, sample_gan
from artray.gans.sampling import GeneratorModel
from artray.storage import Location
from tests.gans.bundles import SIZE, write_generator


@pytest.fixture
def plain_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels in the place of the embedding, tasks in this process."""
    from keras import ops

    def look(pictures):
        pictures = ops.convert_to_tensor(pictures) / 127.5 - 1
        return ops.normalize(ops.reshape(pictures, (ops.shape(pictures)[0], -1)), axis=-1), pictures

    monkeypatch.setattr(projection, "_look", lambda: look)
    monkeypatch.setattr(projection, "in_task", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(projection, "_TRIED", 16)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [[], ["Cubism", "Rococo"]])
def test_what_the_generator_made_is_found_again(tmp_path: Path, plain_look: None, classes: list[str]) -> None:
    model = Location.parse(str(tmp_path / "gan"))
    write_generator(str(model), classes)
    latents = np.random.default_rng(5).normal(size=(2, 8)).astype(np.float32)
    latents *= np.sqrt(8) / np.linalg.norm(latents, axis=1, keepdims=True)
    # Of a generator that has learned nothing pictures are all but grey: they are not rounded here.
    wanted = np.asarray(GeneratorModel(model).differentiable(latents, np.array([0, 1] if classes else [-1, -1])))
    found = projection.project(model, wanted, steps=60)
    assert found.pictures.shape == found.chosen.shape == (2, SIZE, SIZE, 3)
    assert (found.losses[:, 1] < 0.1 * found.losses[:, 0]).all()
    assert np.allclose(found.latents, latents, atol=0.2)
    assert found.kinds.tolist() == ([0, 1] if classes else [-1, -1])
    assert np.linalg.norm(found.latents, axis=1) == pytest.approx(np.sqrt(8), rel=1e-3)


@pytest.mark.slow
def test_pictures_like_others_are_written_beside_them(
    tmp_path: Path, plain_look: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_generator(str(tmp_path / "gan"))
    chance = np.random.default_rng(0)
    files = [tmp_path / f"{name}.png" for name in ("one", "broken", "two")]
    for file in files:
        Image.fromarray(chance.integers(0, 256, (20, 30, 3), np.uint8)).save(file)
    files[1].write_bytes(b"no picture")
    monkeypatch.setattr(projection, "_STEPS", 3)
    options = {"model": str(tmp_path / "gan"), "out": str(tmp_path / "out")}
    (tmp_path / "out" / "like").mkdir(parents=True)
    (tmp_path / "out" / "like" / "02.png").write_bytes(b"of an earlier call")
    counts = sample_gan(SampleOptions(**options, like=[str(file) for file in files]))
    assert (counts["rows"], counts["ok"], counts["failed"]) == (3, 2, 1)
    assert "broken.png (" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "out" / "like").iterdir()) == ["00.png", "01.png", "like.json"]
    assert Image.open(tmp_path / "out/like/01.png").size == (3 * SIZE + 4, SIZE)
    told = Location.parse(str(tmp_path / "out/like/like.json")).read_json()["pictures"]
    assert [Path(one["image_uri"]).stem for one in told] == ["one", "two"]
    assert all(one["after"] <= one["before"] and len(one["latent"]) == 8 for one in told)
    with pytest.raises(InputError, match="not one of 1 pictures can be read"):
        sample_gan(SampleOptions(**options, like=[str(files[1])]))
