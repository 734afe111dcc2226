import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest
from pydantic import Field
from ray.exceptions import RayTaskError

from artray import console, job
from artray.errors import ArtrayError, InputError, did_you_mean, without_keys
from artray.job import Options


class PaintOptions(Options):
    """Paint a picture.

    This is not in the help.
    """

    out: str = Field(description="where 100 % of it goes", examples=["URI"])
    per_image: int = Field(10, ge=1, description="strokes")
    colors: list[str] = Field(["red", "blue"], description="what to paint with")
    shares: dict[str, float] = Field({}, description="how much of each", examples=["COLOR=SHARE"])
    gamma: float | None = Field(None, gt=0, description="brightness")
    dry: bool = Field(False, description="paint nothing")


class ConfiguredOptions(Options):
    """A job with a config file of its own."""

    config: str = Field(description="what to do", examples=["FILE"])


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Undo what `quiet` does to the process."""
    for name, value in console.QUIET.items():
        monkeypatch.setenv(name, value)
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data", "ray.train", "ray.tune", "botocore")]
    loggers += [logging.getLogger(name) for name in ("aiobotocore", "s3fs")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def parsed(*argv: str) -> PaintOptions:
    values, _ = job.parse(PaintOptions, argv)
    return job.validate(PaintOptions, values)


def failure(capsys, *argv: str, station=lambda options: {}, options_type=PaintOptions) -> tuple[int, str]:
    """The exit status and the one line on standard error."""
    with pytest.raises(SystemExit) as ended:
        job.main(options_type, station, argv)
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.endswith("\n")
    assert output.err.count("\n") == 1
    return ended.value.code, output.err.rstrip("\n")


def test_flags_become_options():
    options = parsed("--out", "x", "--per-image", "3", "--gamma", "2.2", "--dry", "--shares", "red=0.5")
    assert options == PaintOptions(out="x", per_image=3, gamma=2.2, dry=True, shares={"red": 0.5})
    assert parsed("--out=x", "--no-dry") == PaintOptions(out="x")


def test_lists_by_comma_and_by_repetition():
    assert parsed("--out", "x", "--colors", "red,green", "--colors", "white").colors == ["red", "green", "white"]
    assert parsed("--out", "x", "--colors", "red,,green,").colors == ["red", "green"]
    assert parsed("--out", "x", "--colors", "").colors == []


def test_key_value_pairs():
    argv = ("--out", "x", "--shares", "red=0.5", "--shares", "dark blue=0.25")
    assert parsed(*argv).shares == {"red": 0.5, "dark blue": 0.25}
    values, _ = job.parse(PaintOptions, ["--shares", "a=b=c"])
    assert values["shares"] == {"a": "b=c"}


def test_options_from_yaml_and_flags_before_it(tmp_path):
    file = tmp_path / "options.yaml"
    file.write_text("out: y\nper_image: 7\ncolors: [white]\nshares: {white: 1}\ndry: true\n")
    from_file = PaintOptions(out="y", per_image=7, colors=["white"], shares={"white": 1}, dry=True)
    assert parsed("--options", str(file)) == from_file
    assert parsed("--options", str(file), "--per-image", "8", "--no-dry", "--colors", "red") == from_file.model_copy(
        update={"per_image": 8, "dry": False, "colors": ["red"]}
    )


def test_a_job_with_a_config_has_no_options_file(capsys):
    code, line = failure(capsys, "--config", "c", "--options", "o", options_type=ConfiguredOptions)
    assert code == 2
    assert "--options" in line


@pytest.mark.parametrize(
    ("argv", "names"),
    [
        (["--out", "x", "--colour", "red"], ["--colour", "did you mean --colors?", "--help"]),
        (["--out", "x", "--colour=red"], ["--colour=red; did you mean --colors?"]),
        (["--out", "x", "red"], ["red"]),
        (["--out"], ["--out", "argument"]),
        (["--per", "3", "--out", "x"], ["--per"]),  # no abbreviations: they would break when an option is added
        ([], ["--out: is required", "--help"]),
        (["--out", "x", "--per-image", "many"], ["--per-image", "'many'"]),
        (["--out", "x", "--per-image", "0"], ["--per-image", "greater than or equal to 1", "'0'"]),
        (["--out", "x", "--gamma", "-1"], ["--gamma"]),
        (["--out", "x", "--shares", "red"], ["--shares red", "key=value"]),
        (["--out", "x", "--shares", "=1"], ["--shares =1", "key=value"]),
        (["--out", "x", "--shares", "red=[bold]"], ["--shares.red", "[bold]"]),
        (["--out", "x", "--per-image", "a\nb"], ["--per-image", r"a\nb"]),
        (["--out", "x", "--options", "nowhere.yaml"], ["nowhere.yaml", "No such file"]),
    ],
)
def test_wrong_use_is_one_line_and_status_2(capsys, argv, names):
    code, line = failure(capsys, *argv)
    assert code == 2
    assert line.startswith("error: ")
    assert [name for name in names if name not in line] == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("out: x\nper_imagee: 3\n", ["per-imagee", "unknown key; did you mean per_image?", "known here: colors, dry"]),
        ("out: x\nper_image: many\n", ["per-image", "'many'"]),
        ("out: x\ncolors: red\n", ["colors", "list"]),
        ("out: [x\n", ["not YAML", "options.yaml"]),
        ("- out\n", ["key: value", "options.yaml"]),
        ("", ["key: value", "options.yaml"]),
        ("out: \x00\n", ["not YAML", "options.yaml"]),
        (b"out: \xff\n", ["can't be read", "options.yaml"]),
    ],
)
def test_a_wrong_options_file_is_one_line_and_status_2(capsys, tmp_path, text, names):
    file = tmp_path / "options.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    code, line = failure(capsys, "--options", str(file))
    assert code == 2
    assert [name for name in names if name not in line] == []


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("pictures: no such folder [sic]"), 2, "error: pictures: no such folder [sic]"),
        (ArtrayError("training failed"), 1, "error: training failed"),
        (KeyboardInterrupt(), 130, "error: stopped; the same command goes on where it was"),
        (ZeroDivisionError("a\n  b"), 1, "error: ZeroDivisionError: a b (-v shows where)"),
        (
            RayTaskError("prepare()", "a long\ntrace", ValueError("too few sides")).as_instanceof_cause(),
            1,
            "error: ValueError: too few sides (-v shows where)",
        ),
    ],
)
def test_exit_status_of_errors(capsys, error, status, line):
    def station(options):
        raise error

    assert failure(capsys, "--out", "x", station=station) == (status, line)


def test_the_last_line_is_json_with_seconds(capsys):
    def station(options):
        print("something a library says")
        return {"rows": options.per_image, "out": "Zürich"}

    job.main(PaintOptions, station, ["--out", "x"])
    output = capsys.readouterr()
    counts = json.loads(output.out.splitlines()[-1])
    assert counts.pop("seconds") >= 0
    assert counts == {"rows": 10, "out": "Zürich"}
    assert output.err == ""


def test_help(capsys):
    with pytest.raises(SystemExit) as ended:
        job.main(PaintOptions, lambda options: {}, ["--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--out URI [options] Paint a picture." in text
    assert text.index("required: --out") < text.index("options: --per-image") < text.index("-h, --help")
    assert "not in the help" not in text
    assert "--out URI where 100 % of it goes" in text
    assert "--per-image N strokes (default: 10)" in text
    assert "what to paint with (default: red,blue)" in text
    assert "--options FILE" in text


def test_help_ends_with_an_example(capsys):
    with pytest.raises(SystemExit):
        job.main(PaintOptions, lambda options: {}, ["--help"], "paint", example="--out wall")
    assert capsys.readouterr().out.rstrip().endswith("example: paint --out wall")


@pytest.mark.parametrize(
    ("word", "end"),
    [
        ("ingets", "; did you mean ingest?"),
        ("label", "; did you mean label-catalog?"),  # the beginning of a name, though few of its letters
        ("easel", ""),
        ("", ""),
    ],
)
def test_did_you_mean(word, end):
    assert did_you_mean(word, ["ingest", "train", "label-catalog"]) == end


def test_quiet_reaches_the_processes_that_are_started(monkeypatch):
    for name in console.QUIET:
        monkeypatch.delenv(name)
    console.quiet(verbose=True)
    assert not console.QUIET.keys() & os.environ.keys()
    console.quiet(verbose=False)
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
    assert console.QUIET.items() <= os.environ.items()


SCRIPT = """
from artray.job import Options, main

