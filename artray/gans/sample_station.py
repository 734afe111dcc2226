"""The job that writes pictures of a generator: as a collection, or those most like some that are given."""

from __future__ import annotations

from pydantic import Field

from artray import console
from artray.gans.projection import write_projections
from artray.gans.sampling import sample
from artray.job import Counts, Options
from artray.storage import Location


class SampleOptions(Options):
    """Write pictures of a trained generator as a collection with a manifest, which all other jobs read."""

    model: Location = Field(description="the generator bundle of train_gan", examples=["URI"])
    out: Location = Field(description="folder or s3:// prefix for pictures/ and manifest/", examples=["URI"])
    count: int = Field(100, ge=1, description="how many pictures")
    classes: list[str] = Field(
        [], description="of these classes alone, each equally often; default: all", examples=["NAME,NAME"]
    )
    condition: dict[str, str] = Field(
        {},
        description="of a generator with conditions: what all pictures are to be; all else is as in some works",
        examples=["NAME=VALUE"],
    )
    seed: int = Field(0, ge=0, description="the same gives the same pictures; more of them begin with the fewer")
    truncation: float | None = Field(
        None, gt=0, description="the farthest from 0 that a latent's numbers may be: fewer flaws, less variety"
    )
    like: list[Location] = Field(
        [],
        description="instead of samples: the generator's picture most like each of these; both come to OUT/like",
        examples=["FILE,FILE"],
    )
    overwrite: bool = Field(False, description="replace pictures of another generator, or made with other options")


def sample_gan(options: SampleOptions) -> Counts:
    """The job: `sample` with its options, or `write_projections`."""
    if options.like:
        return write_projections(options.model, options.like, options.out)
    counts = sample(
        options.model,
        options.out,
        options.count,
        classes=options.classes,
        condition=options.condition,
        seed=options.seed,
        truncation=options.truncation,
        overwrite=options.overwrite,
    )
    if counts.get("classes"):
        console.table("pictures", ["class", "number"], counts["classes"].items())
    return counts
