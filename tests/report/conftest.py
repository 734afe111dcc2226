"""A real browser: Debian's chromium, steered by Playwright."""

import shutil
from collections.abc import Callable, Iterator
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
        for name in ("new_context", "new_page"):
            setattr(chromium, name, _patient(getattr(chromium, name)))
        yield chromium
        chromium.close()


def _patient(make: Callable[..., Any]) -> Callable[..., Any]:
    """What it makes waits as long as `expect` does, not Playwright's 30 seconds."""

    def made(**options: Any) -> Any:
        one = make(**options)
        one.set_default_timeout(1000 * PATIENCE)
        return one

    return made


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a page of 2,500 works."""
    from tests.report.shown_page import write_shown_page

    return write_shown_page(tmp_path_factory.mktemp("a page's folder #1"))


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page, open; afterwards: no message on the console, nothing asked for but the page's own files."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    yield page
    assert page.evaluate("globalThis.pwned") is None
    assert complaints == []
    folder = address.rpartition("/")[0]
    assert {url for url in requests if not url.startswith((folder, "blob:"))} == set()
    context.close()
