"""The curator's page in a real browser: Debian's chromium, steered by Playwright."""

import csv
import io
import shutil

import pytest
from PIL import Image

from artray.report.page import Label, Work, write_page

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the path")

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
COUNT = 5_000
STYLES = ["Cubism", "Fauvism", "Rococo"]
ARTISTS = ["Jean-Léon Gérôme", "Rosa Bonheur", "Utagawa Hiroshige", "Mary Cassatt"]
HOSTILE = "</script><img src=x onerror=globalThis.pwned=1><script>globalThis.pwned=1</script>\u202e\u2028\"'`👩‍🎨"
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
        key,
        image_uri="javascript:globalThis.pwned=1" if i == 42 else f"/museum/{key} #1.jpg",
        labels={
            "style": Label(best, score, {best: score, other: (1 - score) * 0.7, least: (1 - score) * 0.3}),
            "hand_or_code": Label("hand", hand, {"hand": hand, "code": 1 - hand}),
        },
        record={"title": HOSTILE if i == 42 else f"Work {i}", "artist": ARTISTS[i % 4], "date": str(1500 + i % 400)},
        palette=[((200, 30, 30), 0.6), ((20, 30, 90), 0.4)],
        brightness=100.0,
        thumbnail=f"thumbs/{i % 5}.png",
    )


def score_of(work):
    return work.labels["style"].score if work.labels else 2.0


