"""Copies of remote shards: read instead of the network where they are whole, and never more of them than the bound."""

import fcntl
import multiprocessing
import os
import threading
import time

import pytest

import shaky
from lmia import LmiaError, Rejected
from lmia_webdataset import WebDataset, remote, shelf

SHARDS = [shaky.shard(seed, pairs=5) for seed in range(4)]
ONE = len(SHARDS[0])


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(remote, "WAITS", (0.0, 0.0))
    with shaky.shaky(monkeypatch) as server:
        for i, data in enumerate(SHARDS):
            server.put(f"{i}.tar", data)
        yield server


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "kept"


def source(server, kept, room=100.0, pattern="{0..3}.tar"):
    return WebDataset(f"{server.url}/{pattern}", keep=str(kept), keep_gb=room * ONE / 1e9)


def read(one, *numbers):
    shards = one.shards()
    return [record for i in numbers or range(len(shards)) for record in one.read(shards[i])]


def copies(folder):
    return sorted(folder.glob("*.shard"))


@pytest.mark.parametrize("ending", ["tar", "tgz"])
def test_the_second_pass_reads_from_the_disk(server, kept, ending):
    import gzip

    server.put("a.tgz", gzip.compress(SHARDS[0], 1))
    pattern = "0.tar" if ending == "tar" else "a.tgz"
    first = source(server, kept, pattern=pattern)
    records = read(first)
    assert len(records) == 5
    assert [len(server.asked), len(copies(kept))] == [1, 1]
    again = source(server, kept, pattern=pattern)
    assert read(again) == records == read(first)
    assert again.count(again.shards()[0]) == 5
    assert len(server.asked) == 1


def test_counting_keeps_too_and_changes_no_fingerprint(server, kept):
    one = source(server, kept)
    assert [one.count(shard) for shard in one.shards()] == [5] * 4
    assert read(one) == read(WebDataset(f"{server.url}/{{0..3}}.tar"))
    assert len(server.asked) == 8  # four to count and keep, four without the folder
    shard = one.shards()[0]
    assert one.fingerprint(shard) == WebDataset(f"{server.url}/{{0..3}}.tar").fingerprint(shard)


def test_a_shard_that_broke_is_kept_whole(server, kept):
    server.troubles.append(("cut", 500_000))
    assert read(source(server, kept), 0) == read(source(server, kept), 0)
    assert len(server.asked) == 2
    assert copies(kept)[0].read_bytes() == SHARDS[0]


def test_a_changed_shard_is_read_anew(server, kept):
    read(source(server, kept), 0)
    server.put("0.tar", SHARDS[1], "two")
    assert read(source(server, kept), 0)[0].image == read(source(server, kept), 1)[0].image
    assert len(server.asked) == 3


def test_a_shard_that_changes_while_it_is_copied_is_not_kept(server, kept):
    one = source(server, kept)
    stream = one.read(one.shards()[0])
    next(stream)
    server.tags["0.tar"] = "two"
    assert len(list(stream)) == 4
    assert copies(kept) == []
    assert list(kept.glob("*.part")) == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-1], id="short"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: bytes(len(data)), id="zeros"),
        pytest.param(lambda data: data[:600_000] + bytes([data[600_000] ^ 1]) + data[600_001:], id="one bit"),
    ],
)
def test_a_damaged_copy_is_never_believed(server, kept, damage):
    records = read(source(server, kept), 0)
    (copy,) = copies(kept)
    copy.write_bytes(damage(copy.read_bytes()))
    assert read(source(server, kept), 0) == records
    assert len(server.asked) == 2
    assert copies(kept) == [copy]
    assert copy.read_bytes() == SHARDS[0]


def test_the_least_recently_used_make_room_and_strangers_stay(server, kept):
    kept.mkdir()
    for name in ("mine.shard", "a.part", "notes.txt"):
        (kept / name).write_bytes(bytes(5 * ONE))
    one = source(server, kept, room=2.5)
    ours = {}
    for i in (0, 1):
        before = set(copies(kept))
        read(one, i)
        (ours[i],) = set(copies(kept)) - before
        os.utime(ours[i], (i + 1, i + 1))
    read(one, 0)  # used: now it is 1 that was used longest ago
    read(one, 2)
    assert ours[0].exists()
    assert not ours[1].exists()
    assert len(copies(kept)) == 2 + 1
    assert {path.name for path in kept.iterdir()} >= {"mine.shard", "a.part", "notes.txt"}


def test_a_shard_above_the_bound_is_read_and_not_kept_and_nothing_makes_room_for_it(server, kept, capfd):
    server.put("big.tar", shaky.shard(7, pairs=20))
    read(source(server, kept, room=2), 0, 1)
    big = source(server, kept, room=2, pattern="big.tar")
    assert len(read(big)) == len(read(big)) == 20
    assert len(copies(kept)) == 2
    assert capfd.readouterr().err.count("is not kept") == 1


