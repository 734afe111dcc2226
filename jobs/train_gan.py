"""Station 4, for generators: train one, score it, and write a page about it."""

from artray.stations import run

if __name__ == "__main__":
    run("train-gan")
