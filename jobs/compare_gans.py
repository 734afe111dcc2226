"""Station 4, for several generators: a table of their scores, and a page with their pictures side by side."""

from artray.stations import run

if __name__ == "__main__":
    run("compare-gans")
