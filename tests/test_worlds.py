"""Worlds whose truth is known: each config in configs/worlds ends in the verdict that its first lines expect, and why."""

import json
import re
from pathlib import Path

import pytest
import yaml

from lmia.request import request
from lmia.shell import run
from lmia.specs import build

FOLDER = Path(__file__).parents[1] / "configs" / "worlds"
CONFIGS = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
WORDS = {
    "alike": "evidence",
    "corpora": "void",
    "few": "underpowered",
    "jpeg": "void",
    "layout": "void",
    "memory": "evidence",
    "random": "none",
    "unlike": "void",
    "unseen": "none",
    "wording": "void",
}
HEADINGS = ("# World: ", "# Expect: ", "# Run: ")

by_name = pytest.mark.parametrize("name", CONFIGS)


def test_all_are_there():
    assert set(CONFIGS) == set(WORDS)


@by_name
def test_its_first_lines_say_what_it_is_and_what_to_expect(name):
    head = CONFIGS[name].read_text().split("\n\n")[0].splitlines()
    assert all(line.startswith("#") for line in head)
    assert [heading for line in head for heading in HEADINGS if line.startswith(heading)] == list(HEADINGS)
    expected = next(line.removeprefix("# Expect: ") for line in head if line.startswith("# Expect: "))
    assert re.match(r"\w+", expected)[0] == WORDS[name]
    assert head[-1] == f"# Run: lmia audit --config configs/worlds/{name}.yaml"


@by_name
def test_its_roles_are_given_and_disjoint(name, monkeypatch):
    for drawing in ("source.draw", "source._file", "shapes.sketch"):
        monkeypatch.setattr(f"lmia_demo.{drawing}", lambda *drawn: b"")
    tree = request(["--config", str(CONFIGS[name])])
    keys = {}
    for role in ("members", "nonmembers", "known_nonmembers", "pool"):
        source = build("source", tree["data"][role])
        keys[role] = {pair.key for shard in source.shards() for pair in source.read(shard)}
        assert len(keys[role]) >= 50
    assert sum(map(len, keys.values())) == len(set().union(*keys.values()))
    assert tree["demo"] is True
    assert str(Path(__file__).parents[1]) not in CONFIGS[name].read_text()


def test_no_two_worlds_write_to_one_folder():
    outs = [yaml.safe_load(path.read_text())["out"] for path in CONFIGS.values()]
    assert len(set(outs)) == len(outs)


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Run a world by its config and nothing else but another folder, and return what its report says."""

    def of(name):
        out = tmp_path_factory.mktemp(name)
        assert run(["audit", "--config", str(CONFIGS[name]), "--out", str(out)]) == 0
        return json.loads((out / "report.json").read_text())

    return of


def blind(report):
    """The AUC of every blind baseline that ran, by kind."""
    found = report["validity"]["baselines"]
    assert [one["kind"] for one in found if one["auc"] is None] == ["metadata"]
    return {one["kind"]: one["auc"]["value"] for one in found if one["auc"]}


def on_twin(report, attack="csa"):
    return next(one for one in report["validity"]["besides"] if (one["kind"], one["attack"]) == ("twin", attack))


def adjusted(report, attack="csa"):
    return next(one for one in report["validity"]["adjusted"] if one["attack"] == attack)["adjusted"]


def raw(report, attack="csa"):
    return next(one for one in report["attacks"] if one["name"] == attack)["auc"]


def holds_half(estimate):
    return estimate["low"] <= 0.5 <= estimate["high"]


def alike(report):
    assert max(blind(report).values()) < 0.6
    assert report["validity"]["overlap"] > 0.8
    assert report["verdict"]["regime"] == "one-run"
    assert adjusted(report)["low"] > 0.65
    assert on_twin(report)["p"] > 0.01


def corpora(report):
    assert blind(report)["captions"] > 0.99 < blind(report)["pixels"]
    assert report["validity"]["overlap"] < 0.05
    assert "without the model" in report["verdict"]["reasons"][0].lower()


def few(report):
    assert report["verdict"]["detectable"] > 0.6
    assert max(role["scored"].get("audited", 0) for role in report["roles"]) < 80


def jpeg(report):
    found = blind(report)
    assert found.pop("files") > 0.99 < found.pop("all")
    assert max(found.values()) < 0.6
    assert report["validity"]["overlap"] < 0.05


def layout(report):
    assert max(blind(report).values()) < 0.6
    assert report["validity"]["overlap"] > 0.8
    assert len(report["verdict"]["reasons"]) == 1
    assert "untrained twin" in report["verdict"]["reasons"][0]
    assert holds_half(adjusted(report, "csa"))
    assert on_twin(report, "wsa")["adjusted"]["low"] > 0.7


def memory(report):
    assert 0.7 < blind(report)["captions"] < 0.9
    assert 0.3 < report["validity"]["overlap"] < 0.6
    assert report["verdict"]["regime"] == "post hoc"
    assert "no proof" in report["verdict"]["sentence"]
    assert adjusted(report)["low"] > 0.65


def random(report):
    assert max(blind(report).values()) < 0.6
    assert report["verdict"]["detectable"] < report["verdict"]["detect"] == 0.55
    assert holds_half(raw(report))


def unlike(report):
    assert blind(report)["captions"] > 0.95 < blind(report)["pixels"]
    assert report["validity"]["overlap"] < 0.1
    assert raw(report, "wsa")["low"] > 0.8


def unseen(report):
    assert 0.7 < blind(report)["captions"] < 0.9
    assert 0.3 < report["validity"]["overlap"] < 0.6
    assert report["verdict"]["detectable"] < report["verdict"]["detect"]
    assert holds_half(adjusted(report))


def wording(report):
    found = blind(report)
    assert found.pop("captions") > 0.99 < found.pop("all")
    assert max(found.values()) < 0.6
    assert report["validity"]["overlap"] < 0.05
    assert raw(report)["low"] > 0.6  # what an audit would have shown that does not ask


WHY = (alike, corpora, few, jpeg, layout, memory, random, unlike, unseen, wording)
"""What must be seen in a world's report beside its word, so that the word is right for its reason."""


def worlds():
    for why in WHY:
        slow = pytest.mark.slow if why is unlike else ()  # it is large, for `make audit` to show
        yield pytest.param(why, id=why.__name__, marks=slow)


@pytest.mark.parametrize("why", worlds())
def test_it_ends_in_the_expected_word_for_the_right_reason(why, audited):
    report = audited(why.__name__)
    verdict = report["verdict"]
    assert verdict["word"] == WORDS[why.__name__], verdict["reasons"]
    assert report["demo"] is True
    why(report)
