"""Stations as calls, and what `import artray` loads."""

import subprocess
import sys

import pytest

import artray
from artray.stations import STATIONS


def test_a_station_by_its_name():
    assert artray.run("estimate", work="label", pictures=500_000)["hours"] > 0


@pytest.mark.parametrize("name", STATIONS)
def test_options_of_every_station(name):
    assert artray.options(name) is artray.options(name.replace("-", "_"))
    assert artray.options(name).model_fields


@pytest.mark.parametrize(
    ("station", "options", "told"),
    [
        ("ingets", {}, r"ingets: no such station; did you mean ingest\?"),
        ("ingest", {"image": "x", "out": "y"}, r"ingest: image: unknown key; did you mean images"),
        ("ingest", {"images": "x"}, "ingest: out: Field required"),
    ],
)
def test_a_mistake_is_one_line(station, options, told):
    with pytest.raises(artray.InputError, match=told):
        artray.run(station, **options)


def test_every_name_is_there():
    assert set(artray.__all__) <= set(dir(artray))
    for name in artray.__all__:
        assert getattr(artray, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = artray.nothing


@pytest.mark.slow
def test_import_loads_nothing_and_predict_does_without_ray(tmp_path):
    script = """
import sys
import artray
assert not {"tensorflow", "keras", "ray", "numpy", "pandas", "pyarrow", "pydantic"} & set(sys.modules)
import numpy as np
artray.open_collection
artray.load_bundle
artray.embed(np.zeros((9, 9, 3), np.uint8), size=32, weights=None)
assert "ray" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)