class Nothing(Options):
    '''Fail.'''

def station(options):
    raise RuntimeError("the easel fell over")

main(Nothing, station)
"""


@pytest.mark.slow
@pytest.mark.parametrize("verbose", [False, True])
def test_a_stack_trace_only_with_v(verbose):
    command = [sys.executable, "-c", SCRIPT, *["-v"] * verbose]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[-1] == "error: RuntimeError: the easel fell over (-v shows where)"
    assert ("Traceback (most recent call last):" in lines) == verbose
    assert (len(lines) > 1) == verbose


@pytest.fixture
def sigterm():
    """What handles signals before is what handles them afterwards; SIGINT as in a terminal, not as behind `&`."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_a_job_with_one_line(capsys, sigterm, number):
    def station(options):
        os.kill(os.getpid(), number)
        for _ in range(100):
            time.sleep(0.01)
        return {}

    code, line = failure(capsys, "--out", "x", station=station)
    assert (code, line) == (128 + number, "error: stopped; the same command goes on where it was")


def test_a_sigterm_that_others_swallow_ends_the_job_all_the_same(sigterm):
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    with pytest.raises(KeyboardInterrupt), job.sigterm_noticed():
        os.kill(os.getpid(), signal.SIGTERM)
    with job.sigterm_noticed():
        pass


