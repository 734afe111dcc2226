"""Several GANs in one group of workers; tests/integration/test_gan.py trains with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artray.bundles.generator import DISCRIMINATOR, GENERATOR
from artray.errors import ArtrayError
from artray.gans import station
from artray.gans.examples import Pictures
from artray.gans.loop import GanTraining
from artray.gans.station import GanOptions, train_gans
from artray.storage import Location
from tests.gans.bundles import write_description
from tests.gans.test_scores import collection

__all__ = ["collection"]  # a fixture


class Group:
    """In the place of the workers: a training is done when its bundle is there."""

    groups: list[list[str]]
    fails: set[str]

    def __init__(self, **options: Any):
        self.name = options["name"]

    def run(self, trainings: list[GanTraining]) -> None:
        self.groups.append([training.title for training in trainings])
        for training in trainings:
            if training.title in self.fails:
                raise ArtrayError("the generator's loss is no longer a number")
            config = training.config.model_dump(mode="json")
            shas = {GENERATOR: "", DISCRIMINATOR: ""}
            write_description(str(training.out), [], shas, config=config, data={"source": training.source})


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> type[Group]:
    def load_pictures(config: Any, data: Location, cache: Any) -> Pictures:
        read.append(config.size)
        nothing = np.zeros((0, 2))
        return Pictures(
            ids=[], classes=[], labels=nothing.astype(np.float32), blocks=[], positions=nothing.astype(np.int64),
            source="", dropped={},
        )  # fmt: skip

    read: list[int] = []
    Group.groups, Group.fails = [], set()
    Group.read = read  # type: ignore[attr-defined]
    monkeypatch.setattr("artray.engine.options.WorkerGroup", Group)
    monkeypatch.setattr(station, "join_cluster", lambda *_: None)
    monkeypatch.setattr(station, "load_pictures", load_pictures)
    return Group


def several(data: str, out: Path, *losses: str, size: int = 16) -> list[tuple[str, GanOptions]]:
    return [
        (
            loss,
            GanOptions(config="gan_dcgan", data=data, out=str(out / loss), set={"loss.name": loss, "size": str(size)}),
        )
        for loss in losses
    ]


def test_all_are_one_group_and_pictures_are_read_once(collection: str, tmp_path: Path, group: Any) -> None:
    wanted = several(collection, tmp_path, "ns", "wgan", "hinge")
    assert (
        train_gans([*wanted, *several(collection, tmp_path / "large", "ns", size=32)], Location.parse(tmp_path)) == {}
    )
    assert group.groups == [["ns", "wgan", "hinge", "ns"]]
    assert group.read == [16, 32]
    assert train_gans(wanted, Location.parse(tmp_path)) == {}
    assert len(group.groups) == 1  # all are there


def test_one_that_fails_is_told_and_those_after_it_are_trained(collection: str, tmp_path: Path, group: Any) -> None:
    group.fails = {"wgan", "hinge"}
    wanted = several(collection, tmp_path, "ns", "wgan", "hinge", "lsgan")
    failed = train_gans(wanted, Location.parse(tmp_path))
    assert {out.name: error.split()[-1] for out, error in failed.items()} == {"wgan": "number", "hinge": "number"}
    assert group.groups == [["ns", "wgan", "hinge", "lsgan"], ["hinge", "lsgan"], ["lsgan"]]
    group.fails = set()
    assert train_gans(wanted, Location.parse(tmp_path)) == {}
    assert group.groups[3:] == [["wgan", "hinge"]]


def test_another_bundle_in_the_way_is_one_failure(collection: str, tmp_path: Path, group: Any) -> None:
    wanted = several(collection, tmp_path, "ns", "hinge")
    train_gans(wanted[:1], Location.parse(tmp_path))
    other = [(title, options.model_copy(update={"set": options.set | {"epochs": "3"}})) for title, options in wanted]
    failed = train_gans(other, Location.parse(tmp_path))
    assert [out.name for out in failed] == ["ns"]
    assert "--overwrite" in failed[wanted[0][1].out]
    assert group.groups[1:] == [["hinge"]]
