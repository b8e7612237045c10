"""Duplicates against brute force: none is missed, none invented."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lmia.evidence.duplicates import as_hashes, groups, near_embeddings, near_hashes, normal_caption, normal_url, same

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


def test_words_match_by_hand():
    assert same(["a", "b", ""], ["c", "b", "", "b"]).tolist() == [-1, 1, -1]
    assert same([], ["a"]).tolist() == []
    assert normal_caption("\uff21 “Dog”; here…") == normal_caption("a dog HERE")
    assert normal_caption("a cat") != normal_caption("a dog")
    assert normal_url("http://www.a.org:80/x.jpg") == normal_url("https://A.org/x.jpg#y")
    assert normal_url("https://a.org/x.jpg?id=1") != normal_url("https://a.org/x.jpg?id=2")
    assert normal_url("http://[broken") == "http://[broken"


@pytest.mark.parametrize("word", ["", "12", "zz00000000000000", "0" * 17])
def test_what_is_no_hash_is_refused(word):
    with pytest.raises(ValueError, match="16 hexadecimal digits"):
        as_hashes([word])


@pytest.mark.parametrize("block", [1, 3, 100])
def test_embedding_neighbours_are_those_of_brute_force(block):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 4)).astype(np.float32), rng.normal(size=(15, 4)).astype(np.float32)
    a[3], b[5] = 0, 2 * a[4]
    cosine = (a @ b.T) / np.maximum(np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)), 1e-30)
    expected = set(zip(*map(np.ndarray.tolist, np.nonzero(cosine >= 0.8)), strict=True))
    found = near_embeddings(a, b, 0.8, block=block)
    assert set(zip(found.left.tolist(), found.right.tolist(), strict=True)) == expected
    assert (4, 5) in expected
    every = np.array([(i, j) for i in range(20) for j in range(15)])
    among = near_embeddings(a, b, 0.8, every, block)
    assert set(zip(among.left.tolist(), among.right.tolist(), strict=True)) == expected


def test_groups_are_chains():
    assert groups(5, [(np.array([0]), np.array([1])), (np.array([1]), np.array([4]))]).tolist() == [0, 0, 1, 2, 0]
    assert groups(0, []).tolist() == []
