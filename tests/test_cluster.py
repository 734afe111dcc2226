"""What the cluster's processes do before they work."""

import os
import subprocess
import sys

import pytest

from artray import cluster
from artray.errors import ArtrayError

GPU_SETTINGS = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
WRAPPERS = """
import sys
from artray.cluster import quicken_keras

def are_loaded():
    return [any(name.startswith(f"{package}.") for name in sys.modules) for package in ("sklearn", "matplotlib")]

quicken_keras()
import keras
passed_over = not any(are_loaded())
users = [name for name in sys.modules if name.startswith("keras.") and ("wrappers" in name or "visualization" in name)]
for name in ["sklearn", "matplotlib", *users]:
    del sys.modules[name]
import keras.visualization, keras.wrappers  # as `import keras` does, without which there would be none to forget
print(passed_over, bool(users), *are_loaded())
"""


@pytest.mark.slow  # a process of its own
def test_keras_passes_over_scikit_learn_and_would_import_it_otherwise():
    """And over matplotlib. Where the last is no longer so, `quicken_keras` can go."""
    found = subprocess.run([sys.executable, "-c", WRAPPERS], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True"] * 4


@pytest.fixture
def begun(monkeypatch, tmp_path):
    """What Ray would be begun with."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.setenv(name, "")  # to be restored
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    modes = []
    monkeypatch.setattr(cluster.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(cluster.ray, "init", lambda **_: modes.append(os.environ.get("RAY_AUTH_MODE")))
    return modes


@pytest.mark.parametrize(
    ("address", "mode", "token", "wanted"),
    [
        (None, None, False, "token"),
        (None, "disabled", False, "disabled"),
        ("auto", None, False, None),
        ("auto", None, True, "token"),
        ("auto", "disabled", True, "disabled"),
    ],
)
def test_rays_token_mode_is_asked_for(begun, monkeypatch, tmp_path, address, mode, token, wanted):
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    if token:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text("0123")
    cluster.connect()
    assert begun == [wanted]
    assert "RAY_AUTH_TOKEN" not in os.environ


@pytest.fixture
def given(begun, monkeypatch):
    """The runtime environments that Ray is begun with."""
    found = []
    for name in GPU_SETTINGS:
        monkeypatch.setenv(name, "")  # to be restored
        monkeypatch.delenv(name)
    monkeypatch.setattr(cluster.ray, "init", lambda **options: found.append(options["runtime_env"]))
    return found


def test_no_process_of_this_machine_sees_a_gpu_that_it_has_not_asked_for_or_takes_all_its_memory(given):
    cluster.connect()
    assert given == [None]  # they have this one's
    assert GPU_SETTINGS.items() <= os.environ.items()


def test_nor_does_one_of_a_cluster(given, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    cluster.connect()
    assert GPU_SETTINGS.items() <= given[0]["env_vars"].items()


def test_what_the_jobs_environment_says_of_gpus_counts_for_more(given, monkeypatch):
    """It reaches all processes by itself, and Ray takes no name twice."""
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    cluster.connect()
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"
    assert GPU_SETTINGS.keys() & given[0]["env_vars"].keys() == {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"}


def test_where_no_token_can_be_kept_one_is_made_for_this_run(begun, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    cluster.connect()
    assert begun == ["token"]
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64


@pytest.mark.parametrize(("address", "tries"), [(None, 2), ("auto", 1)])
def test_a_machine_too_busy_for_ray_gets_a_second_try_and_then_a_word(begun, monkeypatch, address, tries):
    def too_slow(**_):
        events.append("begun")
        raise Exception("The current node timed out during startup. This could happen because")

    events = []
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(cluster.ray, "init", too_slow)
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: events.append("ended"))
    with pytest.raises(ArtrayError, match="the machine is too busy"):
        cluster.connect()
    assert events == ["begun", "ended"] * tries


def test_the_second_try_is_enough(begun, monkeypatch):
    def slow_once(**_):
        tries.append(1)
        if len(tries) == 1:
            raise Exception("The current node timed out during startup.")

    tries = []
    monkeypatch.setattr(cluster.ray, "init", slow_once)
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)
    cluster.connect()
    assert len(tries) == 2


def test_what_else_keeps_ray_from_starting_is_not_tried_again(begun, monkeypatch):
    def broken(**_):
        tries.append(1)
        raise OSError("no room on the disk")

    tries = []
    monkeypatch.setattr(cluster.ray, "init", broken)
    with pytest.raises(OSError, match="no room"):
        cluster.connect()
    assert len(tries) == 1
