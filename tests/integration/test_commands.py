"""The jobs as commands: what a person and a script see of them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from artray.features.station import FeatureOptions, extract_features
from artray.ingest.station import IngestOptions, ingest
from artray.storage import Location
from tests.integration.conftest import passes_in_process
from tests.labeling.bundles import write_bundle, write_pictures
from tests.patience import run_patiently
from tests.servers import S3Server

ROOT = Path(__file__).parents[2]
OLDEST = Path(sys.prefix) / "oldest"
ONE_CPU = {"RAY_OVERRIDE_RESOURCES": '{"CPU": 1}'}
"""For a job's own Ray: one actor a pass, where several add nothing."""


def job(name: str, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *arguments]
    return run_patiently(command, env={**os.environ, **(environment or {})}, timeout=300)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line with which a job refuses its input; fails where there is more, or another status."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("listing ")]
    assert line.startswith("error: ")
    return line


@pytest.fixture(scope="module")
def manifest(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("manifest")
    given = ["--images", str(sample), "--catalog", f"{sample}/catalog.csv", "--out", str(out)]
    done = job("ingest", *given, environment=ONE_CPU)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert (counts["rows"], counts["matched"], counts["out"]) == (48, 48, str(out))
    return str(out)


def test_a_job_alone_starts_its_own_ray_and_keeps_the_terminal_clean(manifest: str, tmp_path: Path) -> None:
    options = ["--features", "brightness,palette", "--out", str(tmp_path / "features")]
    done = job("extract_features", "--manifest", manifest, *options)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    counts = json.loads(line)
    assert (counts["rows"], counts["ok"], counts["failed"]) == (48, 46, 2)
    assert counts["seconds"] > 0
    assert all(line.startswith("features: ") for line in done.stderr.splitlines()), done.stderr


@pytest.mark.parametrize(
    ("keys", "images", "message"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "s3://museum/walk", "refuses these keys"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "s3://museum/walk", "refuses these keys"),
        ({}, "s3://no-such-museum/pictures", "no such bucket"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://museum/walk", "can't be reached"),
    ],
)
def test_s3_refusals_are_one_line(
    s3_server: S3Server, s3_bucket: str, tmp_path: Path, keys: dict[str, str], images: str, message: str
) -> None:
    environment = {**s3_server.environment(), **keys}
    line = refused(job("ingest", "--images", images, "--out", str(tmp_path), environment=environment))
    assert message in line


def test_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("nothing here")
    line = refused(job("ingest", "--images", str(tmp_path / "in"), "--out", str(tmp_path / "out")))
    assert "no pictures there" in line


def test_an_output_place_that_can_not_be_written(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    line = refused(job("ingest", "--images", str(sample), "--out", str(tmp_path / "file" / "out")))
    assert "can't be written" in line


def test_a_bundle_that_is_none(manifest: str, tmp_path: Path) -> None:
    line = refused(job("label_catalog", "--manifest", manifest, "--model", str(tmp_path), "--out", f"{tmp_path}/out"))
    assert "not a model bundle" in line


def test_a_wrong_flag(manifest: str) -> None:
    line = refused(job("make_patches", "--manifest", manifest, "--out", "x", "--sise", "3"))
    assert "--sise" in line


WALK = """
import sys

import pandas
import pyarrow

from artray.ingest.station import IngestOptions, ingest
from artray.features.station import FeatureOptions, extract_features
from artray.console import quiet
from artray.labeling.station import LabelOptions, label_catalog
from artray.patches.station import PatchOptions, make_patches
from tests.integration.conftest import passes_in_process

place, bundles = sys.argv[1], sys.argv[2:]
quiet(verbose=False)
with passes_in_process("features"):  # the others are the same to Ray
    ingest(IngestOptions(images=f"{place}/pictures", out=f"{place}/manifest"))
    given = {"manifest": f"{place}/manifest"}
    features = ["palette", "brightness", "texture", "colormaps"]
    extract_features(FeatureOptions(**given, out=f"{place}/features", features=features, size=32))
    make_patches(PatchOptions(**given, out=f"{place}/patches", per_image=2, size=16))
    label_catalog(LabelOptions(**given, out=f"{place}/labels", model=bundles, features=f"{place}/features"))
tables = [pandas.read_parquet(f"{place}/{name}") for name in ("features", "features-today")]
pandas.testing.assert_frame_equal(*(table.sort_values("object_id", ignore_index=True) for table in tables))
print(pyarrow.__version__)
"""


def test_the_walk_with_the_oldest_pyarrow_and_a_broken_picture(ray_session: None, tmp_path: Path) -> None:
    """And feature tables of each version are read with the other: pandas may have any pyarrow."""
    if not OLDEST.is_dir():
        pytest.skip(f"pip install --no-deps --target {OLDEST} pyarrow of pyproject.toml's bound")
    write_pictures(tmp_path / "pictures", 3, broken=1)
    bundles = [write_bundle(f"{tmp_path}/model-{kind}", kind, kind) for kind in ("pictures", "features")]
    ingest(IngestOptions(images=f"{tmp_path}/pictures", out=f"{tmp_path}/manifest-today", near_duplicates=False))
    features = ["palette", "brightness", "texture", "colormaps"]
    with passes_in_process():
        extract_features(
            FeatureOptions(
                manifest=f"{tmp_path}/manifest-today", out=f"{tmp_path}/features-today", features=features, size=32
            )
        )

    environment = {**os.environ, **ONE_CPU, "PYTHONPATH": f"{OLDEST}{os.pathsep}{ROOT}"}
    done = run_patiently([sys.executable, "-c", WALK, str(tmp_path), *bundles], env=environment, timeout=500)
    assert done.returncode == 0, done.stderr
    bound = re.search('"pyarrow>=([0-9]+)"', (ROOT / "pyproject.toml").read_text())
    assert bound is not None
    assert done.stdout.split()[-1].split(".")[0] == bound[1]

    for name, rows in (("features", 4), ("patches", 7), ("labels", 8)):
        status = Location.parse(f"{tmp_path}/{name}").dataset().to_table(columns=["status"])["status"].to_pylist()
        assert len(status) == rows
        assert set(status) == {"ok", "truncated"}
    tables = [pd.read_parquet(tmp_path / name) for name in ("features", "features-today")]
    pd.testing.assert_frame_equal(*(table.sort_values("object_id", ignore_index=True) for table in tables))
