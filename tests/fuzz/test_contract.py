"""The judge of readers can find against them: each way to break the contract is seen, and told by the input's number."""

import time

import pytest

from fuzz import contract
from fuzz.contract import Case, fuzz
from lmia import LmiaError, Pair, Rejected

PAIR, BAD = Pair("a", "a dog", b""), Rejected("b", "no image")


def outcome(tmp_path, read, records=None):
    return fuzz("a", lambda folder, dice: Case(read, records), tmp_path / "input", [7])


def refuse(problem, remedy):
    def read():
        raise LmiaError(problem, remedy)

    return read


def fault():
    yield PAIR
    raise KeyError("caption")


def busy():
    end = time.process_time() + 5
    while time.process_time() < end:
        try:
            sum(range(1000))
        except Exception:
            continue
    yield PAIR


def hungry():
    yield Pair("a", "a dog", b"x" * (256 << 20))


BREAKS = {
    "another exception": (fault, None, "KeyError: 'caption'"),
    "a lost record": (lambda: [PAIR], 2, "2 records, 1 accounted for"),
    "a record made up": (lambda: [PAIR, BAD], 1, "1 records, 2 accounted for"),
    "something else": (lambda: ["a"], None, "Neither a pair nor rejected: 'a'"),
    "no problem": (refuse(" ", "Mend it."), None, "An error without a sentence"),
    "no remedy": (refuse("It is broken.", ""), None, "An error without a sentence"),
    "a hang": (busy, None, "more than 0.5 seconds"),
    "memory without bound": (hungry, None, "MiB more"),
}


@pytest.mark.parametrize(("read", "records", "words"), BREAKS.values(), ids=BREAKS)
def test_the_judge_sees(tmp_path, monkeypatch, read, records, words):
    monkeypatch.setattr(contract, "SECONDS", 0.5)
    monkeypatch.setattr(contract, "MEMORY", 32 << 20 if read is hungry else 1 << 30)
    found = outcome(tmp_path, read, records)
    assert list(found.broken) == [7]
    assert words in found.broken[7]


def test_what_keeps_the_contract_is_counted(tmp_path):
    found = outcome(tmp_path, lambda: [PAIR, BAD, BAD], 3)
    assert (found.inputs, found.refused, found.pairs, found.rejected) == (1, 0, 1, {"no image": 2})
    assert not found.broken
    refused = outcome(tmp_path, refuse("It is broken.", "Mend it."), 3)
    assert (refused.refused, refused.pairs, refused.broken) == (1, 0, {})
