"""Power: held against a published table, simulated rank tests, exact small cases, and what must be monotone."""

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from lmia.evidence.power import Clusters, detectable, detectable_by, needed, power, spoken, spread

ALPHAS = (0.05, 0.01, 0.001)
TABLE = {
    0.505: (55_000, 83_000, 122_000),
    0.51: (13_600, 20_700, 30_400),
    0.52: (3_400, 5_200, 7_600),
    0.55: (543, 825, 1_211),
    0.6: (134, 203, 298),
}
"""Pairs a side for power 0.9 by a one-sided Student's t-test on normal scores: ranks need about pi/3 as many."""


@pytest.mark.parametrize("auc", TABLE)
def test_the_table(auc):
    found = [needed(auc, alpha=alpha) for alpha in ALPHAS]
    assert found == pytest.approx(TABLE[auc], rel=0.06)
    assert found == pytest.approx([n * np.pi / 3 for n in TABLE[auc]], rel=0.012)


def test_the_published_sentence_is_at_alpha_five_percent():
    """A t-test on 500 + 500 normal scores detects 0.552 at alpha 0.05; ranks a little later; the power is the same."""
    t_test = ndtr((ndtri(0.95) + ndtri(0.9)) / np.sqrt(500))
    assert t_test == pytest.approx(0.552, abs=0.0005)
    assert detectable(500, 500, alpha=0.05) == pytest.approx(t_test, abs=0.002)
    assert "an AUC of 0.51 in 14 %" in spoken(500, 500, alpha=0.05)
    assert "an AUC of 0.51 in 4 %" in spoken(500, 500)
    six = spoken(500, 500, attacks=6)
    assert f"an AUC of {ceil(1000 * detectable(500, 500, alpha=0.01 / 6)) / 1000:.3f} or more" in six
    assert six.endswith("(at 1 false alarm in 100 over 6 attacks).")


