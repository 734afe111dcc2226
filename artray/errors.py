"""Everything artray raises on purpose.

    ArtrayError              the job ended early; exit status 1
    └── InputError           wrong use, or input that can't be used; exit status 2

A message is one line that a museum's engineer can act on without reading our code. A picture that can't be
read is never an exception: it is a row with a `status` (see `artray.images.decoding`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence


class ArtrayError(Exception):
    """A job could not finish for a reason known to artray."""


class InputError(ArtrayError):
    """The options or the input given by the user can't be used."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: `; did you mean NAME?`, or nothing where none is like it.

    >>> did_you_mean("ingets", ["ingest", "report"])
    '; did you mean ingest?'
    """
    names = list(known)
    begun = [name for name in names if word and name.startswith(word)]
    close = begun or difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def count_of(number: int, noun: str, plural: str = "") -> str:
    """A number and what is counted: `plural` where that is more than an s behind the noun.

    >>> count_of(1, "work"), count_of(2100, "work"), count_of(0, "row has", "rows have")
    ('1 work', '2,100 works', '0 rows have')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def first_of(names: Sequence[str], most: int) -> str:
    """The first few of several names, and whether there are more.

    >>> first_of(["a", "b"], 2), first_of(["a", "b", "c"], 2)
    ('a, b', 'a, b, …')
    """
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def without_keys(text: str) -> str:
    """A text without the user names and passwords in addresses: they have no place in a message or a file.

    What a museum's address says behind its `?` is no secret of ours, and stays.

    >>> without_keys("s3://AKIA:wJal/rX@museum/scans: not found")
    's3://***@museum/scans: not found'
    """
    # What stands before the host; and keys of S3, which may hold slashes, where no port can be meant.
    text = re.sub(r"(?i)\b(s3:/{2,})(?!arn:)[^\s/?#@:]*:\S*@", r"\1***@", text)
    return re.sub(r"(?i)\b([a-z][a-z0-9+.-]*:/{2,})[^\s/?#@]*@", r"\1***@", text)
