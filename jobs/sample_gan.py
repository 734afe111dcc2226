"""After station 4: pictures of a generator, as a collection that the other jobs read."""

from artray.gans.sampling import SampleOptions, sample_gan
from artray.job import main

if __name__ == "__main__":
    main(SampleOptions, sample_gan)
