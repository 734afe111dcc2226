"""Tables as programs open them."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import artray
from artray.api.collections import as_rows
from artray.errors import InputError
from artray.storage import Location

TABLE = pa.table(
    {
        "object_id": ["1", "2", "3"],
        "image_uri": ["/a.jpg", "/b.jpg", None],
        "style": ["Cubism", None, "Cubism"],
        "scores": pa.array([[("a", 0.25)], None, []], pa.map_(pa.string(), pa.float32())),
    }
)


@pytest.fixture
def manifest(tmp_path):
    (Location.parse(tmp_path) / "m" / "manifest.parquet").write_table(TABLE)
    return tmp_path / "m"


def test_a_collection_as_arrow_and_pandas(manifest):
    collection = artray.open_collection(manifest)
    assert len(collection) == 3
    assert collection.columns == TABLE.column_names
    assert collection.to_arrow().equals(TABLE)
    assert collection.to_arrow(["style"], pc.field("style") == "Cubism").to_pylist() == [{"style": "Cubism"}] * 2
    frame = collection.to_pandas()
    assert frame["scores"].tolist()[0] == {"a": 0.25}
    assert list(frame["object_id"]) == ["1", "2", "3"]
    assert collection.dataset.count_rows() == 3


def test_a_collection_as_polars(manifest):
    polars = pytest.importorskip("polars")
    frame = artray.open_collection(str(manifest)).to_polars(["object_id", "style"])
    assert isinstance(frame, polars.DataFrame)
    assert frame["style"].to_list() == ["Cubism", None, "Cubism"]


def test_without_polars_it_says_what_to_install(manifest, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(InputError, match="to_polars: needs Polars: pip install polars"):
        artray.open_collection(manifest).to_polars()


def test_what_a_notebook_shows(manifest):
    collection = artray.open_collection(manifest)
    assert repr(collection) == "<3 rows: object_id, image_uri, style, scores>"
    assert "Cubism" in collection._repr_html_()


def test_an_unknown_column_is_said(manifest):
    with pytest.raises(InputError, match=r"styl: no such column; did you mean style\? \(there are: object_id"):
        artray.open_collection(manifest).to_pandas(["styl"])


def test_no_table_there(tmp_path):
    with pytest.raises(InputError, match="no_where"):
        artray.open_collection(tmp_path / "no_where")


@pytest.mark.parametrize(
    "given",
    [TABLE, TABLE.to_pandas(maps_as_pydicts="strict").drop(columns="scores"), artray.Collection(TABLE)],
    ids=["arrow", "pandas", "collection"],
)
def test_manifests_in_memory(given):
    rows = as_rows(given)
    assert rows.to_pylist() == TABLE.select(["object_id", "image_uri"]).to_pylist()


def test_a_table_without_pictures_is_none():
    with pytest.raises(InputError, match="needs a column image_uri"):
        as_rows(pd.DataFrame({"object_id": ["1"]}))
    assert as_rows(["a.jpg"]) is None
