"""Do generated works help a classifier? Trained without and with them, judged on real works (D7)."""

from artray.stations import run

if __name__ == "__main__":
    run("gan-augmentation")
