"""What a training finds where its bundle goes."""

import re

import pytest

from artray.bundles.classifier import BUNDLE, MODEL
from artray.engine.outputs import earlier_bundle
from artray.engine.worker_group import CHECKPOINTS, TRAINING, remove_checkpoints
from artray.errors import InputError
from artray.storage import Location, digest


def look(out, *, network=MODEL, overwrite=False, same=True):
    return earlier_bundle(
        Location.parse(out), lambda uri: "bundle", lambda _: same, file=BUNDLE, network=network, overwrite=overwrite
    )


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_network_that_no_training_has_put_there_is_not_replaced(tmp_path, overwrite):
    (tmp_path / MODEL).write_bytes(b"years of work")
    with pytest.raises(InputError, match=r"holds model\.keras, which artray has not written and does not replace"):
        look(tmp_path, overwrite=overwrite)
    assert look(tmp_path, network=None) is None  # folds may have been killed there
    (tmp_path / TRAINING).mkdir()
    assert look(tmp_path) is None  # a killed training's


def test_a_bundle_is_kept_refused_or_replaced(tmp_path):
    assert look(tmp_path) is None
    for name in (MODEL, BUNDLE):
        (tmp_path / name).write_bytes(b"")
    assert look(tmp_path) == "bundle"
    assert look(tmp_path, overwrite=True) is None
    with pytest.raises(InputError, match="holds a bundle of another config or data"):
        look(tmp_path, same=False)


def test_of_checkpoints_a_users_files_stay(tmp_path):
    ours = tmp_path / TRAINING / digest(b"run")
    (ours / "checkpoint_0").mkdir(parents=True)
    (ours / "checkpoint_0" / "state.npz").write_bytes(b"")
    (ours / ".validate_storage_marker").write_bytes(b"")
    mine = tmp_path / TRAINING / "mine" / "weights.npz"
    mine.parent.mkdir()
    mine.write_bytes(b"")
    remove_checkpoints(Location.parse(tmp_path))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert not ours.exists()
    assert not re.fullmatch(CHECKPOINTS, f"{TRAINING}/mine/weights.npz")
