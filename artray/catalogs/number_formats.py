"""A workbook's number as a person sees it: 1956.1 with the format `0.00` is 1956.10, 42 with `000000` is 000042.

Only what is the same in every country is followed: separators of thousands, which a German and an American see
differently, are left out, a decimal point is a point, and dates are written as ISO 8601 says.
"""

import re
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

_SIGNIFICANT = 15  # digits that a spreadsheet keeps
_TOKEN = re.compile(r'"([^"]*)"|\\(.)|_.|\*.|\[[^\]]*\]|([0#?]+|[.,%@]|E[+-]?|/)|(.)', re.IGNORECASE | re.DOTALL)


def shown_number(value: int | float, code: str) -> str:
    """A number's text by its format's code; as it stands in the cell where the code is one we don't follow.

    Example:
        >>> shown_number(1956.1, "0.00"), shown_number(42, "000000"), shown_number(0.5, "0%")
        ('1956.10', '000042', '50%')
    """
    if code == "General":
        return _plain(value)
    pattern = _pattern(code, value < 0)
    if pattern is None:
        return _plain(value)
    pieces, whole, decimals, percent, signed = pattern
    number = Decimal(repr(value)) * (100 if percent else 1)
    try:
        number = abs(number).quantize(Decimal(1).scaleb(-decimals[1]), ROUND_HALF_UP)
    except ArithmeticError:  # too large for so many decimals
        return _plain(value)
    before, _, after = f"{number:f}".partition(".")
    after = after.rstrip("0").ljust(decimals[0], "0")
    before = before.lstrip("0").rjust(whole, "0")
    digits = iter(_split(before, [len(piece) for kind, piece in pieces if kind == "whole"]))
    text = "".join(
        next(digits) if kind == "whole" else (f".{after}" if after else "") if kind == "decimals" else piece
        for kind, piece in pieces
    )
    return f"-{text}" if value < 0 and not signed and number else text


def _plain(value: int | float) -> str:
    if isinstance(value, int) or (value.is_integer() and abs(value) < 2**53):
        return str(int(value))
    return repr(float(f"{value:.{_SIGNIFICANT}g}"))


def _split(digits: str, sizes: list[int]) -> list[str]:
    """Digits over groups of places that letters stand between (`00-000`), from the right; the first takes the rest."""
    groups: list[str] = []
    for size in reversed(sizes[1:]):
        at = max(0, len(digits) - size)
        groups.append(digits[at:])
        digits = digits[:at]
    return [digits, *reversed(groups)]


_Pattern = tuple[list[tuple[str, str]], int, tuple[int, int], bool, bool]


@lru_cache(maxsize=1024)
def _pattern(code: str, negative: bool) -> _Pattern | None:
    """A format's pieces, zeros kept before the point, least and most decimals, percent, and whether it has its sign.

    None: General, text, or one with an exponent, a fraction, thousands or a condition, which is left alone.
    """
    sections = _sections(code)
    section = sections[1] if negative and len(sections) > 1 else sections[0]
    pieces: list[tuple[str, str]] = []
    whole, least, most, percent, after_point = "", 0, 0, False, False
    for quoted, escaped, special, other in (match.groups() for match in _TOKEN.finditer(section)):
        if quoted is not None or escaped is not None or other is not None:
            pieces.append(("text", quoted or escaped or other or ""))
        elif special is None:
            continue  # a colour, a space as wide as a letter, a filling
        elif special[0] in "0#?":
            if after_point:
                least, most = least + special.count("0"), most + len(special)
            else:
                whole += special
                pieces.append(("whole", special))
        elif special == ".":
            if after_point:
                return None
            after_point = True
            pieces.append(("decimals", ""))
        elif special == "%":
            percent = True
            pieces.append(("text", "%"))
        elif special == ",":
            if not whole or re.search(r"[0#?],+($|[^0#?,])", section):
                return None
        else:
            return None
    if not whole and not after_point:
        return None
    if "," in section:  # as one group: the separator is left out
        first = next(index for index, piece in enumerate(pieces) if piece[0] == "whole")
        pieces = [piece for index, piece in enumerate(pieces) if piece[0] != "whole" or index == first]
    if not whole:
        pieces.insert(0, ("whole", ""))
    letters = "".join(piece for kind, piece in pieces if kind == "text")
    if (
        re.search("(?i)general", re.sub(r'"[^"]*"', "", section))
        or "[<" in section
        or "[>" in section
        or "[=" in section
    ):
        return None
    return pieces, whole.count("0"), (least, most), percent, negative and len(sections) > 1 and bool(letters)


def _sections(code: str) -> list[str]:
    return re.split(r';(?=(?:[^"]*"[^"]*")*[^"]*$)', code)


def shown_date(value: date | datetime | time | timedelta, code: str) -> str:
    """A date or time as ISO 8601 writes it, with what the format shows of it: 1929, 1929-05, 1929-05-03, 10:30:00."""
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, time):
        return value.isoformat()
    letters = re.sub(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.', "", _sections(code)[0]).lower()
    if isinstance(value, datetime):
        if value.time() != time() and re.search("[hs]", letters):
            return value.isoformat()
        value = value.date()
    if "y" in letters and "d" not in letters and not re.search("[hs]", letters):
        return value.isoformat()[: 7 if "m" in letters else 4]
    return value.isoformat()
