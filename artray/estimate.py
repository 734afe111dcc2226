"""How long a collection takes on which machines, and what it costs: from measured rates, by a formula that is shown."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

import pyarrow.compute as pc
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from artray import console
from artray.engine.order import SHARE, WINDOW_BYTES
from artray.errors import InputError
from artray.features.embedding import Embedding
from artray.features.specs import DEFAULT_FEATURES
from artray.job import Counts, Options, read_yaml
from artray.storage import Location
from artray.storage.chunks import LARGEST

HEAD = "m7i.xlarge"
START_MINUTES = 6.0
"""From asking for a machine to its first picture: boot, set-up commands, libraries. An assumption."""
REQUESTS_A_CHUNK = {"get": 5, "put": 1}
"""Beside its pictures: the manifest is looked up twice (HEAD, billed as GET), its footer takes two reads, the row group
one; the part is written."""
MEGABYTES_A_MEGAPIXEL = 0.16
"""Of a JPEG at quality 85."""
COMPUTED = {
    "features": DEFAULT_FEATURES,
    "label": (Embedding.name,),
    "train": (),
}
"""What each job computes once it has a picture; of training only how its pictures are decoded is estimated."""
STORE_SHARE = 0.3
"""Of a machine's memory: Ray's object store."""


class Training(BaseModel):
    """What a machine that trains needs of memory; see `artray/estimate.yaml`."""

    model_config = ConfigDict(extra="forbid")

    ray: float = Field(ge=0)
    worker: float = Field(ge=0)
    weight: float = Field(ge=0)
    pixel: float = Field(ge=0)


class Machine(BaseModel):
    """A kind of machine; see `artray/estimate.yaml`."""

    model_config = ConfigDict(extra="forbid")

    cpus: int = Field(ge=1)
    gpus: int = Field(0, ge=0)
    gbit: float = Field(gt=0)
    speed: float = Field(gt=0)
    dollars: float = Field(ge=0)


class Rates(BaseModel):
    """Measured rates and prices; see `artray/estimate.yaml`."""

    model_config = ConfigDict(extra="forbid")

    milliseconds: dict[str, float]
    machines: dict[str, Machine]
    requests: dict[str, float]
    training: Training


class EstimateOptions(Options):
    """Estimate how long a collection takes on which machines, and what it costs."""

    work: str = Field(
        "label", pattern="^(features|label|train)$", description="features, label or train", examples=["NAME"]
    )
    pictures: int | None = Field(None, ge=1, description="how many; or --manifest")
    manifest: Location | None = Field(None, description="count the pictures and their bytes there", examples=["URI"])
    megapixels: float = Field(12.0, gt=0, description="of a picture, on average")
    megabytes: float | None = Field(None, gt=0, description="of its file; default: a JPEG's of that size")
    size: int = Field(224, ge=8, le=1024, description="side at which a model that is trained sees them")
    workers: int = Field(1, ge=1, description="that train on one machine")
    batch: int = Field(32, ge=1, description="pictures of a batch on one machine, in all its workers")
    weights: float = Field(3.4, ge=0, description="of the model that is trained, in millions; default: Lite0's")
    in_memory: float = Field(SHARE, ge=0, le=1, description="as in train: the share of the object store for examples")
    machines: dict[str, int] = Field({"m7i.4xlarge": 4}, description="which and how many", examples=["KIND=N"])
    spot: float = Field(1.0, gt=0, le=1, description="what spot machines cost of the on-demand price, such as 0.4")
    gpu_rate: float | None = Field(
        None, gt=0, description="pictures a second that the model does on one GPU (measure it: benchmarks/embedding.py)"
    )
    table: str | None = Field(
        None, description="your own rates and prices, as in artray/estimate.yaml", examples=["FILE"]
    )

    @model_validator(mode="after")
    def _has_a_number(self) -> EstimateOptions:
        if (self.pictures is None) == (self.manifest is None):
            raise ValueError("give --pictures or --manifest")
        return self


@dataclass(frozen=True)
class _Line:
    """A line of the answer: of what, by which formula, how much."""

    name: str
    formula: str
    value: str


def estimate(options: EstimateOptions) -> Counts:
    """The estimate as counts, and on standard error with its formula.

    Raises:
        InputError: A machine that the table doesn't have, or a table or manifest that can't be used.
    """
    rates = read_rates(options.table)
    pictures, megabytes = _collection(options)
    kinds = _kinds(options, rates)
    there = any(machine.gpus for machine, _ in kinds.values())
    # Features are computed on CPUs; a model on GPUs where there are some, and then nowhere else.
    gpu_rate = options.gpu_rate if there and options.work == "label" else None
    milliseconds, line = _cpu_time(options, rates, with_model=gpu_rate is None)
    lines = [line]
    total = 0.0
    for name, (machine, count) in kinds.items():
        rate, formula = _rate(machine, milliseconds, megabytes, gpu_rate)
        total += count * rate
        lines.append(_Line(f"{count} × {name}", f"{count} × {formula}", f"{count * rate:,.0f} pictures/s"))
    hours = pictures / total / 3600 + START_MINUTES / 60
    lines.append(
        _Line("time", f"{pictures:,} / {total:,.0f} a second + {START_MINUTES:g} min to start", f"{hours:,.2f} h")
    )
    head = rates.machines[HEAD].dollars
    hourly = sum(count * machine.dollars for machine, count in kinds.values())
    computing = hours * (head + options.spot * hourly)
    spot = f"{options.spot:g} × " if options.spot < 1 else ""
    formula = f"{hours:,.2f} h × (head {head:g} $ + {spot}{hourly:,.2f} $)"
    lines.append(_Line("machines", formula, f"{computing:,.2f} $"))
    asked = _requests(pictures)
    requests = sum(number / 1000 * rates.requests[name] for name, number in asked.items())
    formula = " + ".join(
        f"{number:,} {name.upper()} × {rates.requests[name]:g} $/1000" for name, number in asked.items()
    )
    lines.append(_Line("requests to S3", formula, f"{requests:,.2f} $"))
    room: dict[str, float | None] = {}
    if options.work == "train":
        room, more = _training_room(options, pictures, rates.training)
        lines += more
    console.table(
        f"{options.work}: {pictures:,} pictures of {options.megapixels:g} megapixels",
        ["", "formula", ""],
        [(line.name, line.formula, line.value) for line in lines],
    )
    if there and options.work == "label" and options.gpu_rate is None:
        console.say("the GPUs are not counted: no rate is known for them; measure it and give --gpu-rate")
    return {
        "pictures": pictures,
        "pictures_per_second": round(total, 1),
        "hours": round(hours, 3),
        "dollars": round(computing + requests, 2),
        "dollars_machines": round(computing, 2),
        "dollars_requests": round(requests, 2),
        "requests": asked,
        **room,
    }


def _training_room(
    options: EstimateOptions, pictures: int, known: Training
) -> tuple[dict[str, float | None], list[_Line]]:
    """What training on so many pictures needs of a disk, and of the memory of each machine that trains."""
    size, workers, batch = options.size, options.workers, options.batch
    disk = pictures * size**2 * 3 / 1e9
    windows = min(2 * WINDOW_BYTES / 1e9, disk)
    model = workers * options.weights * known.weight / 1e3
    steps = batch * size**2 * known.pixel / 1e9
    beside = known.ray + workers * known.worker + model + steps
    store = options.in_memory * STORE_SHARE
    whole = max(disk / store, beside + disk) if store else None
    lines = [
        _Line("disk, below --out or --cache", f"{pictures:,} × {size}² × 3 bytes", f"{disk:,.1f} GB"),
        _Line(
            "memory beside examples",
            f"Ray {known.ray:g} GB + {workers} worker(s) × ({known.worker:g} GB + {options.weights:g} million weights "
            f"× {known.weight:g} bytes) + batch {batch} × {size}² × {known.pixel:g} bytes",
            f"{beside:,.1f} GB",
        ),
        _Line(
            "memory of a machine, streamed",
            f"{beside:,.1f} GB + 2 windows of {WINDOW_BYTES / 1e9:.2f} GB, or all examples if they are less",
            f"{beside + windows:,.1f} GB",
        ),
    ]
    if whole is not None:
        lines.append(
            _Line(
                "memory to hold all",
                f"the larger of {disk:,.1f} GB / (--in-memory {options.in_memory:g} × {STORE_SHARE:g} of the memory) "
                f"and {beside:,.1f} + {disk:,.1f} GB",
                f"{whole:,.1f} GB",
            )
        )
    return {
        "disk_gb": round(disk, 2),
        "memory_gb_streamed": round(beside + windows, 2),
        "memory_gb_whole": None if whole is None else round(whole, 2),
    }, lines


def _cpu_time(options: EstimateOptions, rates: Rates, with_model: bool) -> tuple[float, _Line]:
    """CPU milliseconds a picture, on the core they were measured on."""
    ms = rates.milliseconds
    times = {"fetch": ms["fetch"], "decode": ms["decode"] + ms["decode_per_megapixel"] * options.megapixels}
    times |= {name: ms[name] for name in COMPUTED[options.work] if with_model or name != Embedding.name}
    total = sum(times.values())
    decoding = f"({ms['decode']:g} + {ms['decode_per_megapixel']:g} × {options.megapixels:g} MP)"
    formula = " + ".join(f"{name} {decoding if name == 'decode' else f'{value:g}'}" for name, value in times.items())
    return total, _Line("CPU time a picture", formula, f"{total:.1f} ms")


def _rate(machine: Machine, milliseconds: float, megabytes: float, gpu_rate: float | None) -> tuple[float, str]:
    """Pictures a second of one machine: what its CPUs, its network and its GPUs do, the least of them."""
    if gpu_rate is not None and not machine.gpus:
        return 0.0, "no GPU, left idle"
    by_cpu = machine.cpus * machine.speed * 1000 / milliseconds
    by_network = machine.gbit * 1000 / 8 / megabytes
    rates = [by_cpu, by_network]
    formulas = [
        f"{machine.cpus} CPUs × {machine.speed:g} × 1000 / {milliseconds:.1f} ms = {by_cpu:,.0f}",
        f"{machine.gbit:g} Gbit/s / {megabytes:.2f} MB = {by_network:,.0f}",
    ]
    if gpu_rate is not None:
        rates.append(machine.gpus * gpu_rate)
        formulas.append(f"{machine.gpus} GPU × {gpu_rate:g} = {rates[-1]:,.0f}")
    return min(rates), f"min({', '.join(formulas)})"


def _requests(pictures: int) -> dict[str, int]:
    chunks = -(-pictures // LARGEST)
    return {
        "get": pictures + chunks * REQUESTS_A_CHUNK["get"],
        "put": chunks * REQUESTS_A_CHUNK["put"],
        "list": -(-pictures // 1000),
    }


def read_rates(file: str | None) -> Rates:
    """The table that comes with artray, with what a file of the same form changes.

    Raises:
        InputError: The file can't be used.
    """
    values: dict[str, Any] = yaml.safe_load((resources.files("artray") / "estimate.yaml").read_text())
    for section, changes in (read_yaml(file) if file else {}).items():
        known = values.get(section)
        values[section] = known | changes if isinstance(known, dict) and isinstance(changes, dict) else changes
    try:
        return Rates.model_validate(values)
    except ValueError as error:
        first = getattr(error, "errors", list)()[0]
        where = ".".join(str(key) for key in first["loc"])
        raise InputError(f"{file}: {where}: {first['msg']}") from error


def _collection(options: EstimateOptions) -> tuple[int, float]:
    """How many pictures, and the megabytes of each."""
    assumed = options.megabytes or MEGABYTES_A_MEGAPIXEL * options.megapixels
    if options.manifest is None:
        assert options.pictures is not None
        return options.pictures, assumed
    sizes = options.manifest.dataset().to_table(columns=["size"])["size"].drop_null()
    if not len(sizes):
        raise InputError(f"{options.manifest}: has no pictures")
    return len(sizes), options.megabytes or pc.mean(sizes).as_py() / 1e6


def _kinds(options: EstimateOptions, rates: Rates) -> dict[str, tuple[Machine, int]]:
    for name, count in options.machines.items():
        if name not in rates.machines:
            known = ", ".join(rates.machines)
            raise InputError(f"--machines {name}: not in the table ({known}); add it to a --table FILE")
        if count < 1:
            raise InputError(f"--machines {name}={count}: must be one at least")
    return {name: (rates.machines[name], count) for name, count in options.machines.items()}
