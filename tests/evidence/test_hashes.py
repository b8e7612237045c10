"""Near hashes against brute force: none is missed, none invented."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lmia.evidence.hashes import as_hashes, first_of_each, near_hashes

FEW_BITS = hnp.arrays(np.uint64, st.integers(0, 30), elements=st.integers(0, 2**64 - 1) | st.integers(0, 2**12))


def brute(a, b, radius):
    return {(int(x), int(y)) for x in a for y in b if bin(int(x) ^ int(y)).count("1") <= radius}


@settings(deadline=None, max_examples=60)
@given(FEW_BITS, FEW_BITS, st.integers(0, 9))
def test_hash_neighbours_are_those_of_brute_force(a, b, radius):
    found = near_hashes(a, b, radius)
    pairs = [(int(a[i]), int(b[j])) for i, j in zip(found.left, found.right, strict=True)]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == brute(a, b, radius)
    assert [bin(x ^ y).count("1") for x, y in pairs] == found.value.tolist()


@pytest.mark.parametrize("radius", [0, 3, 6, 7, 8, 15])
def test_a_copy_at_exactly_the_radius_is_found_and_one_beyond_is_not(radius):
    rng = np.random.default_rng(radius)
    a = rng.integers(0, 2**63, 200, dtype=np.uint64)
    flip = [rng.permutation(64)[: radius + 1] for _ in a]
    at = np.array(
        [int(x) ^ sum(1 << int(k) for k in bits[:radius]) for x, bits in zip(a, flip, strict=True)], np.uint64
    )
    beyond = np.array([int(x) ^ sum(1 << int(k) for k in bits) for x, bits in zip(a, flip, strict=True)], np.uint64)
    found = near_hashes(a, at, radius)
    assert {(i, i) for i in range(200)} <= set(zip(found.left.tolist(), found.right.tolist(), strict=True))
    missed = near_hashes(a, beyond, radius)
    assert not {(i, i) for i in range(200)} & set(zip(missed.left.tolist(), missed.right.tolist(), strict=True))


def test_many_copies_of_one_hash_cost_as_much_as_one():
    start = time.perf_counter()
    found = near_hashes(np.full(200_000, 7, np.uint64), np.full(200_000, 6, np.uint64))
    assert time.perf_counter() - start < 5
    assert (found.left.tolist(), found.right.tolist(), found.value.tolist()) == ([0], [0], [1.0])


@pytest.mark.parametrize("word", ["", "12", "zz00000000000000", "0" * 17])
def test_what_is_no_hash_is_refused(word):
    with pytest.raises(ValueError, match="16 hexadecimal digits"):
        as_hashes([word])


def seconds(n):
    hashes = np.random.default_rng(0).integers(0, 2**63, n, dtype=np.uint64)
    hashes[: n // 10] = hashes[n // 10 : 2 * (n // 10)] ^ np.uint64(0b111)
    start = time.process_time()  # of this process alone: others may be at work
    found = near_hashes(hashes, hashes)
    taken = time.process_time() - start
    assert int((found.value == 3).sum()) >= 2 * (n // 10)
    return taken


@pytest.mark.slow
def test_the_cost_grows_much_less_than_the_pairs_do():
    small, large = seconds(20_000), seconds(320_000)
    print(f"near_hashes: {small:.2f} s for 20,000 hashes, {large:.2f} s for 320,000")
    assert large < 100 * small  # 16 times the hashes; all pairs would be 256 times


@given(st.lists(st.tuples(st.integers(0, 2**12 - 1), st.sampled_from("abcdef")), max_size=25), st.integers(0, 8))
@settings(max_examples=100, deadline=None)
def test_the_first_of_each_is_chosen_greedily(pairs, bits):
    """By brute force, with and without words."""
    phash, words = [f"{look:016x}" for look, _ in pairs], [word for _, word in pairs]
    for told in (None, words):
        kept = []
        for row, (look, word) in enumerate(pairs):
            near = any((pairs[other][0] ^ look).bit_count() <= bits for other in kept)
            if not near and (told is None or all(pairs[other][1] != word for other in kept)):
                kept.append(row)
        assert first_of_each(phash, bits, told) == kept
