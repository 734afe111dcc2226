import pytest

from artray.errors import InputError
from artray.super_resolution.config import read_config


@pytest.mark.parametrize(("name", "scale"), [("sr_edsr_x2", 2), ("sr_edsr_x4", 4)])
def test_packaged_configs(name: str, scale: int) -> None:
    config = read_config(name, {})
    assert (config.scale, config.model.blocks, config.model.width, config.loss.name) == (scale, 16, 64, "l1")
    assert config.crop // scale == 48  # the paper's


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": "5"}, "scale"),
        ({"crop": "97"}, "crop: must be a multiple of the scale"),
        ({"input": "pictures"}, "size: is needed"),
        ({"size": "128"}, "size: is for input: pictures"),
        ({"input": "pictures", "size": "97"}, "size: must be a multiple"),
        ({"input": "pictures", "size": "64"}, "crop: must be"),
        ({"loss.name": "l2"}, "loss"),
        ({"model.depth": "3"}, "model.depth"),
        ({"precision": "float16"}, "float16"),
    ],
)
def test_what_cannot_be(changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_config("sr_edsr_x2", changes)
