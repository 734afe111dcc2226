"""Station 4, many times: trained on ever more of the labelled works."""

from artray.stations import run

if __name__ == "__main__":
    run("learning-curve")
