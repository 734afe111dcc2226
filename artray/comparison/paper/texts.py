r"""Texts in the forms that a paper needs: plain, Markdown and LaTeX, with what they cite.

Sentences are written once, with `[@key]` where something is cited: plain text then has the author and the year, LaTeX
`\cite{key}`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from artray.comparison.paper.references import REFERENCES

_KEY = "|".join(sorted(map(re.escape, REFERENCES), key=len, reverse=True))  # a class may be called "[@x]"
_CITED = re.compile(rf" ?\[@((?:{_KEY})(?:; ?@(?:{_KEY}))*)\]")
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "−": r"$-$",
    "×": r"$\times$", "\u00a0": "~", "≥": r"$\geq$", "∞": r"$\infty$", "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def latex(text: str) -> str:
    r"""Any text as text in LaTeX.

    >>> latex("50 % of A & B_1")
    '50 \\% of A \\& B\\_1'
    """
    return "".join(_SPECIAL.get(character, character) for character in _UNSEEN.sub(" ", text))


def keys_in(text: str) -> list[str]:
    """What a text cites, each once, in order."""
    found = [key.strip().lstrip("@") for match in _CITED.finditer(text) for key in match[1].split(";")]
    return list(dict.fromkeys(found))


def cited_plain(text: str) -> str:
    """A text whose citations are authors and years.

    >>> cited_plain("McNemar's exact test [@mcnemar] was used.")
    "McNemar's exact test (McNemar 1947) was used."
    """

    def told(match: re.Match[str]) -> str:
        keys = [key.strip().lstrip("@") for key in match[1].split(";")]
        return f" ({'; '.join(REFERENCES[key].short for key in keys)})"

    return _CITED.sub(told, text)


def cited_latex(text: str) -> str:
    r"""A text in LaTeX, with `\cite`.

    >>> cited_latex("McNemar's exact test [@mcnemar] was used on 5 % of them.")
    "McNemar's exact test~\\cite{mcnemar} was used on 5 \\% of them."
    """
    pieces, end = [], 0
    for match in _CITED.finditer(text):
        keys = ",".join(key.strip().lstrip("@") for key in match[1].split(";"))
        pieces += [latex(text[end : match.start()]), rf"~\cite{{{keys}}}"]
        end = match.end()
    return "".join([*pieces, latex(text[end:])])


def listed(words: Sequence[str]) -> str:
    """Words as in a sentence.

    >>> listed(["train", "validation", "test"])
    'train, validation and test'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "none"
