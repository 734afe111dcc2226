"""A real browser: Debian's chromium, steered by Playwright."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.report.waiting import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")  # while it runs, so does an event loop, in which no other can be begun
def browser() -> Iterator[Any]:
    """Tests open contexts and pages of their own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    if CHROMIUM is None:
        pytest.skip("needs chromium on the path")
    sync_api.expect.set_options(timeout=1000 * PATIENCE)
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, timeout=3 * 1000 * PATIENCE)
        yield chromium
        chromium.close()
