"""A preset of keras-hub as one file that machines without keras-hub can load, and its words as vectors."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout

from pydantic import Field, field_validator

from artray import console
from artray.errors import InputError
from artray.job import Counts, Options
from artray.storage import Location, digest
from artray.words.prompts import PLACE
from artray.words.terms import TEMPLATES, read_words, word_vectors, write_terms


class PrepareOptions(Options):
    """Turn a preset of keras-hub into one .keras file, which machines without keras-hub can load."""

    preset: str = Field(
        description="of an image model: a preset's name, hf://… or kaggle://… (downloaded once), or a folder",
        examples=["NAME|DIR"],
    )
    out: Location = Field(description="the .keras file; a .json beside it says what it is", examples=["FILE"])
    size: int | None = Field(
        None, ge=16, le=2048, description="side of the pictures in pixels, for DINO only; default: the preset's"
    )
    scaling: str = Field(
        "preset",
        description="what the weights expect of pictures; default: what the preset says, or what is usual for its kind",
        examples=["imagenet|clip|one|symmetric"],
    )
    words: Location | None = Field(
        None,
        description="a text file, a word a line: writes their vectors to NAME.words.parquet, for report --terms",
        examples=["FILE"],
    )
    template: list[str] = Field(list(TEMPLATES), description=f"sentences with {PLACE} for the word", examples=["TEXT"])
    overwrite: bool = Field(False, description="replace the file of another preset")

    @field_validator("scaling")
    @classmethod
    def _is_known(cls, scaling: str) -> str:
        known = ("preset", "imagenet", "clip", "one", "symmetric")
        if scaling not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return scaling

    @field_validator("template")
    @classmethod
    def _has_a_place(cls, templates: list[str]) -> list[str]:
        for template in templates:
            if template.count(PLACE) != 1:
                raise ValueError(f"{template!r} must have {PLACE} once, where the word goes")
        return templates


def prepare_backbone(options: PrepareOptions) -> Counts:
    """Write the model, what it is, and the words' vectors.

    Raises:
        InputError: keras-hub is not installed, the preset can't be had or has no image tower, or `out` holds something
            else.
    """
    out = options.out
    if not out.name.endswith(".keras"):
        raise InputError(f"--out {out}: must be a file whose name ends in .keras")
    stem = out.name.removesuffix(".keras")
    about = out.parent / f"{stem}.json"
    if out.exists() and not options.overwrite and not (about.exists() and about.read_json().get("job") == "backbone"):
        raise InputError(f"{out}: is there already, and not of this job; give another --out, or --overwrite")
    if about.exists() and not options.overwrite and about.read_json().get("preset") != options.preset:
        raise InputError(f"{out}: is of another preset; give another --out, or --overwrite")
    words = read_words(options.words) if options.words else []
    out.parent.ensure_writable()
    with console.silent_stderr(), redirect_stdout(io.StringIO()):
        from artray.bundles.keras_files import keras_file  # with Keras comes TensorFlow
        from artray.models.hub import load_hub_backbone

        backbone = load_hub_backbone(options.preset, size=options.size, scaling=options.scaling)  # type: ignore[arg-type]
        if words:
            vectors = word_vectors(backbone, words, options.template)
        data = keras_file(backbone.model)
    notes = {"job": "backbone", **backbone.notes, "words": backbone.has_words, "sha": digest(data), "bytes": len(data)}
    about.write_bytes(json.dumps(notes, indent=1).encode())  # first: by it the same command goes on
    out.write_bytes(data)
    console.say(
        f"{backbone.notes['kind']}, {backbone.notes['size']} pixels, {backbone.notes['width']} numbers a picture"
    )
    console.say(f"licence of the weights: {backbone.notes['licence']}")
    if not backbone.notes["portable"]:
        console.say("it has layers of keras-hub: every machine that loads it needs pip install 'artray[hub]'")
    counts: Counts = {name: notes[name] for name in ("kind", "size", "width", "portable", "bytes")}
    if words:
        file = out.parent / f"{stem}.words.parquet"
        write_terms(file, words, vectors, {"preset": options.preset, "sha": notes["sha"], "template": options.template})
        counts |= {"words": len(words), "terms": str(file)}
    return counts | {"out": str(out)}
