"""Growth and needs: by simulation."""

import numpy as np
import pytest

from lmia.evidence.extent import growth, owner_needs, power_at
from lmia.evidence.inference import permutation_p


def test_parts_grow_and_end_with_the_whole():
    generator = np.random.default_rng(0)
    mine, theirs = generator.normal(0.5, 1, 200), generator.normal(size=120)
    label = np.repeat(np.arange(40), 5)
    found = growth(mine, theirs, label, np.arange(120) + 40, permutations=999)
    assert [one.clusters for one in found] == [(5, 15), (10, 30), (20, 60), (40, 120)]
    assert [one.used for one in found] == [(25, 15), (50, 30), (100, 60), (200, 120)]
    whole = permutation_p(mine, theirs, label, np.arange(120) + 40, 999)
    assert found[-1].p == whole.p
    given = growth(mine, theirs, label, np.arange(120) + 40, permutations=999, whole=whole)
    assert given[-1] is whole
    assert given[:-1] == found[:-1]
    assert found[0].p > found[-1].p
    with pytest.raises(ValueError, match="no shares"):
        growth(mine, theirs, shares=[0.0])


def test_an_owner_with_what_is_needed_finds_it():
    """A pilot's number of pairs gives, run for real, the power it promises."""
    generator = np.random.default_rng(1)
    big = permutation_p(generator.normal(0.5, 1, 20_000), generator.normal(size=20_000), permutations=1)
    needs = owner_needs(big, 0.9, 0.05)
    assert needs.low <= needs.pairs <= needs.high
    assert needs.pairs == pytest.approx(2 * (1.645 + 1.2816) ** 2 / 0.5**2, rel=0.1)
    n = needs.pairs
    found = [
        permutation_p(generator.normal(0.5, 1, n), generator.normal(size=n), permutations=199, seed=i).p <= 0.05
        for i in range(600)
    ]
    assert np.mean(found) == pytest.approx(0.9, abs=0.05)
    assert power_at(0.5, (2 / n) ** 0.5, 0.05) == pytest.approx(0.9, abs=0.01)


def test_where_nothing_was_found_no_number_is_told():
    none = owner_needs(permutation_p([0.0, 1.0, 0.5], [2.0, 3.0, 2.5]))
    assert none.pairs is None
    assert "there is no difference" in none.sentence()
    wide = owner_needs(permutation_p([0.0, 2.0, 1.2], [0.0, 2.0, 1.0]))
    assert wide.high is None
    assert "may be none to find" in wide.sentence()
    with pytest.raises(ValueError, match="power"):
        owner_needs(permutation_p([0.0, 1.0], [0.0, 1.0]), power=0.005)
