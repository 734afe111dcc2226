"""JSON texts as values: one, one a line, or one after the other.

A document is one JSON value of a file. What records are in them is `artray.catalogs.json_records`' trade.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from artray.catalogs.cells import AddProblem, Number
from artray.errors import InputError, count_of, first_of

_SHOWN = 5  # names
_RECORD_SEPARATOR = "\x1e"  # before each text of a JSON text sequence (RFC 7464)
_BLANK = " \t\r\n\ufeff\x1e"

Document = tuple[int, object]
"""A JSON value and its line in the file, or its place in a list; None for what is no JSON."""


class Repeated:
    """How many JSON objects give a name twice, and which: of its values the last counts."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin anew: a text is read in another way."""
        self._objects, self._names = 0, dict[str, None]()

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """An object of such names and values, counted where it has fewer."""
        members = dict(pairs)
        if len(members) < len(pairs):
            self._objects += 1
            self._names |= {name: None for name, count in Counter(name for name, _ in pairs).items() if count > 1}
        return members

    def add(self, other: Repeated) -> None:
        """Count another text's objects too."""
        self._objects += other._objects
        self._names |= other._names

    def tell(self, problem: AddProblem) -> None:
        """Report them, if there are any."""
        if self._objects:
            names = first_of([repr(name) for name in self._names], _SHOWN)
            objects = count_of(self._objects, "object gives", "objects give")
            problem(f"{objects} a name twice ({names}): the last value counts")


def documents(text: str, repeated: Repeated, *, by_line: bool) -> list[Document]:
    """The JSON values of a file: one, or many by line, one after the other, or as a JSON text sequence.

    Args:
        text: The file's.
        repeated: Counts the names that an object gives twice.
        by_line: What its name promises: a value a line. A damaged line is then a value less, not the end.

    Returns:
        The values with their numbers as they are written.

    Raises:
        InputError: It is no JSON.
    """
    within = Repeated()
    read = _documents(text, within, by_line=by_line)
    repeated.add(within)
    return read


def _decoder(repeated: Repeated) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=repeated.object, parse_int=Number, parse_float=Number, parse_constant=lambda _: None
    )


def _documents(text: str, repeated: Repeated, *, by_line: bool) -> list[Document]:
    try:
        if by_line or _RECORD_SEPARATOR in text[:16]:
            read = list(_lines(text, repeated))
            broken = sum(value is None for _, value in read)
            return list(_sequence(text, repeated)) if broken * 2 > len(read) and _is_sequence(text) else read
        return [(1, _decoder(repeated).decode(text.lstrip(_BLANK)))]
    except json.JSONDecodeError as error:
        if not by_line and error.msg == "Extra data":
            lines = list(_lines(text, repeated))
            if sum(value is None for _, value in lines) * 2 <= len(lines):
                return lines
            return list(_sequence(text, repeated))
        raise InputError(f"is not JSON: {error.msg} (line {error.lineno})") from None
    except RecursionError:
        raise InputError("is nested too deeply") from None


def _lines(text: str, repeated: Repeated) -> Iterator[Document]:
    repeated.begin()
    decoder = _decoder(repeated)
    for number, line in enumerate(text.split("\n"), 1):
        if line := line.strip(_BLANK):
            try:
                yield number, decoder.decode(line)
            except (json.JSONDecodeError, RecursionError):
                yield number, None


def _is_sequence(text: str) -> bool:
    try:
        return next(_sequence(text, Repeated()), None) is not None
    except InputError:
        return False


def _sequence(text: str, repeated: Repeated) -> Iterator[Document]:
    """Values one after the other, each over as many lines as it likes."""
    repeated.begin()
    decoder = _decoder(repeated)
    at, counted, line = 0, 0, 1
    while True:
        while at < len(text) and text[at] in _BLANK:
            at += 1
        if at == len(text):
            return
        line += text.count("\n", counted, at)
        counted = at
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise InputError(f"is not JSON: {error.msg} (line {error.lineno})") from None
        except RecursionError:
            raise InputError(f"is nested too deeply (line {line})") from None
        yield line, value