def test_reading_that_is_given_up_leaves_nothing(server, kept):
    one = source(server, kept)
    stream = one.read(one.shards()[0])
    next(stream)
    assert len(list(kept.glob("*.part"))) == 1
    stream.close()
    assert [path.name for path in kept.iterdir()] == [".lock"]


def test_what_a_kill_left_counts_until_it_is_stale(server, kept, capfd):
    read(source(server, kept, room=1.5), 0)
    left = kept / f"{'0' * 32}.killed.part"
    left.write_bytes(bytes(ONE))
    (kept / copies(kept)[0]).unlink()
    assert len(read(source(server, kept, room=1.5), 1)) == 5
    assert copies(kept) == []  # whoever writes it may live
    assert "is not kept" in capfd.readouterr().err
    os.utime(left, (time.time() - 2 * shelf.STALE,) * 2)
    read(source(server, kept, room=1.5), 1)
    assert len(copies(kept)) == 1
    assert not left.exists()


def test_a_truncated_shard_is_not_kept(server, kept):
    url = server.put("cut.tar", SHARDS[0][:-300_000])
    found = read(WebDataset(url, keep=str(kept)))
    assert found[-1] == Rejected("cut", "truncated tar")
    assert copies(kept) == []


def test_a_full_disk_only_means_no_copies_and_is_said_once(server, kept, capfd, monkeypatch):
    kept.mkdir()
    monkeypatch.setattr(shelf.tempfile, "mkstemp", lambda **_: (os.open("/dev/full", os.O_WRONLY), str(kept / "x")))
    monkeypatch.setattr(shelf.os, "truncate", lambda *_: None)  # a device has no length
    one = source(server, kept)
    assert read(one) == read(WebDataset(f"{server.url}/{{0..3}}.tar"))
    assert capfd.readouterr().err == f"lmia: Shards are not kept in {kept}: No space left on device.\n"
    assert [path.name for path in kept.iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_made_only_means_no_copies(server, kept, capfd):
    kept.write_text("a file")
    one = source(server, kept / "inside")
    assert len(read(one)) == 20
    assert capfd.readouterr().err.count("lmia: Shards are not kept in") == 1


@pytest.mark.parametrize("lacks", ["sized", "tagged"])
def test_what_cannot_be_told_from_its_next_version_is_not_kept(server, kept, capfd, lacks):
    setattr(server, lacks, False)
    one = source(server, kept)
    assert len(read(one)) == 20
    assert not kept.exists()
    assert "is not kept: its server names no size, or neither a date nor a tag" in capfd.readouterr().err


def test_a_process_forked_while_room_is_made_does_not_hold_the_folder(kept):
    fork = multiprocessing.get_context("fork")
    end = fork.Event()
    child = fork.Process(target=end.wait)
    with shelf.Shelf(kept, 0).alone():
        child.start()
    try:
        with (kept / ".lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        end.set()
        child.join()


@pytest.mark.parametrize("room", [0, -1, float("nan")])
def test_room_for_nothing_is_an_error(room):
    with pytest.raises(LmiaError, match="keeps nothing"):
        WebDataset("0.tar", keep="kept", keep_gb=room)


def _reader(one, start, found):
    start.wait()
    found.put([[record.image for record in read(one)] for _ in range(3)])


def test_two_processes_at_once_read_the_same_and_hold_the_bound(server, kept):
    fork = multiprocessing.get_context("fork")
    start, found = fork.Barrier(2), fork.Queue()
    both = [fork.Process(target=_reader, args=(source(server, kept, room=2.5), start, found)) for _ in range(2)]
    most, over, bound = [], threading.Event(), shelf.Shelf(kept, 0)

    def watch():
        while not over.is_set():
            with bound.alone():
                most.append(sum(stat.st_size for path in kept.glob("*.*") if (stat := shelf._stat(path))))
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for process in both:
            process.start()
        passes = [one for _ in both for one in found.get(timeout=60)]
        for process in both:
            process.join(60)
    finally:
        over.set()
        watcher.join()
        for process in both:
            process.kill()
    assert [process.exitcode for process in both] == [0, 0]
    images = [record.image for record in read(WebDataset(f"{server.url}/{{0..3}}.tar"))]
    assert passes == [images] * 6
    assert ONE <= max(most) <= 2.5 * ONE
    assert list(kept.glob("*.part")) == []


def test_another_ones_lock_is_not_emptied(tmp_path):
    (tmp_path / ".lock").write_text("mine")
    with shelf.Shelf(tmp_path, 1).alone():
        pass
    assert (tmp_path / ".lock").read_text() == "mine"
