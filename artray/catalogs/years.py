"""Which year the text of a date means."""

import re

_BEFORE_CHRIST = r"(?i:B\.? ?C(?:\.? ?E)?\b|v\. ?(?:Chr|u)\b|av(?:\.|ant) ?J|a\. ?C\.)"
_YEAR = re.compile(rf"(?<!\d)(?<!^[-−])(1\d{{3}}|20\d{{2}})(?!\d)(?!(?:\W{{1,3}}\d+)?\s*{_BEFORE_CHRIST})")


def year_of(text: str) -> str | None:
    """The first year from 1000 to 2099, of our era, that a text names; None where it names none.

    >>> year_of("c. 1874-1877")
    '1874'
    >>> [year_of("1450-1400 BC"), year_of("-1450")]
    [None, None]
    """
    match = _YEAR.search(text)
    return match[1] if match else None
