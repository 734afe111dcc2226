"""Styles as means of Gram matrices."""

import numpy as np
import pytest

from artray.errors import InputError
from artray.images.pictures import DecodeSize, read_pictures
from artray.storage import Location
from artray.style_transfer.optimizing import Looks, StyleTransfer
from artray.style_transfer.references import find_target, read_target, remove_target, wanted_style
from tests.style_transfer.making import Passes, spots, stripes, write_manifest, write_network

pytestmark = pytest.mark.slow  # whole stations

SIZE = 64


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    return Looks(backbone=write_network(tmp_path_factory.mktemp("network") / "tiny.keras"))


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    pictures = {f"s{n}": spots(64, 48 if n % 2 else 64, n) for n in range(5)}
    pictures |= {"bad": None, "t0": stripes(64, 64), "t1": stripes(40, 64)}
    return write_manifest(
        tmp_path_factory.mktemp("works"), pictures, emotion=["joy", "joy", "joy", "joy", "joy", "joy", "fear", None]
    )


@pytest.fixture
def passes(monkeypatch):
    return Passes(monkeypatch)


def found(works, style_class, looks, out, **how):
    settings = {"size": SIZE, "scales": 2, "judge": None, **how}
    return find_target(wanted_style(Location.parse(works), style_class), Location.parse(out), looks, **settings)


def test_a_classs_style_is_the_mean_of_its_works_grams(works, looks, passes, tmp_path):
    place, target = found(works, "emotion=joy", looks, tmp_path, judge=looks.backbone)
    transfer = StyleTransfer(looks, SIZE, 2)
    rows = Location.parse(works).dataset().to_table().slice(0, 5)
    (read,) = read_pictures(rows, [DecodeSize(SIZE, "inside")])
    grams = [transfer.grams(picture[None])[0] for picture in read.images[DecodeSize(SIZE, "inside")]]
    mean = np.mean(grams, axis=0, dtype=np.float64)
    assert target.works == 5  # the broken file is left out
    flat = np.concatenate([matrix.ravel() for scale in target.scales for matrix in scale])
    assert flat == pytest.approx(mean, rel=1e-4, abs=1e-6)
    assert [len(scale) for scale in target.scales] == [3, 3]
    assert [matrix.shape for matrix in target.measured] == [(6, 6), (8, 8), (10, 10)]
    kept = read_target(place)
    assert kept.works == 5
    assert all((a == b).all() for a, b in zip(kept.measured, target.measured, strict=True))
    remove_target(Location.parse(tmp_path))
    assert not list(tmp_path.iterdir())


def test_one_picture_and_all_works(works, looks, passes, tmp_path):
    _, whole = found(works, None, looks, tmp_path / "whole")
    assert whole.works == 7
    file = works.parent / "files" / "s0.png"
    _, one = found(file, None, looks, tmp_path / "one")
    transfer = StyleTransfer(looks, SIZE, 2)
    flat = np.concatenate([matrix.ravel() for scale in one.scales for matrix in scale])
    assert flat == pytest.approx(transfer.grams(spots(64, 64, 0)[None])[0], rel=1e-4, abs=1e-6)
    assert one.measured == []


@pytest.mark.parametrize(
    ("style_class", "message"),
    [
        ("emotion=sorrow", "--style-class emotion=sorrow: no work of .* has it .there is fear, joy."),
        ("emotion=jo", "did you mean joy"),
        ("emotoin=joy", "has no column 'emotoin'; did you mean emotion"),
        ("joy", "must be COLUMN=VALUE"),
    ],
)
def test_what_is_no_class_is_said(works, style_class, message):
    with pytest.raises(InputError, match=message):
        wanted_style(Location.parse(works), style_class).rows()


def test_one_picture_has_no_classes_and_must_be_there(works, tmp_path):
    file = works.parent / "files" / "s0.png"
    with pytest.raises(InputError, match="is one picture, which has no classes"):
        wanted_style(Location.parse(file), "emotion=joy").rows()
    with pytest.raises(InputError, match="there is no such file"):
        wanted_style(Location.parse(tmp_path / "gone.jpg"), None).rows()


def test_a_style_that_nobody_can_read(works, looks, passes, tmp_path):
    with pytest.raises(InputError, match="no work of it can be read"):
        found(works.parent / "files" / "bad.png", None, looks, tmp_path)
