import gzip
import io
import json
import os
import pickle
import tarfile
import threading
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmia import LmiaError, Pair, Rejected
from lmia.source import MAX_KEY
from lmia_webdataset import IMAGE_BYTES, WebDataset
from lmia_webdataset import tar as webdataset_tar
from lmia_webdataset.address import open_shard
from lmia_webdataset.tar import Tar
from memory import at_most


def member(name, data=b"", kind=tarfile.REGTYPE, **facts):
    info = tarfile.TarInfo(name)
    info.size, info.type = len(data), kind
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info, data


def tar_bytes(*members, fmt=tarfile.PAX_FORMAT):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=fmt) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def sample(key, image=b"JPEG", text=b"a dot", about=None):
    files = [(f"{key}.jpg", image), (f"{key}.txt", text), (f"{key}.json", about and json.dumps(about).encode())]
    return [member(name, data) for name, data in files if data is not None]


def write(path, *members):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tar_bytes(*members))
    return str(path)


def read(path, **options):
    source = WebDataset(str(path), **options)
    return [record for shard in source.shards() for record in source.read(shard)]


def read_lazily(path):
    return WebDataset(str(path)).read(str(path))


def reasons(records):
    return [record.reason for record in records if isinstance(record, Rejected)]


def test_a_sample_is_a_pair_with_caption_from_text_then_json(tmp_path):
    path = write(
        tmp_path / "00000.tar",
        *sample("000", b"A", "ein Füllhorn\n".encode(), {"caption": "other", "url": "https://host/a"}),
        *sample("001", b"B", None, {"caption": "from json", "url": None}),
    )
    assert read(path) == [
        Pair("00000/000", "ein Füllhorn", b"A", "https://host/a"),
        Pair("00000/001", "from json", b"B", None),
    ]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (sample("a", None), "no image"),
        (sample("a", text=None), "no caption"),
        (sample("a", text=None, about={"caption": None, "url": "u"}), "no caption"),
        (sample("a", text=None, about={"caption": 7}), "caption is not text"),
        (sample("a", text=b"\xff\xfe"), "caption is not UTF-8"),
        ([*sample("a"), member("a.json", b"{broken")], "unreadable json"),
        ([*sample("a"), member("a.json", b"[1]")], "unreadable json"),
        ([*sample("a"), member("a.json", b"[" * 100_000)], "unreadable json"),
        ([member("a.jpg", kind=tarfile.SYMTYPE, linkname="/etc/passwd"), member("a.txt", b"t")], "not a regular file"),
        ([member("a.jpg", kind=tarfile.LNKTYPE, linkname="../b.jpg"), member("a.txt", b"t")], "not a regular file"),
        ([member("a.jpg", kind=tarfile.CHRTYPE, devmajor=1, devminor=3), member("a.txt", b"t")], "not a regular file"),
        ([member("a.jpg", kind=tarfile.FIFOTYPE), member("a.txt", b"t")], "not a regular file"),
        ([member("README", b"hello")], "not named KEY.ENDING"),
    ],
)
def test_what_is_no_pair_is_rejected_by_its_reason(tmp_path, members, reason):
    path = write(tmp_path / "x.tar", *sample("good"), *members, *sample("last"))
    records = read(path)
    assert reasons(records) == [reason]
    assert [record.key for record in records if isinstance(record, Pair)] == ["x/good", "x/last"]
    assert WebDataset(path).count(path) == 3


def test_webdatasets_notes_are_counted(tmp_path):
    notes = [file for i in range(3) for file in sample(f"__images__/{i}")]
    path = write(tmp_path / "x.tar", *notes, *sample("good"), member("__info__", b"hello"))
    assert reasons(read(path)) == ["name reserved by webdataset"] * 7
    assert [record.key for record in read(path)][:2] == ["x/__images__/0.jpg", "x/__images__/0.txt"]
    assert WebDataset(path).count(path) == len(read(path)) == 8


def test_what_is_no_samples_does_not_part_one(tmp_path):
    picture, text = sample("a")
    path = write(tmp_path / "x.tar", picture, member("README"), member("__n__/a.txt"), text, member("b.txt"))
    assert sorted(reasons(read(path))) == ["name reserved by webdataset", "no image", "not named KEY.ENDING"]
    assert Pair("x/a", "a dot", b"JPEG") in read(path)
    assert WebDataset(path).count(path) == 4


