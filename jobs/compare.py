"""Station 4, afterwards: several classifiers compared on the same works, with figures and tables for a paper."""

from artray.stations import run

if __name__ == "__main__":
    run("compare")
