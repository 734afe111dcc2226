"""What the cluster's processes do before they work."""

import os
import subprocess
import sys

import pytest

from artray import cluster

LOADED = "import sys; import keras; print(any(name.startswith('sklearn.') for name in sys.modules))"


@pytest.mark.slow  # processes of its own
def test_keras_passes_over_scikit_learn_and_would_import_it_otherwise():
    """Where the second is no longer so, `quicken_keras` can go."""
    quickened = f"from artray.cluster import quicken_keras; quicken_keras(); {LOADED}"
    for program, expected in ((quickened, "False"), (LOADED, "True")):
        found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert found.stdout.split()[-1] == expected


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


def test_where_no_token_can_be_kept_one_is_made_for_this_run(begun, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    cluster.connect()
    assert begun == ["token"]
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
