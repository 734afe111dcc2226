"""The command `artray`, the scripts in `jobs/`, and the table that both run."""

import ast
import inspect
import shlex
import subprocess
import sys
import typing
from importlib import import_module
from pathlib import Path

import pytest

import artray
from artray.__main__ import main
from artray.job import Options, parse
from artray.stations import STATIONS

ROOT = Path(__file__).parents[1]
LOADED_BY_STATIONS = {"tensorflow", "keras", "ray", "numpy", "pyarrow", "pydantic", "rich"}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "artray", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("name", STATIONS)
def test_every_station_is_where_the_table_says(name):
    station = STATIONS[name]
    module = import_module(station.module)
    options = getattr(module, station.options)
    function = getattr(module, station.function)
    assert issubclass(options, Options)
    (parameter,) = inspect.signature(function).parameters
    assert typing.get_type_hints(function)[parameter] is options
    assert station.summary == options.__doc__.split("\n\n")[0]
    values, _ = parse(options, shlex.split(station.example))  # refuses a flag that there is not
    assert {field for field, told in options.model_fields.items() if told.is_required()} <= values.keys()


def test_every_station_has_a_script_and_every_script_its_own():
    named = {}
    for file in (ROOT / "jobs").glob("*.py"):
        (call,) = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        assert ast.unparse(call.func) == "run"
        named[file.stem] = [ast.literal_eval(argument) for argument in call.args]
    assert named == {name.replace("-", "_"): [name] for name in STATIONS}


def test_help_lists_the_stations_in_order(capsys):
    main(["--help"])
    text = capsys.readouterr().out
    lines = [line.split()[0] for line in text.splitlines() if line.startswith("  ") and line[2] != " "]
    assert lines == list(STATIONS)
    for station in STATIONS.values():
        assert station.summary in " ".join(text.split())


@pytest.mark.slow
@pytest.mark.parametrize("flag", ["--help", "-h", "--version"])
def test_help_and_version_load_nothing(flag):
    script = f"import sys; from artray.__main__ import main; main([{flag!r}]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert not LOADED_BY_STATIONS & set(done.stderr.split())
    assert "artray.stations" in done.stderr.split()


def test_version(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"artray {artray.__version__}\n"


@pytest.mark.slow
def test_without_a_station_the_help_and_status_2():
    done = command()
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: artray STATION" in done.stderr


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("ingets", "error: ingets: no such station; did you mean ingest? (artray --help lists them)"),
        ("extract_feature", "error: extract_feature: no such station; did you mean extract-features? (artray --help"),
        ("sculpt", "error: sculpt: no such station (artray --help lists them)"),
        ("--out", "error: --out: no such station (artray --help lists them)"),
    ],
)
def test_an_unknown_station_is_one_line_and_status_2(capsys, given, line):
    with pytest.raises(SystemExit) as ended:
        main([given, "--out", "x"])
    assert ended.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(line)
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("given", ["make-patches", "make_patches"])
def test_a_station_by_either_name(capsys, given):
    with pytest.raises(SystemExit) as ended:
        main([given, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: artray make-patches --manifest URI --out URI [options]\n")


@pytest.mark.slow
def test_a_station_runs_as_a_command(tmp_path):
    done = command("ingest", "--images", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("listing ")]
    assert line.startswith(f"error: {tmp_path}/nowhere")


@pytest.mark.slow
def test_the_installed_command():
    """Where the package is installed, `artray` stands beside Python."""
    script = Path(sys.executable).parent / "artray"
    if not script.exists():
        pytest.skip("artray is not installed in this environment")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.startswith("artray ")
