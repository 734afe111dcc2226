import os
import time
from pathlib import Path

import pytest

from artray.storage import Location, scratch


class Killed(BaseException):
    pass


@pytest.fixture
def left(tmp_path, monkeypatch):
    """What a process that was killed while it wrote has left; its id is gone."""
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(Killed))
        patch.setattr(os, "getpid", lambda: 2**22 + 1)  # Linux gives none so large
        with pytest.raises(Killed):
            Location.parse(tmp_path / "below" / "labels.parquet").write_bytes(b"half")
    (file,) = (tmp_path / "below").iterdir()
    return file


def test_what_a_kill_has_left_is_swept_by_the_next_run(tmp_path, left):
    (tmp_path / "below" / ".artray-notes").write_text("the user's")
    (tmp_path / "below" / ".labels.parquet.0123abcd").write_text("the user's")
    Location.parse(tmp_path).ensure_writable()
    assert sorted(file.name for file in (tmp_path / "below").iterdir()) == [
        ".artray-notes",
        ".labels.parquet.0123abcd",
    ]


def test_what_a_living_process_writes_stays(tmp_path):
    with scratch.scratch_beside(tmp_path / "a") as file:
        file.write_bytes(b"half")
        Location.parse(tmp_path).ensure_writable()
        assert file.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == []


def test_of_other_machines_what_is_old_is_swept(tmp_path, left, monkeypatch):
    monkeypatch.setattr(scratch, "_host", lambda: "00000000")
    Location.parse(tmp_path).ensure_writable()
    assert left.exists()
    os.utime(left, (time.time() - 90_000,) * 2)
    Location.parse(tmp_path).ensure_writable()
    assert not left.exists()
