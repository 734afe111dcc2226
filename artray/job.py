"""The frame of every job: options in, one station's work, one JSON line out.

A job is a pydantic model of options and a function that takes them and returns its counts; `main` does the rest of
the contract: flags (and an optional YAML file) to options, quiet libraries, one clear line for an error, exit status
0, 1 or 2 (130 after Ctrl-C, 143 after SIGTERM), and the JSON with the counts as the last line of standard output.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import signal
import sys
import threading
import time
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar, Union

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from artray import console
from artray.errors import ArtrayError, InputError, did_you_mean, without_keys

Counts = dict[str, Any]

CONFIGS = Path(__file__).with_name("configs")  # the packaged ones


_INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM  # as shells tell it: 143

_sigterm_came = False


class Options(BaseModel):
    """Options of one job. A field is a flag (`per_image` is `--per-image`); its description is the flag's help."""

    model_config = ConfigDict(extra="forbid", frozen=True)


OptionsT = TypeVar("OptionsT", bound=Options)


def main(
    options_type: type[OptionsT],
    station: Callable[[OptionsT], Counts],
    argv: Sequence[str] | None = None,
    program: str | None = None,
    *,
    example: str = "",
) -> None:
    """Run one job as a command; ends the process with the contract's exit status.

    Args:
        options_type: The job's options. A field that is a list takes commas or the flag several times; a mapping
            takes `key=value`, several times.
        station: Does the work and returns its counts, which are printed as JSON with `seconds` added.
        argv: The command line without the program's name; default is the process's.
        program: What the help calls the job; default is the script's name.
        example: Flags of a usual call, which the help shows.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    started = time.monotonic()
    verbose = False
    global _sigterm_came
    _sigterm_came = False
    heed_sigterm()
    try:
        values, verbose = parse(options_type, arguments, program, example)
        console.quiet(verbose)
        counts = station(validate(options_type, values))
    except KeyboardInterrupt:
        _stop(_TERMINATED if _sigterm_came else _INTERRUPTED)
    except SystemExit as error:
        if error.code != signal.SIGTERM:
            raise
        _stop(_TERMINATED)  # the signal came while Ray was starting and had a handler of its own
    except InputError as error:
        _end(str(error), 2, error if verbose else None)
    except ArtrayError as error:
        _end(str(error), 1, error if verbose else None)
    except BrokenPipeError:
        raise
    except Exception as error:
        cause: Exception = error  # Ray's is a whole trace, which holds what went wrong
        while isinstance(inner := getattr(cause, "cause", None), Exception):
            cause = inner
        reason = " ".join(str(cause).split())
        _end(f"{type(cause).__name__}: {reason[:500]} (-v shows where)", 1, error if verbose else None)
    counts["seconds"] = round(time.monotonic() - started, 2)
    print(json.dumps(counts, ensure_ascii=False), flush=True)


def heed_sigterm() -> None:
    """Let SIGTERM, by which schedulers and `kill` end a process, end a job as Ctrl-C does.

    Libraries set handlers of their own (Ray when it starts), so this is called again after them.
    """
    if threading.current_thread() is threading.main_thread():  # signals come nowhere else
        signal.signal(signal.SIGTERM, _terminate)


@contextmanager
def sigterm_noticed() -> Iterator[None]:
    """Let a SIGTERM that comes in the block end the job when it is over, if it has not done so by then.

    Ray sets a handler of its own as it starts, and what that raises can be lost in a callback.
    """
    read, write = os.pipe()
    for end in (read, write):
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(write)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            came = pipe.read() or b""
    if signal.SIGTERM in came:
        _terminate(signal.SIGTERM, None)


def is_sigterm_heeded() -> bool:
    """Whether SIGTERM is heeded: in a job, but not where a program of others calls a station."""
    return signal.getsignal(signal.SIGTERM) is _terminate


def _terminate(number: int, frame: types.FrameType | None) -> NoReturn:
    # Not by a class of its own: what comes while Ray waits comes out of it as a plain KeyboardInterrupt.
    global _sigterm_came
    _sigterm_came = True
    raise KeyboardInterrupt


def parse(
    options_type: type[Options], argv: Sequence[str], program: str | None = None, example: str = ""
) -> tuple[dict[str, Any], bool]:
    """Flags and the `--options` file, as unchecked values, and whether `-v` was given.

    Raises:
        InputError: An unknown flag, a missing required one, or an options file that can't be read.
    """
    parser = _parser(options_type, program, example)
    parsed, unknown = parser.parse_known_args(argv)
    if unknown:
        hint = did_you_mean(unknown[0].partition("=")[0], map(_flag, options_type.model_fields))
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    arguments = vars(parsed)
    verbose = arguments.pop("verbose")
    file = arguments.pop("options_file", None)
    values = read_yaml(file) if file else {}
    for name, value in arguments.items():
        annotation = _plain(options_type.model_fields[name].annotation)
        if typing.get_origin(annotation) is dict:
            values[name] = dict(_pair(item, name) for item in value)
        elif typing.get_origin(annotation) in (list, tuple):
            values[name] = [item for text in value for item in text.split(",") if item]
        else:
            values[name] = value
    return values, verbose


def validate(options_type: type[OptionsT], values: Mapping[str, Any], source: str = "") -> OptionsT:
    """Checked options; the first fault as one line.

    Raises:
        InputError: An unknown key, a missing one or a bad value; the message names it as the user wrote it.
    """
    try:
        return options_type.model_validate(values)
    except ValidationError as error:
        # What is misspelt may be the one that is missing.
        fault = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        where = ".".join(str(key) for key in fault["loc"])
        reason = fault["msg"].removeprefix("Value error, ")
        if not where:  # values that don't fit together: the reason names them
            raise InputError(f"{source}: {reason}" if source else reason) from error
        name = f"{source}: {where}" if source else _flag(where)
        if fault["type"] == "extra_forbidden":
            *parents, key = map(str, fault["loc"])
            known = _keys(options_type, parents)
            below = [] if parents else [f"{each}.{key}" for each in known if key in _keys(options_type, [each])]
            hint = did_you_mean(below[0], below) if below else did_you_mean(key, known)
            listed = f" (known here: {', '.join(sorted(known))})" if known else ""
            raise InputError(f"{name}: unknown key{hint}{listed}") from error
        if fault["type"] == "missing":
            raise InputError(f"{name}: {reason}" if source else f"{name}: is required (--help shows how)") from error
        hint = did_you_mean(str(fault["input"]), re.findall(r"'([^']+)'", reason)) if "literal" in fault["type"] else ""
        raise InputError(f"{name}: {reason}{hint} (given: {without_keys(str(fault['input']))[:80]!r})") from error


def _keys(model: type[BaseModel], parents: Sequence[str]) -> list[str]:
    """The keys of a model, or of one that is below it; none where that can't be told."""
    for parent in parents:
        below = _plain(model.model_fields[parent].annotation) if parent in model.model_fields else None
        if not (isinstance(below, type) and issubclass(below, BaseModel)):
            return []
        model = below
    return list(model.model_fields)


