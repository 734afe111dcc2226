"""Station 2: compute features of every picture."""

from artray.features.station import FeatureOptions, extract_features
from artray.job import main

if __name__ == "__main__":
    main(FeatureOptions, extract_features)