def simulated(auc, m, n, alpha, clusters=1, correlation=0.0, repeats=4000, seed=0):
    """How often a one-sided rank-sum z-test on normal scores fires."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(repeats, m + n)) * np.sqrt(1 - correlation)
    scores += np.repeat(rng.normal(size=(repeats, (m + n) // clusters)), clusters, axis=1) * np.sqrt(correlation)
    scores[:, :m] += np.sqrt(2) * ndtri(auc)
    area = (rankdata(scores, axis=1)[:, :m].sum(1) - m * (m + 1) / 2) / (m * n)
    effect = 1 + (clusters - 1) * correlation
    bar = -ndtri(alpha) * np.sqrt((m / effect + n / effect + 1) / (12 * m * n / effect**2))
    return (area - 0.5 > bar).mean()


@pytest.mark.parametrize(("auc", "m", "n"), [(0.7, 30, 50), (0.6, 150, 150), (0.55, 500, 400)])
def test_against_simulation(auc, m, n):
    assert power(auc, m, n) == pytest.approx(simulated(auc, m, n, 0.01), abs=0.035)


def test_clusters_against_simulation():
    """20 shoots of 25 a side at correlation 0.3: the plain power would be wrong by far."""
    clustered = power(0.62, 500, 500, clusters=Clusters(25, 0.3))
    assert clustered == pytest.approx(simulated(0.62, 500, 500, 0.01, 25, 0.3, repeats=2000), abs=0.05)
    assert power(0.62, 500, 500) > clustered + 0.2


def test_standard_error_of_an_auc_against_simulation():
    rng = np.random.default_rng(1)
    m, n, auc = 40, 60, 0.8
    scores = rng.normal(size=(6000, m + n))
    scores[:, :m] += np.sqrt(2) * ndtri(auc)
    area = (rankdata(scores, axis=1)[:, :m].sum(1) - m * (m + 1) / 2) / (m * n)
    assert spread(auc, m, n) == pytest.approx(area.std(), rel=0.04)
    assert spread(0.5, 7, 11) == pytest.approx(np.sqrt((7 + 11 + 1) / (12 * 7 * 11)), rel=1e-12)


AUCS, COUNTS = st.floats(0.5, 1), st.integers(1, 2000)


@settings(max_examples=60, deadline=None)
@given(AUCS, AUCS, COUNTS, COUNTS, st.sampled_from(ALPHAS))
def test_a_larger_auc_is_seen_more_surely(one, other, m, n, alpha):
    small, large = sorted((one, other))
    assert power(small, m, n, alpha) <= power(large, m, n, alpha) + 1e-9


@settings(max_examples=60, deadline=None)
@given(AUCS, COUNTS, st.integers(0, 2000), st.sampled_from(ALPHAS), st.floats(1, 30), st.floats(0, 1))
def test_more_pairs_see_more_and_clusters_less(auc, n, more, alpha, size, correlation):
    assert power(auc, n, n, alpha) <= power(auc, n + more, n + more, alpha) + 1e-9
    assert power(auc, n, n, alpha, clusters=Clusters(size, correlation)) <= power(auc, n, n, alpha) + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(0.1, 0.99), st.sampled_from(ALPHAS))
def test_the_detectable_auc_has_just_that_power(m, n, wanted, alpha):
    smallest = detectable(m, n, wanted, alpha)
    if smallest is None:
        assert power(1, m, n, alpha) < wanted
    else:
        assert power(min(1.0, smallest + 1e-6), m, n, alpha) >= wanted - 1e-6
        assert power(smallest - 1e-3, m, n, alpha) < wanted


@settings(max_examples=40, deadline=None)
@given(st.floats(0.505, 1), st.floats(0.1, 0.99), st.sampled_from(ALPHAS))
def test_the_needed_number_is_just_enough(auc, wanted, alpha):
    n = needed(auc, wanted, alpha)
    assert power(auc, n, n, alpha) >= wanted
    assert n == 1 or power(auc, n - 1, n - 1, alpha) < wanted


@pytest.mark.parametrize(("n", "possible"), [(1, False), (2, False), (3, False), (4, False), (5, True), (6, True)])
def test_a_flawless_attack_on_few_pairs_agrees_with_the_exact_test(n, possible):
    """The smallest exact p of a rank-sum test is 1 / C(2n, n): 1/70 for 4 + 4, 1/252 for 5 + 5."""
    from math import comb

    assert (1 / comb(2 * n, n) <= 0.01) == possible
    assert power(1.0, n, n) == float(possible)
    assert (detectable(n, n) is not None) == possible


def test_guessing_is_seen_as_often_as_there_are_false_alarms():
    for alpha in ALPHAS:
        for sides in (1, 2):
            assert power(0.5, 300, 200, alpha, sides) == pytest.approx(alpha, rel=1e-9)
    assert power(0.4, 300, 300) < 1e-6 < 0.9 < power(0.4, 300, 300, sides=2)
    assert power(0.6, 300, 300, sides=2) == pytest.approx(power(0.4, 300, 300, sides=2))


def test_an_estimate_with_a_known_error():
    assert detectable_by(spread(0.5, 500, 500)) == pytest.approx(detectable(500, 500), abs=0.001)
    assert detectable_by(0.2) is None
    assert needed(1.0) == 5


@pytest.mark.parametrize(
    "call",
    [
        lambda: power(0.6, 0, 5),
        lambda: power(0.6, 5, -1),
        lambda: power(1.1, 5, 5),
        lambda: power(float("nan"), 5, 5),
        lambda: power(0.6, 5, 5, alpha=0),
        lambda: power(0.6, 5, 5, alpha=0.5),
        lambda: power(0.6, 5, 5, sides=3),
        lambda: detectable(5, 5, power=1.0),
        lambda: detectable(5, 5, power=0.01),
        lambda: detectable_by(0.0),
        lambda: detectable_by(float("nan")),
        lambda: needed(0.5),
        lambda: needed(0.5000000001),
        lambda: spread(0.5, 0, 1),
        lambda: Clusters(0.5, 0.1),
        lambda: Clusters(5, 1.1),
        lambda: Clusters(float("nan"), 0.1),
    ],
)
def test_what_is_out_of_range_is_an_error(call):
    with pytest.raises(ValueError, match=r"must|not possible|no number|need|cannot"):
        call()
