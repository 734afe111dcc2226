import csv

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from artray.errors import InputError
from artray.sample.collection import COLUMNS, FOLDER, write_sample


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("sample") / "new" / "folder")


@pytest.fixture(scope="module")
def rows(catalog):
    with catalog.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def works(rows):
    return [row for row in rows if row["medium"]]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_bytes_on_each_call(catalog):
    first = contents(catalog.parent)
    for path in (catalog.parent / "images").glob("code-*.jpg"):
        path.write_bytes(b"something else")
    assert write_sample(catalog.parent) == catalog
    assert contents(catalog.parent) == first


def test_the_catalogue_names_every_file_once(catalog, rows):
    assert tuple(rows[0]) == COLUMNS
    assert len({row["object_id"] for row in rows}) == len(rows)
    files = sorted(row["file"] for row in rows)
    assert files == sorted(f"images/{path.name}" for path in (catalog.parent / "images").iterdir())


def test_as_many_by_code_as_by_hand_and_no_family_in_both(works):
    media = [row["medium"] for row in works]
    assert media.count("hand") == 22
    assert media.count("code") >= 22
    families = {medium: {row["family"] for row in works if row["medium"] == medium} for medium in ("hand", "code")}
    assert len(families["code"]) >= 8
    assert not families["hand"] & families["code"]
    assert "" not in families["hand"] | families["code"]


def test_hand_works_are_the_committed_files_grouped_by_artist(catalog, works):
    hand = [row for row in works if row["medium"] == "hand"]
    for row in hand:
        assert (catalog.parent / row["file"]).read_bytes() == (FOLDER / "paintings22" / row["file"]).read_bytes()
        assert row["family"] == row["artist"]
    assert any(row["artist"] == "Albrecht Dürer" for row in hand)


def test_the_file_format_does_not_tell_code_from_hand(catalog, works):
    formats = set()
    for row in works:
        with Image.open(catalog.parent / row["file"]) as picture:
            tables = tuple(tuple(table) for table in picture.quantization.values())
            formats.add((picture.format, picture.mode, tables, tuple(picture.layer), tuple(sorted(picture.info))))
            assert 300 <= picture.width <= 730
            picture.load()
    assert len(formats) == 1


def test_mean_colour_does_not_tell_code_from_hand(catalog, works):
    colors = [
        np.asarray(Image.open(catalog.parent / row["file"]).resize((1, 1), Image.Resampling.BOX))[0, 0] for row in works
    ]
    media = [row["medium"] for row in works]
    model = make_pipeline(StandardScaler(), LogisticRegression())
    assert model.fit(colors, media).score(colors, media) < 0.8
    families = [row["family"] for row in works]
    assert cross_val_score(model, colors, media, groups=families, cv=LeaveOneGroupOut()).mean() < 0.8


def test_the_broken_files_are_rows_that_pillow_cannot_read(catalog, rows):
    cut_short, text = (row for row in rows if not row["medium"])
    assert not cut_short["family"]
    assert not text["family"]
    with Image.open(catalog.parent / cut_short["file"]) as picture:
        assert picture.format == "JPEG"
        with pytest.raises(OSError, match="truncated"):
            picture.load()
    with pytest.raises(UnidentifiedImageError):
        Image.open(catalog.parent / text["file"])


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"can't write the sample collection to .*file"):
        write_sample(tmp_path / "file")
