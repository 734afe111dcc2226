"""The style that is aimed at: the mean of the Gram matrices of one work, of all works, or of all works of a class.

The thesis' transfer of emotion is of the last kind: towards what all works of one emotion have in common.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.columns import IMAGE_SUFFIX
from artray.errors import InputError, did_you_mean, first_of
from artray.gans.sampling import keep_table
from artray.images.pictures import DecodeSize, Picture, read_pictures
from artray.storage import Location, dataset_digest, digest, list_column, remove_scratch
from artray.storage.passes import run_pass
from artray.style_transfer.measures import Judge
from artray.style_transfer.optimizing import Grams, Looks, StyleTransfer, unflattened
from artray.style_transfer.shapes import batches_by_shape

FOLDER = "_style"
SUMMED = rf"{FOLDER}/(rows\.parquet|target\.npz|parts/(_plan\.json|_run\.json|part-\d{{6,}}\.parquet))"
"""The files below a job's place, as `storage.remove_written` takes them."""

_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class Target:
    """A style.

    Attributes:
        scales: Its Gram matrices at each scale, from coarse to fine.
        measured: Those of the network that measures; empty without one.
        works: Of how many works they are the mean.
    """

    scales: list[Grams]
    measured: Grams
    works: int


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which works are the style.

    Attributes:
        location: A manifest or one picture.
        column: The manifest's column that says their class, None for all works.
        value: The class.
    """

    location: Location
    column: str | None = None
    value: str | None = None

    @property
    def name(self) -> str:
        """For people."""
        return self.value if self.value is not None else self.location.name

    def is_picture(self) -> bool:
        """Whether it is one picture and no manifest."""
        return bool(re.search(IMAGE_SUFFIX, str(self.location)))

    def digest(self) -> str:
        """What changes when the works do.

        Raises:
            InputError: There is nothing.
        """
        if self.is_picture():
            return digest(self.location.read_bytes())
        return dataset_digest(self.location.dataset())

    def rows(self) -> pa.Table:
        """`object_id` and `image_uri` of the works.

        Raises:
            InputError: There are none, or no such column.
        """
        if self.is_picture():
            if self.column is not None:
                raise InputError(
                    f"--style-class: {self.location} is one picture, which has no classes; give a manifest"
                )
            if not self.location.exists():
                raise InputError(f"--style {self.location}: there is no such file")
            return pa.table({"object_id": [self.location.name], "image_uri": [str(self.location)]})
        dataset = self.location.dataset()
        names = dataset.schema.names
        for name in ("object_id", "image_uri", *filter(None, [self.column])):
            if name not in names:
                hint = did_you_mean(name, names)
                raise InputError(f"--style {self.location}: has no column {name!r}{hint} (it has {', '.join(names)})")
        columns = ["object_id", "image_uri"]
        if self.column is None:
            table = dataset.to_table(columns=columns)
        else:
            whole = dataset.to_table(columns=list(dict.fromkeys([*columns, self.column])))
            labels = pc.cast(whole[self.column], pa.string())
            table = whole.filter(pc.fill_null(pc.equal(labels, self.value), False)).select(columns)
            if not len(table):
                known = sorted(filter(None, pc.unique(labels).to_pylist()))
                raise InputError(
                    f"--style-class {self.column}={self.value}: no work of {self.location} has it"
                    f"{did_you_mean(self.value or '', known)} (there is {first_of(known, 12) or 'no label at all'})"
                )
        if not len(table):
            raise InputError(f"--style {self.location}: has no rows")
        return table


def wanted_style(location: Location, style_class: str | None) -> Wanted:
    """Which works are the style, as `--style` and `--style-class COLUMN=VALUE` say.

    Raises:
        InputError: The class is not said so.
    """
    if style_class is None:
        return Wanted(location=location)
    column, equals, value = style_class.partition("=")
    if not (column and equals and value):
        raise InputError(f"--style-class {style_class}: must be COLUMN=VALUE, such as emotion=sadness")
    return Wanted(location=location, column=column, value=value)


def find_target(
    wanted: Wanted, out: Location, looks: Looks, *, size: int, scales: int, judge: str | None
) -> tuple[Location, Target]:
    """A style's Gram matrices, found in one pass over its works, and the file below `out` that keeps them.

    A run that died goes on with the same command. Works that can't be read are left out.

    Args:
        wanted: Which works.
        out: The job's place.
        looks: By which network.
        size: Long side at the finest scale.
        scales: How many there are.
        judge: The network that measures, None for none.

    Raises:
        InputError: There are no works, or none can be read.
    """
    rows = wanted.rows()
    folder = out / FOLDER
    keep_table(folder / "rows.parquet", rows)
    arguments = {"looks": looks.model_dump(), "size": size, "scales": scales, "judge": judge}
    run_pass("styles", folder / "rows.parquet", folder / "parts", _Summer, arguments, overwrite=True, gpus=True)
    sums, works, channels, measured, first = _added(folder / "parts")
    if not works:
        raise InputError(f"--style {wanted.location}: no work of it can be read ({first})")
    mean = (sums / works).astype(np.float32)
    target = _divided(mean, channels, measured, works)
    sink = io.BytesIO()
    np.savez(sink, mean=mean, channels=np.array(channels), measured=np.array(measured, np.int64), works=works)
    (folder / "target.npz").write_bytes(sink.getvalue())
    return folder / "target.npz", target


def read_target(file: Location) -> Target:
    """A style as `find_target` keeps it."""
    with np.load(io.BytesIO(file.read_bytes())) as arrays:
        return _divided(arrays["mean"], arrays["channels"].tolist(), arrays["measured"].tolist(), int(arrays["works"]))


def remove_target(out: Location) -> None:
    """Remove what `find_target` has kept below a job's place."""
    remove_scratch(out / FOLDER, [SUMMED.removeprefix(f"{FOLDER}/")])


