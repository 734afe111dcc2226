"""How quick the curator's page is with many works: to make, and in a real browser.

    python benchmarks/page.py [--works 20000] [--cpu-slowdown 1]

The works are made up: two tasks, a record, a palette, an embedding of 1,280 numbers around one of 60 centres, and one
of 500 small thumbnails each. Making the page is timed without reading pictures (a decoding pass as in `read.py`). Then
headless Chromium (`chromium` on the path), which paints without a GPU, opens the page from the disk and is asked, on
its own clock, how long it took until the first paint; how long each of 120 frames took while the grid scrolled by 240
pixels a frame, and of 60 frames while the map was moved, zoomed and pointed at; and how long each of some filters took
until the next frame. `--cpu-slowdown 4` slows the processor down as Chromium's tools do, for a weaker machine.
"""

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from artray import console
from artray.labeling.contract import Models
from artray.report.overview import make_overview
from artray.report.page import write_page
from artray.report.works import Label, Work

STYLES = [f"style {i:02}" for i in range(24)]
EMOTIONS = [f"emotion {i:02}" for i in range(16)]
WORDS = [
    "sea",
    "storm",
    "portrait",
    "of",
    "a",
    "lady",
    "river",
    "evening",
    "bridge",
    "study",
    "head",
    "winter",
    "market",
]
THUMBNAILS = 500
CENTRES = 60

FRAMES = """async ([count, kind]) => {
    const canvas = document.querySelector("#canvas");
    const box = canvas.getBoundingClientRect();
    const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, cancelable: true, pointerId: 9 };
    const steps = {
        scroll: () => scrollBy(0, 240),
        move: (i) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key: i % 2 ? "ArrowLeft" : "ArrowRight" })),
        zoom: (i) => canvas.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: i < count / 2 ? -30 : 30 })),
        point: (i) => canvas.dispatchEvent(new PointerEvent("pointermove", { ...at, clientX: box.x + 99 + 5 * i })),
    };
    const times = [];
    let last = performance.now();
    for (let i = 0; i < count; i += 1) {
        steps[kind](i);
        await new Promise((resolve) => requestAnimationFrame(resolve));
        times.push(performance.now() - last);
        last = performance.now();
    }
    return times;
}"""

FILTER = """async ([name, value]) => {
    const form = document.querySelector("#filters");
    const set = async (text) => {
        const started = performance.now();
        form.elements[name].value = text;
        form.elements[name].dispatchEvent(new Event("input", { bubbles: true }));
        await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
        return performance.now() - started;
    };
    const before = form.elements[name].value;
    const times = [];
    for (let i = 0; i < 3; i += 1) {
        times.push(await set(value));
        await set(before);
    }
    return times;
}"""


def make_works(n: int, folder: Path, rng: np.random.Generator) -> tuple[list[Work], np.ndarray[Any, Any]]:
    (folder / "thumbnails").mkdir(parents=True)
    for i in range(THUMBNAILS):
        small = rng.integers(0, 256, (8, 10, 3), np.uint8)
        Image.fromarray(small).resize((320, 256), Image.Resampling.BICUBIC).save(folder / f"thumbnails/{i}.jpg")
    centres = rng.normal(size=(CENTRES, 1280)).astype(np.float32)
    centre = rng.integers(CENTRES, size=n)
    embedding = centres[centre] + rng.normal(size=(n, 1280)).astype(np.float32) * 1.4
    works = []
    for i in range(n):
        title = " ".join(rng.choice(WORDS, rng.integers(2, 7)))
        works.append(
            Work(
                f"w{i:07}",
                f"/museum/scans/w{i:07}.jpg",
                labels={"style": _label(STYLES, int(centre[i]), rng), "emotion": _label(EMOTIONS, i, rng)},
                record={
                    "title": title,
                    "artist": f"Artist {rng.zipf(1.3) % 3500}",
                    "date": str(rng.integers(1400, 2000)),
                    "medium": f"medium {rng.integers(300)}",
                    "credit": f"Presented by a friend of the museum, {rng.integers(1880, 2020)}",
                },
                palette=[(tuple(map(int, rng.integers(0, 256, 3))), 0.2) for _ in range(5)],
                brightness=float(rng.uniform(20, 230)),
                thumbnail=f"thumbnails/{rng.integers(THUMBNAILS)}.jpg",
            )
        )
    return works, embedding


def _label(classes: list[str], best: int, rng: np.random.Generator) -> Label:
    scores = rng.dirichlet(np.full(len(classes), 0.3))
    scores[best % len(classes)] += rng.uniform(0, 3)
    scores = scores / scores.sum()
    best = int(scores.argmax())
    return Label(classes[best], float(scores[best]), dict(zip(classes, scores.tolist(), strict=True)), None, classes[0])


def measure(page: Page, address: str) -> list[tuple[str, str, str]]:
    page.goto(address)
    page.wait_for_timeout(2000)
    paint = page.evaluate("performance.getEntriesByType('paint')[0].startTime")
    rows = [("first paint", f"{paint:.0f}", ""), _row("scrolling, a frame", page.evaluate(FRAMES, [120, "scroll"]))]
    page.evaluate("scrollTo(0, 0)")
    changes = [("text", "sea"), ("text", "sea storm"), ("artist", "artist 12"), ("label", "1:3")]
    changes += [("status", "unchecked"), ("order", "certain"), ("order", "title"), ("order", "date")]
    changes += [("queue", "uncertain")]
    rows += [_row(f"{name} = {value}", page.evaluate(FILTER, [name, value])) for name, value in changes]
    page.locator("[data-view=map]").click()
    page.wait_for_timeout(1000)
    rows += [_row(f"map, {kind}, a frame", page.evaluate(FRAMES, [60, kind])) for kind in ("move", "zoom", "point")]
    return rows


def _row(what: str, times: list[float]) -> tuple[str, str, str]:
    return what, f"{np.median(times):.0f}", f"{max(times):.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", type=int, default=20_000)
    parser.add_argument("--cpu-slowdown", type=float, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "page"
        works, embedding = make_works(options.works, folder, np.random.default_rng(0))
        started = time.monotonic()
        overview = make_overview([work.object_id for work in works], embedding)
        alike = time.monotonic()
        address = write_page(folder, works, models=Models({STYLES[0]: 0.5}), overview=overview).as_uri()
        written = time.monotonic()
        size = sum(path.stat().st_size for path in (folder / "data").iterdir())
        console.table(
            f"making the page of {options.works:,} works",
            ["", ""],
            [
                ("neighbours and map, s", f"{alike - started:.1f}"),
                ("writing, s", f"{written - alike:.1f}"),
                ("peak memory, MB", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f}"),
                ("data, MB", f"{size / 1e6:.1f}"),
                ("of it read at the start", f"{(folder / 'data/collection.js').stat().st_size / 1e6:.1f}"),
            ],
        )
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            slower = page.context.new_cdp_session(page)
            slower.send("Emulation.setCPUThrottlingRate", {"rate": options.cpu_slowdown})
            console.table("in the browser, ms", ["", "median", "longest"], measure(page, address))
            browser.close()


if __name__ == "__main__":
    main()
