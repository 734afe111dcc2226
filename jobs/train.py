"""Station 4: train a classifier and write a model bundle."""

from artray.classifiers.station import TrainOptions, train
from artray.job import main

if __name__ == "__main__":
    main(TrainOptions, train)
