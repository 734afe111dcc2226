"""The stations as calls: each with its options by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from artray import console
from artray.errors import InputError, did_you_mean
from artray.job import Counts, Options, validate
from artray.stations import STATIONS, Station


def run(station: str, **options: Any) -> Counts:
    """Run a station, as the command `artray STATION` does.

    An option is called like its flag, with underscores: `--per-image 20` is `per_image=20`. Lists and mappings are
    Python's: `label={"style": "style"}`, `model=["work/a", "work/b"]`. A station that was interrupted goes on when it
    is called again; one whose output is there already says so.

    Args:
        station: Its name: `ingest`, `extract-features`, `train`, …; `extract_features` is the same.
        options: Its options; `help(artray.options("train"))` shows them.

    Returns:
        Its counts, which the command prints as JSON: `rows`, `ok`, `failed` and others.

    Raises:
        InputError: There is no such station or option, or the input can't be used.
        ArtrayError: It could not finish.

    Example:
        `artray.run("ingest", images="scans", catalog="catalog.csv", out="work/manifest")`
    """
    entry = _station(station)
    console.quiet(False)
    module = import_module(entry.module)
    counts: Counts = getattr(module, entry.function)(validate(getattr(module, entry.options), options, station))
    return counts


def options(station: str) -> type[Options]:
    """A station's options: a pydantic model whose fields are its flags, each with a description and a default.

    Args:
        station: Its name, as of `run`.

    Raises:
        InputError: There is no such station.
    """
    entry = _station(station)
    told: type[Options] = getattr(import_module(entry.module), entry.options)
    return told


def _station(name: str) -> Station:
    station = STATIONS.get(name.replace("_", "-"))
    if station is None:
        hint = did_you_mean(name.replace("_", "-"), STATIONS)
        raise InputError(f"{name}: no such station{hint} (there are: {', '.join(STATIONS)})")
    return station
