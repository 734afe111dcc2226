"""Works found by words in a real browser: the words are loaded when somebody asks for one."""

import numpy as np
import pytest

from artray.report.page import write_page
from artray.report.terms import Terms
from artray.report.works import Work
from tests.report.shown_page import expect


def test_a_word_brings_the_works_that_look_like_it(browser, tmp_path):
    angles = np.linspace(0, 3, 30)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ids = [f"w{number:02}" for number in range(30)]
    works = [Work(name, f"/{name}.jpg", record={"title": f"Title {name}"}) for name in ids]
    terms = Terms(["north", "Öst"], np.array([[0.0, 1.0], [1.0, 0.0]]), ids[:25], circle[:25])
    page_file = write_page(tmp_path, works, terms=terms)
    context = browser.new_context()
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(page_file.as_uri())
    expect(page.locator("#count")).to_have_text("30 works")
    if not page.locator("#side").evaluate("side => side.open"):
        page.locator("#side summary").click()
    page.get_by_label("Looks like").focus()
    expect(page.locator("#terms option")).to_have_count(2)
    page.get_by_label("Looks like").fill("ost")
    expect(page.locator("#count")).to_have_text("25 of 30 works")
    expect(page.locator(".card .title").first).to_have_text("Title w00")
    page.get_by_label("Looks like").fill("North")
    nearest = int(np.argmax(circle[:25] @ [0.0, 1.0]))
    expect(page.locator(".card .title").first).to_have_text(f"Title w{nearest:02}")
    page.wait_for_url(lambda url: "term=North" in url)
    again = context.new_page()
    again.goto(page.url)
    expect(again.locator(".card .title").first).to_have_text(f"Title w{nearest:02}")
    page.get_by_label("Looks like").fill("nothing of that name")
    expect(page.locator("#count")).to_have_text("30 works")
    assert faults == []
    context.close()


def test_without_words_there_is_no_field(browser, tmp_path):
    page = browser.new_page()
    page.goto(write_page(tmp_path, [Work("a", "/a.jpg")]).as_uri())
    expect(page.locator("#count")).to_have_text("1 work")
    expect(page.locator("[data-for=term]")).to_be_hidden()
    page.close()


pytestmark = pytest.mark.slow
