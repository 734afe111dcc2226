"""Station 4: train a classifier and write a model bundle."""

from artray.stations import run

if __name__ == "__main__":
    run("train")
