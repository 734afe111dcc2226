"""The pure parts of the page's script, by Node: CSV, names of groups on the map, what a threshold keeps."""

import json
import shutil
import subprocess
from importlib.resources import files
from typing import Any

import pyarrow as pa
import pytest

from artray.catalogs.formulas import guard

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("node") is None, reason="needs node")]

NAMES = ["", "a", "=1+1", "-3", "'=x", "a,b", 'say "so"', '"so"', '"', "two\nlines", "@x", "＝x", "\tx", "déjà"]


def run(modules: str, expression: str, **values: Any) -> Any:
    """What an expression is worth beside some modules, each value by its name."""
    room = files("artray.report").joinpath("script")
    source = "\n".join(room.joinpath(f"{name}.js").read_text("utf-8") for name in modules.split())
    given = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in values.items())
    script = f'"use strict";\n{source}\n{given}process.stdout.write(JSON.stringify({expression}));'
    done = subprocess.run(["node", "-"], input=script, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_csv_comes_back_as_it_went_and_is_no_formula():
    rows = [NAMES, NAMES[::-1]]
    text, back = run("csv", "[asCsv(rows), parseCsv(asCsv(rows)).map((row) => row.map(unguarded))]", rows=rows)
    assert back == rows
    assert run("csv", "names.map(guarded)", names=NAMES) == guard(pa.array(NAMES)).to_pylist()
    assert text.endswith("\r\n")


def test_several_labels_in_a_cell_come_back():
    lists = [["a", "b"], ["boat; sail", "x"], [], ["[odd"], [" padded "]]
    assert run("csv", "lists.map((names) => parted(joined(names)))", lists=lists) == lists


def test_groups_on_the_map_are_named_by_their_commonest_label():
    x = [0.05 + i / 1000 for i in range(20)] + [0.9 + i / 1000 for i in range(10)] + [0.5]
    labels = [0] * 20 + [1] * 10 + [2]
    found = run(
        "layouts",
        "groupNames(Float32Array.from(x), Float32Array.from(x), (work) => labels[work], (label) => 'ABC'[label])",
        x=x,
        labels=labels,
    )
    assert [(group["text"], group["number"]) for group in found] == [("A", 20), ("B", 10)]
    assert found[0]["x"] == pytest.approx(sum(x[:20]) / 20, abs=1e-3)


def test_works_are_arranged_by_buckets_as_by_comparing():
    key = [5, -3, 20_000, 5, 0, -3, 5]
    first_by_key = sorted(range(len(key)), key=key.__getitem__)  # by place where equal
    assert run("collection", "arranged(Int16Array.from(key))", key=key) == first_by_key
    assert run("collection", "arranged(new Uint32Array(0))") == []


def test_dates_are_in_the_order_of_their_years():
    dates = ["", "c. 1890", "1999", "19th century", "1450 BC", "1874-77", "1874"]
    found = run("collection layouts", "inOrder(dates, new Intl.Collator('en'), yearOf)", dates=dates)
    assert [dates[place] for place in found] == ["1450 BC", "1874", "1874-77", "c. 1890", "1999", "19th century", ""]


def test_what_a_threshold_keeps():
    tested = {"score": [0.9, 0.8, 0.3, None], "truth": [[0], [1], [0], [1]], "said": [[0], [0], [0], []]}
    assert run("trust", "[keptFrom(tested, 0.5), keptFrom(tested, 0)]", tested=tested) == [
        {"kept": 2, "right": 1, "all": 4},
        {"kept": 3, "right": 2, "all": 4},
    ]


def test_works_lie_in_blocks_by_their_date():
    dates = ["1850", "c. 1854-60", "around 18", "12th century", "1999", "1851", ""]
    found = run("layouts", "bySpan(dates.map(yearOf))", dates=dates)
    assert [(group["text"], group["works"]) for group in found] == [("1850–1874", [0, 5, 1]), ("1975–1999", [4])]
    ancient = ["1450-1400 BC", "c. 450 B.C.E.", "-1480", "1200 v. Chr.", "AD 150"]
    assert run("layouts", "dates.map(yearOf)", dates=ancient) == [-1450, -450, -1480, -1200, 150]
    found = run("layouts", "bySpan(dates.map(yearOf))", dates=ancient)
    assert (found[0]["text"], found[0]["works"]) == ("−1500–−1251", [2, 0])
    plain = "(({ x, y }) => ({ x: [...x], y: [...y] }))"
    laid = run("layouts", f"{plain}(inBlocks(7, bySpan(dates.map(yearOf))))", dates=dates)
    places = list(zip(laid["x"], laid["y"], strict=True))
    assert [place == (None, None) for place in places] == [False, False, True, True, False, False, True]
    assert len({place for place in places if place != (None, None)}) == 4
    assert all(0 <= value <= 1 for place in places for value in place if value is not None)
    assert run("layouts", "bySpan([null])") == []
