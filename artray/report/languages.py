"""The pages' own words, in the languages that they can be written in: one JSON file each, in `words/`.

A word is a text, or where it depends on a number one text each of the language's plural forms ("one", "other", as CLDR
names them). `{name}` in it stands for a value. What comes from a museum or a model is never translated.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Literal, TypeAlias, get_args

Language: TypeAlias = Literal["en", "de", "fr", "es", "it", "nl"]
LANGUAGES: tuple[str, ...] = get_args(Language)

Words: TypeAlias = Mapping[str, str | Mapping[str, str]]


@cache
def read_words(language: str) -> Words:
    """A language's words by their keys."""
    words: Words = json.loads((files("artray.report") / "words" / f"{language}.json").read_text("utf-8"))
    return words


def filled(template: str, language: str, **values: str) -> str:
    """A page whose `{{key}}` are replaced by a language's words or by values, escaped; `{{language}}` by its code."""
    words = {**read_words(language), **values, "language": language}
    return re.sub(r"\{\{([\w.]+)\}\}", lambda match: escape(str(words[match[1]])), template)


class Speech:
    """Says things in a language, as the page's `say` does.

    Args:
        language: One of `LANGUAGES`.
    """

    def __init__(self, language: str = "en"):
        self.language = language
        self._words = read_words(language)

    def __call__(self, key: str, **values: object) -> str:
        """The words of a key with values in their places; `n` decides between one and many. Plain text."""
        text = self._words[key]
        if not isinstance(text, str):
            n = values.get("n")
            one = n == 1 or (self.language == "fr" and n == 0)
            text = text["one"] if one else text["other"]
        shown = {name: self.number(value) if isinstance(value, int) else str(value) for name, value in values.items()}
        return re.sub(r"\{(\w+)\}", lambda match: shown.get(match[1], ""), text)

    def percent(self, share: float | None) -> str:
        """A share 0..1 in whole percent, as the page's `percent` writes it: .9996 is not yet "100 %"."""
        if share is None:
            return "–"
        space, shown = "\N{NO-BREAK SPACE}", math.floor(100 * share + 0.5)
        if shown == 0 < share:
            return f"<{space}1{space}%"
        return f">{space}99{space}%" if shown == 100 and share < 1 else f"{shown}{space}%"

    def number(self, value: int) -> str:
        """A whole number with the language's mark between thousands."""
        mark = {"en": ",", "fr": "\u202f", "de": ".", "it": ".", "es": ".", "nl": "."}[self.language]
        return f"{value:,}".replace(",", mark)
