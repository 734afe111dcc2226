"""The curator's page in a real browser: what it shows, and how works are found on it."""

import re
from urllib.parse import quote

import numpy as np
import pytest

from artray.report.page import write_page
from tests.report.shown_page import (
    ARTISTS,
    BAD,
    BY_SCORE,
    COUNT,
    HOSTILE,
    STYLES,
    WORKS,
    cards,
    counted,
    counts,
    expect,
    fill,
    make_overview,
    score_of,
    shows,
    title_of,
)
from tests.report.waiting import waited_for


def test_opens_with_the_uncertain_first_and_the_failed_in_view(page):
    expect(page).to_have_title("Twenty-five hundred works")
    expect(page.locator("#summary")).to_have_text(re.compile("^2,500 works, 2,497 of them labelled by 2 models\\."))
    expect(page.locator("#failures-title")).to_have_text("3 pictures could not be labelled")
    expect(page.locator("#failures")).to_contain_text("2 × the file is not a picture")
    shows(page, BY_SCORE)
    expect(page.locator(".card img").first).to_have_js_property("naturalWidth", 80)
    expect(page.locator(".card").first.locator(".score").first.locator(".task")).to_have_text("hand or code")
    expect(page.locator(".card").first).to_contain_text("uncertain")


def test_scrolling_shows_every_work_once_and_keeps_few_in_the_document(page):
    page.set_viewport_size({"width": 1600, "height": 1600})
    seen, most = page.evaluate(
        """async () => {
            const seen = new Map();
            let most = 0;
            for (let y = 0; y < document.documentElement.scrollHeight; y += 3000) {
                scrollTo(0, y);
                await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
                const items = [...document.querySelectorAll("#grid > li")];
                most = Math.max(most, items.length);
                for (const item of items) seen.set(Number(item.ariaPosInSet), item.querySelector(".title").textContent);
            }
            return [[...seen].sort(([a], [b]) => a - b), most];
        }"""
    )
    assert seen == [[i + 1, title_of(work)] for i, work in enumerate(BY_SCORE)]
    assert [work.object_id for work in BY_SCORE[-3:]] == sorted(BAD), "without label: behind all others"
    assert most <= 100


def test_grid_by_keyboard(page):
    def press(key, place):
        page.keyboard.press(key)
        expect(page.locator("#grid > li:has(:focus)")).to_have_attribute("aria-posinset", str(place))

    grid = page.locator("#grid")
    page.locator(".card").first.focus()
    expect(grid).to_have_attribute("style", re.compile("--card: [0-9.]+px"))
    row = grid.evaluate("grid => Math.round(grid.clientWidth / parseFloat(grid.style.getPropertyValue('--card')))")
    assert 3 <= row <= 6
    steps = [("ArrowRight", 2), ("ArrowDown", 2 + row), ("ArrowLeft", 1 + row), ("ArrowUp", 1)]
    for key, place in [*steps, ("End", COUNT), ("ArrowDown", COUNT), ("Home", 1), ("End", COUNT), ("Home", 1)]:
        press(key, place)

    def in_order(places):
        return places == list(range(1, len(places) + 1))

    items = page.locator("#grid > li")
    read = "items => items.map((item) => Number(item.ariaPosInSet))"
    places = waited_for(page, lambda: items.evaluate_all(read), in_order)
    assert in_order(places), "read in the order of the grid"
    press("End", COUNT)
    page.wait_for_function(
        """() => document.querySelector(".card:focus").getBoundingClientRect().bottom
            <= document.querySelector(".corrections").getBoundingClientRect().top"""
    )
    expect(page.locator(".card[tabindex='0']")).to_have_count(1)  # the grid is one stop of the tab key


def test_evaluation_is_a_table_that_says_its_headings(page):
    page.get_by_role("button", name="How far to trust it").click()
    panel = page.locator(".panel")
    expect(panel.locator(".accuracy")).to_have_text("80\N{NO-BREAK SPACE}%")
    expect(panel.locator(".compared .value")).to_have_text([f"{n}\N{NO-BREAK SPACE}%" for n in (80, 65, 75, 40)])
    expect(panel.locator("tbody th[scope=row]")).to_have_text(STYLES)
    expect(panel.locator("tbody td:not(.recall)")).to_have_text(["16", "2", "2", "4", "16", "0", "0", "4", "16"])
    expect(panel.locator("table")).to_be_visible()


