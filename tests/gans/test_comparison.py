"""Generators side by side: every combination once, what fails is a row, works are embedded once."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from artray.errors import ArtrayError, InputError
from artray.gans import comparison, embeddings
from artray.gans.comparison import ComparisonOptions, compare_gans, trained_runs
from artray.storage import Location
from tests.gans.bundles import write_generator
from tests.gans.serial import Serial
from tests.gans.test_scores import Colours, collection

CONFIG = "gan_dcgan"
__all__ = ["collection"]  # a fixture


class Trainer:
    """In the place of train_gans."""

    def __init__(self, fails: str = ""):
        self.trained: list[dict[str, str]] = []
        self._fails = fails

    def __call__(self, several: list[tuple[str, Any]], shared: Location) -> dict[Location, str]:
        failed = {options.out: self._train(options) for _, options in several}
        return {out: error for out, error in failed.items() if error}

    def _train(self, options: Any) -> str | None:
        if (Location.parse(options.out) / "generator.json").exists():
            return None
        self.trained.append(options.set)
        if options.set["loss.name"] == json.dumps(self._fails):
            return "the generator's loss is no longer a number"
        write_generator(options.out, distribution="uniform")
        history = [{"epoch": number, "seconds": 60.0} for number in (1, 2)]
        (Location.parse(options.out) / "history.json").write_bytes(json.dumps(history).encode())
        return None


@pytest.fixture
def serial(monkeypatch: pytest.MonkeyPatch) -> Serial:
    monkeypatch.setattr(embeddings, "_Embedder", Colours)
    return Serial(monkeypatch)


def options(data: str, out: Path, **changes: Any) -> ComparisonOptions:
    grid = {"loss.name": "ns,wgan,hinge"}
    return ComparisonOptions(
        config=[CONFIG], data=data, out=str(out), **{"grid": grid, "set": {"size": "16"}, **changes}
    )


@pytest.mark.slow
def test_a_table_of_losses(
    collection: str, tmp_path: Path, serial: Serial, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = Trainer(fails="wgan")
    monkeypatch.setattr(comparison, "train_gans", trainer)
    counts = compare_gans(options(collection, tmp_path))
    assert (counts["rows"], counts["ok"], counts["failed"]) == (3, 2, 1)
    assert [changes["loss.name"] for changes in trainer.trained] == ['"ns"', '"wgan"', '"hinge"']
    assert len(serial.passes[0]) == 50 + 1 + 25
    assert [len(rows) for rows in serial.passes[1:]] == [25, 0, 25]
    rows = Location.parse(str(tmp_path / "results.parquet")).dataset().to_table().to_pylist()
    assert [(row["config"], row["loss.name"], row["seconds"]) for row in rows] == [
        ("gan_dcgan", "ns", 120),
        ("gan_dcgan", "wgan", None),
        ("gan_dcgan", "hinge", 120),
    ]
    assert rows[1]["error"] == "the generator's loss is no longer a number"
    assert rows[1]["fid"] is None
    assert rows[0]["fid"] == rows[2]["fid"]  # the same untrained network
    with (tmp_path / "results.csv").open() as file:
        assert [line["loss.name"] for line in csv.DictReader(file)] == ["ns", "wgan", "hinge"]
    assert trained_runs(Location.parse(tmp_path)) == [Location(rows[0]["run"]), Location(rows[2]["run"])]
    assert (Path(rows[0]["run"]) / "latent" / "interpolation.png").exists()
    assert not (tmp_path / "_works").exists()
    said = capsys.readouterr().err
    assert "2 of 3  config=gan_dcgan, loss.name=wgan" in said
    assert "2.0 min" in said
    assert "works, half against half" in said

    # Again, with one more: only that one and the failed one are trained.
    compare_gans(options(collection, tmp_path, grid={"loss.name": "ns,wgan,hinge,lsgan"}))
    assert [changes["loss.name"] for changes in trainer.trained[3:]] == ['"wgan"', '"lsgan"']


def test_all_failing_is_an_error(
    collection: str, tmp_path: Path, serial: Serial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "train_gans", Trainer(fails="ns"))
    with pytest.raises(ArtrayError, match="not one of 1 could be trained: the generator's loss"):
        compare_gans(options(collection, tmp_path, grid={"loss.name": "ns"}))


def test_a_wrong_key_is_said_before_anything_is_trained(
    collection: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer()
    monkeypatch.setattr(comparison, "train_gans", trainer)
    with pytest.raises(InputError, match="loss"):
        compare_gans(options(collection, tmp_path, grid={"loss.name": "ns,perceptual"}))
    assert not trainer.trained
