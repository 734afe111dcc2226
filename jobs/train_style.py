"""A network that paints pictures in some styles in one pass, for transfer_style."""

from artray.stations import run

if __name__ == "__main__":
    run("train-style")
