"""How far classifiers with generated works lie from those without, and how sure that is."""

import html
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artray.comparison import augmentation_results
from artray.comparison.augmentation_page import augmentation_page
from artray.comparison.augmentation_results import Trained, differences
from artray.storage import Location
from tests.comparison.made import CLASSES, write_model

WORKS = 120


def trained(folder: Path, rights: list[float], seed: int, *, per_group: int = 1) -> list[Location]:
    """Classifiers that have about such shares of the works right."""
    true = np.arange(WORKS) % len(CLASSES)
    places = []
    for number, share in enumerate(rights):
        chance = np.random.default_rng([seed, number])
        right = chance.random(WORKS) < share
        scores = np.eye(len(CLASSES))[np.where(right, true, (true + 1) % len(CLASSES))]
        places.append(
            Location(write_model(str(folder / f"{seed}-{number}"), true=true, scores=scores, per_group=per_group))
        )
    return places


def balanced(found: list[Any], at: int) -> dict[str, Any]:
    return dict(found[at]["balanced_accuracy"])


def test_a_difference_is_that_of_the_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation_results, "RESAMPLES", 500)
    without = trained(tmp_path, [0.6, 0.6], 0)
    withal = [trained(tmp_path, [0.75, 0.75], 1), trained(tmp_path, [0.85, 0.85], 2)]
    found = differences([Trained(0, 0, [without]), Trained(50, 60, withal), Trained(0.1, 0, [without])], 0)
    assert found[0] is None
    told = balanced(found, 1)
    assert 0.1 < told["value"] < 0.3
    assert told["works"][0] < told["value"] < told["works"][1]
    assert "groups" not in told
    assert balanced(found, 2) == {"value": 0, "works": [0, 0]}  # the same classifiers: the same works are drawn


def test_generators_that_differ_make_an_interval_wider(tmp_path: Path) -> None:
    without = trained(tmp_path, [0.6], 0)
    alike = [trained(tmp_path, [0.7], 1)] * 3
    apart = [alike[0], trained(tmp_path, [0.35], 2), trained(tmp_path, [0.95], 3)]
    found = differences([Trained(0, 0, [without]), Trained(50, 60, alike), Trained(100, 120, apart)], 0)
    narrow, wide = (np.ptp(balanced(found, at)["works"]) for at in (1, 2))
    assert wide > 1.5 * narrow


def test_works_of_a_group_are_drawn_together(tmp_path: Path) -> None:
    without, with_them = (trained(tmp_path, [0.6 + seed / 5], seed, per_group=12) for seed in (0, 1))
    told = balanced(differences([Trained(0, 0, [without]), Trained(50, 60, [with_them])], 0), 1)
    assert set(told) == {"value", "works", "groups"}


@pytest.mark.parametrize(
    ("works", "groups", "told"),
    [
        ([-0.06, -0.01], [-0.05, -0.02], "100 % generated works make it worse: by −0.040 (−0.060 to −0.010)"),
        ([-0.06, -0.01], [-0.09, 0.01], "can't be told from the test works"),
        ([-0.06, 0.01], [-0.05, -0.02], "can't be told from the test works"),  # few groups are sure too soon
    ],
)
def test_the_page_says_what_the_wider_interval_bears(
    works: list[float], groups: list[float], told: str, tmp_path: Path
) -> None:
    figures = {name: {"mean": 0.6, "spread": 0.01} for name in augmentation_results.METRICS}
    row = {"generated": 0, "share": 0, "test": 40, "majority_share": 0.3, "difference": None, **figures}
    apart = {"value": -0.04, "works": works, "groups": groups}
    rows = [row, {**row, "generated": 30, "share": 100, "difference": {"balanced_accuracy": apart, "accuracy": apart}}]
    results = {"works": 30, "real": 25, "seeds": [0, 1], "gan_seeds": [0, 1], "generator": "dcgan", "rows": rows}
    page = augmentation_page(Location(str(tmp_path)), results, {})
    text = html.unescape(page.read_bytes().decode())
    assert told in text
    assert "30 real works, 25 % of those there are" in text
    assert "40 test works, all real; mean ± spread over 2 generators with 2 seeds each" in text