def packed(path, *members):
    path.write_bytes(gzip.compress(tar_bytes(*members), 1))
    return path


@pytest.mark.parametrize("ending", ["", ".jpg"])
def test_long_names_are_not_held(tmp_path, ending):
    path = packed(tmp_path / "x.tgz", *(member("x" * 13_000 + f"{i}{ending}") for i in range(2000)))
    with at_most(4 << 20):  # of 26
        assert sum(len(record.key) == MAX_KEY for record in read_lazily(path)) == 2000


def test_long_keys_of_pairs_are_not_held(tmp_path):
    path = packed(tmp_path / "x.tgz", *(file for i in range(1000) for file in sample("x" * 13_000 + f"{i}")))
    with at_most(4 << 20):  # of 13
        assert sum(isinstance(record, Pair) for record in read_lazily(path)) == 1000


def test_a_file_that_comes_a_thousand_times_is_one_duplicate(tmp_path):
    path = write(tmp_path / "x.tar", *sample("a"), *[member("a.jpg", b"2")] * 1000, *sample("b"))
    assert [type(record) for record in read(path)] == [Pair, Rejected, Pair]
    assert reasons(read(path)) == ["duplicate key"]
    assert WebDataset(path).count(path) == 3


def test_a_key_that_comes_twice_is_read_once(tmp_path):
    apart = write(tmp_path / "x.tar", *sample("a"), *sample("b"), *sample("a", b"other"))
    assert [type(record) for record in read(apart)] == [Pair, Pair, Rejected]
    beside = write(tmp_path / "y.tar", *sample("a", b"1"), *sample("a", b"2"))
    assert read(beside) == [Pair("y/a", "a dot", b"1"), Rejected("y/a", "duplicate key")]


def test_image_keys_are_taken_in_order_and_without_case(tmp_path):
    path = write(tmp_path / "x.tar", member("a.PNG", b"png"), member("a.JPG", b"jpg"), member("a.cap", b"text"))
    assert read(path, text_key="cap") == [Pair("x/a", "text", b"jpg")]
    assert read(path, text_key="cap", image_key="png;jpg")[0].image == b"png"


def test_hostile_names_touch_no_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "x.tar", *sample("/abs/evil"), *sample("../../up"), *sample("./plain"))
    before = sorted(tmp_path.iterdir())
    assert [record.key for record in read(path)] == ["x//abs/evil", "x/../../up", "x/./plain"]
    assert sorted(tmp_path.iterdir()) == before


