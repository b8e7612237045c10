"""Planted levels: who they are, how often they are shown, and that nothing but a lot decides it."""

from collections import Counter
from hashlib import sha256

import numpy as np
import pytest
import yaml

from lmia.errors import LmiaError
from lmia.lots import drawn
from lmia.membership import read
from lmia.specs import source
from lmia.training import FitData
from lmia.training.levels import PLANTING, check_levels, planted_times
from training.test_data import KEYS, PAIRS
from training.worlds import fit


def lot_again(key, seed):
    """The lot of a key, drawn without lmia: the last 53 bits of the hash, read backwards."""
    bits = bin(int(sha256(f"{seed}:{key}".encode()).hexdigest(), 16))[-53:]
    return int(bits[::-1], 2)


def test_levels_are_dealt_in_turn_along_the_lots():
    times = planted_times(KEYS, [1, 4, 16], 20, seed=3)
    order = sorted(range(len(KEYS)), key=lambda i: lot_again(KEYS[i], 3 + (1 << 32)))
    assert times[order].tolist() == [1, 4, 16] * 20 + [1] * (len(KEYS) - 60)
    assert Counter(times.tolist()) == {1: len(KEYS) - 40, 4: 20, 16: 20}


def test_neither_place_nor_the_lot_of_who_is_in_has_a_part():
    keys = [f"pair {i}" for i in range(20_000)]
    members = [key for key in keys if drawn(key, 0)]
    times = planted_times(members, [2, 8], 2000, seed=0)
    for level in (2, 8):
        places = np.flatnonzero(times == level) / len(members)
        assert abs(places.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 2000)
        by_lot = np.argsort(np.argsort([lot_again(key, 0) for key in members])) / len(members)
        assert abs(by_lot[times == level].mean() - 0.5) < 4 * np.sqrt(1 / 12 / 2000)
    shuffled = members[::-1]
    assert planted_times(shuffled, [2, 8], 2000, seed=0)[::-1].tolist() == times.tolist()
    assert PLANTING > 2**31


@pytest.mark.parametrize("levels", [[], [0, 1], [1, 1], [4, 2], [-3]])
def test_what_are_no_levels_is_said(levels):
    with pytest.raises(LmiaError, match="levels of repeats cannot be"):
        check_levels(levels, 5)


def test_no_planted_pair_is_said():
    with pytest.raises(LmiaError, match="No level can hold 0"):
        check_levels([1], 0)


@pytest.mark.parametrize(
    ("planted", "offer"), [(3, ", or 2 planted pairs a level"), (9, ", or 2 planted pairs a level")]
)
def test_too_few_members_say_how_many_are_needed(planted, offer):
    with pytest.raises(LmiaError, match=f"need {2 * planted} pairs in the training, and 5 are in") as error:
        planted_times(["a", "b", "c", "d", "e"], [2, 8], planted, 0)
    assert offer in error.value.remedy


def test_just_enough_members_are_enough():
    assert sorted(planted_times(["a", "b", "c", "d"], [2, 8], 2, 0).tolist()) == [2, 2, 8, 8]


def test_a_manifest_holds_the_levels_and_who_is_in_stays_as_it_was():
    known = FitData(source("emoji:0:9"), levels=[2, 8], planted=10).membership(PAIRS, [], seed=7)
    assert known.inside.tolist() == [drawn(key, 7) for key in KEYS]
    assert Counter(known.repeats[known.inside].tolist()) == {1: int(known.inside.sum()) - 20, 2: 10, 8: 10}
    assert not known.repeats[~known.inside].any()


def test_levels_and_repeated_exclude_each_other():
    with pytest.raises(LmiaError, match=r"Both levels and repeated \(3\)"):
        FitData(source("emoji:0:9"), levels=[2], planted=1, repeated=3)
    with pytest.raises(LmiaError, match="cannot be 8 2"):
        FitData(source("emoji:0:9"), levels=[8, 2])


def test_a_training_with_levels_says_so_and_one_without_is_what_it_was(tmp_path):
    done = fit(tmp_path / "a", levels=[2, 8], planted=5)
    assert Counter(read(tmp_path / "a" / "membership.parquet").repeats.tolist())[8] == 5
    assert (done.repeated, done.repeats) == (10, 8)
    assert fit(tmp_path / "b").of != done.of
    with_levels, without = (yaml.safe_load((tmp_path / name / "config.yaml").read_text())["data"] for name in "ab")
    assert (with_levels.pop("levels"), with_levels.pop("planted")) == ([2, 8], 5)
    assert with_levels == without
