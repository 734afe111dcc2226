"""The pictures of a manifest enlarged by an upscaler bundle, as a collection with a manifest that all other jobs read.

OUT/pictures/   the pictures, each called by a digest of its object_id; they say in XMP that a model has changed them
OUT/states/     a row a picture: its status, and the size of what was made
OUT/manifest/   the rows of the manifest whose picture was made, naming the new one
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from artray import console
from artray.bundles.upscaler import UpscalerBundle, load_upscaler, load_upscaler_bundle
from artray.errors import first_of
from artray.images.decoding import DECODE_VERSION
from artray.images.digital_source import changed_by
from artray.images.encoding import jpeg, png
from artray.images.pictures import DecodeSize, Picture, read_pictures
from artray.ingest.manifest import PLACE, write_manifest
from artray.job import Counts, Options
from artray.models.batches import predict
from artray.storage import PASS_FILES, Location, digest, keep_apart, refuse_other_job, remove_written
from artray.storage.passes import run_pass
from artray.super_resolution.tiles import TILE, enlarged

PICTURES, STATES, MANIFEST = "pictures", "states", "manifest"
_JOB = "upscaled"
_WRITTEN = (
    rf"{MANIFEST}/_run\.json",
    rf"{MANIFEST}/manifest\.parquet",
    *(f"{STATES}/{name}" for name in PASS_FILES),  # before the pictures: what it says is done would be taken for done
    rf"{PICTURES}/[0-9a-f]{{2}}/[0-9a-f]{{24}}\.(png|jpg)",
)
_WHOLE = DecodeSize(1 << 20, "inside")  # larger than any picture: decoded as it is
_LARGEST = 65_500  # pixels a side that a JPEG file may have
_STATE = pa.schema(
    [
        ("object_id", pa.string()),
        ("image_uri", pa.string()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
    ]
)


class UpscaleOptions(Options):
    """Enlarge the pictures of a manifest with an upscaler; they become a collection with a manifest of its own."""

    model: Location = Field(description="the upscaler bundle of train_upscaler", examples=["URI"])
    manifest: Location = Field(description="the manifest of ingest", examples=["URI"])
    out: Location = Field(description="folder or s3:// prefix for pictures/ and manifest/", examples=["URI"])
    format: Literal["png", "jpeg"] = Field("png", description="of the pictures; jpeg has quality 95")
    tile: int = Field(
        TILE, ge=16, le=4096, description="pixels of a picture a side that are enlarged at once: more take more memory"
    )
    overwrite: bool = Field(False, description="replace pictures made by another upscaler or from another manifest")


def upscale(options: UpscaleOptions) -> Counts:
    """Enlarge what is missing; a run that died goes on with the same command.

    A manifest's row keeps its columns, the split among them, so that no enlarged picture of a test work is ever learned
    from; `generator` is the upscaler's id.

    Raises:
        InputError: No upscaler bundle, no manifest, or `out` holds other pictures or another job's output, or can't be
            written.
    """
    out = options.out
    bundle = load_upscaler_bundle(options.model)
    keep_apart(out, {"--model": options.model}, {"--manifest": options.manifest}, within=True)
    refuse_other_job(out / MANIFEST, _JOB)
    out.ensure_writable()
    if options.overwrite:
        remove_written(out, _WRITTEN)
    counts = run_pass(
        _JOB,
        options.manifest,
        out / STATES,
        _Enlarger,
        {
            "model": str(options.model),
            "upscaler": bundle.upscaler_sha,
            "pictures": str(out / PICTURES),
            "format": options.format,
            "tile": options.tile,
            "decode_version": DECODE_VERSION,
        },
        overwrite=options.overwrite,
        gpus=True,
    )
    states = (out / STATES).dataset().to_table()
    _say_failed(states)
    table = manifest_of(options.manifest.dataset().to_table(), states, out, bundle)
    run = {"job": _JOB, "model_id": bundle.model_id, "counts": {"rows": len(table)}}
    write_manifest(out / MANIFEST, table, run)
    return counts | {
        "out": str(out),
        "manifest": str(out / MANIFEST),
        "model_id": bundle.model_id,
        "scale": bundle.scale,
    }


def _say_failed(states: pa.Table) -> None:
    bad = states.filter(pc.not_equal(states["status"], "ok"))
    if len(bad):
        told = ", ".join(f"{number:,} {status}" for status, number in Counter(bad["status"].to_pylist()).most_common())
        names = first_of(bad["object_id"].to_pylist(), 5)
        console.say(f"not enlarged: {told} ({names}); {STATES}/ has each with its reason")


def manifest_of(given: pa.Table, states: pa.Table, out: Location, bundle: UpscalerBundle) -> pa.Table:
    """The manifest of the enlarged pictures.

    Args:
        given: The manifest of the pictures that were enlarged.
        states: What became of each.
        out: Where the pictures are.
        bundle: The upscaler's.

    Returns:
        `object_id`, `image_uri`, `size`, `version`, the manifest's other columns, and `generator`.
    """
    made = states.filter(pc.equal(states["status"], "ok"))
    indices = pc.index_in(given["object_id"], made["object_id"])
    rows = given.filter(pc.is_valid(indices))
    new = made.take(indices.drop_null())
    files = {info.uri: info for info in (out / PICTURES).list_files()} if len(new) else {}
    infos = [files[uri] for uri in new["image_uri"].to_pylist()]
    table = pa.table(
        [
            rows["object_id"].cast(pa.string()).combine_chunks(),
            new["image_uri"].combine_chunks(),
            pa.array([info.size for info in infos], pa.int64()),
            pa.array([info.version for info in infos], pa.string()),
        ],
        schema=PLACE,
    )
    for name in rows.column_names:
        if name not in (*PLACE.names, "generator", "change"):
            table = table.append_column(rows.schema.field(name), rows[name])
    return table.append_column("generator", pa.array([bundle.model_id] * len(rows), pa.string()))


class Upscaler:
    """A bundle's network at work. TensorFlow is imported when it is made.

    Args:
        uri: The upscaler bundle.

    Raises:
        InputError: As `load_upscaler_bundle` and `load_upscaler`.
    """

    def __init__(self, uri: Location):
        self.bundle = load_upscaler_bundle(uri)
        self._model = load_upscaler(uri, self.bundle)

    def __call__(self, pictures: Picture) -> Any:
        """Pictures (n, h, w, 3), RGB 0..255, enlarged at once: (n, scale h, scale w, 3) float32, not clipped."""
        return predict(self._model, pictures, 1)


class _Enlarger:
    """Enlarges the pictures of a chunk, one at a time, and writes them."""

    def __init__(self, *, model: str, pictures: str, format: str, tile: int, upscaler: str, decode_version: int):
        self._upscaler = Upscaler(Location(model))
        self._folder, self._format, self._tile = Location(pictures), format, tile

    def __call__(self, rows: pa.Table) -> pa.Table:
        rows_told: list[dict[str, Any]] = []
        for pictures in read_pictures(rows, [_WHOLE], batch=1):
            state: Mapping[str, Any] = pictures.state.to_pylist()[0]
            row = {"object_id": pictures.rows["object_id"][0].as_py(), "image_uri": None, **state}
            if pictures.readable:
                row |= self._written(row["object_id"], pictures.images[_WHOLE][0])
            rows_told.append(row)
        return pa.Table.from_pylist(rows_told, schema=_STATE)

    def _written(self, object_id: str, picture: Picture) -> dict[str, Any]:
        """Enlarge and write one picture; what its row says."""
        bundle = self._upscaler.bundle
        height, width = (side * bundle.scale for side in picture.shape[:2])
        if self._format == "jpeg" and max(height, width) > _LARGEST:
            return {"status": "too_large", "error": f"{width} × {height} pixels are too many for JPEG: --format png"}
        image = enlarged(picture, self._upscaler, bundle.scale, bundle.margin, tile=self._tile)
        source, name = changed_by(bundle.model_id), digest(object_id.encode())
        suffix = "jpg" if self._format == "jpeg" else "png"
        file = self._folder / name[:2] / f"{name}.{suffix}"
        file.write_bytes(jpeg(image, 95, source=source) if suffix == "jpg" else png(image, 1, source=source))
        return {"image_uri": str(file), "width": width, "height": height}