def _divided(mean: npt.NDArray[np.float32], channels: list[int], measured: list[int], works: int) -> Target:
    ours, own_width = sum(number**2 for number in channels), sum(number**2 for number in measured)
    scales = (len(mean) - own_width) // ours
    blocks = [unflattened(mean[scale * ours : (scale + 1) * ours], channels) for scale in range(scales)]
    return Target(
        scales=blocks, measured=unflattened(mean[scales * ours :], measured) if own_width else [], works=works
    )


def _added(pass_folder: Location) -> tuple[npt.NDArray[np.float64], int, list[int], list[int], str]:
    """The sums of all batches, of how many works they are, the networks' channels, and the first error."""
    sums: npt.NDArray[np.float64] = np.zeros(0)
    works, channels, measured, error = 0, [0], [0], ""
    dataset = pass_folder.dataset()
    for batch in dataset.to_batches(
        columns=["status", "error", "works", "sums", "channels", "measured"], batch_size=64
    ):
        table = pa.Table.from_batches([batch])
        error = error or next(filter(None, table["error"].to_pylist()), "")
        for row in table.filter(pc.is_valid(table["sums"])).to_pylist():
            added = np.asarray(row["sums"], np.float64)
            sums = added if not len(sums) else sums + added
            works += row["works"]
            channels, measured = row["channels"], row["measured"]
    return sums, works, channels, measured, error


class _Summer:
    """Gram matrices of works, added up: the sum of a batch stands in the row of its first readable work."""

    def __init__(self, looks: dict[str, Any], size: int, scales: int, judge: str | None):
        self._transfer = StyleTransfer(Looks.model_validate(looks), size, scales)
        self._judge = Judge(judge) if judge is not None else None
        self._decode_size = DecodeSize(size, "inside")

    def __call__(self, rows: pa.Table) -> pa.Table:
        return pa.concat_tables(
            [
                self._sums(read.rows, read.state, read.readable, read.images[self._decode_size])
                for read in read_pictures(rows, [self._decode_size])
            ]
        )

    def _sums(self, rows: pa.Table, state: pa.Table, readable: list[int], images: list[Picture]) -> pa.Table:
        number = len(rows)
        table = rows.select(["object_id"])
        for name in ("status", "error"):
            table = table.append_column(name, state[name])
        total: npt.NDArray[np.float64] | float = 0.0
        for _, pictures in batches_by_shape(images, _AT_ONCE):
            grams = [self._transfer.grams(pictures)]
            if self._judge is not None:
                grams.append(self._judge.grams(pictures))
            total = total + np.concatenate(grams, axis=1).sum(axis=0, dtype=np.float64)
        indices = pa.array([0 if row in readable[:1] else None for row in range(number)], pa.int64())
        sums = [np.asarray(total, np.float32)] if readable else []
        channels = self._transfer.channels
        measured = self._judge.channels if self._judge is not None else []
        columns = {
            "works": pa.array([len(readable)] if readable else [], pa.int64()),
            "sums": list_column(np.stack(sums)) if sums else pa.array([], pa.list_(pa.float32())),
            "channels": pa.array([channels] if readable else [], pa.list_(pa.int64())),
            "measured": pa.array([measured] if readable else [], pa.list_(pa.int64())),
        }
        for name, values in columns.items():
            table = table.append_column(name, values.take(indices))
        return table
