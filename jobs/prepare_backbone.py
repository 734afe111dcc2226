"""A preset of keras-hub as one file."""

from artray.stations import run

if __name__ == "__main__":
    run("prepare-backbone")
