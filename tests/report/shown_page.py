"""A page of 2,500 works as a browser shows it, and what tests do there.

A page answers in its own time: what is read after an act is waited for, by `expect` or `waited_for`.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artray.labeling.contract import Models
from artray.report.overview import Overview
from artray.report.page import write_page
from artray.report.works import Label, Work
from tests.report.waiting import waited_for

expect = pytest.importorskip("playwright.sync_api", reason="needs the package playwright").expect

COUNT = 2_500
STYLES = ["Cubism", "Fauvism", "Rococo"]
ARTISTS = ["Jean-Léon Gérôme", "Rosa Bonheur", "Utagawa Hiroshige", "Mary Cassatt"]
HOSTILE = "</script><img src=x onerror=globalThis.pwned=1><script>globalThis.pwned=1</script>\u202e\u2028\"'`👩‍🎨"
TITLES = {42: HOSTILE, 44: "x" * 10_000, 45: "=HYPERLINK(1)"}
BAD = {"w00007": "truncated", "w00011": "not_an_image", "w00013": "not_an_image"}
EVALUATION = {
    "task": "style",
    "model_id": "style-1",
    "classes": STYLES,
    "majority_share": 0.4,
    "levels": {
        "artwork": {
            "n": 60,
            "accuracy": 0.8,
            "balanced_accuracy": 0.75,
            "confusion": [[16, 2, 2], [4, 16, 0], [0, 4, 16]],
        },
        "patch": {"n": 600, "accuracy": 0.65, "confusion": [[130, 40, 30], [40, 130, 30], [30, 40, 130]]},
    },
}


def make_work(i):
    key = f"w{i:05}"
    if key in BAD:
        return Work(key, f"/museum/{key}.jpg", status=BAD[key], error="16 bytes missing", record={"title": f"Bad {i}"})
    score = 0.34 + 0.65 * ((i * 7919) % COUNT) / COUNT  # each score once
    best, other, least = (STYLES[(i + k) % 3] for k in range(3))
    hand = 0.995
    return Work(
        "=1+1" if i == 46 else key,
        image_uri="javascript:globalThis.pwned=1" if i == 42 else f"/museum/{key} #1.jpg",
        labels={
            "style": Label(
                best, score, {best: score, other: (1 - score) * 0.7, least: (1 - score) * 0.3}, None, "style-1"
            ),
            "hand_or_code": Label("hand", hand, {"hand": hand, "code": 1 - hand}, None, "hand-1"),
        },
        record={"title": TITLES.get(i, f"Work {i}"), "artist": ARTISTS[i % 4], "date": str(1500 + i % 400)},
        palette=[((200, 30, 30), 0.6), ((20, 30, 90), 0.4)],
        brightness=100.0,
        objects=[("dog", 0.9, 0.1, 0.1, 0.5, 0.5), ("boat", 0.3, 0.2, 0.2, 0.9, 0.9)] if i == 43 else (),
        thumbnail=f"thumbs/{i % 5}.png",
        maps={"style": "thumbs/3.png", "hand_or_code": "thumbs/4.png"} if i == 0 else {},
    )


def score_of(work):
    return work.labels["style"].score if work.labels else 2.0


WORKS = [make_work(i) for i in range(COUNT)]


def make_overview():
    """The works in a spiral, each one like its neighbours in it; works without label have no place."""
    ids = [work.object_id for work in WORKS if work.labels]
    turn = np.arange(len(ids)) / len(ids)
    around = 12 * np.pi * turn
    positions = 0.5 + 0.5 * turn[:, None] * np.stack([np.cos(around), np.sin(around)], 1)
    nearest = (np.arange(len(ids))[:, None] + np.arange(1, 13)) % len(ids)
    similarity = np.tile(np.linspace(0.95, 0.4, 12), (len(ids), 1))
    return Overview(ids, nearest.astype(np.int32), similarity.astype(np.float32), positions.astype(np.float32))


def write_shown_page(folder: Path) -> str:
    """Write the page and its thumbnails; its address."""
    (folder / "thumbs").mkdir()
    for i in range(5):
        Image.new("RGB", (80, 40 + 20 * i), (40 * i, 90, 120)).save(folder / "thumbs" / f"{i}.png")
    page = write_page(
        folder,
        WORKS,
        [EVALUATION],
        {"title": "Twenty-five hundred works", "created": "2026-11-21", "run": "run 1"},
        models=Models({"style-1": 0.5}),
        overview=make_overview(),
    )
    return page.as_uri()


def title_of(work):
    return work.record["title"] if len(work.record["title"]) < 200 else work.record["title"][:199] + "…"


def cards(page):
    """The titles in the document: those in view and a few beyond."""
    return page.locator(".card .title")


def counts(page, words):
    expect(page.locator("#count")).to_have_text(words)


def counted(page):
    """How many works the page says it shows of all, once it shows less than all."""
    expect(page.locator("#count")).to_contain_text(" of 2,500 works")
    return int(page.locator("#count").inner_text().split()[0].replace(",", ""))


def fill(page, **values):
    for name, value in values.items():
        control = page.locator(f"#filters [name={name}]")
        if control.evaluate("node => node.localName") == "select":
            begins = re.compile(rf"^{re.escape(value)}")
            control.select_option(label=control.locator("option").filter(has_text=begins).first.text_content())
        else:
            control.fill(value)


def shows(page, works):
    """Whether the grid begins with these works, and there are no others."""
    counts(page, f"{len(works):,} of 2,500 works" if len(works) < COUNT else "2,500 works")
    titles = [title_of(work) for work in works]

    def begins(seen):
        return len(seen) >= min(len(works), 8) and seen == titles[: len(seen)]

    seen = waited_for(page, cards(page).all_text_contents, begins)
    assert begins(seen), (seen, titles[: len(seen)])


BY_SCORE = sorted(WORKS, key=score_of)
