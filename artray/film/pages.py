"""Static pages about films: one for each, and one with all. No script, no network; texts are escaped."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from artray.film.chart import Still, clock, film_chart
from artray.film.timeline import Curve
from artray.report.sections import section, static_page
from artray.storage import Location, ReadError, read_many

STILLS = 14
"""Frames of the strip."""

_STILL = 176  # pixels of a still's long side: twice as many as its place has
_SHOTS = 240  # on a page; seconds.parquet has them all


@dataclass(frozen=True, slots=True)
class Shot:
    """A shot as the page shows it.

    Attributes:
        begin: Second of its first frame.
        end: Of the next shot's, or the film's end.
        frame: URI of its middle frame; None: nothing of it can be seen.
        labels: The label of most of its frames, by task.
    """

    begin: float
    end: float
    frame: str | None
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FilmPage:
    """What a film's page shows.

    Attributes:
        film: Its path below the folder.
        name: Of its page, without suffix.
        duration: In seconds.
        aspect: A frame's width by its height.
        facts: What else is told of it, in words.
        seconds: Its moments, (n,).
        frames: Their frames' URIs; None: none.
        curves: One a task.
        shots: In their order.
        window: Seconds over which the curves are smoothed.
        damaged: Stretches in which nothing can be seen.
    """

    film: str
    name: str
    duration: float
    aspect: float
    facts: str
    seconds: npt.NDArray[np.float64]
    frames: Sequence[str | None]
    curves: Sequence[Curve]
    shots: Sequence[Shot]
    window: float
    damaged: Sequence[tuple[float, float]] = field(default=())


def write_film_page(page: FilmPage, out: Location) -> None:
    """Write `films/NAME.svg`, which carries all it shows, and `films/NAME.html`."""
    settings: dict[str, Any] = {
        "cuts": [shot.begin for shot in page.shots[1:]],
        "damaged": page.damaged,
        "aspect": page.aspect,
    }
    title = f"{page.film}: curves of {', '.join(curve.task for curve in page.curves)} over {clock(page.duration)}"
    strip = _strip(page, out)
    alone = [Still(still.second, still.data) for still in strip]  # a file may be carried away from the frames
    style = files("artray.film").joinpath("chart.css").read_text("utf-8")
    told = (title, page.duration, page.seconds, page.curves)
    (out / "films" / f"{page.name}.svg").write_bytes(film_chart(*told, strip=alone, style=style, **settings).encode())
    doubts = [f"{escape(curve.task)}: {escape(curve.doubt)}" for curve in page.curves if curve.doubt]
    sections = [
        f'<ul class="failures">{"".join(f"<li>{doubt}</li>" for doubt in doubts)}</ul>' if doubts else "",
        section("curves", "Over time", "", f'<div class="scroll">{film_chart(*told, strip=strip, **settings)}</div>'),
        _shots(page, out),
    ]
    (out / "films" / f"{page.name}.html").write_bytes(
        _page(
            title=page.film,
            up="../",
            eyebrow=f'<a href="../index.html">All films</a> · <a href="{page.name}.svg">this chart as SVG</a>',
            lead=escape(page.facts),
            sections=sections,
            window=page.window,
        )
    )


def write_index(
    title: str, pages: Sequence[FilmPage], broken: Sequence[tuple[str, str, str]], out: Location, window: float
) -> None:
    """Write `index.html` with all films, and the styles.

    Args:
        title: The heading.
        pages: The films that could be read.
        broken: Film, status and error of the others.
        out: The job's output.
        window: Seconds over which the curves are smoothed.
    """
    for room, name in (("report", "page.css"), ("film", "chart.css"), ("film", "film.css")):
        (out / name).write_bytes(files(f"artray.{room}").joinpath(name).read_bytes())
    failures = "".join(
        f"<li><bdi>{escape(film)}</bdi>: {escape(status.replace('_', ' '))} ({escape(error)})</li>"
        for film, status, error in broken
    )
    sections = [f'<section id="broken"><ul class="failures">{failures}</ul></section>' if failures else ""]
    for number, page in enumerate(pages):
        link = f"films/{page.name}"
        image = f'<a href="{link}.html"><img src="{link}.svg" loading="lazy" alt="{escape(page.film)}: its curves"></a>'
        heading = f'<a href="{link}.html"><bdi>{escape(page.film)}</bdi></a>'
        sections.append(section(f"film-{number}", heading, escape(page.facts), f'<div class="scroll">{image}</div>'))
    counted = f"{len(pages)} film" + ("s" if len(pages) != 1 else "")
    lead = (
        f"{counted}, {clock(round(sum(page.duration for page in pages)))} in all" if pages else "No film could be read"
    )
    lead += f"; {len(broken)} could not be read" if broken and pages else ""
    (out / "index.html").write_bytes(
        _page(title=title, up="", eyebrow="Films over time", lead=lead, sections=sections, window=window)
    )


def _page(*, title: str, up: str, eyebrow: str, lead: str, sections: Sequence[str], window: float) -> bytes:
    means = f"Bold lines are means over {window:g} seconds, thin ones single frames. " if window else ""
    return static_page(
        title,
        sections=sections,
        styles=[f"{up}{name}" for name in ("page.css", "chart.css", "film.css")],
        kind="films",
        eyebrow=eyebrow,
        lead=lead,
        about=means + "Short strokes below the strip are cuts, coloured bands what can’t be seen. All figures are in "
        "seconds.parquet.",
        data_images=True,
    )


def _strip(page: FilmPage, out: Location) -> list[Still]:
    """Frames from the middles of equal parts of the film."""
    known = [number for number, uri in enumerate(page.frames) if uri]
    if not known:
        return []
    at = page.seconds[known]
    middles = (np.arange(STILLS) + 0.5) * page.duration / STILLS
    chosen = [known[int(np.abs(at - middle).argmin())] for middle in middles]
    uris = [str(page.frames[number]) for number in chosen]
    return [
        Still(float(page.seconds[number]), _small(data), _href(uri, out))
        for number, uri, data in zip(chosen, uris, read_many(uris), strict=True)
        if not isinstance(data, ReadError)
    ]


def _small(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        image.thumbnail((_STILL, _STILL))
        sink = io.BytesIO()
        image.save(sink, "JPEG", quality=70, optimize=True)
    return sink.getvalue()


def _href(uri: str, out: Location) -> str:
    """A frame's address from a film's page; its name is our own and needs no escape."""
    return f"../{out.relative(uri)}"


def _shots(page: FilmPage, out: Location) -> str:
    if len(page.shots) < 2:
        return ""
    items = []
    for shot in page.shots[:_SHOTS]:
        image = ""
        if shot.frame:
            href = escape(_href(shot.frame, out))
            image = f'<a href="{href}"><img src="{href}" alt="" loading="lazy"></a>'
        told = "".join(
            f"<p>{escape(task)}: <bdi>{escape(label)}</bdi></p>"
            if len(page.curves) > 1
            else f"<p><bdi>{escape(label)}</bdi></p>"
            for task, label in shot.labels.items()
        )
        items.append(f'<li>{image}<p class="time">{clock(shot.begin)}–{clock(shot.end)}</p>{told}</li>')
    more = len(page.shots) - len(items)
    hint = "Each with its middle frame and the label of most of its frames." + (
        f" Shown are the first {len(items)}; {more} more are in seconds.parquet." if more else ""
    )
    return section("shots", f"{len(page.shots):,} shots", hint, f'<ol class="shots">{"".join(items)}</ol>')
