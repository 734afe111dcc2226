"""Station 3: cut random squares from every picture."""

from artray.job import main
from artray.patches import PatchOptions, make_patches

if __name__ == "__main__":
    main(PatchOptions, make_patches)