def test_sigterm_while_ray_has_a_handler_of_its_own(capsys, sigterm):
    def station(options):
        sys.exit(signal.SIGTERM)

    assert failure(capsys, "--out", "x", station=station)[0] == 143


RAY_JOB = """
import time
from artray import cluster
from artray.job import Options, main

class WaitOptions(Options):
    pass

def wait(options):
    import ray
    cluster.connect()
    print("begun", flush=True)
    ray.get(ray.remote(lambda: time.sleep(300)).remote())

main(WaitOptions, wait, [])
"""


@pytest.mark.slow
def test_sigterm_ends_a_job_and_its_ray(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    job = subprocess.Popen(
        [sys.executable, "-c", RAY_JOB], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert job.stdout.readline() == "begun\n"
    below = psutil.Process(job.pid).children(recursive=True)
    names = []
    for process in below:
        with suppress(psutil.NoSuchProcess):  # some only look round and go
            names.append(process.name())
    assert "raylet" in names
    job.terminate()
    _, errors = job.communicate(timeout=300)
    assert (job.returncode, errors) == (143, "error: stopped; the same command goes on where it was\n")
    _, alive = psutil.wait_procs(below, timeout=300)
    assert not alive


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://AKIA:wJal/rX@museum/a: not found", "s3://***@museum/a: not found"),
        ("https://me:secret@museum.org/a.jpg", "https://***@museum.org/a.jpg"),
        ("https://museum.org/a.jpg?key=4900", "https://museum.org/a.jpg?key=4900"),
        ("https://museum.org:8080/a@2x.jpg", "https://museum.org:8080/a@2x.jpg"),
        ("s3://arn:aws:s3:eu:1:accesspoint/a/b@2x.jpg", "s3://arn:aws:s3:eu:1:accesspoint/a/b@2x.jpg"),
        ("a@b: no such folder", "a@b: no such folder"),
    ],
)
def test_keys_are_masked_in_messages_and_nothing_else(capsys, text, shown):
    assert without_keys(text) == shown
    console.error(text)
    assert capsys.readouterr().err == f"error: {shown}\n"
    assert shown in failure(capsys, "--out", "x", text)[1]
