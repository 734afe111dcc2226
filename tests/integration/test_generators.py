"""A generator's pictures through Ray: scored against a collection, and a collection themselves."""

from pathlib import Path

import pytest

from artray.features.station import FeatureOptions, extract_features
from artray.gans.sample_station import SampleOptions, sample_gan
from artray.gans.scores import score
from artray.ingest.station import IngestOptions, ingest
from artray.storage import Location
from tests.gans.bundles import write_generator
from tests.integration.conftest import passes_in_process

CLASSES = ["code", "hand"]


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("generator"))
    write_generator(folder, CLASSES, config={"target": "medium"})
    return folder


def test_an_untrained_generator_scores_as_badly_as_it_is(
    generator: str, sample: Path, tmp_path: Path, ray_session: None
) -> None:
    manifest = str(tmp_path / "manifest")
    with passes_in_process("samples"):
        ingest(
            IngestOptions(
                images=str(sample),
                catalog=f"{sample}/catalog.csv",
                out=manifest,
                label={"medium": "medium"},
                split={"train": 1, "validation": 0, "test": 0},
            )
        )
        found = score(Location.parse(generator), Location.parse(manifest))
    assert (found["works"], found["n"]) == (46, 23)  # two of 48 can't be read
    rows = found["rows"]
    assert rows["works"]["fid"] < rows["generator"]["fid"]
    assert rows["works"]["kid"] < rows["mean"]["kid"]
    assert rows["generator"]["recall"] == 0


def test_samples_are_read_by_the_other_stations(generator: str, tmp_path: Path, ray_session: None) -> None:
    counts = sample_gan(SampleOptions(model=generator, out=str(tmp_path / "samples"), count=33, classes=["hand"]))
    assert counts["classes"] == {"hand": 33}
    options = FeatureOptions(
        manifest=counts["manifest"], out=str(tmp_path / "features"), features=["brightness"], size=32
    )
    with passes_in_process():
        assert extract_features(options)["ok"] == 33
    table = Location.parse(options.out).dataset().to_table()
    assert set(table["medium"].to_pylist()) == {"hand"}
    assert set(table["width"].to_pylist()) == {16}
