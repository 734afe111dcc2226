"""Station 4 for generators, with what people look at: train, score, and write the pages."""

from pydantic import Field

from artray import console
from artray.errors import InputError
from artray.gans.comparison import ComparisonOptions, compare_gans, trained_runs
from artray.gans.config import read_config
from artray.gans.judges import JUDGED_BY, judge_of
from artray.gans.latent_walks import latent_strips
from artray.gans.sampling import sample
from artray.gans.scores import METRICS, score, show
from artray.gans.station import GanOptions, train_gan
from artray.job import Counts
from artray.report.gans.pages import comparison_page, gan_page
from artray.storage import refuse_other_file


class TrainGanOptions(GanOptions):
    """Train a generator of pictures as a config says, score it, and write a page about it."""

    scores: int = Field(
        1000, ge=0, description="pictures that it is scored by, at most half as many as there are works; 0: no scores"
    )
    judge: str | None = JUDGED_BY
    sample: int | None = Field(
        None, ge=1, description="then write so many pictures as a collection below OUT/generated (see sample_gan)"
    )


def train_gan_with_page(options: TrainGanOptions) -> Counts:
    """Train, unless the bundle is there; then what is missing of scores, strips and page.

    Raises:
        InputError: As `train_gan`, or the judge that was asked for can't be one.
    """
    if options.scores and options.judge is not None:  # before hours of training
        judge_of(options.judge, [read_config(options.config, options.changes()).model.name])
    counts = train_gan(options)
    out = options.out
    if options.scores:
        try:
            scores = score(out, options.data, options.scores, judge=options.judge)
        except InputError as error:  # it is trained all the same
            console.say(f"no scores: {error}")
        else:
            show(scores)
            counts["scores"] = {name: scores["rows"]["generator"][name] for name in METRICS}
    latent_strips(out)
    counts["page"] = str(gan_page(out))
    if options.sample:
        counts["generated"] = sample(out, out / "generated", options.sample, overwrite=True)["manifest"]
    console.say(f"open {counts['page']}")
    return counts


def compare_gans_with_pages(options: ComparisonOptions) -> Counts:
    """Train and score what is missing; then the pages.

    Raises:
        InputError: As `compare_gans`, or `out` holds an index.html of the user's.
    """
    refuse_other_file(options.out, "index.html", b'href="gan.css"')
    counts = compare_gans(options)
    for bundle in trained_runs(options.out):
        gan_page(bundle)
    counts["page"] = str(comparison_page(options.out))
    console.say(f"open {counts['page']}")
    return counts
