"""Beside the walk: labels that several people gave to the same works."""

from artray.stations import run

if __name__ == "__main__":
    run("agreement")
