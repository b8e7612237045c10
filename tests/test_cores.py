"""How the cores are shared out, by what a machine has."""

import multiprocessing
import os
import shutil
from collections import namedtuple

import pytest

from lmia import cores
from lmia.cores import reading, shares_memory


@pytest.fixture
def machine(monkeypatch):
    def of(count, shared=True):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)))
        monkeypatch.setattr(cores, "shares_memory", lambda: shared)

    return of


@pytest.mark.parametrize(
    ("count", "ranks", "shards", "workers", "device", "found"),
    [
        (2, 1, 4, None, "cpu", (2, 1)),
        (2, 1, 3, None, "cpu", (0, 2)),  # the last shard would be read alone
        (1, 1, 9, None, "cpu", (0, 1)),
        (2, 2, 9, None, "cpu", (0, 1)),
        (8, 1, 99, None, "cpu", (8, 1)),
        (64, 1, 999, None, "cpu", (0, 64)),  # streams have several threads each, which want the same cores
        (64, 8, 999, None, "cpu", (8, 1)),
        (16, 1, 99, None, "cuda", (15, 1)),
        (16, 1, 5, None, "cuda", (5, 3)),
        (16, 1, 5, 2, "cpu", (2, 1)),
        (2, 1, 9, 0, "cpu", (0, 2)),
    ],
)
def test_cores_are_shared_out(machine, count, ranks, shards, workers, device, found):
    machine(count)
    assert reading(ranks, shards, workers, device) == found


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_without_memory_to_share_threads_decode(machine, device):
    machine(4, shared=False)
    assert reading(1, 9, None, device) == (0, 4)
    assert reading(1, 9, 3, device) == (3, 1)  # who asks for processes gets them


def test_a_container_with_little_shared_memory_shares_none(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "fork")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(64 << 20, 0, 64 << 20))
    assert not shares_memory()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(4 << 30, 0, 4 << 30))
    assert shares_memory()
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "spawn")
    assert not shares_memory()


def test_a_machine_without_that_folder_shares_none(monkeypatch):
    def missing(_):
        raise FileNotFoundError

    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "fork")
    monkeypatch.setattr(shutil, "disk_usage", missing)
    assert not shares_memory()
