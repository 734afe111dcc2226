"""Beside the walk: which works to label first."""

from artray.stations import run

if __name__ == "__main__":
    run("sample-plan")
