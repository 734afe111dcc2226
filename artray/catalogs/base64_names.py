"""Pictures that are named by the URL-safe base64 of the work's title (system A1)."""

import base64
import binascii
import bisect

CUT_NAME = 200
"""A base64 name of at least so many bytes may have been cut."""


def decode_title(stem: str) -> str | None:
    """The title that a name without suffix holds, None if it holds none."""
    try:
        title = base64.urlsafe_b64decode(stem + "=" * (-len(stem) % 4)).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return title or None


def title_of_cut(stem: str, titles: list[str]) -> str | None:
    """The only title (of a sorted list) that begins with what a cut base64 name still holds."""
    try:
        start = base64.urlsafe_b64decode(stem[: len(stem) // 4 * 4]).decode("utf-8", "ignore")
    except binascii.Error:
        return None
    at = bisect.bisect_left(titles, start)
    fitting = [title for title in titles[at : at + 2] if title.startswith(start)]
    return fitting[0] if len(fitting) == 1 else None
