"""Every bundled defence keeps the laws that strangers' defences are held to, and refuses options that mean nothing."""

import math

import pytest

from lmia import LmiaError
from lmia.registry import registry
from lmia.testing import check_defence
from plugins.defended_towers import target, towers
from refusal import Eval

BUNDLED = {
    plugin.name: plugin.cls
    for plugin in registry().listing()
    if plugin.kind == "defence" and plugin.distribution == "lmia"
}
OTHERWISE = {
    "augment": {"views": "captions", "per": "batch"},
    "dedup": {"bits": 0, "by_caption": False},
    "dpsgd": {"noise": 0.0, "clip": 0.5, "delta": 1e-6},
    "dropout": {"rate": 0.5, "tower": "text"},
    "onetower": {"tower": "text"},
    "rounding": {"digits": 0},
}
WRONG = {
    "augment": [{"views": "gentel"}, {"k": 0}, {"views": "identity", "k": 3}, {"per": "epoch"}],
    "dedup": [{"bits": -1}, {"bits": 16}],
    "dpsgd": [{"clip": 0.0}, {"clip": math.inf}, {"noise": -1.0}, {"noise": math.nan}, {"delta": 1.0}, {"delta": 0.0}],
    "dropout": [{"rate": 1.0}, {"rate": -0.1}, {"rate": math.nan}, {"tower": "left"}],
    "earlystop": [{"patience": 0}],
    "maskcaptions": [{"share": 1.0}, {"share": -0.1}],
    "noise": [{"scale": -1.0}, {"scale": math.inf}],
    "onetower": [{"tower": "both"}],
    "patchdropout": [{"share": 1.0}, {"share": -0.5}],
    "rounding": [{"digits": 7}, {"digits": -1}],
    "temperature": [{"smallest": 0.0}, {"largest": math.inf}, {"smallest": 30.0, "largest": 20.0}],
    "weightdecay": [{"strength": -0.1}, {"strength": math.inf}],
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return tmp_path_factory.mktemp("models") / "clip"


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_a_defence_is_lawful(name, clip):
    if name == "dpsgd":
        pytest.importorskip("opacus")
    defence = BUNDLED[name]()
    check_defence(defence, towers(clip) if defence.trains else None, Eval("0:3"))


@pytest.mark.parametrize("name", sorted(OTHERWISE))
def test_a_defence_is_lawful_with_other_options(name, clip):
    defence = BUNDLED[name](**OTHERWISE[name])
    check_defence(defence, towers(clip) if defence.trains else None, target(clip) if defence.answers else None)


def test_wrong_options_are_tried_of_every_defence():
    assert sorted(WRONG) == sorted(BUNDLED)


@pytest.mark.parametrize(("name", "options"), [(name, one) for name, some in WRONG.items() for one in some])
def test_a_wrong_option_is_said(name, options):
    with pytest.raises(LmiaError) as said:
        BUNDLED[name](**options)
    value = next(iter(options.values()))
    assert str(value)[:2] in said.value.problem
    assert said.value.remedy.endswith(".")


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_a_defence_changes_a_training_or_answers(name):
    defence = BUNDLED[name]() if name != "dpsgd" else BUNDLED[name](noise=0.0)
    assert defence.answers == (name in {"rounding", "noise", "onetower"})
    assert defence.trains != defence.answers
