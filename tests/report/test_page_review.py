"""The curator's hour in a real browser: works judged by keys, many at once, undone, and what speaks for a label."""

import csv
import io
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pyarrow as pa
import pytest

from artray.report.page import Queue, write_page
from artray.report.works import Label, Work
from tests.report.gallery import COUNT, said, write_gallery
from tests.report.shown_page import BY_SCORE, STYLES, cards, counts, expect, fill

IN_DIALOG = "document.querySelector('#detail').contains(document.activeElement)"


def checked(page: Any, words: str) -> None:
    expect(page.locator("#corrections")).to_have_text(re.compile(words))


def test_twenty_labels_in_twenty_two_keys_and_each_is_undone(page):
    page.locator(".card").first.focus()
    page.keyboard.press("Enter")
    keys = ["Enter", "1", "Enter", "2", "Enter", "3", "Enter", "0", "Enter", "Enter"] * 2
    for n, key in enumerate(keys):
        expect(page.locator("#detail-title")).to_have_text(BY_SCORE[n // 2].record["title"])
        page.keyboard.press(key)
        assert page.evaluate(IN_DIALOG), "focus never falls out"
    checked(page, "^20 labels checked")
    expect(page.locator("#progress-words")).to_have_text("10 of 2,497 checked")
    for _ in range(19):
        page.keyboard.press("u")
    checked(page, "^1 label checked")
    page.keyboard.press("Control+z")
    checked(page, "^No label checked yet")
    expect(page.locator("#detail-title")).to_have_text(BY_SCORE[0].record["title"])
    page.keyboard.press("u")
    expect(page.locator("#told")).to_have_text("Nothing to undo.")


def test_back_closes_the_work_and_keys_tell_the_labels(page):
    page.get_by_role("button", name="Review").click()
    expect(page.locator("#detail")).to_be_visible()
    page.keyboard.press("?")
    expect(page.locator("#key-labels dd")).to_have_text(["hand", "code"])
    page.get_by_role("button", name="What spoke for hand").click()
    expect(page.locator("#detail-picture img")).to_have_attribute("src", "thumbs/4.png")
    page.keyboard.press("q")  # the other question has its own, and its picture is plain at first
    expect(page.locator("#show-map")).to_have_text("What spoke for Cubism")
    expect(page.locator("#detail-picture img")).to_have_attribute("src", "thumbs/0.png")
    page.keyboard.press("?")
    page.keyboard.press("?")
    expect(page.locator("#key-labels dd")).to_have_count(3)
    page.keyboard.press("Escape")  # the keys first
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#detail-title")).to_have_text(BY_SCORE[1].record["title"])
    page.wait_for_url(lambda url: "work=" in url)
    page.go_back()
    expect(page.locator("#detail")).to_be_hidden()
    expect(page.locator(".card:focus .title")).to_have_text(BY_SCORE[1].record["title"])
    page.wait_for_url(lambda url: "work=" not in url)


def test_many_at_once_by_shift_and_by_filter_and_undone(page):
    fill(page, task="style")
    page.locator(".card").first.click(modifiers=["Control"])
    page.locator(".card").nth(3).click(modifiers=["Shift"])
    expect(page.locator("#bulk-count")).to_have_text("4 selected")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#bulk-count")).to_have_text("5 selected")
    page.locator("#bulk-label").select_option(label="Rococo")
    page.get_by_role("button", name="Give label").click()
    checked(page, "^5 works: Rococo. 5 labels checked")
    expect(page.locator("#bulk")).to_be_hidden()
    fill(page, label="Fauvism")
    number = f"{sum(bool(w.labels) and w.labels['style'].label == 'Fauvism' for w in BY_SCORE):,}"
    expect(page.locator("#count")).to_have_text(f"{number} of 2,500 works")
    page.locator("#select-all").click()
    expect(page.locator("#bulk-count")).to_have_text(f"{number} selected")
    page.locator("#bulk-label").select_option(label="The model is right")
    page.get_by_role("button", name="Give label").click()
    checked(page, f"^{number} works: The model is right")
    page.get_by_role("button", name="Undo").click()
    checked(page, f"^Undone: {number} works. 5 labels checked")
    page.locator("#count").click()
    page.keyboard.press("u")
    checked(page, "No label checked yet")
    expect(page.locator(".yours")).to_have_count(0)


def test_a_name_typed_once_stands_in_the_file(page):
    page.get_by_label("Your name").fill("=Ada Léger")
    page.get_by_label("Your name").press("Tab")
    page.reload()
    expect(page.locator("#reviewer")).to_have_value("=Ada Léger")
    fill(page, task="style")
    page.locator(".card").first.click()
    for key in ("Enter", "0"):
        page.keyboard.press(key)
    wrong = next(name for name in STYLES if name != BY_SCORE[2].labels["style"].label)
    expect(page.locator(".choice")).to_have_count(2 + 3)  # of both questions, of which one is asked
    page.locator(".choice", has_text=wrong).click()
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.locator("#download").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8"), newline="")))
    by_id = {row["object_id"]: row for row in rows}
    assert [by_id[work.object_id]["decision"] for work in BY_SCORE[:3]] == ["accepted", "rejected", "corrected"]
    assert {row["reviewer"] for row in rows} == {"'=Ada Léger"}
    assert {row["model_id"] for row in rows} == {"style-1"}
    assert all(row["reviewed_at"] == row["corrected_at"] for row in rows)


@pytest.fixture
def gallery(browser: Any, tmp_path: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(write_gallery(tmp_path))
    yield page
    assert complaints == []
    context.close()


def test_catalogue_models_and_neighbours_stand_beside_a_label(gallery):
    fill(gallery, text="w12")
    gallery.locator(".card").click()
    block = gallery.locator(".answer")
    expect(block).to_have_count(1)  # two models, one question
    expect(block.locator(".versus")).to_have_text(re.compile("catalogue: Cubism.*the model differs.*2 models disagree"))
    expect(block.locator(".versus")).to_contain_text("a model that has not seen it says Rococo (90")
    expect(block.locator(".model-row .task")).to_have_text(["style", "style 2"])
    expect(gallery.locator("#near-words")).to_have_text(re.compile("In the catalogue .*1 of 3 are Fauvism"))
    expect(gallery.locator("#near-list .catalogued").first).to_have_text("Fauvism")
    expect(gallery.locator("#detail-record dt", has_text="style")).to_have_count(0)  # told once
    block.get_by_role("button", name="Right").click()
    checked(gallery, "^2 labels checked, 1 confirmed and 1 changed")  # one check for both models


def test_works_that_were_learned_from_are_marked_and_left_out_of_queues(gallery):
    expect(gallery.locator(".tag")).to_have_count(8)
    fill(gallery, queue="Least certain")
    counts(gallery, f"{COUNT - 8} of {COUNT} works")
    gallery.get_by_role("button", name=re.compile("^8 works that the models learned from are left out")).click()
    counts(gallery, f"{COUNT} works")
    fill(gallery, queue="Differs from the catalogue")
    expect(cards(gallery)).to_have_text(["Work 12", "Work 18"])  # in the order that the data bring
    gallery.locator(".card").nth(1).click()
    gallery.get_by_role("button", name=re.compile("^Looks the same as “Work 13”")).click()
    expect(gallery.locator("#detail-title")).to_have_text("Work 13")
    gallery.get_by_role("button", name="Back", exact=True).click()
    expect(gallery.locator("#detail-title")).to_have_text("Work 18")


def test_a_cell_of_the_confusion_matrix_opens_its_works(gallery):
    gallery.locator("[data-view=trust]").click()
    expect(gallery.locator(".verdict-words")).to_have_text(re.compile("always saying “Rococo” would get 3"))
    wrong = [i for i in range(8, COUNT) if i % 3 == 0 and said(i, 0) == "Fauvism"]
    gallery.get_by_role("button", name=f"{len(wrong)} works: Cubism, called Fauvism").click()
    expect(cards(gallery)).to_have_text([f"Work {i}" for i in wrong])
    gallery.wait_for_url(lambda url: "cell=" in url)
    gallery.reload()
    expect(cards(gallery)).to_have_text([f"Work {i}" for i in wrong])
    gallery.get_by_role("button", name="Cubism, called Fauvism").click()
    counts(gallery, f"{COUNT} works")


def test_a_threshold_tells_what_is_kept_and_what_is_right(gallery):
    gallery.locator("[data-view=trust]").click()
    room = gallery.locator(".threshold")
    room.locator("input").fill("80")
    kept = [i for i in range(8, COUNT) if 0.5 + 0.02 * i >= 0.8]
    right = sum(said(i, 0) == STYLES[i % 3] for i in kept)
    share = f"{round(100 * right / len(kept))}\N{NO-BREAK SPACE}%"
    expect(room.locator(".kept-words")).to_have_text(re.compile(f"^{len(kept)} of 16 tested works .*of these {share}"))


def test_the_picture_enlarged_by_keys_and_by_the_museums_image_service(gallery):
    asked = []

    def answer(route):  # a service of level 0, which knows its own size only; first it is not there
        asked.append(route.request.url.split("/w/full/")[1])
        if len(asked) < 6 or asked[-1] != "max/0/default.jpg":
            route.fulfill(body="no picture")
        else:
            route.fulfill(path=str(files("artray.sample") / "paintings22/images/gc-01.jpg"))

    gallery.route("https://iiif.example/**", answer)
    fill(gallery, text="w09")
    gallery.locator(".card").click()
    link = gallery.locator("#detail-record a", has_text="iiif.example")
    expect(link).to_have_attribute("href", "https://iiif.example/iiif/2/w/full/!3000,3000/0/default.jpg")
    image = gallery.locator("#detail-picture img")
    for address in ("thumbs/1.png", "thumbs/0.png"):  # what spoke for the label, and without it
        gallery.get_by_role("button", name=f"What spoke for {said(9, 0)}").click()
        expect(image).to_have_attribute("src", address)
    gallery.keyboard.press("z")
    expect(gallery.locator("#zoom-source")).to_contain_text("iiif.example sends no picture")
    expect(gallery.locator("#zoom-image")).to_have_js_property("naturalWidth", 160)
    gallery.keyboard.press("+")
    expect(gallery.locator("#zoom-image")).to_have_attribute("style", re.compile(r"scale\(1\.5\)"))
    gallery.keyboard.press("Escape")
    expect(gallery.locator("#zoom")).to_be_hidden()
    expect(gallery.locator("#detail")).to_be_visible()
    gallery.keyboard.press("z")
    expect(gallery.locator("#zoom-source")).to_have_text("Picture: iiif.example")
    expect(gallery.locator("#zoom-image")).to_have_attribute("src", re.compile("/full/max/"))
    sizes = ["!1600,1600", "1600,", "max"]
    first = [f"{size}/0/default.jpg" for size in sizes]
    assert asked == [*first, "full/0/default.jpg", "full/0/native.jpg", *first]
    gallery.keyboard.press("Escape")


def test_a_contact_sheet_and_a_works_sheet_are_printed(gallery):
    gallery.evaluate("dispatchEvent(new Event('beforeprint'))")
    gallery.emulate_media(media="print")
    expect(gallery.locator("#contact-sheet li")).to_have_count(COUNT)
    expect(gallery.locator("#contact-sheet img").first).to_be_visible()
    for paper in ("A4", "Letter"):
        assert 1 <= len(re.findall(rb"/Type /Page\b", gallery.pdf(format=paper))) <= 3
    gallery.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(gallery.locator("#contact-sheet li")).to_have_count(0)
    gallery.emulate_media(media="screen")
    gallery.locator(".card").first.click()
    expect(gallery.locator(".answer")).to_have_count(1)
    gallery.evaluate("dispatchEvent(new Event('beforeprint'))")
    gallery.emulate_media(media="print")
    expect(gallery.locator("#detail-title")).to_be_visible()
    expect(gallery.locator("#grid")).to_be_hidden()
    gallery.evaluate("dispatchEvent(new Event('afterprint'))")
    gallery.emulate_media(media="screen")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser, tmp_path, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    address = write_gallery(tmp_path)
    for width in (390, 1024, 1440):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
        page = context.new_page()
        page.goto(address)
        found = []

        def look(view, page=page, found=found):
            found.extend((view, one["id"], one["nodes"][0]["html"]) for one in axe.run(page).response["violations"])

        for view in ("works", "map", "trust", "about"):
            page.locator(f"[data-view={view}]").click()
            expect(page.locator(f"[data-view={view}]")).to_have_attribute("aria-current", "page")
            look(view)
        page.locator("[data-view=works]").click()
        page.locator("#select-mode").click()
        page.locator(".card").first.click()
        expect(page.locator("#bulk")).to_be_visible()
        look("selected")
        page.locator("#bulk-clear").click()
        page.locator(".card").first.click()
        expect(page.locator(".choice").first).to_be_visible()
        page.keyboard.press("?")
        look("work")
        context.close()
        assert found == []


SWIPE = """([from, to]) => {
    const target = document.querySelector("#detail-title");
    const touch = (x) => new Touch({ identifier: 1, target, clientX: x, clientY: 300 });
    const fire = (name, x, touches) => target.dispatchEvent(
        new TouchEvent(name, { bubbles: true, touches, changedTouches: [touch(x)] }));
    fire("touchstart", from, [touch(from)]);
    fire("touchend", to, []);
}"""


def test_a_swipe_to_the_right_says_right_and_one_to_the_left_goes_on(gallery):
    fill(gallery, order="By id")
    expect(cards(gallery).first).to_have_text("Work 0")
    gallery.locator(".card").first.click()
    for move, title, words in [
        ([300, 100], "Work 1", "No label checked yet"),
        ([100, 300], "Work 2", "^2 labels checked"),  # two models, one answer
        ([100, 130], "Work 2", "^2 labels checked"),  # too short
    ]:
        gallery.evaluate(SWIPE, move)
        expect(gallery.locator("#detail-title")).to_have_text(title)
        checked(gallery, words)


def test_strangers_texts_in_the_new_places_are_text(browser, tmp_path):
    nasty = "<img src=x onerror=globalThis.pwned=1>'\"\u202e"
    label = Label(nasty, 0.9, {nasty: 0.9, "b": 0.1}, None, nasty)
    works = [
        Work(key, f"{key}.jpg", labels={"t": label}, record={"title": nasty, "t": other}, thumbnail=None)
        for key, other in (("a", nasty), ("b", "b"))
    ]
    predictions = pa.table(
        {
            "object_id": ["a", "b"],
            "true": [nasty, "b"],
            "label": [nasty, nasty],
            "scores": pa.array([[(nasty, 0.9)]] * 2, pa.map_(pa.string(), pa.float32())),
        }
    )
    level = {"n": 2, "accuracy": 0.5, "confusion": [[1, 0], [1, 0]]}
    evaluation = {
        "task": "t",
        "model_id": nasty,
        "classes": [nasty, "b"],
        "majority_share": 0.5,
        "levels": {"artwork": level},
        "predictions": predictions,
    }
    queue = Queue(nasty, "t", ["a", "b"], [nasty] * 2, [0.5] * 2, ["b", "a"])
    page = browser.new_page()
    page.goto(write_page(tmp_path, works, [evaluation], {"title": nasty, "run": nasty}, queues=[queue]).as_uri())
    page.locator("#reviewer").fill(nasty)
    page.locator("#filters [name=queue]").select_option(index=3)
    expect(page.locator(".card")).to_have_count(2)
    page.locator(".card").first.click()
    expect(page.locator(".versus")).to_contain_text(nasty[:20])
    page.keyboard.press("?")
    expect(page.locator("#key-labels dd").first).to_contain_text(nasty[:20])
    page.keyboard.press("Enter")
    expect(page.locator("#told")).to_contain_text(nasty[:20])
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    page.locator("#select-all").click()
    expect(page.locator("#bulk-label")).to_contain_text(nasty[:20])
    page.locator("[data-view=trust]").click()
    page.get_by_role("button", name=re.compile("^1 work: b, called")).click()
    expect(page.locator("#cell")).to_contain_text(nasty[:20])
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("globalThis.pwned") is None
    page.close()
