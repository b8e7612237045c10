"""Pairs on the disk: pixels as the target prepares them, nothing lost, near copies as by brute force."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from lmia.errors import LmiaError
from lmia.source import Pair, Rejected, Source
from lmia.specs import source
from lmia.training.pairs import decoded
from training.worlds import target


class Given(Source):
    """Records as they are given, and a count of how often they were read."""

    reads = 0

    def __init__(self, records=()):
        self.records = list(records)

    def shards(self):
        return ["all"]

    def read(self, shard):
        type(self).reads += 1
        yield from self.records

    def fingerprint(self, shard):
        return repr([(r.key, getattr(r, "caption", r)) for r in self.records])


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR)


def small(image):
    return torch.from_numpy(np.array(image.resize((8, 8)))).permute(2, 0, 1)


def test_pixels_are_what_the_target_sees(tmp_path):
    made = target()
    pairs = decoded(source("emoji:0:30"), made.preprocess, tmp_path / "p", threads=2)
    records = [pair for shard in source("emoji:0:30").shards() for pair in source("emoji:0:30").read(shard)]
    assert list(pairs.keys) == [pair.key for pair in records]
    assert list(pairs.captions) == [pair.caption for pair in records]
    assert torch.equal(pairs.pixels, torch.stack([made.preprocess(pair.image.convert("RGB")) for pair in records]))


def test_a_second_time_nothing_is_read_and_another_preparation_is_done_anew(tmp_path):
    records = Given([Pair(str(i), f"no. {i}", picture(i)) for i in range(3)])
    first = decoded(records, small, tmp_path)
    before = Given.reads
    again = decoded(records, small, tmp_path)
    assert Given.reads == before
    assert torch.equal(first.pixels, again.pixels)
    other = decoded(records, lambda image: small(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), tmp_path)
    assert not torch.equal(again.pixels, other.pixels)


def test_two_nodes_may_decode_into_one_folder(tmp_path):
    class Slowly(Given):
        def read(self, shard):
            for record in super().read(shard):
                time.sleep(0.002)
                yield record

    records = [Pair(str(i), "x", picture(i)) for i in range(200)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: decoded(Slowly(records), small, tmp_path), range(2)))
    whole = torch.stack([small(picture(i)) for i in range(200)])
    assert all(torch.equal(pairs.pixels, whole) for pairs in found)


def test_a_broken_writing_counts_for_nothing(tmp_path):
    records = Given([Pair(str(i), "x", picture(i)) for i in range(3)])
    whole = decoded(records, small, tmp_path).pixels.clone()
    next(tmp_path.glob("*-pairs.parquet")).unlink()
    next(tmp_path.glob("*-pixels.u8")).write_bytes(b"half")
    assert torch.equal(decoded(records, small, tmp_path).pixels, whole)


def test_what_cannot_be_used_is_counted_by_reason(tmp_path):
    good = [Pair(str(i), "x", picture(i)) for i in range(2)]
    bad = [Rejected("r", "no caption"), Pair("e", " ", picture(9)), Pair("b", "x", b"no picture")]
    pairs = decoded(Given([*good, *bad]), small, tmp_path)
    assert len(pairs) == 2
    assert dict(pairs.rejected) == {"no caption": 1, "empty caption": 1, "image does not decode": 1}


def test_two_of_one_key_and_too_few_are_errors(tmp_path):
    with pytest.raises(LmiaError, match="have the key 'a'"):
        decoded(Given([Pair("a", "x", picture(i)) for i in range(2)]), small, tmp_path / "1")
    with pytest.raises(LmiaError, match="holds 1 usable pairs"):
        decoded(Given([Pair("a", "x", picture(1)), Rejected("b", "no caption")]), small, tmp_path / "2")
    with pytest.raises(LmiaError, match="holds 0 usable pairs"):
        decoded(Given([Rejected("b", "no caption")]), small, tmp_path / "3")


def test_near_copies_leave_no_trace(tmp_path):
    records = [Pair("a", "x", picture(1)), Pair("a again", "y", picture(1)), Pair("b", "z", picture(2))]
    pairs = decoded(Given(records), small, tmp_path, near=2)
    assert list(pairs.keys) == ["a", "b"]
    assert dict(pairs.rejected) == {"near copy": 1}
    assert torch.equal(pairs.pixels, torch.stack([small(picture(1)), small(picture(2))]))
