"""The placebo: quiet where only the target remembers, loud where the pairs differ; and what that does to the words."""

import numpy as np
import pytest
from scipy import stats

from lmia.collection.asked import Asked
from lmia.collection.beside import beside, cause, inference
from lmia.collection.units import Units

ASKED = Asked(permutations=199)


def singles(n):
    return tuple(Units(np.arange(n), np.array([f"{side}{i}" for i in range(n)])) for side in "mh")


def two_models(generator, n, memory, style):
    """Scores of target and placebo that share what is in the pairs, on scales of their own."""
    common = generator.normal(size=(2, n))
    common[0] += style
    target, placebo = (
        0.1 * (common + 0.5 * generator.normal(size=(2, n))),
        7 + 3 * (common + 0.5 * generator.normal(size=(2, n))),
    )
    target[0] += 0.1 * memory
    return tuple(target), tuple(placebo)


def test_memory_is_seen_beside_the_placebo_and_by_more_than_alone():
    generator = np.random.default_rng(0)
    target, placebo = two_models(generator, 150, 0.3, 0.0)
    found = beside("other", target, placebo, singles(150), ASKED)
    assert found.speaks(0.01)
    assert (
        found.above.difference.value / found.above.error
        > inference(target, singles(150), ASKED).difference.value / inference(target, singles(150), ASKED).error
    )
    assert cause([found], ASKED, 0.01) == "placebo"
    said = found.sentences(0.01)
    assert said[0].startswith("The placebo other does not tell the two collections apart (p = ")
    assert "by more than the placebo (p = 0.005;" in said[-1]


def test_style_is_seen_by_both_and_speaks_for_nothing():
    generator = np.random.default_rng(1)
    target, placebo = two_models(generator, 150, 0.0, 0.8)
    found = beside("other", target, placebo, singles(150), ASKED)
    assert inference(target, singles(150), ASKED).p <= 0.01
    assert not found.quiet(0.01)
    assert cause([found], ASKED, 0.01) == "open"
    assert any("lies in the pairs themselves" in said for said in found.sentences(0.01))
    assert "is not shown to do more" in found.sentences(0.01)[-1]


def test_a_lot_is_not_believed_against_a_placebo():
    lot = Asked(permutations=199, randomised=True)
    generator = np.random.default_rng(2)
    loud = beside("one", *two_models(generator, 150, 0.0, -0.8), singles(150), ASKED)
    quiet = beside("two", *two_models(np.random.default_rng(0), 150, 0.4, 0.0), singles(150), ASKED)
    assert loud.found.p > 0.9  # it tells them apart the other way round
    assert cause([], lot, 0.01) == cause([quiet], lot, 0.01) == "lot"
    assert cause([quiet, loud], lot, 0.01) == "open"
    assert cause([], ASKED, 0.01) == "open"
    assert cause([quiet, quiet], ASKED, 0.01) == "placebo"
    still = beside("three", *two_models(np.random.default_rng(0), 150, 0.0, 0.0), singles(150), ASKED)
    assert cause([quiet, still], ASKED, 0.01) == "open"  # quiet, but the target does not lie above it


def test_the_difference_keeps_its_false_alarms():
    generator = np.random.default_rng(3)
    p = []
    for i in range(400):
        found = beside("o", *two_models(generator, 40, 0.0, 0.0), singles(40), Asked(permutations=99, seed=i))
        p.append(found.above.p - generator.random() / 100)
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_units_of_scores_do_not_matter_and_none_is_divided_by_zero():
    generator = np.random.default_rng(4)
    target, placebo = two_models(generator, 60, 0.3, 0.0)
    one = beside("o", target, placebo, singles(60), ASKED)
    two = beside("o", tuple(1e6 * side - 5 for side in target), placebo, singles(60), ASKED)
    assert two.above.p == one.above.p
    assert two.above.difference.value == pytest.approx(one.above.difference.value)
    flat = beside("o", target, (np.ones(60), np.ones(60)), singles(60), ASKED)
    assert flat.found.two_sided == 1
    assert flat.above.p == inference(target, singles(60), ASKED).p


def test_pairs_by_shoot_are_kept():
    generator = np.random.default_rng(5)
    shoots = np.array([f"s{i}" for i in range(80)])
    units = (Units(np.arange(80), shoots), Units(np.arange(80), shoots))
    found = beside("o", *two_models(generator, 80, 0.6, 0.0), units, Asked(pair_by="shoot", permutations=999))
    assert found.found.clusters == found.above.clusters == (80, 80)
    assert found.speaks(0.01)
