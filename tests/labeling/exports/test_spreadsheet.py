import csv
import re

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.catalogs.catalog import read_catalog
from artray.catalogs.formulas import guard, unguard
from artray.labeling.exports.source import read_source
from artray.labeling.exports.spreadsheet import write_csv
from artray.storage import Location
from tests.labeling.exports.collection import HOSTILE

TEXTS = st.text(st.sampled_from("'=+-@\t\n＝,. 1a\""), max_size=6) | st.text(max_size=8)


@given(st.lists(st.one_of(st.none(), TEXTS), max_size=10))
def test_guarded_texts_are_no_formulas_and_can_be_had_back(texts):
    guarded = guard(pa.array(texts, pa.string())).to_pylist()
    for text, cell in zip(texts, guarded, strict=True):
        if text is None:
            assert cell is None
            continue
        assert unguard(cell) == text
        assert not cell.startswith(tuple("=+-@\t\r\n＝＋－＠")) or re.fullmatch(r"[+-]?[0-9]+([.,][0-9]+)?", cell)


@pytest.fixture
def path(tmp_path, collection, features):
    write_csv(read_source(Location.parse(collection), Location.parse(features)), tmp_path / "labels.csv")
    return tmp_path / "labels.csv"


def test_pandas_and_pythons_csv_read_the_same_cells(path, rows):
    with path.open(newline="", encoding="utf-8") as file:
        header, *read = csv.reader(file)
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, lineterminator="\n")
    assert frame.columns.tolist() == header
    assert frame.to_numpy().tolist() == read
    assert header[:3] == ["object_id", "image_uri", "title"]
    assert header[3:9] == [f"medium_{name}" for name in ("label", "label_uri", "score", "decision", "status", "error")]
    assert len(read) == len(rows["style"])
    assert [unguard(row[2]) for row in read[: len(HOSTILE)]] == HOSTILE[::-1]
    for cell in (cell for row in read for cell in row):
        assert not cell.startswith(("=", "+1+", "-2+", "@", "\t", "＝"))


def test_it_can_be_ingested_as_a_catalogue(path, rows):
    with path.open("rb") as file:
        catalog = read_catalog(file, "labels.csv")
    assert len(catalog.table) == len(rows["style"])
    assert catalog.table["style_status"].to_pylist() == [row["status"] for row in rows["style"]]


def test_a_byte_order_mark_where_asked_for(tmp_path, collection):
    source = read_source(Location.parse(collection))
    write_csv(source, tmp_path / "plain.csv")
    write_csv(source, tmp_path / "excel.csv", bom=True)
    plain = (tmp_path / "plain.csv").read_bytes()
    assert (tmp_path / "excel.csv").read_bytes() == b"\xef\xbb\xbf" + plain
    assert plain.startswith(b'"object_id"')


def test_an_interrupted_export_leaves_the_old_one(path, collection, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr("artray.labeling.exports.spreadsheet._guarded", lambda column: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_csv(read_source(Location.parse(collection)), path)
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.glob("*.part")] == []
