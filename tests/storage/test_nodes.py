"""What can be said of other machines without having any; tests/integration/test_cluster_nodes.py has some."""

from pathlib import Path

import pytest

from artray.storage import Location, nodes

OURS = {"Python": "3.12", "artray": "abc", "keras": "3.15.1", "pillow": "13.0.0"}


@pytest.mark.parametrize(
    ("theirs", "line"),
    [
        ({**OURS, "pillow": "12.3.0"}, "has pillow 12.3.0, the job 13.0.0"),
        ({**OURS, "Python": "3.11"}, "has Python 3.11, the job 3.12"),
        ({**OURS, "artray": "abd"}, "has another artray than the job (`--working-dir .` sends the job's along)"),
        ({"Python": "3.12"}, "has no artray"),
        ({"Python": "3.12", "artray": "abc"}, "has no keras"),
        ({**OURS, "tensorflow": "2.21.0"}, "has tensorflow, which the job's machine has not"),
    ],
)
def test_the_first_difference(theirs, line):
    assert nodes._difference(OURS, theirs) == line


def test_software_is_told_apart_by_its_code(tmp_path: Path, monkeypatch):
    """Of two machines with one version of artray, one may have been edited."""
    look = nodes._software()
    assert look() == look()
    assert list(look()) == ["Python", "artray", "keras", "numpy", "pillow", "pyarrow", "ray", "s3fs", "tensorflow"]
    (tmp_path / "artray").mkdir()
    (tmp_path / "artray" / "__init__.py").write_text("")

    def found() -> str:
        from importlib.machinery import PathFinder

        monkeypatch.setattr("importlib.util.find_spec", lambda name: PathFinder.find_spec(name, [str(tmp_path)]))
        return look()["artray"]

    empty = found()
    (tmp_path / "artray" / "__init__.py").write_text("# edited")
    assert found() != empty


def test_folders_must_be_shared(tmp_path: Path):
    mark = str(tmp_path / "labels" / ".mark")
    Location.parse(mark).write_bytes(b"")
    there, elsewhere = str(tmp_path), str(tmp_path / "elsewhere")
    assert nodes._first_fault([Location.parse(there)], [Location.parse(mark)]) is None
    shared = "not found; a folder must be on a disk that all machines share"
    assert nodes._first_fault([Location.parse(elsewhere)], [Location.parse(mark)]) == f"{elsewhere}: {shared}"
    assert (
        nodes._first_fault([Location.parse(there)], [Location.parse(f"{elsewhere}/.mark")]) == f"{elsewhere}: {shared}"
    )
    assert [path.name for path in (tmp_path / "labels").iterdir()] == [".mark"]
