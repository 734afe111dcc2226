"""A real local cluster, begun and used as its users do: `ray start` and `ray job submit`, with token authentication."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from artray.training.bundle import load_bundle
from tests.conftest import free_port
from tests.integration.tables import EXAMPLES, write_features

ROOT = Path(__file__).parents[2]


def ray_command() -> str:
    found = shutil.which("ray", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert found
    return found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a user of a one-node cluster with a home, and so a token, of its own."""
    home = tmp_path_factory.mktemp("home")
    dashboard = free_port()
    environment = {
        **os.environ,
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}",
    }
    environment.pop("RAY_ADDRESS", None)
    generate = [ray_command(), "get-auth-token", "--generate"]
    subprocess.run(generate, env=environment, check=True, capture_output=True, timeout=60)
    command = [ray_command(), "start", "--head", "--block", f"--port={free_port()}", f"--dashboard-port={dashboard}"]
    # Short: the path of a socket below it may have 107 characters.
    temporary = Path(f"/tmp/artray-test-{os.getpid()}")
    # Ray's own choice of port for its agent is taken where another cluster runs.
    command += [f"--temp-dir={temporary}", f"--dashboard-agent-listen-port={free_port()}"]
    command += ["--num-cpus=2", "--disable-usage-stats"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for_dashboard(dashboard, process, home / "log")
        yield environment
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # all of its processes; `ray stop` would stop the suite's own Ray too
        process.wait(30)
        shutil.rmtree(temporary, ignore_errors=True)


def wait_for_dashboard(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the Jobs API answers, and answers that it wants a token."""
    status = None
    for _ in range(600):
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            status = urllib.request.urlopen(f"http://127.0.0.1:{port}/api/jobs/", timeout=2).status
        except urllib.error.HTTPError as answer:
            status = answer.code
        except OSError:
            time.sleep(0.2)
        if status is not None and status < 500:
            break
    assert status == 401, log.read_text(errors="replace")[-2000:]


def submit(environment: dict[str, str], *entrypoint: str) -> subprocess.CompletedProcess[str]:
    command = [ray_command(), "job", "submit", "--working-dir", ".", "--", *entrypoint]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400)


def test_train_is_submitted_as_a_job(cluster: dict[str, str], tmp_path: Path) -> None:
    write_features(str(tmp_path / "features"))
    done = submit(
        cluster,
        *("python", "jobs/train.py", "--config", "jobs/configs/hand_or_code_head.yaml"),
        *("--data", f"{tmp_path}/features", "--out", f"{tmp_path}/model", "--workers", "2", "--set", "epochs=2"),
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    line = next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{"))
    assert json.loads(line)["rows"] == EXAMPLES
    assert load_bundle(str(tmp_path / "model")).task == "hand_or_code"


def test_a_wrong_job_ends_with_one_line(cluster: dict[str, str], tmp_path: Path) -> None:
    done = submit(
        cluster,
        *("python", "jobs/train.py", "--config", "jobs/configs/hand_or_code_head.yaml"),
        *("--data", f"{tmp_path}/nothing", "--out", f"{tmp_path}/model"),
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert f"error: {tmp_path}/nothing: not found" in done.stdout


def test_the_documented_way_to_ask_for_machines(cluster: dict[str, str]) -> None:
    """docs/cluster.md, on a cluster that has none to give: the request is taken, and given up again."""
    (ask,) = (line.strip() for line in (ROOT / "docs" / "cluster.md").read_text().splitlines() if "    ask() {" in line)
    for bundles in ("[{'CPU': 16}] * 8", "[]"):
        done = subprocess.run(
            ["bash", "-c", f'{ask}; ask "{bundles}"'], env=cluster, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert "succeeded" in done.stdout
