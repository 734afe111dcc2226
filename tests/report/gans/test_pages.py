"""The page of a generator: everything it shows is beside it, and nothing in it can do harm."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from artray.errors import InputError
from artray.gans.comparison import ComparisonOptions
from artray.gans.latent_walks import latent_strips
from artray.gans.sample_sheets import write_animation, write_sheet
from artray.gans.station import _WRITTEN
from artray.report.gans import pages, station
from artray.report.gans.pages import comparison_page, gan_page
from artray.report.gans.station import TrainGanOptions, compare_gans_with_pages, train_gan_with_page
from artray.storage import Location, remove_written
from tests.gans.bundles import SIZE, write_generator
from tests.gans.serial import Serial

pytestmark = pytest.mark.slow  # whole stations

CLASSES = ["<b>bold</b>", "Rococo"]
MODEL = {"config": {"target": "style", "model": {"name": "dcgan"}, "loss": {"name": "wgan"}}, "data": {"train": 40}}


class Page(HTMLParser):
    """What a page refers to, and its tags."""

    def __init__(self, file: Path):
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(file.read_text())
        self.missing = [link for link in self.links if not (file.parent / link).exists()]

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]


def history(epochs: int) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "discriminator_loss": -2.0 * epoch,
            "generator_loss": None if epoch == 2 else 0.5 * epoch,
            "real_score": 0.7,
            "fake_score": 0.2,
            "discriminator_gradient": 3.0,
            "generator_gradient": float("inf") if epoch == 3 else 1.0,
            "seconds": 1.0,
        }
        for epoch in range(1, epochs + 1)
    ]


def row(fid: float) -> dict[str, float]:
    return {"fid": fid, "kid": 0.0123, "kid_error": 0.001, "precision": 0.5, "recall": 0.25, "closer": 0.4}


@pytest.fixture
def bundle(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A copy of the whole bundle; no Ray."""
    Serial(monkeypatch)
    monkeypatch.setattr(pages, "in_task", lambda function, *arguments: function(*arguments))
    return str(shutil.copytree(whole, tmp_path / "gan"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator with all that its page may show, made once."""
    folder = tmp_path_factory.mktemp("whole")
    uri = str(folder / "gan")
    write_generator(uri, CLASSES, **MODEL)
    (Location.parse(uri) / "history.json").write_bytes(json.dumps(history(9)).encode())
    pictures = np.random.default_rng(0).integers(0, 256, (9, SIZE, SIZE, 3), np.uint8)
    for epoch in range(10):
        write_sheet(Location.parse(uri), epoch, pictures, model="dcgan")
    write_animation(Location.parse(uri), list(range(10)), model="dcgan")
    with pytest.MonkeyPatch.context() as patch:
        Serial(patch)
        latent_strips(Location.parse(uri))
    work = folder / "work.png"
    Image.fromarray(pictures[0]).save(work)
    nearest = [
        {"number": number, "class": name, "object_id": f"<i>{number}</i>", "image_uri": uri, "distance": 0.01 * number}
        for number, name, uri in zip((3, 7), CLASSES, (str(work), str(folder / "gone.png")), strict=True)
    ]
    rows = {"generator": row(12.5), "works": row(3.5), "mean": row(40), "noise": row(90)}
    found = {
        "settings": {}, "embedding": "efficientnet-lite0", "seed": 0, "n": 20, "works": 40, "samples": 20, "rows": rows,
        "nearest": nearest, "distances": {"samples": 0.2, "works": 0.1},
    }  # fmt: skip
    (Location.parse(uri) / "scores.json").write_bytes(json.dumps(found).encode())
    return Path(uri)


def test_a_generators_page(bundle: str) -> None:
    place = Path(gan_page(Location.parse(bundle)))
    assert place == Path(bundle, "page", "index.html")
    page, text = Page(place), place.read_text()
    assert not page.missing
    assert not {"script", "iframe", "object", "b", "i"} & set(page.tags)
    assert "default-src 'none'" in text
    assert not re.search(r"https?://", text)
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "&lt;i&gt;3&lt;/i&gt;" in text
    for said in ("12.50", "12.30 ± 1.00", "Epoch 0", "Epoch 9", "40% of its pictures", "Between its pictures"):
        assert said in text
    assert text.count("<svg") == 3  # no epoch knew the diversity
    assert "nan" not in text
    assert "inf" not in text
    sheets = sorted(path.name for path in (place.parent / "pictures").glob("epoch-*"))
    assert (len(sheets), sheets[0], sheets[-1]) == (6, "epoch-000.png", "epoch-009.png")
    assert len(list((place.parent / "pictures").glob("nearest-*"))) == 3  # one work can't be read any more


def test_written_again_the_page_leaves_the_users_files(bundle: str) -> None:
    pictures = Path(gan_page(Location.parse(bundle))).parent / "pictures"
    before = {path.name for path in pictures.iterdir()}
    (pictures / "mine.png").write_text("mine")
    (pictures / "epoch-999.png").write_text("of more epochs")
    gan_page(Location.parse(bundle))
    assert {path.name for path in pictures.iterdir()} == before | {"mine.png"}


def test_a_bundle_that_is_overwritten_goes_with_its_page_and_samples_and_nothing_else(bundle: str) -> None:
    gan_page(Location.parse(bundle))
    (Location.parse(bundle) / "generated/manifest/manifest.parquet").write_bytes(b"")
    (Location.parse(bundle) / "generated/pictures/0000/000000.png").write_bytes(b"")
    mine = ["notes.txt", "page/mine.txt", "samples/mine.png", "scans/0000/000000.png"]
    for name in mine:
        (Location.parse(bundle) / name).write_bytes(b"mine")
    remove_written(Location.parse(bundle), _WRITTEN)
    assert sorted(path.relative_to(bundle).as_posix() for path in Path(bundle).rglob("*") if path.is_file()) == mine


def test_the_samples_on_the_page_are_those_that_were_scored(bundle: str) -> None:
    from artray.gans.sampling import GeneratorModel

    place = Path(gan_page(Location.parse(bundle)))
    shown = np.asarray(Image.open(place.parent / "pictures" / "nearest-01-generated.png"))
    assert (shown == GeneratorModel(Location.parse(bundle)).numbered([7], 0, [1])[0]).all()


def test_a_page_without_scores_and_strips(bundle: str) -> None:
    (Location.parse(bundle) / "scores.json").remove()
    (Location.parse(bundle) / "latent").remove()
    text = Path(gan_page(Location.parse(bundle))).read_text()
    assert "How it learned" in text
    assert "How good it is" not in text
    assert "Between its pictures" not in text


def test_a_comparisons_page(bundle: str, tmp_path: Path) -> None:
    out = tmp_path / "comparison"
    run = out / "runs" / "abc"
    Location.parse(str(run)).upload(Path(bundle))
    gan_page(Location.parse(run))
    empty = dict.fromkeys(row(0))
    rows = [
        {
            "config": "gan_dcgan",
            "loss": "ns",
            **row(12.5),
            "epochs": 9,
            "seconds": 90.0,
            "run": str(run),
            "error": None,
        },
        {"config": "gan_dcgan", "loss": "<u>", **empty, "epochs": None, "seconds": None, "run": "", "error": "<s>no"},
    ]
    Location.parse(str(out / "results.parquet")).write_table(pa.Table.from_pylist(rows))
    place = Path(comparison_page(Location.parse(out)))
    page, text = Page(place), place.read_text()
    assert place == out / "index.html"
    assert not page.missing
    assert "runs/abc/page/index.html" in page.links
    assert not {"u", "s", "script"} & set(page.tags)
    assert "1.5 min" in text
    assert "2 generators from the same 40 works" in text


def test_a_users_own_page_is_not_replaced_by_a_comparison(tmp_path):
    (tmp_path / "index.html").write_text("<h1>Our museum</h1>")
    options = ComparisonOptions(config=["gan_basic"], data=f"{tmp_path}/nowhere", out=str(tmp_path))
    with pytest.raises(InputError, match=r"holds index\.html, which artray has not written"):
        compare_gans_with_pages(options)


def test_a_judge_that_can_not_be_one_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(station, "train_gan", lambda _: pytest.fail("trained"))
    for judge, reason in (("efficientnet-lite9", "efficientnet-lite9"), ("efficientnet-lite0", "sees by this network")):
        options = TrainGanOptions(config="gan_projected", data=tmp_path / "m", out=tmp_path / "gan", judge=judge)
        with pytest.raises(InputError, match=reason):
            train_gan_with_page(options)
