"""The command `artray STATION …`; `python -m artray` is the same."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn

from artray import __version__
from artray.errors import did_you_mean
from artray.stations import STATIONS, run


def main(argv: Sequence[str] | None = None) -> None:
    """Run the station that is named first with the rest of the command line; ends the process if it fails.

    Args:
        argv: The command line without the program's name; default is the process's.
    """
    match sys.argv[1:] if argv is None else list(argv):
        case []:
            print(_help(), file=sys.stderr)
            raise SystemExit(2)
        case ["-h" | "--help", *_]:
            print(_help())
        case ["--version", *_]:
            print(f"artray {__version__}")
        case [given, *rest]:
            name = given.replace("_", "-")
            if name not in STATIONS:
                _refuse(given, name)
            run(name, rest, program=f"artray {name}")


def _help() -> str:
    width = min(shutil.get_terminal_size().columns, 120)
    column = max(map(len, STATIONS)) + 4
    lines = [
        textwrap.fill(station.summary, width, initial_indent=f"  {name}".ljust(column), subsequent_indent=" " * column)
        for name, station in STATIONS.items()
    ]
    return "\n".join(
        [
            "usage: artray STATION [--option VALUE …]",
            "       artray STATION --help | --help | --version",
            "",
            "Labels a museum's image collection: pictures and catalogue in, Parquet labels out.",
            "",
            "stations, in the order of the walk, and two beside it:",
            *lines,
        ]
    )


def _refuse(given: str, name: str) -> NoReturn:
    from artray import console  # which loads rich: the help does without

    console.error(f"{given}: no such station{did_you_mean(name, STATIONS)} (artray --help lists them)")
    raise SystemExit(2)


if __name__ == "__main__":
    main()
