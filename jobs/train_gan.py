"""Station 4, for generators: train one, score it, and write a page about it."""

from pydantic import Field

from artray import console
from artray.errors import InputError
from artray.gans.latent_walks import latent_strips
from artray.gans.sampling import sample
from artray.gans.scores import FIGURES, score, show
from artray.gans.station import GanOptions, train_gan
from artray.job import Counts, main
from artray.report.gan import gan_page
from artray.storage import Location


class TrainGanOptions(GanOptions):
    """Train a generator of pictures as a config says, score it, and write a page about it."""

    scores: int = Field(
        1000, ge=0, description="pictures that it is scored by, at most half as many as there are works; 0: no scores"
    )
    sample: int | None = Field(
        None, ge=1, description="then write so many pictures as a collection below OUT/generated (see sample_gan)"
    )


def run(options: TrainGanOptions) -> Counts:
    """Train, unless the bundle is there; then what is missing of scores, strips and page."""
    counts = train_gan(options)
    out = Location(counts["out"])
    if options.scores:
        try:
            scores = score(out, options.data, options.scores)
        except InputError as error:  # it is trained all the same
            console.say(f"no scores: {error}")
        else:
            show(scores)
            counts["scores"] = {name: scores["rows"]["generator"][name] for name in FIGURES}
    latent_strips(out)
    counts["page"] = str(gan_page(out))
    if options.sample:
        counts["generated"] = sample(out, out / "generated", options.sample, overwrite=True)["manifest"]
    console.say(f"open {counts['page']}")
    return counts


if __name__ == "__main__":
    main(TrainGanOptions, run)
