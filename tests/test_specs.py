import pytest

import players
import worlds
from lmia import specs
from lmia.errors import LmiaError
from lmia.source import Sample


@pytest.fixture(autouse=True)
def _players(monkeypatch):
    players.install(monkeypatch)


def test_things_are_made_from_the_words_that_flags_take():
    assert isinstance(specs.source("noise:0:9"), worlds.Noise)
    assert specs.target("toy:3:9").settings["members"] == "3:9"
    assert list(specs.views("Reflections").views()) == ["identity", "down", "mirror", "loud"]
    assert [attack.settings for attack in specs.attacks(["knobs:half", "both"])] == [
        {"factor": 0.5, "steps": 3, "shares": [0.5], "mode": "plain", "loud": False},
        {"form": "one", "weight": 1.0},
        {"form": "two", "weight": 1.0},
    ]


def test_a_sample_is_made_around_its_source():
    sample = specs.source("noise:0:90?n=30&seed=4")
    assert isinstance(sample, Sample)
    assert (sample.n, sample.seed, sample.source.stop) == (30, 4, 90)
    assert specs.source("noise:0:90?n=7").seed == 0


@pytest.mark.parametrize("query", ["n=x", "n=-3", "n=", "seed=3", "n=3&seed=x", "n=²", "n=1&seed=²", f"n={'9' * 5000}"])
def test_a_sample_that_is_none_is_refused(query):
    with pytest.raises(LmiaError, match=r"SPEC\?n=3000&seed=0"):
        specs.source_config(f"noise:0:90?{query}")


def test_a_question_mark_in_a_path_is_no_sample():
    with pytest.raises(LmiaError, match=r"No source can read 'a\?b=1\.unknown'"):
        specs.source_config("a?b=1.unknown")


def test_attacks_are_named_by_class_preset_and_number():
    def named(*names):
        return specs.attack_names(specs.attacks(names))

    assert named("plain", "knobs", "knobs:half", "both") == ["plain", "knobs", "knobs:half", "both:one", "both:two"]
    others = [players.Knobs(factor=2.0), players.Knobs(factor=3.0), worlds.Plain(), players.Knobs()]
    assert specs.attack_names(others) == ["knobs", "knobs#2", "plain", "knobs#3"]
    with pytest.raises(LmiaError, match="'knobs:half' is asked for twice"):
        named("knobs:half", "knobs:half")
    with pytest.raises(LmiaError, match="asked for twice"):
        named("both", "both:one")


def test_find_takes_names_and_paths():
    assert specs.find("attack", "KNOBS") is specs.find("attack", "players.Knobs") is players.Knobs
    for path, said in [
        ("knobz", "Did you mean 'knobs'"),
        ("players.Knob", "leads nowhere.*no attribute 'Knob'"),
        ("nowhere.Knobs", "No module named 'nowhere'"),
        ("worlds.Noise", "leads to no lmia.Attack"),
        ("worlds.picture", "leads to no lmia.Attack"),
        (".Knobs", "leads nowhere"),
        ("..Knobs", "leads nowhere"),
    ]:
        with pytest.raises(LmiaError, match=said):
            specs.find("attack", path)
