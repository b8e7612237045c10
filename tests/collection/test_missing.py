"""What is said where nothing is held out: nothing was tested, what is missing, and commands that can be typed as they are."""

import shlex

import pytest

from lmia.collection.missing import missing
from lmia.commands import dataset
from lmia.request import request


def commands(text):
    return [shlex.split(line) for line in text.splitlines() if line.strip().startswith("lmia ")]


def test_nothing_is_claimed_and_a_way_is_shown():
    said = missing("my photos/")
    assert said.startswith("Not tested.")
    assert commands(said) == [["lmia", "canary", "make", "--source", "my photos/", "--out", "canaries"]]
    assert "--pair-by" in said
    assert "p-value" not in said.partition("How to come by it")[0]


@pytest.mark.parametrize("pretrained", [None, "a tag"])
def test_known_nonmembers_give_commands_that_can_be_typed(pretrained):
    said = missing("my photos.csv", "local-dir:clip", pretrained, "it's later.csv", "csa")
    _, audit, again = commands(said)
    target = ["--model", "local-dir:clip", *(["--pretrained", pretrained] if pretrained else [])]
    assert audit == ["lmia", "audit", "--plugin", "csa", *target, "--suspects", "my photos.csv",
                     "--known-nonmembers", "it's later.csv"]  # fmt: skip
    assert again == ["lmia", "dataset", "--mine", "my photos.csv", "--heldout", "it's later.csv", *target]
    if pretrained is None:
        tree = request(audit[2:])
        assert tree["data"]["suspects"]["init_args"]
        assert dataset._parser().parse_args(again[2:]).heldout == "it's later.csv"
