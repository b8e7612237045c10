"""The sides of a training as tar shards: every pair on its side, nothing else."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from lmia.membership import Membership
from lmia.picture import FORMATS
from lmia.source import Pair, Rejected, Source
from lmia.training.shards import write_shards
from lmia_demo.scenes import draw, scene
from lmia_webdataset import WebDataset


class Given(Source):
    """Records as they are given."""

    def __init__(self, records=()):
        self.records = list(records)

    def shards(self):
        return ["all"]

    def read(self, shard):
        yield from self.records

    def fingerprint(self, shard):
        return "given"


class Few(Source):
    """Four usable pairs, one that the manifest does not list, and one that the source refuses."""

    def shards(self):
        return ["few"]

    def read(self, shard):
        for index in (0, 1, 2, 3):
            yield Pair(f"a/b.{index}", scene(index).caption, draw(scene(index)))
        yield Pair("copy", "a copy", draw(scene(0)))
        yield Rejected("bare", "no caption")

    def fingerprint(self, shard):
        return "few"


def test_shards_hold_the_pairs_of_their_side_and_no_other(tmp_path):
    times = np.array([0, 3, 0, 1], np.int32)
    write_shards(tmp_path, Few(), Membership([f"a/b.{i}" for i in range(4)], times > 0, times))
    for role, rows in (("members", (1, 3)), ("nonmembers", (0, 2))):
        with tarfile.open(tmp_path / "shards" / f"{role}-000.tar") as tar:
            assert tar.getnames() == [f"pair-{row:06d}.{suffix}" for row in rows for suffix in ("png", "txt")]
            for row in rows:
                assert tar.extractfile(f"pair-{row:06d}.txt").read().decode() == scene(row).caption
                picture = Image.open(tar.extractfile(f"pair-{row:06d}.png"))
                assert picture.tobytes() == draw(scene(row)).tobytes()


@pytest.mark.parametrize("kind", [*FORMATS, "MPO"])
def test_every_kind_of_picture_is_read_again(kind, tmp_path):
    file, more = io.BytesIO(), {"save_all": True, "append_images": [draw(scene(1))]} if kind == "MPO" else {}
    draw(scene(0)).save(file, kind, **more)
    source = Given([Pair("a", "a dot", file.getvalue())])
    write_shards(tmp_path, source, Membership(["a"], np.array([True]), np.array([1], np.int32)))
    shard = str(tmp_path / "shards" / "members-000.tar")
    [read] = WebDataset(shard).read(shard)
    assert read.image == file.getvalue()
