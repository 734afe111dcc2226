"""Before a large job: how long it takes on which machines, and what it costs."""

from artray.estimate import EstimateOptions, estimate
from artray.job import main

if __name__ == "__main__":
    main(EstimateOptions, estimate)