def test_a_giant_member_is_passed_over(tmp_path):
    info, _ = member("a.jpg")
    info.size = IMAGE_BYTES + 1
    blocks = -(-info.size // 512) * 512
    path = tmp_path / "x.tar"
    with path.open("wb") as file:
        file.write(info.tobuf())
        file.seek(blocks, os.SEEK_CUR)  # a hole: nothing is written
        file.write(tar_bytes(member("a.txt", b"t"), *sample("b")))
    assert [type(record) for record in read(path)] == [Rejected, Pair]
    assert reasons(read(path)) == ["file too large"]


def test_pictures_of_one_sample_are_held_within_the_bound_of_one(tmp_path):
    members = [member(f"a.{ending}", bytes(600)) for ending in ("bmp", "gif", "tiff", "png")]
    (tmp_path / "x.tar").write_bytes(tar_bytes(*members, member("a.txt", b"a dot")))
    with (tmp_path / "x.tar").open("rb") as file:
        [found] = Tar(file, "x.tar", dict.fromkeys(("bmp", "gif", "tiff", "png"), 1500) | {"txt": 20})
    assert [len(data) if isinstance(data, bytes) else data.reason for data in found.files.values()] == [
        600,
        600,
        "file too large",
        "file too large",
        5,
    ]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_without_end_is_not_read_into_memory(tmp_path, kind, packed):
    data = tar_bytes(*sample("a"))[: 512 * 4]
    data += member("x", bytes(64 << 20), kind)[0].tobuf(format=tarfile.USTAR_FORMAT) + bytes(64 << 20)
    path = tmp_path / ("x.tgz" if packed else "x.tar")
    path.write_bytes(gzip.compress(data, 1) if packed else data)
    records = read(path)
    assert [record.key for record in records] == ["x/a", "x"]
    assert reasons(records) == ["damaged tar"]


@pytest.mark.parametrize("size", [-10240, -1536])  # to before the file, and to the header of a.txt
def test_a_member_of_negative_size_does_not_loop(tmp_path, size):
    info, _ = member("b.jpg", size=size)
    (tmp_path / "x.tar").write_bytes(tar_bytes(*sample("a"))[:2048] + info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert reasons(islice(read_lazily(tmp_path / "x.tar"), 9))[-1] == "damaged tar"


@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_tar_gives_what_can_be_read_and_says_so(tmp_path, packed):
    whole = tar_bytes(*sample("a"), *sample("b", os.urandom(4000)))
    cut = 4 * 512 + 512 + 1000  # inside the second image
    path = tmp_path / ("x.tar.gz" if packed else "x.tar")
    path.write_bytes(gzip.compress(whole)[:-2500] if packed else whole[:cut])
    records = read(path)
    assert records[0] == Pair("x/a", "a dot", b"JPEG")
    assert records[-1] == Rejected("x", "truncated tar")
    assert set(reasons(records)) == {"truncated tar"}
    assert WebDataset(str(path)).count(str(path)) == len(records)


def test_a_damaged_header_is_no_silent_end(tmp_path):
    data = bytearray(tar_bytes(*sample("a"), *sample("b"), *sample("c")))
    data[4 * 512] ^= 0xFF  # the first byte of the second sample's first header
    (tmp_path / "x.tar").write_bytes(data)
    assert read(tmp_path / "x.tar") == [Pair("x/a", "a dot", b"JPEG"), Rejected("x", "damaged tar")]


@pytest.mark.parametrize("packed", [False, True])
def test_a_hole_of_zeros_is_no_silent_end(tmp_path, packed):
    data = bytearray(tar_bytes(*sample("a"), *sample("b"), *sample("c")))
    data[4 * 512 : 5 * 512] = bytes(512)  # where a download left out a block
    path = tmp_path / ("x.tgz" if packed else "x.tar")
    path.write_bytes(gzip.compress(data) if packed else data)
    assert read(path) == [Pair("x/a", "a dot", b"JPEG"), Rejected("x", "damaged tar")]


def test_two_tars_in_one_file_are_no_silent_end(tmp_path):
    (tmp_path / "x.tar").write_bytes(tar_bytes(*sample("a")) + tar_bytes(*sample("b")))
    assert read(tmp_path / "x.tar") == [Pair("x/a", "a dot", b"JPEG"), Rejected("x", "damaged tar")]


def test_zeros_without_end_are_no_padding():
    class Endless(io.BytesIO):
        def read(self, size=-1):
            return super().read(size) or bytes(size)

    tar = Tar(Endless(tar_bytes(*sample("a"))), "x.tar", {"jpg": 9, "txt": 9}, headers_only=False)
    assert [one.key for one in tar] == ["a"]
    assert tar.fault == "damaged tar"


@pytest.mark.parametrize(("mebibytes", "found"), [(2, []), (4, ["damaged tar"])])
def test_padding_may_be_as_long_as_it_is_allowed(tmp_path, monkeypatch, mebibytes, found):
    monkeypatch.setattr(webdataset_tar, "PADDING", 3 << 20)
    (tmp_path / "x.tar").write_bytes(tar_bytes(*sample("a")) + bytes(mebibytes << 20))
    assert reasons(read(tmp_path / "x.tar")) == found


@pytest.mark.parametrize(("cut", "fault"), [(None, "damaged tar"), (-3, "truncated tar")])
def test_gzips_checksum_is_read(tmp_path, cut, fault):
    packed = bytearray(gzip.compress(tar_bytes(*sample("a"))))
    packed[-8] ^= 1
    (tmp_path / "x.tgz").write_bytes(packed[:cut])
    assert read(tmp_path / "x.tgz") == [Pair("x/a", "a dot", b"JPEG"), Rejected("x", fault)]


def test_a_tar_without_its_end_marks_and_an_empty_one(tmp_path):
    (tmp_path / "x.tar").write_bytes(tar_bytes(*sample("a"))[: 4 * 512])
    assert reasons(read(tmp_path / "x.tar")) == ["truncated tar"]
    (tmp_path / "y.tar").write_bytes(b"")
    assert read(tmp_path / "y.tar") == [Rejected("y", "truncated tar")]
    write(tmp_path / "z.tar")
    assert read(tmp_path / "z.tar") == []


WHOLE = tar_bytes(*sample("a"), *sample("b", b"x" * 700, None, {"caption": "c"}), *sample("c" * 150), *sample("d"))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_fuzzed_tars_raise_nothing_and_lose_nothing(tmp_path_factory, data):
    body = bytearray(WHOLE[: data.draw(st.integers(0, len(WHOLE)))])
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 255)), max_size=4)):
        if at < len(body):
            body[at] = value
    packed = data.draw(st.booleans())
    path = tmp_path_factory.mktemp("fuzz") / ("x.tgz" if packed else "x.tar")
    path.write_bytes(gzip.compress(bytes(body))[: data.draw(st.integers(1, 4000))] if packed else body)
    source = WebDataset(str(path))
    records = list(source.read(str(path)))
    assert source.count(str(path)) == len(records)
    keys = [record.key for record in records if isinstance(record, Pair)]
    assert len(keys) == len(set(keys))
    assert all(isinstance(record, Pair | Rejected) for record in records)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000))
