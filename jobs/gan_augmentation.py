"""Do generated works help a classifier? Trained without and with them, judged on real works (D7)."""

from artray.gans.augmentation_study import AugmentationOptions, compare_augmentation
from artray.job import main

if __name__ == "__main__":
    main(AugmentationOptions, compare_augmentation)
