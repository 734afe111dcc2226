"""Pieces of static pages: sections with a heading, and tables. Texts are escaped where it is said."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def section(identity: str, title: str, hint: str, *content: str) -> str:
    """A section with a heading, a hint below it (may be empty) and its content; all of it HTML."""
    told = f'<p class="hint">{hint}</p>' if hint else ""
    return f'<section id="{identity}"><h2>{title}</h2>{told}{"".join(content)}</section>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]], ours: int, between: Sequence[int] = ()) -> str:
    """A table whose rows begin with a name; texts are escaped.

    Args:
        header: The columns' names.
        rows: As many texts each.
        ours: The column that stands out.
        between: Columns that stand back.
    """

    def cell(number: int, text: str) -> str:
        kind = ' class="ours"' if number == ours else ' class="between"' if number in between else ""
        return f"<td{kind}>{escape(text)}</td>"

    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in header)
    body = "".join(
        f'<tr><th scope="row"><bdi>{escape(row[0])}</bdi></th>'
        + "".join(cell(number, text) for number, text in enumerate(row[1:], 1))
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
