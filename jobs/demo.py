"""Study 002 on real pictures: were they made by hand or by code? The whole walk on the sample collection."""

from artray.stations import run

if __name__ == "__main__":
    run("demo")
