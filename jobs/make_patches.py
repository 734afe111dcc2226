"""Station 3: cut random squares from every picture."""

from artray.stations import run

if __name__ == "__main__":
    run("make-patches")
