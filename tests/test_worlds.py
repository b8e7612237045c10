"""Worlds whose truth is known: each config in configs/worlds ends in the verdict that its first lines expect, and why."""

import re
from pathlib import Path

import pytest
import yaml

from lmia.request import request
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
def test_its_roles_are_given_and_disjoint(name):
    tree = request(["--config", str(CONFIGS[name])])
    keys = {}
    for role in ("members", "nonmembers", "known_nonmembers", "pool"):
        source = build("source", tree["data"][role])
        keys[role] = {pair.key for shard in source.shards() for pair in source.read(shard)}
    assert sum(map(len, keys.values())) == len(set().union(*keys.values()))
    assert tree["demo"] is True
    assert str(Path(__file__).parents[1]) not in CONFIGS[name].read_text()


def test_no_two_worlds_write_to_one_folder():
    outs = [yaml.safe_load(path.read_text())["out"] for path in CONFIGS.values()]
    assert len(set(outs)) == len(outs)
