"""Station 4: train a classifier and write a model bundle."""

from artray.job import main
from artray.training.station import TrainOptions, train

if __name__ == "__main__":
    main(TrainOptions, train)
