"""A file is written whole or not at all."""

import pytest

import faults
from lmia.errors import LmiaError
from lmia.report.aside import together, write_aside


def test_replaces_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    assert write_aside(path, b"new") == path
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_no_half(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")
    faults.fill(monkeypatch, "a.txt")
    with pytest.raises(LmiaError, match="No space left on device"):
        write_aside(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_come_together_or_not_at_all(tmp_path):
    (tmp_path / "a.txt").write_text("old")

    def half():
        with together(tmp_path) as lent:
            (lent / "a.txt").write_text("new")
            raise LmiaError("The disk is full.", "Make room.")

    with pytest.raises(LmiaError, match="full"):
        half()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"
    for _ in range(2):  # a folder that is there, too
        with together(tmp_path) as lent:
            (lent / "figures").mkdir()
            (lent / "figures" / "b.txt").write_text("new")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "b.txt", "figures"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(LmiaError, match=r"nowhere.a\.txt"):
        write_aside(tmp_path / "nowhere" / "a.txt", b"")
