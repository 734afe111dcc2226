"""Station 2: compute features of every picture."""

from artray.stations import run

if __name__ == "__main__":
    run("extract-features")
