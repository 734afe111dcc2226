"""Before station 1: fetch the pictures that a catalogue names by address."""

from artray.stations import run

if __name__ == "__main__":
    run("download")
