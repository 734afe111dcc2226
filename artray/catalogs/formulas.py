"""Formulas in text: a cell that begins with `=` is one to Excel, LibreOffice and others.

Text of ours that a spreadsheet must not run is guarded by an apostrophe before it, which spreadsheets understand as
"this is text". Every text can be had back from its guarded form. Numbers stay as they are.

Text of others may hold formulas that are no more than a way to write a link or a text: `=HYPERLINK("…", "view")` and
`="007"`. They are read as what a person sees.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from artray.catalogs.cells import LIST_SEPARATOR

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


def csv_bytes(table: pa.Table, digits: int = 6) -> bytes:
    """A table as CSV, UTF-8 with commas; no cell is one that a spreadsheet would run.

    Args:
        table: Texts, numbers and booleans.
        digits: Of numbers, behind the point.
    """
    for at, (name, cells) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if pa.types.is_string(cells.type):
            table = table.set_column(at, name, pa.chunked_array([guard(chunk) for chunk in cells.chunks], pa.string()))
        elif pa.types.is_floating(cells.type):
            table = table.set_column(at, name, pc.round(cells, digits))
    sink = io.BytesIO()
    pacsv.write_csv(table.rename_columns(guard(pa.array(table.column_names, pa.string())).to_pylist()), sink)
    return sink.getvalue()


def unguard(text: str) -> str:
    """The text that was guarded; a text that was not is itself.

    >>> unguard("'=1+1")
    '=1+1'
    """
    return text[1:] if re.match(_FORMULA, text) and text.startswith("'") else text


# In the languages whose spreadsheets have a name of their own for it; not in RE2, which has no named parts twice.
_HYPERLINK = re.compile(
    r"(?is)\s*=\s*(?:HYPERLINK|LIEN_HYPERTEXTE|HIPERVINCULO|HIPERVÍNCULO|COLLEG\.IPERTESTUALE|HYPERLÄNK|HIPERLIGAÇÃO"
    r'|HIPERLINK|ГИПЕРССЫЛКА)\(\s*"((?:[^"]|"")+)"\s*(?:[,;]\s*(?:"((?:[^"]|"")*)"|([^"()]*?))\s*)?\)\s*'
)
_QUOTED = re.compile(r'(?s)\s*="((?:[^"]|"")*)"\s*')


def hyperlink(formula: str) -> tuple[str, str] | None:
    """Target and text of a formula that is a link; the target is empty where it leads to no file or page.

    >>> hyperlink('=HYPERLINK("https://m.test/1.jpg", "view")')
    ('https://m.test/1.jpg', 'view')
    """
    match = _HYPERLINK.fullmatch(formula)
    if match is None:
        return None
    address, text = match[1].replace('""', '"'), match[2]
    text = text.replace('""', '"') if text is not None else (match[3] or "").strip()
    return target(address), text or address


def target(address: str) -> str:
    """A link's address, or the file's path that it holds; empty where it leads to no file or page."""
    if address.lower().startswith(("mailto:", "#", "javascript:")):
        return ""
    if address.lower().startswith("file:///"):
        return unquote(address[len("file:///") :])
    return address


def quoted_links(text: str, delimiter: str) -> str:
    """A text file in which links that are formulas stand in quotes, as the marks in them need it."""
    mark = re.escape(delimiter)
    bare = rf'(?m)(?<={mark})(=HYPERLINK\("[^"\n]*"(?:[,;] ?"[^"\n]*")?\))(?={mark}|\r?$)'
    if "=HYPERLINK(" not in text:
        return text
    return re.sub(bare, lambda match: '"' + match[1].replace('"', '""') + '"', text)


# How Airtable, web pages and Markdown write a file or text with its address.
_FILE_AND_ADDRESS = re.compile(r"\s*\((https?://[^()\s]+)\)")
_ADDRESSES = (
    r"^[^()]+\.\w{3,4}\s*\(https?://[^()\s]+\)(?:,[^()]+\(https?://[^()\s]+\))*$",
    r"""(?is)^<a\s[^>]*href\s*=\s*["']https?://[^"']+["'].*</a>$""",
    r"""(?is)^<img\s[^>]*src\s*=\s*["']https?://[^"']+["'][^>]*>$""",
    r"^!?\[[^\]]*\]\(https?://[^()\s]+\)$",
)
_ADDRESS = re.compile(r"""https?://[^\s"'<>()]+""")
_LOOKED_AT = 1000  # cells


def with_addresses(cells: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.Array | None]:
    """Cells that hold a file's name or a text with its address, and these addresses by themselves; None: they don't.

    Args:
        cells: Of a column, strings.
    """
    head = pc.drop_null(pc.if_else(pc.equal(cells.slice(0, _LOOKED_AT), ""), None, cells.slice(0, _LOOKED_AT)))
    if not pc.any(pc.match_substring(head, "://"), min_count=0).as_py():
        return cells, None
    shares = [pc.mean(pc.match_substring_regex(head, pattern)).as_py() or 0.0 for pattern in _ADDRESSES]
    if max(shares) < 0.9:
        return cells, None
    addresses = [LIST_SEPARATOR.join(_ADDRESS.findall(html.unescape(text or ""))) or None for text in cells.to_pylist()]
    if shares[0] == max(shares):
        texts = [_FILE_AND_ADDRESS.sub("", text or "") for text in cells.to_pylist()]
        cells = pa.chunked_array([pa.array(texts, cells.type)])
    return cells, pa.array(addresses, pa.string())


def seen(cells: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.Array | None, Sequence[int]]:
    """Cells of a text file as they are seen, where formulas are only a way to write them.

    Args:
        cells: Of a column, strings.

    Returns:
        The cells; the links' targets, null where a cell is none (None: there are none); the places of texts that were
        written as formulas.
    """
    may_be = pc.starts_with(cells, "=")
    if not pc.any(may_be, min_count=0).as_py():
        return cells, None, []
    texts = cells.to_pylist()
    targets: list[str | None] = [None] * len(texts)
    written: list[int] = []
    for row in pc.indices_nonzero(pc.fill_null(may_be, False)).to_pylist():
        if link := hyperlink(texts[row]):
            targets[row], texts[row] = link[0] or None, link[1]
        elif quoted := _QUOTED.fullmatch(texts[row]):
            texts[row] = quoted[1].replace('""', '"')
            written.append(row)
    return pa.chunked_array([pa.array(texts, cells.type)]), pa.array(targets, pa.string()), written
