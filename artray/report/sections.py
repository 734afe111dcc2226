"""Static pages and their pieces: sections with a heading, and tables. Texts are escaped where it is said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template


def static_page(
    heading: str,
    *,
    sections: Iterable[str],
    styles: Sequence[str],
    kind: str,
    eyebrow: str,
    lead: str,
    about: str,
    suffix: str = "",
    data_images: bool = False,
    language: str = "en",
) -> bytes:
    """A page without script or network; all but the heading is HTML.

    Args:
        heading: Text, escaped here.
        sections: As from `section`; empty ones are left out.
        styles: Addresses of style sheets.
        kind: Classes of the body, which style sheets go by.
        eyebrow: A few words above the heading.
        lead: A sentence or two below it.
        about: The foot.
        suffix: What the browser's title has after the heading.
        data_images: Whether pictures may stand in the page itself.
        language: Of its words.
    """
    title = escape(heading)
    return (
        Template(files("artray.report").joinpath("static_page.html").read_text("utf-8"))
        .substitute(
            images="'self' file: data:" if data_images else "'self' file:",
            language=language,
            title=title + suffix,
            styles="\n".join(f'<link rel="stylesheet" href="{style}">' for style in styles),
            kind=kind,
            eyebrow=eyebrow,
            heading=title,
            lead=lead,
            sections="\n".join(filter(None, sections)),
            about=about,
        )
        .encode()
    )


def section(identity: str, title: str, hint: str, *content: str) -> str:
    """A section with a heading, a hint below it (may be empty) and its content; all of it HTML."""
    told = f'<p class="hint">{hint}</p>' if hint else ""
    return f'<section id="{identity}"><h2>{title}</h2>{told}{"".join(content)}</section>'


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    ours: int,
    between: Sequence[int] = (),
    *,
    explained: Sequence[str] = (),
) -> str:
    """A table whose rows begin with a name; texts are escaped.

    Args:
        header: The columns' names.
        rows: As many texts each.
        ours: The column that stands out.
        between: Columns that stand back.
        explained: A sentence about each row, if there is something to explain.
    """
    sentences = [f"<small>{escape(text)}</small>" for text in explained] or [""] * len(rows)

    def cell(number: int, text: str) -> str:
        kind = ' class="ours"' if number == ours else ' class="between"' if number in between else ""
        return f"<td{kind}>{escape(text)}</td>"

    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in header)
    body = "".join(
        f'<tr><th scope="row"><bdi>{escape(row[0])}</bdi>{sentence}</th>'
        + "".join(cell(number, text) for number, text in enumerate(row[1:], 1))
        + "</tr>"
        for row, sentence in zip(rows, sentences, strict=True)
    )
    # Focusable: who has no mouse scrolls by keys.
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
