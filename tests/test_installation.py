"""What `make` and pip are told: which Pythons, which extras."""

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SUPPORTED = ["3.10", "3.11", "3.12", "3.13"]

with_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def make(folder: Path, version: str, *goals: str) -> subprocess.CompletedProcess[str]:
    """What make would do with a Python that says it is of this version."""
    python = folder / "python"
    python.write_text(f"#!/bin/sh\necho {version}\n")
    python.chmod(0o755)
    command = ["make", "--dry-run", f"PYTHON={python}", f"VENV={folder / 'venv'}", *goals]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
@with_make
@pytest.mark.parametrize("version", ["2.7", "3.9", "3.14"])
@pytest.mark.parametrize("goal", ["demo", "test"])
def test_make_names_the_pythons_that_it_takes(tmp_path: Path, version: str, goal: str):
    run = make(tmp_path, version, goal)
    assert run.returncode == 2
    [line] = run.stderr.splitlines()
    assert f"artray needs Python 3.10, 3.11, 3.12 or 3.13, and {tmp_path / 'python'} is {version}." in line
    assert f"make PYTHON=python3.12 {goal}" in line


@pytest.mark.slow
@with_make
def test_make_refuses_an_environment_of_another_python(tmp_path: Path):
    environment = tmp_path / "venv" / "bin"
    environment.mkdir(parents=True)
    (environment / "python").symlink_to(tmp_path / "python")
    run = make(tmp_path, "3.14")
    assert run.returncode == 2
    assert f"{environment / 'python'} is 3.14. Name another folder: make VENV=" in run.stderr


@pytest.mark.slow
@with_make
@pytest.mark.parametrize("version", SUPPORTED)
def test_make_takes_the_pythons_that_it_names(tmp_path: Path, version: str):
    run = make(tmp_path, version, "test")
    assert (run.returncode, run.stderr) == (0, "")


def test_pip_takes_the_same_pythons():
    taken = SpecifierSet(PROJECT["requires-python"])
    assert [f"3.{minor}" for minor in range(20) if f"3.{minor}" in taken] == SUPPORTED


def test_requirements_name_extras_that_exist():
    """Pip only warns of one that doesn't, and what it would bring is missing."""
    lines = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate():
            own = requirement.name == PROJECT["name"]  # which may be installed as it was some commits ago
            provided = (
                PROJECT["optional-dependencies"]
                if own
                else metadata.metadata(requirement.name).get_all("Provides-Extra") or []
            )
            assert set(map(canonicalize_name, requirement.extras)) <= set(map(canonicalize_name, provided)), requirement
