"""Train an upscaler, measure it beside interpolation, and write a page about it."""

from artray.stations import run

if __name__ == "__main__":
    run("train-upscaler")