FILTERS = [
    ({"label": "Rococo ("}, lambda w: w.labels and w.labels["style"].label == "Rococo"),
    ({"artist": "gerome"}, lambda w: w.record.get("artist") == ARTISTS[0]),
    ({"text": "w00042"}, lambda w: w.object_id == "w00042"),
    (
        {"text": "gerome  1512"},
        lambda w: w.record.get("artist") == ARTISTS[0] and ("1512" in w.object_id or w.record["date"] == "1512"),
    ),
    ({"text": "w00043 #1.jpg"}, lambda w: w.object_id == "w00043"),
    ({"least": "50", "most": "60"}, lambda w: w.labels and 0.5 <= round(score_of(w), 4) <= 0.6),
    ({"status": "Uncertain"}, lambda w: w.labels and score_of(w) < 0.5),
    ({"status": "Certain"}, lambda w: w.labels and score_of(w) >= 0.5),
    ({"status": "Not labelled: the file is not a picture"}, lambda w: w.status == "not_an_image"),
    (
        {"task": "style", "label": "Cubism (", "artist": "cassatt", "least": "90"},
        lambda w: w.record.get("artist") == ARTISTS[3] and w.labels["style"].label == "Cubism" and score_of(w) >= 0.9,
    ),
    ({"text": "no such work"}, lambda w: False),
]


def test_filters_and_their_address(page, browser):
    other = browser.new_page(viewport={"width": 1280, "height": 900})
    for values, keep in FILTERS:
        fill(page, **values)
        expected = list(filter(keep, BY_SCORE))
        shows(page, expected)
        expect(page.locator("#empty")).to_be_visible(visible=not expected)
        page.wait_for_url(lambda url, asked=tuple(values): all(f"{name}=" in url.rpartition("#")[2] for name in asked))
        if len(values) > 1:
            other.goto("about:blank")  # so that the page is opened anew; else only what follows # is new to it
        other.goto(page.url)
        shows(other, expected)
        page.get_by_role("button", name="Clear filters").click()
        shows(page, BY_SCORE)
        page.wait_for_url(lambda url: "#" not in url.rpartition("/")[2] or url.endswith("#"))
    other.close()


def test_orders(page):
    orders = {
        "Certain first": lambda w: (not w.labels, -score_of(w)),
        "By artist": lambda w: (w.record.get("artist") is None, ARTISTS_SORTED.get(w.record.get("artist"))),
        "By date": lambda w: (w.record.get("date") is None, w.record.get("date")),
        "By id": lambda w: w.object_id,
    }
    for order, key in orders.items():
        fill(page, order=order)
        shows(page, sorted(sorted(WORKS, key=lambda w: w.object_id), key=key))


ARTISTS_SORTED = {name: place for place, name in enumerate(sorted(ARTISTS))}


def test_titles_are_in_a_readers_order(page):
    fill(page, order="By title", text="work")
    shows(page, sorted((w for w in WORKS if title_of(w).startswith("Work")), key=lambda w: int(title_of(w).split()[1])))


def test_failed_pictures_are_one_click_away(page):
    page.get_by_role("button", name="the file is cut off").click()
    expect(page.locator(".card")).to_have_count(1)
    page.locator(".card").click()
    expect(page.locator("#detail-reason")).to_have_text(
        "Not labelled: the file is cut off before its end. (16 bytes missing)"
    )


def test_works_like_this(page):
    fill(page, order="By id")
    shows(page, sorted(WORKS, key=lambda w: w.object_id))
    ids = [work.object_id for work in WORKS if work.labels]
    page.locator(".card").first.click()
    near = page.locator("#near-list button")
    expect(near).to_have_count(12)
    by_id = {work.object_id: work for work in WORKS}
    first = sorted(WORKS, key=lambda w: w.object_id)[0]
    at = ids.index(first.object_id)
    like = [by_id[ids[(at + k) % len(ids)]] for k in range(1, 13)]
    expect(page.locator("#near-list .title")).to_have_text([title_of(work) for work in like])
    expect(near.first.locator(".value")).to_have_text("95\N{NO-BREAK SPACE}%")
    near.nth(2).click()
    expect(page.locator("#detail-title")).to_have_text(title_of(like[2]))
    page.get_by_role("button", name="Back").click()
    expect(page.locator("#detail-title")).to_have_text(title_of(first))
    expect(page.locator("#back")).to_be_hidden()


def test_a_works_address_opens_it(page, browser, address):
    other = browser.new_page()
    other.goto(f"{address}#work={quote('=1+1')}")
    expect(other.locator("#detail-title")).to_have_text("Work 46")
    other.close()


