"""pairs.html: marked, small pictures, nothing hostile."""

import base64
import io
import re

import pytest
from PIL import Image

from lmia.errors import LmiaError
from lmia.report import sentences
from lmia.report.pairs import MARK, ShownPair, thumbnail, write_pairs
from report import examples
from report.test_html import check_safe


def pair(rank=1, caption="a red apple", image=None, **more):
    image = image or Image.new("RGB", (640, 480), "red")
    return ShownPair(
        **{"key": f"k{rank}", "role": "members", "attack": "csa", "score": 0.5, "p": 0.0075} | more,
        caption=caption,
        image=image,
        rank=rank,
    )


def pictures(text):
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r"base64,([^\"]+)", text)]


def test_marked_ordered_and_small(tmp_path):
    shown = [pair(3, "third"), pair(1, "first"), pair(2, "of another", role="nonmembers", p=None)]
    path = write_pairs(shown, tmp_path, demo=True)
    text = path.read_text("utf-8")
    assert path == tmp_path / "pairs.html"
    assert MARK in text
    assert sentences.DEMO in text
    assert text.index("first") < text.index("third") < text.index("of another")
    assert {picture.size for picture in pictures(text)} == {(160, 120)}
    assert text.count(", p 0.0075") == 2
    check_safe(text)


def test_hostile_captions_and_keys_are_text(tmp_path):
    bad = pair(caption=examples.HOSTILE, key=examples.HOSTILE, attack=examples.HOSTILE, role=examples.HOSTILE)
    page = check_safe(write_pairs([bad], tmp_path, demo=False).read_text("utf-8"))
    assert page.text.count(r"]]> \x1b[31mred \u202efdp.exe") == 4
    assert sentences.DEMO not in page.text


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("size", [(1, 1), (1, 900), (300, 200)])
def test_any_picture_becomes_a_small_jpeg_and_stays_as_it_was(mode, size):
    image = Image.new(mode, size)
    image.info["secret"] = "in the metadata"
    small = Image.open(io.BytesIO(base64.b64decode(thumbnail(image))))
    assert (small.format, small.mode) == ("JPEG", "RGB")
    assert max(small.size) == min(160, max(size))
    assert image.size == size
    assert "secret" not in small.info


def test_the_same_pairs_make_the_same_file(tmp_path):
    texts = [write_pairs([pair()], tmp_path, demo=False).read_bytes() for _ in range(2)]
    assert texts[0] == texts[1]


def test_no_pair(tmp_path):
    assert "No pair is shown." in write_pairs([], tmp_path, demo=False).read_text("utf-8")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(LmiaError, match=r"pairs\.html"):
        write_pairs([], tmp_path / "no", demo=False)
