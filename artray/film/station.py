"""The curve of a film (E2): its frames labelled as pictures are, and every task's scores over its seconds.

OUT/index.html        all films; OUT/films/FILM.html and .svg: each one's curves, cuts and strip of frames
OUT/films.parquet     a row a film
OUT/seconds.parquet   a row a film, task and second
OUT/manifest          the frames as a manifest, for all other stations
OUT/labels            their labels, as of label_catalog
OUT/frames            the frames, JPEG
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from pydantic import Field

import artray
from artray import console
from artray.bundles.classifier import load_bundle
from artray.errors import ArtrayError, InputError, count_of, first_of
from artray.film.chart import clock
from artray.film.container import library
from artray.film.pages import FilmPage, Shot, write_film_page, write_index
from artray.film.sampling import (
    FRAME_VERSION,
    SAMPLED,
    SAMPLING,
    Sampled,
    folder_of,
    list_films,
    read_sampled,
    sample_films,
)
from artray.film.timeline import SECONDS, Curve, curve_of, films_in, manifest_of, places_in, second_rows, with_shots
from artray.ingest.manifest import write_manifest
from artray.job import Counts, Options
from artray.labeling.published import parquet_writer, read_labels
from artray.labeling.station import LabelOptions, label_catalog
from artray.storage import RUN, Location, keep_apart, refuse_other_file, refuse_other_job, remove_written

FILMS_FILE = "films.parquet"
MANIFEST = "manifest"
_JOB = "film"
_WRITTEN = (
    r"_run\.json",
    r"_sampled\.parquet",
    r"_sampling/.+",
    r"(films|seconds)\.parquet",
    r"index\.html",
    r"films/[^/]+\.(html|svg)",
    r"manifest/(_run\.json|manifest\.parquet)",
    r"frames/[^/]+/\d{7,}\.\d{3}\.jpg",
)


class FilmOptions(Options):
    """Label films: each one's curve of every task's scores over its seconds, with its cuts, as page and Parquet."""

    films: Location = Field(description="a folder or s3:// prefix with films, or one film", examples=["URI"])
    model: list[Location] = Field(
        min_length=1, description="a model bundle; give the flag again for more", examples=["URI"]
    )
    out: Location = Field(description="folder or s3:// prefix for frames, labels, curves and pages", examples=["URI"])
    every: float = Field(1.0, ge=0.04, le=3600, description="seconds from one frame to the next")
    per_shot: int | None = Field(None, ge=1, description="label only so many frames of each shot; default: all")
    cut: float = Field(0.15, gt=0, le=1, description="how much of the picture changes, 0..1, where there is a cut")
    smooth: float = Field(15.0, ge=0, description="seconds over which curves are averaged; 0: not at all")
    size: int = Field(640, ge=32, le=4096, description="long side of a frame in pixels; larger ones are scaled down")
    detector: Location | None = Field(
        None, description="a TensorFlow SavedModel of the Object Detection API, for models that need one",
        examples=["DIR"],
    )  # fmt: skip
    title: str = Field("Films", description="the page's heading", examples=["TEXT"])
    overwrite: bool = Field(False, description="replace what was made with other options, and label all frames again")


def label_film(options: FilmOptions) -> Counts:
    """Sample the films, label the frames, write curves and pages; films that are the same as before stay as they are.

    Raises:
        InputError: There are no films, PyAV is missing, a bundle can't be used, or `out` can't be written, holds
            something else, or was made with another --every or --size.
        ArtrayError: No film could be read.
    """
    library()
    out = options.out
    keep_apart(out, {"--films": options.films, "--model": options.model, "--detector": options.detector})
    for model in options.model:
        load_bundle(model)  # said before hours of sampling
    refuse_other_job(out, _JOB)
    refuse_other_file(out, "index.html", b'href="film.css"')
    films = list_films(options.films)
    out.ensure_writable()
    before = _before(options)
    earlier = read_sampled(out) if before else None
    _check_gone(options, earlier, films)
    sampled = sample_films(films, out, options.every, options.size, earlier)
    timeline = with_shots(sampled.moments, options.cut, options.per_shot)
    (out / FILMS_FILE).write_table(_films(sampled, timeline))
    (out / SAMPLED).write_table(sampled.moments)
    run = {"job": _JOB, "artray": artray.__version__, "settings": _settings(options)}
    (out / RUN).write_json(run)  # whose folder it is, also where labelling ends early
    (out / SAMPLING).remove()
    states = Counter(sampled.films["status"].to_pylist())
    moments = Counter(sampled.moments["status"].filter(pc.is_valid(sampled.moments["second"])).to_pylist())
    _say(sampled, moments)
    if not moments["ok"]:
        told = ", ".join(f"{number:,} {status}" for status, number in states.most_common())
        error = sampled.moments["error"].drop_null()
        raise ArtrayError(f"no film could be read: {told} ({error[0].as_py() if len(error) else 'no frames'})")
    manifest = manifest_of(timeline)
    write_manifest(out / MANIFEST, manifest, {"job": "frames", "counts": {"rows": len(manifest)}})
    console.say(f"labelling {count_of(len(manifest), 'frame')}")
    labelled = label_catalog(
        LabelOptions(
            manifest=out / MANIFEST,
            model=options.model,
            out=out / "labels",
            detector=options.detector,
            overwrite=options.overwrite or _chose_otherwise(before, options),
        )
    )
    _write_curves(options, sampled, timeline)
    counts: Counts = {
        "rows": len(sampled.films),
        "ok": states["ok"],
        "failed": len(sampled.films) - states["ok"],
        "statuses": dict(states.most_common()),
        "frames": dict(moments.most_common()),
        "labelled": labelled["rows"],
        "cuts": int(pc.sum(timeline["cut"]).as_py() or 0),
        "sampled": sampled.new,
        "gone": sampled.gone,
        "tasks": labelled.get("tasks", {}),
        "out": str(out),
        "manifest": str(out / MANIFEST),
        "page": str(out / "index.html"),
    }
    (out / RUN).write_json({**run, "finished_at": f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}", "counts": counts})
    console.say(f"open {counts['page']}")
    return counts


def _settings(options: FilmOptions) -> dict[str, Any]:
    """What the frames depend on, and after it which of them are labelled."""
    sampled = {"every": options.every, "size": options.size, "frame_version": FRAME_VERSION}
    return {"sampled": sampled, "chosen": {"per_shot": options.per_shot, "cut": options.cut}}


def _before(options: FilmOptions) -> dict[str, Any] | None:
    """The settings of an earlier run there, if they were the same as far as the frames go; what is there goes else.

    Raises:
        InputError: They were not, and it is not to be replaced.
    """
    out = options.out
    if not (out / RUN).exists():
        return None
    settings: dict[str, Any] = (out / RUN).read_json().get("settings", {})
    if settings.get("sampled") == _settings(options)["sampled"] and not options.overwrite:
        return settings
    if not options.overwrite:
        raise InputError(f"{out}: was made with another --every or --size; give another --out, or --overwrite")
    remove_written(out, _WRITTEN)
    return None


def _chose_otherwise(before: dict[str, Any] | None, options: FilmOptions) -> bool:
    """Whether other frames are to be labelled than last time: then most labels may have to go."""
    return before is not None and before.get("chosen") != _settings(options)["chosen"]


def _check_gone(options: FilmOptions, before: Sampled | None, films: Mapping[str, object]) -> None:
    if before is None:
        return
    known = before.films["film"].to_pylist()
    gone = sorted(set(known) - films.keys())
    if len(gone) > len(known) / 2:
        raise InputError(
            f"{options.out}: {len(gone):,} of {len(known):,} films are not in {options.films} any more "
            f"({gone[0]}); if it is the same collection, --overwrite drops them, else give another --out"
        )


def _say(sampled: Sampled, moments: Mapping[str, int]) -> None:
    if sampled.gone:
        console.say(f"films that are gone: {sampled.gone:,}")
    broken = sampled.films.filter(pc.not_equal(sampled.films["status"], "ok")).to_pylist()
    if broken:
        rows = [[row["film"], row["status"], row["error"]] for row in broken[:12]]
        console.table(f"films that could not be read: {len(broken):,}", ["film", "status", "why"], rows)
    lost = {status: number for status, number in moments.items() if status != "ok"}
    if lost:
        damaged = pc.and_(pc.is_valid(sampled.moments["second"]), pc.not_equal(sampled.moments["status"], "ok"))
        names = pc.unique(sampled.moments["film"].filter(damaged)).to_pylist()
        films = f"{count_of(len(names), 'film')} ({first_of(names, 5)})"
        console.say(f"moments that can't be seen: {sum(lost.values()):,}, in {films}")


def _films(sampled: Sampled, timeline: pa.Table) -> pa.Table:
    """A row a film, with how many frames and shots it has."""
    counts: dict[str, tuple[int, int, int]] = {}
    films = timeline["film"].to_pylist()
    seen = np.asarray(pc.is_valid(timeline["image_uri"]), bool)
    timed = np.asarray(pc.is_valid(timeline["second"]), bool)
    cuts = timeline["cut"].to_numpy(zero_copy_only=False)
    for start, end in films_in(timeline):
        rows = slice(start, end)
        number = int(seen[rows].sum())
        counts[films[start]] = (number, int(timed[rows].sum()) - number, int(cuts[rows].sum()) + (number > 0))
    film_counts = [counts.get(film, (0, 0, 0)) for film in sampled.films["film"].to_pylist()]
    table = sampled.films
    for column, name in enumerate(("frames", "damaged", "shots")):
        table = table.append_column(name, pa.array([each[column] for each in film_counts], pa.int64()))
    return table


def _write_curves(options: FilmOptions, sampled: Sampled, timeline: pa.Table) -> None:
    """`seconds.parquet`, a page and a chart a film, and the index."""
    out = options.out
    dataset = read_labels(out / "labels")
    columns = ["object_id", "label", "score", "scores", "status", "error"]
    models = []
    for uri in options.model:
        bundle = load_bundle(uri)
        labels = dataset.to_table(columns=columns, filter=pads.field("task") == bundle.task)
        models.append((bundle, labels, places_in(labels, timeline)))
    about = {row["film"]: row for row in sampled.films.to_pylist()}
    pages = []
    with parquet_writer(out / "seconds.parquet", SECONDS) as writer:
        for start, end in films_in(timeline):
            moments = timeline.slice(start, end - start)
            seconds = moments["second"].to_numpy().astype(np.float64)
            curves, labelled = [], {}
            for bundle, labels, rows_of_labels in models:
                taken = rows_of_labels[start:end]
                labels_here = labels.take(pa.array(taken, pa.int64(), mask=taken < 0))
                curve = curve_of(
                    labels_here,
                    np.nan_to_num(seconds),
                    [item.name for item in bundle.classes],
                    bundle.task,
                    window=options.smooth,
                    exclusive=not bundle.multilabel,
                    doubt=bundle.doubt,
                )
                writer.write_table(second_rows(moments, labels_here, curve))
                curves.append(curve)
                labelled[bundle.task] = labels_here["label"].to_pylist()
            film = about[moments["film"][0].as_py()]
            if film["status"] == "ok":
                pages.append(_page(film, moments, curves, labelled, options.smooth))
                write_film_page(pages[-1], out)
    broken = [(film, row["status"], row["error"]) for film, row in about.items() if row["status"] != "ok"]
    write_index(options.title, pages, broken, out, options.smooth)


def _page(
    film: Mapping[str, Any],
    moments: pa.Table,
    curves: Sequence[Curve],
    labels: Mapping[str, Sequence[str | None]],
    window: float,
) -> FilmPage:
    """A film's page. Its cuts are where the first frames after them were sampled."""
    seconds = moments["second"].to_numpy().astype(np.float64)
    frames = moments["image_uri"].to_pylist()
    numbers = moments["shot"].to_numpy()
    begins = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    ends = [*begins[1:], len(numbers)]
    edge = [*seconds.tolist(), film["duration"]]
    shots = []
    for begin, end in zip(begins, ends, strict=True):
        seen = [uri for uri in frames[begin:end] if uri]
        most = {}
        for task, given in labels.items():
            counted = Counter(label for label in given[begin:end] if label is not None)
            if counted:
                most[task] = counted.most_common(1)[0][0]
        shots.append(Shot(edge[begin], edge[end], seen[len(seen) // 2] if seen else None, most))
    damaged = [edge[begin] for begin, uri in enumerate(frames) if uri is None]
    lost = [(second, edge[int(np.searchsorted(seconds, second)) + 1]) for second in damaged]
    rate = f", {film['rate']:g} frames a second" if film["rate"] else ""
    facts = f"{clock(round(film['duration'], 1))}, {film['width']} × {film['height']} pixels{rate}, {film['codec']}; "
    facts += count_of(len(shots), "shot")
    facts += f"; {len(damaged):,} of {len(seconds):,} moments can’t be seen" if damaged else ""
    return FilmPage(
        film=film["film"],
        name=folder_of(film["film"]),
        duration=film["duration"],
        aspect=film["width"] / film["height"],
        facts=facts,
        seconds=seconds,
        frames=frames,
        curves=curves,
        shots=shots,
        window=window,
        damaged=lost,
    )
