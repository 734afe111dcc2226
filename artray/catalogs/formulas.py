"""Text that a spreadsheet must not run: a cell that begins with `=` is a formula to Excel, LibreOffice and others.

A guarded text has an apostrophe before it, which spreadsheets understand as "this is text". Every text can be had back
from its guarded form. Numbers stay as they are.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

_FORMULA = r"^'*[=+\-@\t\r\n＝＋－＠]"
_NUMBER = r"^[+\-]?[0-9]+([.,][0-9]+)?$"


def guard(texts: pa.Array) -> pa.Array:
    """Texts with an apostrophe before each that a spreadsheet could take for a formula; nulls stay.

    >>> guard(pa.array(["=1+1", "-12", "'=x", "plain"])).to_pylist()
    ["'=1+1", '-12', "''=x", 'plain']
    """
    formula = pc.and_(pc.match_substring_regex(texts, _FORMULA), pc.invert(pc.match_substring_regex(texts, _NUMBER)))
    quoted = pc.binary_join_element_wise(pa.scalar("'", texts.type), texts, pa.scalar("", texts.type))
    return pc.if_else(formula, quoted, texts)


def unguard(text: str) -> str:
    """The text that was guarded; a text that was not is itself.

    >>> unguard("'=1+1")
    '=1+1'
    """
    return text[1:] if re.match(_FORMULA, text) and text.startswith("'") else text
