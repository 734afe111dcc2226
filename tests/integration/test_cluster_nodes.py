"""Machines that can't do a job, in a real cluster of several nodes on this machine: one line, and it names the node."""

import json
import os
import sys
from pathlib import Path

import pytest

from artray.storage import Location
from tests.patience import run_patiently
from tests.servers import S3Server

# In a process of its own: the suite's is in another cluster. Each line of its output is what became of one node.
DRIVER = """
import json, os, sys
from ray.cluster_utils import Cluster
from artray import cluster, console
from artray.errors import ArtrayError
from artray.storage import Location
from artray.storage.nodes import check_nodes

console.quiet(False)
nodes, reads, writes = json.loads(sys.argv[1])
local = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
os.environ["RAY_ADDRESS"] = local.address

def add(name, environment):
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        return local.add_node(num_cpus=1, node_name=name, resources={name: 1}, include_log_monitor=False)
    finally:
        os.environ.clear()
        os.environ.update(before)

def outcome(action):
    try:
        action()
    except ArtrayError as error:
        return f"{type(error).__name__}: {error}"
    return "ok"

cluster.connect()
import ray
for name, environment in nodes.items():
    node = add(name, environment)
    places = [[Location.parse(uri) for uri in uris] for uris in (reads, writes)]
    result = {"node": name, "check": outcome(lambda: check_nodes(*places))}
    if name == "bare":  # as if it had come after the check
        def use():
            from artray.patches.station import make_patches
            with cluster.unwrapped_errors():
                ray.get(ray.remote(num_cpus=0, resources={name: 0.1}, max_retries=0)(make_patches).remote(None))
        result["late"] = outcome(use)
    print(json.dumps(result), flush=True)
    if result["check"] != "ok":
        local.remove_node(node, allow_graceful=False)
ray.shutdown()
local.shutdown()
"""

NO_ARTRAY = """
import sys
from importlib import util

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "artray":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nothing())
found = util.find_spec
util.find_spec = lambda name, package=None: None if name == "artray" else found(name, package)
"""


def python_finds(file: Path, text: str) -> dict[str, str]:
    """An environment in which Python finds a module first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return {"PYTHONPATH": str(file.parent.parent if file.name == "__init__.py" else file.parent)}


@pytest.fixture(scope="module")
def outcomes(
    s3_server: S3Server, s3_bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, str]]:
    folder = tmp_path_factory.mktemp("nodes")
    Location.parse(f"{s3_bucket}/nodes/manifest/manifest.parquet").write_bytes(b"")
    nodes = {
        "good": {},
        "bare": python_finds(folder / "bare" / "sitecustomize.py", NO_ARTRAY),
        "old": python_finds(folder / "old" / "artray" / "__init__.py", "__version__ = '0.0.1'"),
        "stranger": {"AWS_SECRET_ACCESS_KEY": "wrong"},
    }
    places = [f"{s3_bucket}/nodes/manifest"], [f"{s3_bucket}/nodes/labels"]
    (folder / "driver.py").write_text(DRIVER)
    command = [sys.executable, str(folder / "driver.py"), json.dumps([nodes, *places])]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    environment.pop("RAY_ADDRESS", None)
    done = run_patiently(command, cwd=folder, env=environment, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {result["node"]: result for result in results}


def test_a_good_node_passes(outcomes):
    assert outcomes["good"]["check"] == "ok"


def test_a_node_without_artray(outcomes):
    assert outcomes["bare"]["check"].startswith("InputError: node bare (")
    assert outcomes["bare"]["check"].endswith("): has no artray; all machines need the same")


def test_a_node_without_artray_that_came_after_the_check(outcomes):
    assert outcomes["bare"]["late"].startswith("ArtrayError: node ")
    assert outcomes["bare"]["late"].endswith(": No module named 'artray'; all machines need artray's dependencies")


def test_a_node_with_another_artray(outcomes):
    assert outcomes["old"]["check"].startswith("InputError: node old (")
    assert "has another artray than the job" in outcomes["old"]["check"]


def test_a_node_that_may_not_use_the_bucket(outcomes):
    assert outcomes["stranger"]["check"].startswith("InputError: node stranger (")
    assert outcomes["stranger"]["check"].endswith("): s3://museum/nodes/manifest: permission denied")


def test_nothing_is_left_behind(outcomes, s3_bucket):
    assert [info.uri for info in Location.parse(f"{s3_bucket}/nodes").list_files()] == [
        f"{s3_bucket}/nodes/manifest/manifest.parquet"
    ]
    fs, path = Location.parse(f"{s3_bucket}/nodes/labels").filesystem()
    # Hidden files too; an empty folder stays on this server.
    assert [name for name, info in fs.find(path, detail=True).items() if info["type"] == "file"] == []
