"""A trained classifier in other forms: LiteRT, ONNX, OpenVINO, SavedModel."""

from artray.stations import run

if __name__ == "__main__":
    run("export-model")
