from pathlib import Path

import pytest

from tests.labeling.exports.collection import HOSTILE, labels, write_features, write_labels

STYLES = {
    "Impressionist": "http://vocab.getty.edu/aat/300021503",
    "Cubist": "http://vocab.getty.edu/aat/300021495",
    "Rococo": None,
    **dict.fromkeys(HOSTILE),
}
THRESHOLD = 0.3


@pytest.fixture
def ids() -> list[str]:
    return [*HOSTILE, *(f"work-{number}" for number in range(60))]


@pytest.fixture
def rows(ids: list[str]) -> dict[str, list[dict]]:
    return {
        "medium": labels("medium", {"oil": None, "print": None}, ids, seed=1),
        "style": labels("style", STYLES, ids),
    }


@pytest.fixture
def collection(tmp_path: Path, rows: dict[str, list[dict]]) -> str:
    """Labels of two tasks, of which one has a threshold."""
    write_labels(tmp_path / "labels", "medium", rows["medium"])
    write_labels(tmp_path / "labels", "style", rows["style"], {"threshold": THRESHOLD, "coverage": 0.5})
    return str(tmp_path / "labels")


@pytest.fixture
def features(tmp_path: Path, ids: list[str]) -> str:
    titles = [*reversed(HOSTILE), *(f"Title {number}" for number in range(60))]
    canvases = [
        f"https://iiif.example.org/{number}/canvas" if number % 2 else "not an address" for number in range(len(ids))
    ]
    box = {"label": "dog", "score": 0.9, "ymin": 0.125, "xmin": 0.25, "ymax": 0.625, "xmax": 1.0}
    objects = [[box, {**box, "label": "cat", "score": 0.4}] if number == 30 else [] for number in range(len(ids))]
    path = tmp_path / "features.parquet"
    write_features(path, ids, {"Title": titles, "iiif_canvas": canvases, "objects": objects})
    return str(path)