def config_file(given: str) -> Path:
    """Where a config is that was asked for by the name of a packaged one (`lite0_head`) or by a path.

    A packaged config's name means that config, whatever lies in the working folder: `./lite0_head` is the file.

    Raises:
        InputError: It is neither; the message lists the packaged ones.
    """
    packaged = {file.stem: file for file in sorted(CONFIGS.glob("*.yaml"))}
    if given in packaged:
        return packaged[given]
    path = Path(given)
    if path.is_file() or len(path.parts) > 1:
        return path
    hint = did_you_mean(path.stem, packaged)
    raise InputError(f"{given}: no such file, nor a packaged config{hint} (packaged: {', '.join(packaged)})")


def read_yaml(file: str | Path) -> dict[str, Any]:
    """A YAML file whose top level is a mapping.

    Raises:
        InputError: It is not there, not YAML or not a mapping.
    """
    try:
        values = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: can't be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{file}: must hold `key: value` lines")
    return values


def read_config_file(options_type: type[OptionsT], given: str, changes: Mapping[str, str]) -> OptionsT:
    """Options of any kind from a config's YAML file, with changes from the command line.

    Args:
        options_type: What the file must hold.
        given: A packaged config's name, or a path.
        changes: Values in YAML by their key, or by a path to it: `optimizer.learning_rate`.

    Raises:
        InputError: There is no such config, it can't be read, or a key or value is not one.
    """
    values = read_yaml(config_file(given))
    for path, text in changes.items():
        *parents, key = path.split(".")
        mapping = values
        for parent in parents:
            mapping = mapping.setdefault(parent, {})
            if not isinstance(mapping, dict):
                raise InputError(f"--set {path}: {parent} is not a mapping in {given}")
        try:
            mapping[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"--set {path}={text}: not a YAML value") from error
    return validate(options_type, values, source=given)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; argparse's own answer begins with a page of usage."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (--help lists the options)")


