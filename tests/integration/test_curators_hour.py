"""The curator's hour: labels looked at, judged by keys and many at once, given back, learned from, and seen again."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from artray.classifiers.station import TrainOptions, train
from artray.features.station import FeatureOptions, extract_features
from artray.ingest.station import IngestOptions, ingest
from artray.labeling.station import LabelOptions, label_catalog
from artray.report.station import ReportOptions, report
from tests.integration.conftest import passes_in_process, trainings_in_process
from tests.report.conftest import browser  # noqa: F401
from tests.report.shown_page import counts, expect, fill

pytestmark = pytest.mark.usefixtures("ray_session")

COUNT = 300
STYLES = {"Cubism": (200, 40, 40), "Rococo": (40, 40, 200), "Ukiyo-e": (40, 180, 60)}
HOKUSAI = (220, 190, 40)
"""His works look like no others, and the catalogue has them under another style."""


def truth_of(i: int) -> tuple[str, str]:
    """A work's artist and style."""
    style = list(STYLES)[i % 3]
    return ("Hokusai" if i % 6 == 5 else f"Artist {i % 60}"), style


def write_collection(folder: Path) -> None:
    """Pictures of one colour each, and a catalogue that calls Hokusai's works Rococo."""
    chance = np.random.default_rng(0)
    (folder / "scans").mkdir(parents=True)
    with (folder / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["object_id", "file", "title", "artist", "style"])
        for i in range(COUNT):
            artist, style = truth_of(i)
            colour = HOKUSAI if artist == "Hokusai" else STYLES[style]
            pixels = np.clip(np.array(colour) + chance.normal(scale=12, size=(24, 24, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "scans" / f"w{i:03}.png")
            told = "Rococo" if artist == "Hokusai" else style
            rows.writerow([f"w{i:03}", f"w{i:03}.png", f"Work {i}", artist, told])


def walk(folder: Path, name: str, corrections: list[str]) -> Path:
    """From pictures to a page, with corrections or without; the page."""
    out = f"{folder}/{name}"
    ingest(
        IngestOptions(
            images=f"{folder}/scans",
            catalog=f"{folder}/catalog.csv",
            out=f"{out}/manifest",
            label={"style": "style"},
            near_duplicates=False,
            corrections=corrections,
        )
    )
    extract_features(
        FeatureOptions(
            manifest=f"{out}/manifest", out=f"{out}/features", features=["palette", "colormaps", "brightness"]
        )
    )
    train(TrainOptions(task="style", data=f"{out}/features", out=f"{out}/model", corrections=corrections))
    label_catalog(
        LabelOptions(
            manifest=f"{out}/manifest", features=f"{out}/features", model=[f"{out}/model"], out=f"{out}/labels"
        )
    )
    options = ReportOptions(
        labels=f"{out}/labels", features=f"{out}/features", evaluation=[f"{out}/model"], out=f"{out}/page"
    )
    report(options)
    return Path(f"{out}/page/index.html")


def test_a_curators_hour(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    write_collection(tmp_path)
    with passes_in_process(), trainings_in_process():
        first = walk(tmp_path, "first", [])
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.goto(first.as_uri())
    expect(page.locator("#count")).to_have_text(f"{COUNT} works")
    hokusai = [i for i in range(COUNT) if truth_of(i)[0] == "Hokusai"]

    # Twenty by keys, each with its right label.
    fill(page, artist="Artist", order="By id")
    page.locator(".card").first.focus()
    page.keyboard.press("Enter")
    choices = page.locator(".choice")
    expect(choices).to_have_count(len(STYLES))
    keys = dict(choices.evaluate_all("rows => rows.map((row) => [row.dataset.label, row.firstChild.textContent])"))
    for i in [i for i in range(COUNT) if i not in hokusai][:20]:
        expect(page.locator("#detail-title")).to_have_text(f"Work {i}")
        page.keyboard.press(keys[truth_of(i)[1]])
    expect(page.locator("#corrections")).to_have_text(re.compile("^20 labels checked"))
    page.go_back()

    # Many at once; undone; given again.
    fill(page, artist="Hokusai")
    counts(page, f"{len(hokusai)} of {COUNT} works")
    for turn in range(2):
        page.locator("#select-all").click()
        page.locator("#bulk-label").select_option(label="Ukiyo-e")
        page.locator("#bulk-give").click()
        expect(page.locator("#corrections")).to_have_text(re.compile(f"{20 + len(hokusai)} labels checked"))
        if not turn:
            page.locator("#undo").click()
            expect(page.locator("#corrections")).to_have_text(re.compile("20 labels checked"))
    with page.expect_download() as download:
        page.locator("#download").click()
    corrections = tmp_path / "corrections.csv"
    download.value.save_as(corrections)

    with passes_in_process(), trainings_in_process():
        second = walk(tmp_path, "second", [str(corrections)])
    page.goto(second.as_uri())
    fill(page, artist="Hokusai", label="Ukiyo-e", status="As in the catalogue")
    counts(page, f"{len(hokusai)} of {COUNT} works")
    page.goto(first.as_uri())
    fill(page, artist="Hokusai", label="Rococo", status="As in the catalogue")
    counts(page, f"{len(hokusai)} of {COUNT} works")
    context.close()
    assert json.loads((tmp_path / "second" / "model" / "bundle.json").read_text())["task"] == "style"
