"""Station 5: label a whole collection."""

from artray.job import main
from artray.labeling.station import LabelOptions, label_catalog

if __name__ == "__main__":
    main(LabelOptions, label_catalog)
