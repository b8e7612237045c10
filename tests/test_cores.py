"""How the cores are shared out, by what a machine has."""

import multiprocessing
import os
import shutil
from collections import namedtuple

import pytest

from benchmarks.process import anonymous
from lmia import cores
from lmia.cores import POLITE, let_go_of_freed_memory, reading, shared_memory, stand_back


@pytest.fixture
def machine(monkeypatch):
    def of(count, shared=64 << 30):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)))
        monkeypatch.setattr(cores, "shared_memory", lambda: shared)

    return of


@pytest.mark.parametrize(
    ("count", "ranks", "shards", "workers", "device", "found"),
    [
        (2, 1, 4, None, "cpu", (2, 0)),
        (2, 1, 3, None, "cpu", (0, 2)),  # the last shard would be read alone
        (1, 1, 9, None, "cpu", (0, 1)),
        (2, 2, 9, None, "cpu", (0, 1)),
        (8, 1, 99, None, "cpu", (8, 0)),
        (64, 1, 999, None, "cpu", (0, 64)),  # streams have several threads each, which want the same cores
        (64, 8, 999, None, "cpu", (8, 0)),
        (16, 1, 99, None, "cuda", (15, 1)),
        (16, 1, 5, None, "cuda", (5, 3)),
        (16, 1, 5, 2, "cpu", (2, 0)),
        (16, 1, 5, 10, "cpu", (5, 2)),
        (2, 1, 9, 0, "cpu", (0, 2)),
    ],
)
def test_cores_are_shared_out(machine, count, ranks, shards, workers, device, found):
    machine(count)
    assert reading(ranks, shards, workers, device) == found


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_without_memory_to_share_threads_decode(machine, device):
    machine(4, shared=0)
    assert reading(1, 9, None, device) == (0, 4)
    assert reading(1, 9, 3, device) == (3, 0 if device == "cpu" else 1)  # who asks for processes gets them


def test_a_container_with_little_shared_memory_shares_none(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "fork")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(64 << 20, 0, 64 << 20))
    assert shared_memory() == 64 << 20
    assert reading(1, 99, None, "cpu")[0] == 0
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "spawn")
    assert shared_memory() == 0


def test_reading_processes_are_no_more_than_half_of_the_shared_memory_holds(machine):
    """Two batches ready, one in the making and one handed over, of 10 MB each."""
    machine(16, shared=1 << 30)
    assert reading(1, 99, None, "cuda", 10 << 20) == ((1 << 29) // (4 * (10 << 20)), 1)
    assert reading(1, 99, None, "cuda", 1 << 30) == (0, 16)
    assert reading(2, 99, None, "cuda", 10 << 20) == (6, 1)
    assert reading(1, 99, 15, "cuda", 1 << 30) == (15, 1)  # who asks for processes gets them


def test_a_machine_without_that_folder_shares_none(monkeypatch):
    def missing(_):
        raise FileNotFoundError

    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "fork")
    monkeypatch.setattr(shutil, "disk_usage", missing)
    assert shared_memory() == 0


def test_a_reading_process_lets_others_go_first():
    with multiprocessing.get_context("fork").Pool(1, stand_back, (0,)) as pool:
        assert pool.apply(os.nice, (0,)) == os.nice(0) + POLITE


def test_freed_memory_goes_back_to_the_system():
    kept = [bytearray(1 << 16) for _ in range(2000)]  # too small for memory of their own
    last = bytearray(1 << 16)  # above them, so that they do not go back by themselves
    del kept
    before = anonymous()
    let_go_of_freed_memory()
    assert before - anonymous() > 100 << 20
    assert len(last) == 1 << 16