WORKS = [make_work(i) for i in range(COUNT)]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a page's folder #1")
    (folder / "thumbs").mkdir()
    for i in range(5):
        Image.new("RGB", (80, 40 + 20 * i), (40 * i, 90, 120)).save(folder / "thumbs" / f"{i}.png")
    return write_page(folder, WORKS, [EVALUATION], {"title": "Five thousand works", "created": "2026-11-21"}).as_uri()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, address):
    """The page, open; afterwards: no message on the console, nothing asked for but the page's own files."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    yield page
    assert complaints == []
    folder = address.rpartition("/")[0]
    assert {url for url in requests if not url.startswith((folder, "blob:"))} == set()
    assert page.evaluate("globalThis.pwned") is None
    context.close()


def cards(page):
    return page.locator(".card .title").all_inner_texts()


def count(page):
    return page.locator("#count").inner_text()


def test_opens_with_the_uncertain_first_and_the_failed_in_view(page):
    assert page.title() == "Five thousand works"
    assert page.locator("#summary").inner_text().startswith("5,000 works, 4,997 of them labelled")
    assert page.locator("#failures-title").inner_text() == "3 pictures could not be labelled"
    assert "2 × the file is not a picture" in page.locator("#failures").inner_text()
    assert count(page) == "1–60 of 5,000 works"
    expected = sorted(WORKS, key=score_of)[:60]
    assert cards(page) == [work.record["title"] for work in expected]
    assert page.locator(".card img").evaluate_all("images => images[0].naturalWidth") == 80


def test_every_work_is_on_one_page_of_the_grid(page):
    seen = page.evaluate(
        """() => {
            const seen = [];
            for (;;) {
                seen.push(...[...document.querySelectorAll(".card")].map((card) => Number(card.dataset.place)));
                const next = document.querySelector("button[aria-label='Next page']");
                if (next.disabled) return seen;
                next.click();
            }
        }"""
    )
    assert sorted(seen) == list(range(COUNT))
    assert [WORKS[place].object_id for place in seen[-3:]] == sorted(BAD), "without label: behind all others"


def test_evaluation_is_a_table_that_says_its_headings(page):
    panel = page.locator(".panel")
    assert panel.locator(".accuracy").inner_text() == "80\N{NO-BREAK SPACE}%"
    assert panel.locator(".compared .value").all_inner_texts() == [f"{n}\N{NO-BREAK SPACE}%" for n in (80, 65, 75, 40)]
    assert panel.locator("tbody th[scope=row]").all_inner_texts() == STYLES
    numbers = panel.locator("tbody td:not(.recall)").all_inner_texts()
    assert numbers == ["16", "2", "2", "4", "16", "0", "0", "4", "16"]


@pytest.mark.parametrize(
    ("fill", "keep"),
    [
        ({"label": "Rococo ("}, lambda w: w.labels and w.labels["style"].label == "Rococo"),
        ({"artist": "gerome"}, lambda w: w.record.get("artist") == ARTISTS[0]),
        ({"text": "work 12"}, lambda w: w.record["title"].startswith("Work 12")),
        ({"text": "W00042"}, lambda w: w.object_id == "w00042"),
        ({"least": "50", "most": "60"}, lambda w: w.labels and 0.5 <= round(score_of(w), 4) <= 0.6),
        ({"show": "Not labelled: the file is not a picture"}, lambda w: w.status == "not_an_image"),
        (
            {"task": "style", "label": "Cubism (", "artist": "cassatt", "least": "90"},
            lambda w: (
                w.record.get("artist") == ARTISTS[3] and w.labels["style"].label == "Cubism" and score_of(w) >= 0.9
            ),
        ),
    ],
    ids=["label", "artist", "title", "id", "score", "status", "all"],
)
def test_filters(page, fill, keep):
    for name, value in fill.items():
        control = page.locator(f"#filters [name={name}]")
        if control.evaluate("node => node.localName") == "select":
            options = control.locator("option").all_inner_texts()
            control.select_option(label=next(text for text in options if text.startswith(value)))
        else:
            control.fill(value)
    expected = sorted(filter(keep, WORKS), key=score_of)
    assert count(page).endswith(f" of {len(expected):,} work{'s' if len(expected) > 1 else ''}")
    assert cards(page) == [work.record["title"] for work in expected[:60]]
    page.get_by_role("button", name="Clear filters").click()
    sync_api.expect(page.locator("#count")).to_have_text("1–60 of 5,000 works")


def test_failed_pictures_are_one_click_away(page):
    page.get_by_role("button", name="the file is cut off").click()
    sync_api.expect(page.locator(".card")).to_have_count(1)
    page.locator(".card").click()
    assert page.locator("#detail-reason").inner_text() == (
        "Not labelled: the file is cut off before its end. (16 bytes missing)"
    )


def test_corrections_by_keyboard_survive_a_reload_and_download(page):
    first, second = sorted(WORKS, key=score_of)[:2]
    page.locator(".card").first.focus()
    page.keyboard.press("Enter")
    style = page.locator(".answer", has_text="style").get_by_label("Your label")
    predicted = first.labels["style"].label
    corrected = next(name for name in STYLES if name != predicted)
    style.select_option(corrected)
    page.locator("#detail-title").click()
    page.locator("#next").press("ArrowRight")
    assert page.locator("#detail-title").inner_text() == second.record["title"]
    page.locator(".answer", has_text="style").get_by_label("Your label").select_option(second.labels["style"].label)
    page.keyboard.press("Escape")
    focused = page.evaluate("document.activeElement.querySelector('.title').textContent")
    assert focused == second.record["title"]

    page.reload()
    assert page.locator("#corrections").inner_text() == "2 labels checked, 1 confirmed and 1 changed."
    assert page.locator(".yours").all_inner_texts() == [f"✓ you: {corrected}", f"✓ you: {second.labels['style'].label}"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    assert download.value.suggested_filename == "corrections.csv"
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8"), newline="")))
    agreed = second.labels["style"].label
    expected = [
        {"object_id": first.object_id, "task": "style", "label": corrected, "predicted": predicted},
        {"object_id": second.object_id, "task": "style", "label": agreed, "predicted": agreed},
    ]
    expected.sort(key=lambda row: row["object_id"])
    assert [{name: row[name] for name in expected[0]} for row in rows] == expected
    page.locator("#filters [name=show]").select_option("checked")
    assert count(page) == "1–2 of 2 works"


def test_hostile_work_is_text_and_links_nowhere(page):
    page.locator("#filters [name=text]").fill("w00042")
    assert page.locator(".card .title").text_content() == HOSTILE
    page.locator(".card").click()
    assert page.locator("#detail-title").text_content() == HOSTILE
    assert page.locator("#detail-record a").count() == 0
    assert page.locator("img[src=x], body script:not([src])").count() == 0


def test_original_is_linked_with_its_name_escaped(page):
    page.locator("#filters [name=text]").fill("w00043")
    page.locator(".card").click()
    assert page.locator("#detail-record a").evaluate("a => a.href") == "file:///museum/w00043%20%231.jpg"


@pytest.mark.parametrize("width", [390, 900, 1600])
def test_nothing_sticks_out(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".card").first.click()
    box = page.locator("dialog").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert page.locator("dialog").evaluate("node => node.scrollWidth <= node.clientWidth")


def test_every_control_has_a_name(page):
    page.locator(".card").first.click()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, a")].filter((node) =>
            !(node.textContent.trim() && node.localName !== "select") && !node.labels?.length
            && !node.getAttribute("aria-label")).map((node) => node.outerHTML)"""
    )
    assert nameless == []


def test_policy_forbids_the_network(browser, address):
    page = browser.new_page()
    page.goto(address)
    refused = page.evaluate(
        """() => new Promise((resolve) => {
            const refused = [];
            document.addEventListener("securitypolicyviolation", (event) => {
                refused.push(event.effectiveDirective);
                if (refused.length === 3) resolve(refused.sort());
            });
            new Image().src = "http://127.0.0.1:9/picture.png";
            fetch("http://127.0.0.1:9/").catch(() => {});
            const script = document.createElement("script");
            script.textContent = "globalThis.pwned = 1";
            document.body.append(script);
        })"""
    )
    assert refused == ["connect-src", "img-src", "script-src-elem"]
    assert page.evaluate("globalThis.pwned") is None
    page.close()
