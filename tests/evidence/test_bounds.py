import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from lmia.evidence.bounds import clopper_pearson, hanley_mcneil, mover, newcombe, separated, tail


@given(st.integers(1, 3000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_clopper_pearson_is_scipys(trials, share, confidence):
    successes = int(share * trials)
    expected = binomtest(successes, trials).proportion_ci(confidence, method="exact")
    assert clopper_pearson(successes, trials, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(("successes", "trials"), [(3, 2), (-1, 2), (0, 0)])
def test_what_is_no_share_is_refused(successes, trials):
    with pytest.raises(ValueError, match="is not a share"):
        clopper_pearson(successes, trials, 0.95)


@pytest.mark.parametrize("confidence", [0, 1, 1.5, -0.1, float("nan")])
def test_a_confidence_outside_0_and_1_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        tail(confidence)


@given(st.floats(0.001, 0.999), st.integers(1, 500), st.integers(1, 500))
def test_newcombe_holds_every_truth_within_z_of_its_own_error(area, m, n):
    low, high = newcombe(area, m, n, 0.95)
    truth = np.linspace(1e-6, 1 - 1e-6, 20001)
    mean = (m + n) / 2
    variance = truth * (1 - truth) / (m * n)
    variance *= 1 + (mean - 1) * (1 - truth) / (2 - truth) + (mean - 1) * truth / (1 + truth)
    held = truth[np.abs(truth - area) <= 1.959963985 * np.sqrt(variance)]
    if len(held):  # so narrow an interval that the grid has no point in it says nothing
        assert (low, high) == pytest.approx((held.min(), held.max()), abs=1e-4)
    assert 0 <= low <= area <= high <= 1


@given(st.floats(0, 1), st.integers(1, 500))
def test_of_equal_sides_the_variance_is_hanley_and_mcneils(truth, n):
    q1, q2 = truth / (2 - truth), 2 * truth**2 / (1 + truth)
    theirs = (truth * (1 - truth) + (n - 1) * (q1 - truth**2) + (n - 1) * (q2 - truth**2)) / n**2
    assert hanley_mcneil(truth, n, n) == pytest.approx(theirs, abs=1e-12)


def test_separated_covers_the_distribution_that_errs_least_often():
    """Members fall below all nonmembers with probability e, else above: AUC = 1 - e, no error with (1 - e)^k."""
    low = separated(60, 0.95)
    assert low**60 == pytest.approx(0.025)


def test_mover_shrinks_with_correlation_and_grows_against_it():
    widths = [np.ptp(mover(0.8, (0.7, 0.9), 0.7, (0.6, 0.8), r)) for r in (-1.0, 0.0, 0.5, 1.0)]
    assert widths == sorted(widths, reverse=True)
    assert widths[1] == pytest.approx(2 * np.hypot(0.1, 0.1))
    assert widths[-1] == pytest.approx(0, abs=1e-7)