def test_objects_are_drawn_at_the_score_asked_for(page):
    fill(page, text="w00043")
    page.locator(".card").click()
    page.get_by_label("Objects").check()
    boxes = page.locator(".boxes")
    expect(boxes.locator("text")).to_have_text(["dog 90\N{NO-BREAK SPACE}%"])

    def placed():
        rectangle, image = boxes.locator("rect").bounding_box(), page.locator("#detail-picture img").bounding_box()
        shown = 80 / 100  # the picture's width by its height, in a square
        left = image["x"] + image["width"] * (1 - shown) / 2
        return rectangle["x"] - (left + 0.1 * image["width"] * shown), rectangle["height"] - 0.4 * image["height"]

    def as_meant(off):
        return abs(off[0]) <= 2 and abs(off[1]) <= 3

    off = waited_for(page, placed, as_meant)
    assert as_meant(off), off
    page.locator("#objects-threshold").fill("20")
    expect(boxes.locator("rect")).to_have_count(2)


FITS = """() => {
    const { scrollWidth, clientWidth } = document.querySelector("dialog");
    return scrollWidth <= clientWidth;
}"""


def open_map(page):
    """Opens the map and waits until it is drawn as large as it is shown; where it lies, in pixels."""
    page.get_by_role("button", name="Map", exact=True).click()
    canvas = page.locator("#canvas")
    expect(canvas).to_be_visible()
    page.wait_for_function(
        """() => {
            const canvas = document.querySelector("#canvas");
            if (canvas.width !== Math.round(canvas.clientWidth * devicePixelRatio)) return false;
            if (canvas.height !== Math.round(canvas.clientHeight * devicePixelRatio)) return false;
            return canvas.dataset.drawn === `${canvas.width} ${canvas.height}`;
        }"""
    )
    return canvas.bounding_box()


def test_map_points_at_works_and_opens_them(page):
    box = open_map(page)
    overview = make_overview()
    low, high = overview.positions.min(0), overview.positions.max(0)
    size = np.array([box["width"], box["height"]])
    # The whole map fills nine tenths of the canvas; the spiral's last work lies at its end.
    at = (overview.positions[-1] - (low + high) / 2) * 0.9 * (size / (high - low)).min() + size / 2
    place = (box["x"] + at[0], box["y"] + at[1])
    page.mouse.move(*place)
    title = f"Work {int(overview.object_ids[-1][1:])}"
    expect(page.locator("#tip .title")).to_have_text(title)
    page.mouse.click(*place)
    expect(page.locator("#detail-title")).to_have_text(title)


def test_area_drawn_on_the_map_filters_the_grid(page):
    box = open_map(page)
    page.get_by_role("button", name="Draw around").click()
    middle, low = box["x"] + box["width"] / 2, box["y"] + box["height"] - 4
    corners = [(middle, box["y"] + 4), (box["x"] + 4, box["y"] + 4), (box["x"] + 4, low), (middle, low)]
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in corners[1:]:
        page.mouse.move(*corner, steps=6)
    page.mouse.up()
    overview = make_overview()
    half = (overview.positions[:, 0].min() + overview.positions[:, 0].max()) / 2
    left = {key for key, (x, _) in zip(overview.object_ids, overview.positions, strict=True) if x < half}
    chosen = counted(page)
    assert abs(chosen - len(left)) < 30  # those on the line itself
    page.get_by_role("button", name="Works", exact=True).click()
    kept = {title_of(work) for work in BY_SCORE if work.object_id in left}

    def from_the_left(titles):
        return len(titles) >= 8 and len(set(titles) - kept) <= 1

    titles = waited_for(page, cards(page).all_text_contents, from_the_left)
    assert from_the_left(titles), titles
    page.wait_for_url(lambda url: "area=" in url)
    page.reload()
    counts(page, f"{chosen:,} of 2,500 works")
    page.get_by_role("button", name="Chosen on the map").click()
    counts(page, "2,500 works")


def test_map_by_keyboard(page):
    open_map(page)
    page.locator("#canvas").focus()
    for key in ["+", "+", "ArrowLeft", "ArrowUp", "-"]:
        page.keyboard.press(key)  # the page answers it before the next command is taken
    expect(page.locator("#tip")).to_be_visible()
    expect(page.locator("#tip .title")).not_to_be_empty()
    title = page.locator("#tip .title").text_content()
    page.keyboard.press("Enter")
    expect(page.locator("#detail-title")).to_have_text(title)
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()
    page.get_by_role("button", name="Only in view").click()
    assert 0 < counted(page) < COUNT - len(BAD)