def test_bytes_that_are_no_tar(tmp_path_factory, body):
    path = tmp_path_factory.mktemp("fuzz") / "x.tar"
    path.write_bytes(body)
    assert all(isinstance(record, Rejected) for record in read(path))


def test_braces_joins_globs_and_lists(tmp_path):
    for name in ("a/000", "a/001", "b/000", "b/007"):
        write(tmp_path / f"{name}.tar", *sample(name[-1]))
    a, b = [str(tmp_path / f"a/00{i}.tar") for i in range(2)], [str(tmp_path / f"b/00{i}.tar") for i in (0, 7)]
    assert WebDataset(f"{tmp_path}/a/{{000..001}}.tar").shards() == a
    assert WebDataset(f"{tmp_path}/a/{{000..001}}.tar::{tmp_path}/b/*.tar").shards() == a + b
    assert WebDataset([f"{tmp_path}/b/00{{0,7}}.tar", f"{tmp_path}/a/*.tar"]).shards() == b + a
    assert WebDataset(f"file://{a[0]}").shards() == a[:1]


def test_shards_of_one_name_keep_their_keys_apart(tmp_path):
    for folder in "ab":
        write(tmp_path / folder / "0.tar", *sample("k"))
    assert [record.key for record in read(tmp_path / "{a,b}/0.tar")] == ["a/0/k", "b/0/k"]


@pytest.mark.parametrize(
    ("urls", "words"),
    [
        ("{folder}/no*.tar", "No shard matches '{folder}/no*.tar'"),
        ("{folder}/{{0..2}}.tar", "'{folder}/1.tar' is not a file (2 of 3"),
        ("{folder}/{{0..2.tar", "cannot be expanded"),
        ("{folder}/${{NO_SUCH}}.tar", "cannot be expanded"),
        ("{folder}/0.tar::{folder}/*.tar", "'{folder}/0.tar' is named 2 times"),
        ("{folder}", "is not a file"),
        ("", "is not a file"),
        ([], "No shard is named"),
        ("nosuch://host/a.tar", "'nosuch://host/a.tar' cannot be opened"),
        ("pipe:touch {folder}/ran::{folder}/0.tar", "would run a shell command"),
        (["{{pipe:touch {folder}/ran,x}}.tar"], "would run a shell command"),
    ],
)
def test_a_bad_pattern_is_named(tmp_path, urls, words):
    write(tmp_path / "0.tar", *sample("a"))
    filled = [u.format(folder=tmp_path) for u in urls] if isinstance(urls, list) else urls.format(folder=tmp_path)
    source = WebDataset(filled)
    with pytest.raises(LmiaError) as error:
        source.fingerprint(source.shards()[0])
    assert words.format(folder=tmp_path) in error.value.problem
    assert error.value.remedy
    assert not (tmp_path / "ran").exists()


def test_pipes_run_when_allowed_and_only_shards_are_read(tmp_path):
    path = write(tmp_path / "0.tar", *sample("a"))
    assert [record.caption for record in read(f"pipe:cat {path}", allow_pipe=True)] == ["a dot"]
    with pytest.raises(LmiaError, match="cannot be read"):
        read("pipe:cat /no/such/file", allow_pipe=True)
    with pytest.raises(LmiaError, match="is not a shard"):
        next(WebDataset(path).read("pipe:touch ran"))


COMMAND = "pipe:touch ran; echo .tar"


