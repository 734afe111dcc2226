"""Station 4, many times: a table of settings, ranked on the validation part."""

from artray.stations import run

if __name__ == "__main__":
    run("search")
