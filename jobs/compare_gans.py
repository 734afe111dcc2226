"""Station 4, for several generators: a table of their scores, and a page with their pictures side by side."""

from artray import console
from artray.gans.comparison import ComparisonOptions, compare_gans, trained_runs
from artray.job import Counts, main
from artray.report.gan import comparison_page, gan_page


def run(options: ComparisonOptions) -> Counts:
    """Train and score what is missing; then the pages."""
    counts = compare_gans(options)
    out = options.out
    for bundle in trained_runs(out):
        gan_page(bundle)
    counts["page"] = str(comparison_page(out))
    console.say(f"open {counts['page']}")
    return counts


if __name__ == "__main__":
    main(ComparisonOptions, run)
