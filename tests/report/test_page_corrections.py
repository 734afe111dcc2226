"""The curator's corrections in a real browser: said, kept, downloaded and read again."""

import csv
import io
import re
from datetime import datetime, timezone

import pyarrow as pa
import pytest

from artray.catalogs.corrections import Corrections, read_corrections
from artray.catalogs.statements import Statement
from artray.catalogs.targets import read_targets
from artray.labeling.contract import Models
from artray.report.page import write_page
from artray.report.works import Label, Work
from artray.storage import Location
from tests.report.shown_page import BAD, BY_SCORE, COUNT, STYLES, cards, counts, expect, fill
from tests.report.waiting import waited_for


def answer(page, task="style"):
    return page.locator(".answer", has=page.get_by_role("heading", name=task, exact=True))


def downloaded(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    assert download.value.suggested_filename == "corrections.csv"
    return download.value.path()


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def test_corrections_by_keyboard_survive_a_reload_and_download(page):
    first, second, third = BY_SCORE[:3]
    page.locator(".card").first.focus()
    page.keyboard.press("Enter")
    predicted = first.labels["style"].label
    corrected = next(name for name in STYLES if name != predicted)
    answer(page).get_by_label("Your label").select_option(corrected)
    expect(page.locator("#corrections")).to_have_text("1 label checked, 0 confirmed and 1 changed.")
    page.locator("#detail-title").click()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#detail-title")).to_have_text(second.record["title"])
    answer(page).get_by_role("button", name="Right").click()  # and on
    expect(page.locator("#detail-title")).to_have_text(third.record["title"])
    answer(page).get_by_label("Your label").select_option(label="None of these")
    expect(page.locator("#corrections")).to_have_text("3 labels checked, 1 confirmed and 2 changed.")
    page.keyboard.press("Escape")
    expect(page.locator(".card:focus .title")).to_have_text(third.record["title"])

    page.wait_for_url(lambda url: "work=" not in url)
    page.reload()
    expect(page.locator("#corrections")).to_have_text("3 labels checked, 1 confirmed and 2 changed.")
    agreed = second.labels["style"].label
    expect(page.locator(".yours")).to_have_text([f"you: ✓ {label}" for label in (corrected, agreed, "None of these")])
    rows = rows_of(downloaded(page))
    assert list(rows[0])[:6] == ["object_id", "task", "label", "predicted", "score", "corrected_at"]
    assert list(rows[0])[6:] == ["reviewer", "reviewed_at", "decision", "model_id", "run_id"]
    said = {first.object_id: corrected, second.object_id: agreed, third.object_id: ""}
    assert {row["object_id"]: (row["task"], row["label"], row["predicted"]) for row in rows} == {
        work.object_id: ("style", said[work.object_id], work.labels["style"].label) for work in (first, second, third)
    }
    assert [float(row["score"]) for row in rows] == [
        round(work.labels["style"].score, 4) for work in sorted((first, second, third), key=lambda w: w.object_id)
    ]
    for status, number in [("Checked by you", 3), ("Changed by you", 2), ("Not yet checked", COUNT - 3 - len(BAD))]:
        fill(page, status=status)
        counts(page, f"{number:,} of 2,500 works")


def test_corrections_are_loaded_again(page, browser, address, tmp_path):
    fill(page, text="=1+1")
    expect(cards(page)).to_have_text(["Work 46"])
    page.locator(".card").click()
    answer(page).get_by_label("Your label").select_option(label="None of these")
    expect(page.locator("#corrections")).to_have_text("1 label checked, 0 confirmed and 1 changed.")
    page.keyboard.press("Escape")
    saved = downloaded(page)
    (row,) = rows_of(saved)
    assert row["object_id"] == "'=1+1", "no formula for a spreadsheet"

    context = browser.new_context()
    other = context.new_page()
    other.goto(address)
    other.locator("#load").set_input_files(saved)
    expect(other.locator("#corrections")).to_have_text("1 read. 1 label checked, 0 confirmed and 1 changed.")
    assert rows_of(downloaded(other)) == [row]

    newer = tmp_path / "newer.csv"
    lines = [
        "object_id,task,label,note,corrected_at",
        '"\'=1+1",style,"Rococo","a ""quoted"" note,\nof two lines",2999-01-01T00:00:00.000Z',
        "'=1+1,style,Cubism,older,1999-01-01T00:00:00.000Z",
        "w00050,style,Fauvism,,",
        "gone,style,Cubism,,",
        "w00001,no such task,Cubism,,",
    ]
    newer.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8", newline="")
    other.locator("#load").set_input_files(newer)
    expect(other.locator("#corrections")).to_contain_text("3 read, 2 left out: not on this page.")
    assert {r["object_id"]: r["label"] for r in rows_of(downloaded(other))} == {"'=1+1": "Rococo", "w00050": "Fauvism"}

    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,b\n1,2\n")
    other.locator("#load").set_input_files(wrong)
    expect(other.locator("#corrections")).to_contain_text("wrong.csv holds no corrections")
    context.close()


def test_corrections_of_an_earlier_run_are_offered(page):
    page.evaluate(
        """() => localStorage.setItem("artray corrections run 0", JSON.stringify({page: location.pathname, at: 1,
            labels: [[JSON.stringify(["w00001", "style"]), {label: "Rococo", at: "2020"}]]}))"""
    )
    page.reload()
    expect(page.locator("#corrections")).to_have_text("No label checked yet.")
    page.get_by_role("button", name="Take over 1 from before").click()
    expect(page.locator("#corrections")).to_have_text(re.compile("^1 label checked"))
    expect(page.locator("#adopt")).to_be_hidden()


MOTIFS = {
    "a": (["river", "bridge", "sky"], {"river": 0.9, "bridge": 0.7, "sky": 0.6, "boat; sail": 0.1}),
    "b": (["sky"], {"river": 0.55, "bridge": 0.1, "sky": 0.5, "boat; sail": 0.1}),
    "c": ([], {"river": 0.2, "bridge": 0.3, "sky": 0.1, "boat; sail": 0.1}),
}


@pytest.fixture
def motifs(browser, tmp_path):
    """A page of three works with three labels, one and none."""
    works = [
        Work(
            key,
            f"/museum/{key}.jpg",
            labels={"motif": Label(max(scores, key=scores.get), max(scores.values()), scores, None, "m1", labels)},
            record={"title": f"Work {key}"},
        )
        for key, (labels, scores) in MOTIFS.items()
    ]
    models = Models(multilabel=frozenset(["m1"]), doubts={"m1": "No better than chance."})
    page = browser.new_page()
    page.goto(write_page(tmp_path, works, run={"run": "1"}, models=models).as_uri())
    yield page
    page.close()


def test_a_page_begins_with_what_others_said_and_keeps_their_names(browser, tmp_path):
    when = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
    said = Corrections({"t": {"a": "y"}}, statements={"t": {"a": Statement("y", "x", "Ada", when)}})
    # Classes count alike: what is said has not the highest score.
    works = [Work(key, labels={"t": Label("x", 0.4, {"x": 0.4, "y": 0.6})}, image_uri="") for key in "ab"]
    page = browser.new_page()
    page.goto(write_page(tmp_path, works, run={"run": "1"}, corrections=said).as_uri())
    expect(page.locator("#corrections")).to_have_text("1 label checked, 0 confirmed and 1 changed.")
    (row,) = rows_of(downloaded(page))
    assert (row["object_id"], row["label"], row["reviewer"], row["decision"]) == ("a", "y", "Ada", "corrected")
    page.locator(".card").first.click()
    expect(page.locator(".choice .name")).to_have_text(["y", "x ✓ label"])
    page.close()


def test_a_work_shows_all_its_labels_and_is_found_by_each(motifs):
    expect(motifs.locator("#doubts")).to_have_text("motif: No better than chance.")
    expect(motifs.locator(".card")).to_have_count(3)
    for title, labels in {"Work a": ["river", "bridge", "sky"], "Work b": ["sky"], "Work c": ["no label"]}.items():
        expect(motifs.locator(".card").filter(has_text=title).locator(".score .name")).to_have_text(labels)
    expect(motifs.locator(".card").filter(has_text="Work c")).to_contain_text("uncertain")
    options = motifs.locator("#filters [name=label] option")
    expect(options).to_have_text(["All labels", "bridge (1)", "river (1)", "sky (2)"])
    fill(motifs, label="sky")
    both = ["Work a", "Work b"]
    assert waited_for(motifs, lambda: sorted(cards(motifs).all_text_contents()), both.__eq__) == both
    fill(motifs, label="bridge", status="Certain")
    expect(cards(motifs)).to_have_text(["Work a"])


def test_several_labels_are_confirmed_added_taken_away_and_read_again(motifs, tmp_path):
    motifs.locator(".card").filter(has_text="Work a").click()
    expect(motifs.locator("#detail-tasks .said")).to_have_count(3)
    motifs.get_by_role("button", name="Right").click()
    expect(motifs.get_by_role("button", name="Right")).to_have_attribute("aria-pressed", "true")
    expect(motifs.locator("#corrections")).to_have_text("1 label checked, 1 confirmed and 0 changed.")
    motifs.get_by_role("button", name="bridge × , remove").click()
    motifs.locator("#detail-tasks select").select_option("boat; sail")
    chosen = motifs.locator("#detail-tasks .chips button")
    expect(chosen).to_have_text([re.compile(f"^{label} ×") for label in ("river", "sky", "boat; sail")])
    motifs.locator("#close").click()
    motifs.locator(".card").filter(has_text="Work c").click()
    motifs.locator("#detail-tasks select").select_option(label="None of these")
    motifs.locator("#close").click()
    expect(motifs.locator("#corrections")).to_have_text("2 labels checked, 1 confirmed and 1 changed.")
    with motifs.expect_download() as download:
        motifs.locator("#download").click()
    download.value.save_as(tmp_path / "c.csv")
    found = read_corrections([Location.parse(tmp_path / "c.csv")]).labels["motif"]
    assert found == {"a": '["river","sky","boat; sail"]', "c": None}
    column = pa.array([found["a"], found["c"]], pa.string())
    assert read_targets(column, "multilabel", "motif") == [{"river": 1, "sky": 1, "boat; sail": 1}, {}]
    motifs.locator(".card").filter(has_text="Work a").click()
    motifs.locator("#detail-tasks select").select_option(label="Not checked")
    motifs.locator("#close").click()
    expect(motifs.locator("#corrections")).to_have_text("1 label checked, 1 confirmed and 0 changed.")
    motifs.locator("#load").set_input_files(tmp_path / "c.csv")
    expect(motifs.locator("#corrections")).to_have_text("2 read. 2 labels checked, 1 confirmed and 1 changed.")
