"""Station 5: label a whole collection."""

from artray.stations import run

if __name__ == "__main__":
    run("label-catalog")
