from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import artray

SAMPLE = Path(artray.__file__).parent / "sample" / "paintings22" / "images"


@pytest.fixture(scope="session")
def painting_files():
    """The sample collection's pictures."""
    return sorted(SAMPLE.glob("*.jpg"))


@pytest.fixture(scope="session")
def paintings(painting_files):
    """The first eight of the sample collection, (8, 224, 224, 3)."""
    opened = [Image.open(file).convert("RGB").resize((224, 224)) for file in painting_files[:8]]
    return np.stack([np.asarray(image) for image in opened])
