"""What `make` and pip are told: which Pythons, which extras; and what `make test` makes of failures and signals."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
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

# What a make that runs these tests would tell those that they run.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}

with_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def make(folder: Path, version: str, *goals: str) -> subprocess.CompletedProcess[str]:
    """What make would do with a Python that says it is of this version."""
    python = folder / "python"
    python.write_text(f"#!/bin/sh\necho {version}\n")
    python.chmod(0o755)
    command = ["make", "--dry-run", f"PYTHON={python}", f"VENV={folder / 'venv'}", *goals]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)


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


# An environment whose programs do nothing, but for tests: these fail as the environment's variables say, or wait.
STAND_IN = """#!/bin/sh
case "$*" in
    *sys.version*) echo 3.12; exit;;
    *"-m slow") name=SLOW; status=$SLOW;;
    *"-m not slow") name=UNIT; status=$UNIT;;
    *"pip check") exit ${CHECK:-0};;
    *) exit;;
esac
echo "$name tests"
if [ -n "$PIDS" ]; then echo $$ > "$PIDS/$name"; exec sleep 300; fi
exit ${status:-0}
"""


@pytest.fixture
def make_test(tmp_path: Path) -> list[str]:
    """`make test` in such an environment."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    for folder, names in ((programs, ("python", "ruff", "mypy", "mkdocs")), (tmp_path, ("npx",))):
        for name in names:
            (folder / name).write_text(STAND_IN)
            (folder / name).chmod(0o755)
    (tmp_path / "venv" / ".test").touch()
    return ["env", f"PATH={tmp_path}:{os.environ['PATH']}", "make", f"VENV={tmp_path / 'venv'}", "test"]


@pytest.mark.slow
@with_make
@pytest.mark.parametrize("failing", [None, "SLOW", "UNIT", "CHECK"])
def test_whatever_fails_make_test_runs_all_and_says_so(make_test: list[str], failing: str | None):
    environment = {**ENVIRONMENT, **({failing: "1"} if failing else {})}
    run = subprocess.run(make_test, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == (2 if failing else 0), run.stderr
    assert [line for line in run.stdout.splitlines() if line.endswith(" tests")] == ["SLOW tests", "UNIT tests"]


@pytest.mark.slow
@with_make
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_make_test_that_is_ended_leaves_nothing_running(make_test: list[str], tmp_path: Path, number: signal.Signals):
    running = subprocess.Popen(
        make_test,
        cwd=ROOT,
        env={**ENVIRONMENT, "PIDS": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # it may be ignored here
    )
    files = [tmp_path / name for name in ("SLOW", "UNIT")]
    try:
        until(lambda: all(file.exists() and file.read_text().endswith("\n") for file in files))
        # A terminal tells all of them of Ctrl-C; who ends a job tells only make.
        (os.killpg if number == signal.SIGINT else os.kill)(running.pid, number)
        assert running.wait(60)
        until(lambda: not any(is_running(int(file.read_text())) for file in files))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)


def until(is_so: Callable[[], bool]) -> None:
    """Wait for what comes soon."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


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
