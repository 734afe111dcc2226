"""Curves of films: their frames labelled as pictures are."""

from artray.stations import run

if __name__ == "__main__":
    run("label-film")
