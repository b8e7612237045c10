"""Remote shards over a network that fails: the records of the local file, or a sentence; never something between."""

import gzip
import io
import os

import aiohttp
import fsspec
import pytest

import shaky
from lmia import LmiaError, Pair, Rejected
from lmia_webdataset import WebDataset, remote

WHOLE = shaky.shard(size=400_000)  # of a connection that breaks, three quarters of a megabyte may be lost in buffers
OTHER = shaky.shard(1, size=400_000)
WAITS = remote.WAITS


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(remote, "WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(remote, "TIMEOUT", aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=0.4))
    with shaky.shaky(monkeypatch) as server:
        yield server


@pytest.fixture
def waited(monkeypatch):
    """The waits, which are not waited for."""
    waits = []
    monkeypatch.setattr(remote.time, "sleep", waits.append)
    return waits


def records(url):
    source = WebDataset(str(url))
    return list(source.read(source.shards()[0]))


def local(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    return records(tmp_path / name)


@pytest.mark.parametrize("ending", ["tar", "tgz"])
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(
    "troubles",
    [
        pytest.param([("cut", 1_500_000)], id="cut"),
        pytest.param([("cut", 1_500_000), ("cut", 1_600_000), ("cut", 0)], id="cut thrice"),
        pytest.param([("short", 1_500_000)], id="ends early as if all were well"),
        pytest.param([("short", 0)], id="nothing as if all were well"),
        pytest.param([("stall", 1_500_000)], id="stall"),
        pytest.param([("cut", 1_500_000), 503, 429], id="cut, then busy"),
        pytest.param([("cut", 4_780_000)], id="cut near the end"),
    ],
)
def test_what_breaks_off_goes_on_with_the_records_of_the_local_file(server, tmp_path, troubles, ranges, ending):
    data = gzip.compress(WHOLE, 1, mtime=0) if ending == "tgz" else WHOLE
    server.ranges = ranges
    url = server.put(f"0.{ending}", data)
    server.troubles.extend(troubles)
    found = records(url)
    assert found == local(tmp_path, f"0.{ending}", data)
    assert len(found) == 12
    assert not server.troubles
    began = [int(asked[6:-1]) for asked in server.asked if asked]
    assert bool(began) == any(count for trouble in troubles if isinstance(trouble, tuple) for count in trouble[1:])
    assert began == sorted(began)


def test_the_first_question_may_meet_a_busy_server(server, tmp_path):
    url = server.put("0.tar", WHOLE)
    before = WebDataset(url).fingerprint(url)
    server.troubles.extend([503, 503, 500])  # HEAD, the GET that fsspec asks instead, HEAD
    assert WebDataset(url).fingerprint(url) == before
    assert not server.troubles
    server.troubles.extend([503, 503])
    assert records(url) == local(tmp_path, "0.tar", WHOLE)


def test_a_tar_that_is_truncated_on_the_server_is_told_from_one_that_the_network_cut(server):
    cut = WHOLE[:1_000_000]
    found = records(server.put("0.tar", cut))
    assert found[-1] == Rejected("0", "truncated tar")
    assert server.asked == [None]  # it is as long as was promised: nothing is asked for again


@pytest.mark.parametrize("trouble", [("cut", 0), ("short", 0), ("cut", 1000), 503])
def test_a_server_that_fails_for_good_is_an_error_with_the_attempts(server, trouble):
    url = server.put("0.tar", WHOLE)
    source = WebDataset(url)
    shard = source.shards()[0]
    server.troubles.extend([trouble] * 99)
    with pytest.raises(LmiaError, match=r"0\.tar' cannot be read: .* \(4 attempts\)") as error:
        list(source.read(shard))
    assert error.value.remedy.endswith("run again: finished shards are kept.")
    assert len(server.asked) == 4


def test_a_long_shard_may_break_more_often_than_there_are_attempts(server, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "ENOUGH", 50_000)
    server.troubles.extend([("cut", 1_100_000)] * 4)
    assert len(server.troubles) > len(remote.WAITS)
    assert records(server.put("0.tar", WHOLE)) == local(tmp_path, "0.tar", WHOLE)
    assert not server.troubles


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_will_not_change_is_not_asked_for_again(server, waited, status):
    url = server.put("0.tar", WHOLE)
    server.troubles.extend([status] * 9)
    with pytest.raises(LmiaError, match=rf"0\.tar' cannot be read: {status}, "):
        WebDataset(url).fingerprint(url)
    with pytest.raises(LmiaError, match=r"0\.tar' cannot be read: "):
        records(url)
    assert waited == []
    assert len(server.asked) == 2


def test_a_shard_that_is_removed_while_it_is_read_is_an_error(server):
    url = server.put("0.tar", WHOLE)
    server.troubles.extend([("cut", 1_500_000), 404])
    with pytest.raises(LmiaError, match=r"0\.tar' cannot be read"):
        records(url)


@pytest.mark.parametrize(("data", "tag"), [(OTHER, "two"), (OTHER[:-10240], "one"), (WHOLE + bytes(512), "one")])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_shard_that_changes_meanwhile_is_an_error_not_a_mixture(server, data, tag, ranges):
    server.ranges = ranges
    url = server.put("0.tar", WHOLE)
    server.troubles.extend([("cut", 1_500_000), lambda: server.put("0.tar", data, tag)])
    stream, read = WebDataset(url).read(url), []
    with pytest.raises(LmiaError, match=r"0\.tar' changed on its server while it was read"):
        read.extend(stream)
    assert all(record.image in WHOLE for record in read)


def test_a_shard_that_changed_since_it_was_listed_is_an_error(server):
    """Its features would be kept under the old one's name."""
    url = server.put("0.tar", WHOLE)
    source = WebDataset(url)
    source.fingerprint(url)
    assert len(list(source.read(url))) == 12
    server.put("0.tar", OTHER, "two")
    with pytest.raises(LmiaError, match=r"0\.tar' changed on its server since it was listed"):
        list(source.read(url))
    assert len(records(url)) == 12


def test_an_answer_that_does_not_say_where_it_begins_is_not_believed(server):
    server.placed = False
    url = server.put("0.tar", WHOLE)
    server.troubles.extend([("cut", 1_500_000)])
    with pytest.raises(LmiaError, match=r"the server does not say where its answer begins \(4 attempts\)"):
        records(url)


@pytest.mark.parametrize("size", [5, len(WHOLE) - 512])
def test_an_answer_of_another_size_than_was_said_is_an_error(server, monkeypatch, size):
    url = server.put("0.tar", WHOLE)
    said = remote.server_facts(url)
    other = sorted({**dict(said), "size": str(size)}.items())
    monkeypatch.setattr(remote, "server_facts", lambda *_, **__: other)
    with pytest.raises(LmiaError, match=rf"the server offers {len(WHOLE):,} bytes, where it had said {size:,}"):
        records(url)


@pytest.mark.parametrize("trouble", [[], [("cut", 1_500_000)]])
def test_a_packed_shard_that_is_called_packed_on_the_way_is_unpacked_once(server, tmp_path, trouble):
    data = gzip.compress(WHOLE, 1, mtime=0)
    server.packs = True
    server.troubles.extend(trouble)
    assert records(server.put("0.tgz", data)) == local(tmp_path, "0.tgz", data)


def folder(server, name, *inside):
    return server.put(name, "".join(f'<a href="{one}">{one}</a>' for one in inside).encode())


def listed(pattern):
    try:
        return WebDataset(pattern).shards()
    except LmiaError as error:
        return error.problem


@pytest.mark.parametrize("pattern", ["*.tar", "*/*.tar", "**/*.tar"])
@pytest.mark.parametrize("trouble", [("stall", 0), 503, ("cut", 0)])
@pytest.mark.parametrize("good", [0, 1, 2])
def test_a_folder_that_cannot_be_listed_is_asked_for_again_and_not_left_out(server, pattern, trouble, good):
    root = folder(server, "d", "a/", "b/", "9.tar")
    for name in ("a", "b"):
        folder(server, f"d/{name}", "0.tar")
        server.put(f"d/{name}/0.tar", WHOLE)
    server.put("d/9.tar", WHOLE)
    whole = WebDataset(f"{root}/{pattern}").shards()
    assert len(whole) == {"*.tar": 1, "*/*.tar": 2, "**/*.tar": 3}[pattern]
    server.troubles.extend([("whole", 10**6)] * good + [trouble])
    fsspec.filesystem("http").clear_instance_cache()
    assert WebDataset(f"{root}/{pattern}").shards() == whole
    server.troubles.clear()
    server.troubles.extend([("whole", 10**6)] * good + [trouble] * 9)
    fsspec.filesystem("http").clear_instance_cache()
    found = listed(f"{root}/{pattern}")
    assert found == whole or "(4 attempts)" in found  # whole where it did not have to ask so often


def test_waits_grow_and_a_busy_server_may_ask_for_longer_ones(server, waited, monkeypatch):
    monkeypatch.setattr(remote, "WAITS", WAITS)
    url = server.put("0.tar", WHOLE)
    source = WebDataset(url)
    shard = source.shards()[0]
    server.troubles.extend([("cut", 0)] * 9)
    with pytest.raises(LmiaError, match=r"\(6 attempts\)"):
        list(source.read(shard))
    assert waited == [1, 2, 4, 8, 16]
    for said, least in (("7", 7), ("9999", 300), ("Fri, 01 Jan 2027 00:00:00 GMT", 1), ("-5", 1)):
        server.retry_after = said
        server.troubles.clear()
        server.troubles.extend([429, 429])  # HEAD, and the GET that fsspec asks instead
        source.fingerprint(shard)
        assert waited.pop() == least


def test_a_server_that_says_no_size_is_read_as_far_as_it_answers(server, tmp_path):
    server.sized = False
    assert records(server.put("0.tar", WHOLE)) == local(tmp_path, "0.tar", WHOLE)


def test_nothing_of_an_answer_is_packed_on_the_way(server):
    records(server.put("0.tar", WHOLE))
    assert server.encodings == {"identity"}


class Breaking(io.BytesIO):
    """A file of fsspec that breaks once at a byte."""

    def __init__(self, data, breaks, seekable=True):
        super().__init__(data)
        self.breaks, self.can_seek = breaks, seekable

    def seekable(self):
        return self.can_seek

    def seek(self, *to):
        assert self.can_seek
        return super().seek(*to)

    def read(self, size=-1):
        if self.breaks and self.tell() + size > self.breaks[0]:
            self.breaks.pop(0)
            raise OSError("Input/output error")
        return super().read(size)


@pytest.mark.parametrize("seekable", [True, False])
def test_a_file_of_fsspec_goes_on_where_it_broke(tmp_path, monkeypatch, seekable):
    monkeypatch.setattr(remote, "WAITS", (0.0, 0.0, 0.0))
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/broken/0.tar", WHOLE)
    breaks = [300_000, 300_000, 1_500_000]
    monkeypatch.setattr(type(memory), "_open", lambda *_, **__: Breaking(WHOLE, breaks, seekable))
    assert records("memory://broken/0.tar") == local(tmp_path, "0.tar", WHOLE)
    assert breaks == []


def test_a_file_of_fsspec_that_changes_meanwhile_is_an_error(monkeypatch):
    monkeypatch.setattr(remote, "WAITS", (0.0,))
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/changed/0.tar", WHOLE)
    opened = type(memory)._open
    given = [Breaking(WHOLE, [1_500_000])]
    monkeypatch.setattr(type(memory), "_open", lambda *a, **k: given.pop() if given else opened(*a, **k))
    stream = WebDataset("memory://changed/0.tar").read("memory://changed/0.tar")
    assert isinstance(next(stream), Pair)
    memory.pipe_file("/changed/0.tar", OTHER)
    with pytest.raises(LmiaError, match="changed on its server"):
        list(stream)


def test_a_missing_file_of_fsspec_is_said_at_once(waited, monkeypatch):
    memory = fsspec.filesystem("memory")

    def missing(*_, **__):
        raise FileNotFoundError("no such file") from OSError("asked far away")

    monkeypatch.setattr(type(memory), "info", missing)
    with pytest.raises(LmiaError, match="no such file"):
        WebDataset("memory://gone/0.tar").fingerprint("memory://gone/0.tar")
    assert waited == []


def test_a_folder_of_fsspec_that_cannot_be_listed_is_an_error(tmp_path, waited, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.tar").write_bytes(WHOLE)
    assert len(WebDataset(f"local://{tmp_path}/*/*.tar").shards()) == 2
    local = type(fsspec.filesystem("local"))
    listed = local.ls

    def broken(self, path, *args, **kwargs):
        if path.rstrip("/").endswith("/b"):
            raise PermissionError("not yours")
        return listed(self, path, *args, **kwargs)

    monkeypatch.setattr(local, "ls", broken)
    with pytest.raises(LmiaError, match=r"\*/\*\.tar' cannot be read: not yours"):
        WebDataset(f"local://{tmp_path}/*/*.tar").shards()
    assert waited == []


def test_a_listing_may_say_less_than_the_file_and_write_times_otherwise(monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/said/0.tar", WHOLE)
    said = {"size": len(WHOLE), "etag": "one", "mtime": "2026-01-01T00:00:00.123Z"}
    monkeypatch.setattr(type(memory), "info", lambda *_, **__: said)
    source = WebDataset("memory://said/0.tar")
    source.fingerprint("memory://said/0.tar")
    said |= {"mtime": "2026-01-01T00:00:00Z", "md5": "of the file alone"}
    assert len(list(source.read("memory://said/0.tar"))) == 12
    said["etag"] = "two"
    with pytest.raises(LmiaError, match="changed on its server since it was listed"):
        list(source.read("memory://said/0.tar"))


def test_a_fingerprint_follows_a_file_of_fsspec_that_keeps_its_size():
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/same/0.tar", os.urandom(100))
    before = WebDataset("memory://same/0.tar").fingerprint("memory://same/0.tar")
    memory.pipe_file("/same/0.tar", os.urandom(100))
    assert WebDataset("memory://same/0.tar").fingerprint("memory://same/0.tar") != before
