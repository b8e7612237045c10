"""The lots of a training: uniform, the same for everyone, nested in the share, and the demo's halves."""

from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from lmia.lots import drawn, lot
from lmia_demo import in_half


def test_lots_are_uniform():
    lots = [lot(f"pair {i}", 5) for i in range(5000)]
    assert kstest(lots, "uniform").pvalue > 0.01
    assert len(set(lots)) == len(lots)


@given(st.text(), st.integers(0, 2**40), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=200)
def test_whoever_is_in_a_smaller_share_is_in_a_larger_one(key, seed, one, other):
    small, large = sorted((one, other))
    assert drawn(key, seed, small) <= drawn(key, seed, large)
    assert drawn(key, seed, 1.0)
    assert not drawn(key, seed, 0.0)


@given(st.text(), st.integers(0, 2**40))
def test_half_is_the_demos_half(key, seed):
    assert drawn(key, seed) == in_half(key, seed)


def test_seeds_and_keys_are_independent():
    both = [drawn(f"a{i}", 0) == drawn(f"a{i}", 1) for i in range(4000)]
    assert abs(sum(both) / 4000 - 0.5) < 0.03
