"""A classifier from prompts."""

from artray.stations import run

if __name__ == "__main__":
    run("prompt-model")
