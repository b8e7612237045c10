"""Records of a source: each is checked, whoever reads them, and few large ones are held at once."""

import io

import numpy as np
import pytest
from PIL import Image

import lmia
from lmia import overlap, stock
from lmia.canary.making import plan
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.membership import Membership
from lmia.picture import open_pair
from lmia.records import checked, records, together
from lmia.source import Sample, Source
from lmia.training.shards import write_shards
from test_bombs import tiled
from worlds import Noise, picture, png


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "Odd returned NoneType from read, not its records one by one."),
        ([lmia.Pair("a", None, b"")], "Odd yielded a Pair whose caption is NoneType, not text."),
    ],
)
def test_whose_records_are_wrong_is_said(found, said):
    with pytest.raises(LmiaError) as error:
        list(checked(found, "Odd"))
    assert error.value.problem == said


def test_records_of_odd_texts_have_ways_of_their_own():
    """Keys are spelt out and captions rejected where they are no Unicode: a record's fault, not its source's."""
    records = [lmia.Pair("a\ud800", "b\ud800", b"", "http://ä"), lmia.Pair("c", "d", b""), lmia.Rejected("\ud800", "x")]
    assert list(checked(records)) == records


class Odd(Noise):
    """Noise, and a record that is none at the end."""

    def read(self, shard):
        yield from super().read(shard)
        yield "noise/9"


READERS = {
    "an overlap": lambda source, out: overlap.read(source, "mine"),
    "a seal": lambda source, out: stock.contents(AuditData(members=source)),
    "canaries": lambda source, out: plan(source),
    "shards of a training": lambda source, out: write_shards(out, source, Membership(["a"], np.array([True]), np.ones(1, np.int32))),
    "records of a sample": lambda source, out: list(records(Sample(source, 3), "0")),
}  # fmt: skip


@pytest.mark.parametrize("reads", READERS.values(), ids=READERS)
def test_whoever_reads_a_source_checks_its_records(tmp_path, reads):
    with pytest.raises(LmiaError) as error:
        reads(Odd(0, 8), tmp_path)
    assert error.value.problem == "Odd yielded str: neither a Pair nor a Rejected."


class Lazy(Source):
    """Pictures that Pillow has opened and not decoded."""

    def __init__(self, *files):
        self.files = files

    def shards(self):
        return ["all"]

    def read(self, shard):
        yield from (lmia.Pair(str(i), "a picture", Image.open(io.BytesIO(file))) for i, file in enumerate(self.files))

    def fingerprint(self, shard):
        return "lazy"


def test_a_picture_that_is_open_and_not_decoded_is_its_file():
    """Else a TIFF in one giant tile would be decoded: of what it is made, its file alone says."""
    (small, bomb) = records(Lazy(png(picture(1)), tiled((322, 4, 1 << 14), (323, 4, 1 << 14))), "all")
    assert small.image == png(picture(1))
    assert open_pair(bomb).reason == "decompression bomb"
    read = Image.open(io.BytesIO(png(picture(1))))
    read.load()
    closed = Image.open(io.BytesIO(png(picture(1))))
    closed.fp.close()
    pairs = [lmia.Pair("a", "a picture", image) for image in (read, closed, picture(1))]
    assert [one.image for one in checked(pairs)] == [one.image for one in pairs]


def test_few_large_files_are_held_at_once():
    """A small archive unpacks to many large files: 64 of half a gibibyte would fill any memory."""
    pairs = [lmia.Pair(str(i), "a", b"x" * (9 if i in (3, 7) else 1)) for i in range(10)]
    groups = list(together(iter(pairs), 4, held=20))
    assert [len(group) for group in groups] == [4, 4, 2]
    assert [len(group) for group in together(iter(pairs), 100, held=20)] == [4, 4, 2]
    assert [pair for group in groups for pair in group] == pairs
