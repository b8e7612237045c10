"""A file is written whole or not at all."""

import errno
from pathlib import Path

import pytest

from lmia.errors import LmiaError
from lmia.report.aside import write_aside


def test_replaces_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    assert write_aside(path, b"new") == path
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_no_half(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old")
    real = Path.write_bytes

    def full(self, data):
        real(self, data[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LmiaError, match="No space left on device"):
        write_aside(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(LmiaError, match=r"nowhere.a\.txt"):
        write_aside(tmp_path / "nowhere" / "a.txt", b"")
