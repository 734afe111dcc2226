"""What prepare-backbone writes, of a backbone that is made up."""

from types import SimpleNamespace

import keras
import pytest

from artray.errors import InputError
from artray.models import hub
from artray.storage import Location
from artray.words.preparing import PrepareOptions, prepare_backbone


def test_a_run_that_was_killed_goes_on_and_files_of_others_stay(tmp_path, monkeypatch):
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    notes = {"preset": "made", "kind": "made", "size": 4, "width": 3, "licence": "none", "portable": True}
    made = SimpleNamespace(model=model, notes=notes, has_words=False)
    monkeypatch.setattr(hub, "load_hub_backbone", lambda preset, **_: made)
    place = Location.parse(tmp_path)
    options = PrepareOptions(preset="made", out=place / "made.keras")
    own = Location.write_bytes
    written: list[str] = []

    def write(self, data):
        if self.name.startswith("made."):
            if written:
                raise OSError("killed")
            written.append(self.name)
        own(self, data)

    with monkeypatch.context() as patched:
        patched.setattr(Location, "write_bytes", write)
        with pytest.raises(OSError, match="killed"):
            prepare_backbone(options)
    assert prepare_backbone(options)["width"] == 3
    assert keras.saving.load_model(tmp_path / "made.keras").output_shape == (None, 3)
    (place / "other.keras").write_bytes(b"x")
    with pytest.raises(InputError, match="not of this job"):
        prepare_backbone(PrepareOptions(preset="made", out=place / "other.keras"))