@pytest.mark.parametrize("allow_pipe", [False, True])
@pytest.mark.parametrize("urls", ["*.tar", "**/*.tar", f"file://{COMMAND}"])
def test_no_files_name_is_a_command(tmp_path, monkeypatch, urls, allow_pipe):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / COMMAND, *sample("a"))
    source = WebDataset(urls, allow_pipe=allow_pipe)
    assert source.shards() == [f"./{COMMAND}"]
    assert [record.caption for record in source.read(f"./{COMMAND}")] == ["a dot"]
    assert source.fingerprint(f"./{COMMAND}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "urls",
    [
        "{file://pipe:touch ran; echo ,0}.tar",
        "file://{pipe:touch ran; echo ,0}.tar",
        "file:{//pipe:touch ran; echo ,//0}.tar",
        f"0.tar::file://{COMMAND}",
    ],
)
def test_braces_and_joins_make_no_command(tmp_path, monkeypatch, urls):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "0.tar", *sample("a"))
    with pytest.raises(LmiaError, match="is not a file"):
        read(urls)
    write(tmp_path / COMMAND, *sample("b"))
    assert sorted(record.key[-1] for record in read(urls)) == ["a", "b"]
    assert not (tmp_path / "ran").exists()


def test_a_command_is_opened_only_if_allowed(tmp_path):
    with pytest.raises(LmiaError, match="would run a shell command"):
        open_shard(f"pipe:touch {tmp_path}/ran")
    assert not (tmp_path / "ran").exists()
    with closing(open_shard("pipe:echo ran", allow_pipe=True)) as shard:
        assert shard.read(9) == b"ran\n"


def test_claims_need_every_part_to_be_a_tar(tmp_path):
    (tmp_path / "folder.tar").mkdir()
    yes = ("a.tar", "a/{0..9}.tar.gz", "s3://b/{a.tgz,b.tgz}", "x.tar::y.tgz", "pipe:cat a", "https://h/a.tar?sig=1")
    no = ("a.csv", "x.tar::y.csv", "", "folder", str(tmp_path / "folder.tar"))
    assert [WebDataset.claims(spec) for spec in yes] == [{"urls": spec} for spec in yes]
    assert [WebDataset.claims(spec) for spec in no] == [None] * len(no)
    long = "::".join(["shard.tar"] * 2000)
    assert WebDataset.claims(long) == {"urls": long}


def test_fingerprint_follows_the_file_and_the_options(tmp_path):
    path = write(tmp_path / "0.tar", *sample("a"))
    before = WebDataset(path).fingerprint(path)
    assert WebDataset(path).fingerprint(path) == before
    assert WebDataset(path, text_key="cap").fingerprint(path) != before
    os.utime(path, ns=(1, 1))
    assert WebDataset(path).fingerprint(path) != before


def test_a_pickled_source_reads_the_same(tmp_path):
    source = WebDataset(write(tmp_path / "0.tar", *sample("a"), *sample("b")))
    fresh, used = pickle.loads(pickle.dumps(source)), (source.shards(), pickle.loads(pickle.dumps(source)))[1]
    for copy in (fresh, used):
        assert list(copy.read(source.shards()[0])) == list(source.read(source.shards()[0]))
    assert fresh.settings == source.settings


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_remote_shards_stream_like_local_ones(tmp_path, served):
    for i in range(2):
        write(tmp_path / f"{i}.tar", *sample(f"k{i}", os.urandom(300_000)), *sample(f"l{i}"))
    remote, local = WebDataset(f"{served}/{{0..1}}.tar"), WebDataset(f"{tmp_path}/{{0..1}}.tar")
    assert remote.shards() == [f"{served}/0.tar", f"{served}/1.tar"]
    for near, far in zip(local.shards(), remote.shards(), strict=True):
        assert list(local.read(near)) == list(remote.read(far))
        assert local.count(near) == remote.count(far) == 2
    assert WebDataset(f"{served}/*.tar").shards() == remote.shards()
    before = remote.fingerprint(remote.shards()[0])
    os.utime(tmp_path / "0.tar", (1e9, 1e9))
    assert remote.fingerprint(remote.shards()[0]) != before


def test_a_remote_shard_that_is_not_there_is_an_error_not_a_rejection(served):
    source = WebDataset(f"{served}/9.tar")
    for step in (source.fingerprint, lambda shard: list(source.read(shard))):
        with pytest.raises(LmiaError, match=r"9\.tar' cannot be read"):
            step(source.shards()[0])