def _parser(options_type: type[Options], program: str | None, example: str) -> _Parser:
    fields = options_type.model_fields
    summary = (options_type.__doc__ or "").split("\n\n")[0]
    needed = [f"{_flag(name)} {_metavar(field)} " for name, field in fields.items() if field.is_required()]
    usage = f"%(prog)s {''.join(needed)}[options]"
    parser = _Parser(prog=program, usage=usage, description=summary, allow_abbrev=False, add_help=False)
    parser.epilog = f"example: %(prog)s {example}" if example else None
    required, rest = parser.add_argument_group("required"), parser.add_argument_group("options")
    own_fields = vars(options_type).get("__annotations__", {})
    for name, field in sorted(
        fields.items(), key=lambda item: item[0] not in own_fields
    ):  # before what several jobs share
        _add_flag((required if field.is_required() else rest).add_argument, name, field)
    if "config" not in fields:
        rest.add_argument("--options", dest="options_file", metavar="FILE", help="the same options from a YAML file")
    rest.add_argument("-v", "--verbose", action="store_true", help="show logs, warnings and stack traces")
    rest.add_argument("-h", "--help", action="help", help="show this text")
    return parser


def _add_flag(add: Callable[..., object], name: str, field: FieldInfo) -> None:
    flag = _flag(name)
    annotation = _plain(field.annotation)
    help_text = field.description or ""
    if not field.is_required() and field.get_default(call_default_factory=True) not in (None, [], {}, False):
        help_text += f" (default: {_show(field.get_default(call_default_factory=True))})"
    keywords: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": help_text.replace("%", "%%")}
    if annotation is bool:
        add(flag, action=argparse.BooleanOptionalAction, **keywords)
        return
    if typing.get_origin(annotation) in (list, tuple, dict):
        keywords["action"] = "append"
    add(flag, metavar=_metavar(field), **keywords)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _metavar(field: FieldInfo) -> str:
    return str(field.examples[0]) if field.examples else _METAVARS.get(_plain(field.annotation), "VALUE")


_METAVARS: dict[Any, str] = {int: "N", float: "X", str: "TEXT"}


def _plain(annotation: Any) -> Any:
    """`X | None` without the None."""
    if typing.get_origin(annotation) in (Union, types.UnionType):
        members = [item for item in typing.get_args(annotation) if item is not type(None)]
        return members[0] if len(members) == 1 else annotation
    return annotation


def _show(value: object) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{key}={item}" for key, item in value.items())
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _pair(text: str, name: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"{_flag(name)} {text}: must be key=value")
    return key, value


def _stop(status: int) -> NoReturn:
    if threading.current_thread() is threading.main_thread():
        # Ending Ray's processes is not to be cut short by a second signal.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _end("stopped; the same command goes on where it was", status)


def _end(message: str, status: int, error: BaseException | None = None) -> NoReturn:
    if error is not None:
        logging.getLogger("artray").error("", exc_info=error)
    console.error(message)
    raise SystemExit(status)
