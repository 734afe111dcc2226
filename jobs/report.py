"""Station 6: write the page for the curator."""

from artray.stations import run

if __name__ == "__main__":
    run("report")
