"""What every test may rely on: its own cache folder, few threads, and a global random state that nobody moves."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("LMIA_CACHE", str(tmp_path_factory.mktemp("cache")))
