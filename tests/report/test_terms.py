"""Words by which the page's works can be found: as bytes, and as the browser compares them."""

import base64
import json
import shutil
import subprocess

import numpy as np
import pytest

from artray.report.page import page_script, write_page
from artray.report.terms import Terms, as_bytes
from artray.report.works import Work


@pytest.fixture
def terms():
    chance = np.random.default_rng(0)
    works = chance.normal(size=(300, 64)).astype(np.float32)
    vectors = chance.normal(size=(5, 64)).astype(np.float32)
    return Terms(
        [f"Wörter {number}" for number in range(5)], vectors, [f"w{number:03}" for number in range(300)], works
    )


def cosine(one, several):
    return several @ one / np.linalg.norm(one) / np.linalg.norm(several, axis=1)


def test_a_byte_for_a_number_is_enough(terms):
    exact = cosine(terms.vectors[0], terms.works)
    rough = cosine(as_bytes(terms.vectors[:1])[0].astype(float), as_bytes(terms.works).astype(float))
    assert np.abs(exact - rough).max() < 0.01
    assert set(np.argsort(-exact)[:10]) <= set(np.argsort(-rough)[:14])
    assert as_bytes(np.zeros((1, 3))).tolist() == [[0, 0, 0]]


def test_only_works_of_the_page_are_told_by_their_place(terms, tmp_path):
    works = [Work(name, f"/{name}.jpg") for name in ("w299", "w005", "other")]
    write_page(tmp_path, works, terms=terms)
    text = (tmp_path / "data" / "terms.js").read_text("ascii")
    assert text.startswith("globalThis.artrayTerms = JSON.parse('")
    found = terms.as_json({"w299": 2, "w005": 1})
    assert found["places"] == [1, 2]
    raw = np.frombuffer(base64.b64decode(found["works"]), np.int8).reshape(2, 64)
    assert raw.tolist() == as_bytes(terms.works[[5, 299]]).tolist()
    assert '"terms":5' in (tmp_path / "data" / "collection.js").read_text("ascii")
    write_page(tmp_path, works)
    assert not (tmp_path / "data" / "terms.js").exists()


@pytest.mark.slow
def test_the_browser_finds_the_same_works(terms, tmp_path):
    """The module's own functions, under Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node here")
    module = page_script()
    pieces = [module[module.index("const folded") :].split("\n")[0]]
    start = module.index("const MOST_FOUND")
    pieces.append("const once = (make) => { let made; return () => (made ??= make()); };")
    pieces.append(module[start : module.index("const FILTER_TEXTS")])
    places = {name: number for number, name in enumerate(terms.object_ids)}
    given = json.dumps(terms.as_json(places))
    script = f"globalThis.artrayTerms = {given};\n" + "\n".join(pieces)
    script += '\nconsole.log(JSON.stringify(makeTerms({terms: 5}).nearest(" worter 3").slice(0, 20)));'
    file = tmp_path / "terms.js"
    file.write_text(script, encoding="utf-8")
    done = subprocess.run([node, str(file)], capture_output=True, text=True, check=True, timeout=60)
    rough = cosine(as_bytes(terms.vectors[3:4])[0].astype(float), as_bytes(terms.works).astype(float))
    assert json.loads(done.stdout) == np.argsort(-rough, kind="stable")[:20].tolist()
