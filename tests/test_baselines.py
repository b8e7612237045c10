"""Blind baselines that are kept: the same as those trained anew, and never those of other pairs."""

import numpy as np
import pyarrow as pa
import pytest

from lmia import baselines
from lmia.baselines import blind_baselines
from lmia.errors import LmiaError
from lmia.evidence.baselines import blind_scores, traits_of

N = 120
LABELS, ALONE = np.arange(N) % 2 == 0, np.arange(N)


@pytest.fixture
def table():
    random = np.random.default_rng(0)
    captions = [f"{'a' if random.random() < 0.8 * label + 0.1 else 'the'} cat {i}" for i, label in enumerate(LABELS)]
    return pa.table({"key": [str(i) for i in range(N)], "caption": captions, "url": [""] * N})


def same(one, other):
    assert [(b.kind, b.auroc, b.reason) for b in one.baselines] == [
        (b.kind, b.auroc, b.reason) for b in other.baselines
    ]
    for mine, its in zip(one.baselines, other.baselines, strict=True):
        np.testing.assert_equal((mine.scores, mine.cross_fitted), (its.scores, its.cross_fitted))
    np.testing.assert_equal((one.a, one.b, one.half, one.note), (other.a, other.b, other.half, other.note))


def trainings(monkeypatch):
    calls = []
    monkeypatch.setattr(baselines, "blind_scores", lambda *args, **more: calls.append(1) or blind_scores(*args, **more))
    return calls


def test_the_second_time_nothing_is_trained(tmp_path, table, monkeypatch):
    calls = trainings(monkeypatch)
    once, again = (blind_baselines(tmp_path, table, LABELS, ALONE, 3, 0.95) for _ in range(2))
    assert len(calls) == 1
    same(once, again)
    same(again, blind_scores(traits_of(table), LABELS, ALONE, 3))


@pytest.mark.parametrize(
    "other",
    [
        {"labels": ~LABELS},
        {"groups": ALONE // 2},
        {"seed": 4},
        {"confidence": 0.9},
        {"table": pa.table({"caption": ["a cat"] * N, "url": [""] * N})},
        {"table": pa.table({"caption": ["a cat"] * N, "url": ["https://example.org"] * N})},
    ],
    ids=str,
)
def test_whatever_they_hang_on_trains_them_anew(tmp_path, table, monkeypatch, other):
    asked = {"table": table, "labels": LABELS, "groups": ALONE, "seed": 3, "confidence": 0.95}
    blind_baselines(tmp_path, **asked)
    calls = trainings(monkeypatch)
    found = blind_baselines(tmp_path, **asked | other)
    assert len(calls) == 1
    asked |= other
    traits = traits_of(asked["table"])
    same(found, blind_scores(traits, asked["labels"], asked["groups"], asked["seed"], confidence=asked["confidence"]))


def test_another_library_trains_them_anew(tmp_path, table, monkeypatch):
    blind_baselines(tmp_path, table, LABELS, ALONE, 3, 0.95)
    calls = trainings(monkeypatch)
    monkeypatch.setattr(baselines, "version", lambda name: "0")
    blind_baselines(tmp_path, table, LABELS, ALONE, 3, 0.95)
    assert len(calls) == 1


def test_what_they_do_not_see_does_not_matter(tmp_path, table, monkeypatch):
    blind_baselines(tmp_path, table, LABELS, ALONE, 3, 0.95)
    calls = trainings(monkeypatch)
    blind_baselines(tmp_path, table.set_column(0, "key", pa.array(["x"] * N)), LABELS, ALONE, 3, 0.95)
    blind_baselines(tmp_path, pa.concat_tables([table[:50], table[50:]]), LABELS, ALONE, 3, 0.95)
    assert not calls


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"\x80\x04N.", None], ids=["empty", "zip", "pickle", "cut"])
def test_a_damaged_file_is_made_again(tmp_path, table, damage):
    first = blind_baselines(tmp_path, table, LABELS, ALONE, 3, 0.95)
    (kept,) = (tmp_path / "blind").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    same(blind_baselines(tmp_path, table, LABELS, ALONE, 3, 0.95), first)
    assert kept.read_bytes()[:2] == b"PK"
    assert len(kept.read_bytes()) == len(whole)


def test_a_pickle_within_is_not_opened(tmp_path, table):
    first = blind_baselines(tmp_path, table, LABELS, ALONE, 3, 0.95)
    (kept,) = (tmp_path / "blind").iterdir()
    with kept.open("wb") as file:
        np.savez(file, said=np.array([object()], dtype=object))
    same(blind_baselines(tmp_path, table, LABELS, ALONE, 3, 0.95), first)


def test_too_few_pairs_keep_their_reason(tmp_path, table):
    asked = table[:6], LABELS[:6], ALONE[:6], 3, 0.95
    once, again = (blind_baselines(tmp_path, *asked) for _ in range(2))
    same(once, again)
    assert "too few" in again.baselines[0].reason


def test_a_cache_that_cannot_be_written_is_said(tmp_path, table):
    (tmp_path / "blind").write_text("a file where the folder should be")
    with pytest.raises(LmiaError, match="cannot write"):
        blind_baselines(tmp_path, table, LABELS, ALONE, 3, 0.95)