def test_legend_tells_the_colours_and_filters(page):
    open_map(page)
    page.locator("#map-colour").select_option(label="style")
    legend = page.locator("#legend button")
    number = {style: sum(bool(w.labels) and w.labels["style"].label == style for w in WORKS) for style in STYLES}
    expected = sorted(f"{style}\n{n:,}" for style, n in number.items())
    assert waited_for(page, lambda: sorted(legend.all_inner_texts()), expected.__eq__) == expected
    legend.filter(has_text="Rococo").click()
    counts(page, f"{number['Rococo']:,} of 2,500 works")
    expect(page.locator("#legend button[aria-pressed=true] span")).to_have_text(["", "Rococo", f"{number['Rococo']:,}"])
    page.locator("#map-colour").select_option(label="score")
    expect(page.locator("#legend li")).to_have_count(5)


def test_hostile_work_is_text_and_links_nowhere(page):
    fill(page, text="w00042")
    assert waited_for(page, cards(page).all_text_contents, [HOSTILE].__eq__) == [HOSTILE]  # to the last space
    page.locator(".card").click()
    expect(page.locator("#detail-record dd")).not_to_have_count(0)
    title = page.locator("#detail-title")
    assert waited_for(page, title.text_content, HOSTILE.__eq__) == HOSTILE
    expect(page.locator("#detail-record a")).to_have_count(0)
    expect(page.locator("img[src=x], body script:not([src])")).to_have_count(0)


def test_long_title_is_cut_on_the_card_and_whole_in_the_work(page):
    fill(page, text="w00044")
    card = page.locator(".card")
    expect(cards(page)).to_have_text([title_of(WORKS[44])])
    assert card.bounding_box()["height"] < 500
    card.click()
    expect(page.locator("#detail-title")).to_have_text("x" * 10_000)
    page.wait_for_function(FITS)


def test_original_is_linked_with_its_name_escaped(page):
    fill(page, text="w00043")
    page.locator(".card").click()
    expect(page.locator("#detail-record a")).to_have_js_property("href", "file:///museum/w00043%20%231.jpg")


def test_nothing_sticks_out(page):
    for width in (390, 600, 900, 1280, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        for view in ("works", "map", "trust", "about"):
            page.locator(f"[data-view={view}]").click()
            expect(page.locator(f"[data-view={view}]")).to_have_attribute("aria-current", "page")
            page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
        page.locator("[data-view=works]").click()
        expect(page.locator(".card").first).to_be_visible()
        page.wait_for_function(
            """() => [...document.querySelectorAll(".card")].every((card) =>
                card.scrollHeight <= card.clientHeight + 1 && card.scrollWidth <= card.clientWidth + 1)"""
        )
        page.locator(".card").first.click()
        expect(page.locator(".answer")).to_have_count(2)
        page.wait_for_function(
            """width => {
                const { left, right } = document.querySelector("dialog").getBoundingClientRect();
                return left >= 0 && right <= width;
            }""",
            arg=width,
        )
        page.wait_for_function(FITS)
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, address, scheme):
    """WCAG: 4.5 to 1 for text."""
    page = browser.new_page(color_scheme=scheme)
    page.goto(address)
    colour = page.evaluate(
        """() => Object.fromEntries(["paper", "surface", "ink", "quiet", "accent", "on-accent", "notice", "mat"].map(
            (name) => [name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()]))"""
    )
    page.close()

    def luminance(name):
        parts = [int(colour[name][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    pairs = [("on-accent", "accent"), ("ink", "notice"), ("quiet", "mat")]
    pairs += [(text, ground) for text in ("ink", "quiet", "accent") for ground in ("paper", "surface")]
    for text, ground in pairs:
        light, dark = sorted((luminance(text), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_every_control_has_a_name(page):
    page.locator(".card").first.click()
    expect(page.locator(".answer")).to_have_count(2)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, a, canvas")].filter((node) => !node.hidden &&
            !(node.textContent.trim() && node.localName !== "select") && !node.labels?.length
            && !node.getAttribute("aria-label")).map((node) => node.outerHTML)"""
    )
    assert nameless == []


def test_page_without_its_data_files_says_so(page, address, tmp_path, browser):
    page.locator(".card").first.click()
    folder = tmp_path / "copy"
    write_page(folder, WORKS[:3])
    (folder / "data" / "works-0000.js").unlink()
    other = browser.new_page()
    other.goto((folder / "index.html").as_uri())
    other.locator(".card").first.click()
    expect(other.locator("#detail-reason")).to_contain_text("data/works-0000.js is missing")
    expect(other.locator("[data-view=map]")).to_be_hidden()  # no embedding, no map
    other.close()


def test_empty_collection_is_a_page_too(tmp_path, browser):
    other = browser.new_page()
    complaints = []
    other.on("pageerror", lambda error: complaints.append(str(error)))
    other.goto(write_page(tmp_path, []).as_uri())
    counts(other, "0 works")
    assert complaints == []
    other.close()


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
