"""A real local cluster, begun and used as its users do: `ray start` and `ray job submit`, with token authentication.

It has no machine but its head, which does no work: Ray's autoscaler begins nodes when a job needs them.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from artray.bundles.classifier import load_bundle
from artray.ingest.station import IngestOptions, ingest
from artray.storage import Location
from tests.clusters import ROOT, RealCluster, counts_of
from tests.integration.tables import EXAMPLES, write_features


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    cluster = RealCluster(tmp_path_factory.mktemp("home"), cpus=0, grows_to=2)
    yield cluster
    cluster.close()


def test_a_pass_gets_its_first_machine(cluster: RealCluster, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(40):
        Image.new("RGB", (32, 32), (number, number, number)).save(pictures / f"{number:02d}.jpg")
    ingest(IngestOptions(images=str(pictures), out=f"{tmp_path}/manifest", near_duplicates=False))
    assert cluster.joined() == 0
    done = cluster.submit(
        *("python", "jobs/extract_features.py", "--manifest", f"{tmp_path}/manifest", "--out", f"{tmp_path}/features"),
        *("--features", "brightness"),
    )
    assert counts_of(done)["ok"] == 40
    ids = Location.parse(f"{tmp_path}/features").dataset().to_table()["object_id"].to_pylist()
    assert sorted(ids) == [f"{number:02d}" for number in range(40)]


def test_train_is_submitted_as_a_job(cluster: RealCluster, tmp_path: Path) -> None:
    write_features(str(tmp_path / "features"))
    done = cluster.submit(
        *("python", "jobs/train.py", "--config", "jobs/configs/hand_or_code_head.yaml"),
        *("--data", f"{tmp_path}/features", "--out", f"{tmp_path}/model", "--workers", "2", "--set", "epochs=2"),
    )
    assert counts_of(done)["rows"] == EXAMPLES
    assert load_bundle(Location.parse(tmp_path / "model")).task == "hand_or_code"


def test_a_wrong_job_ends_with_one_line(cluster: RealCluster, tmp_path: Path) -> None:
    done = cluster.submit(
        *("python", "-m", "artray", "train", "--config", "hand_or_code_head"),
        *("--data", f"{tmp_path}/nothing", "--out", f"{tmp_path}/model"),
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert f"error: {tmp_path}/nothing: not found" in done.stdout


def test_the_documented_way_to_ask_for_machines(cluster: RealCluster) -> None:
    """docs/cluster.md, on a cluster that has fewer to give: the request is taken, and given up again."""
    (ask,) = (line.strip() for line in (ROOT / "docs" / "cluster.md").read_text().splitlines() if "ask() {" in line)
    for bundles in ("[{'CPU': 16}] * 8", "[]"):
        done = subprocess.run(
            ["bash", "-c", f'{ask}; ask "{bundles}"'],
            env=cluster.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert "succeeded" in done.stdout
