"""Embedding neighbours against brute force, written with numpy alone."""

import builtins

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmia.errors import LmiaError
from lmia.evidence.neighbours import PROBES, near_embeddings, near_embeddings_by_index, nearest_embeddings


def cosines(a, b):
    norms = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    return np.where(norms > 0, (a.astype(np.float64) @ b.T.astype(np.float64)) / np.maximum(norms, 1e-30), 0)


def pairs(links):
    return set(zip(links.left.tolist(), links.right.tolist(), strict=True))


@pytest.mark.parametrize("block", [1, 3, 100])
def test_embedding_neighbours_are_those_of_brute_force(block):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 4)).astype(np.float32), rng.normal(size=(15, 4)).astype(np.float32)
    a[3], b[5] = 0, 2 * a[4]
    expected = set(zip(*map(np.ndarray.tolist, np.nonzero(cosines(a, b) >= 0.8)), strict=True))
    assert pairs(near_embeddings(a, b, 0.8, block=block)) == expected
    assert (4, 5) in expected
    every = np.array([(i, j) for i in range(20) for j in range(15)])
    among = near_embeddings(a, b, 0.8, every, block)
    assert pairs(among) == expected


@pytest.mark.parametrize("block", [1, 3, 100])
def test_within_one_set_each_pair_comes_once(block):
    a = np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32)
    a[7] = a[3]
    value = cosines(a, a)
    expected = {(i, j) for i in range(30) for j in range(i + 1, 30) if value[i, j] >= 0.9}
    found = near_embeddings(a, threshold=0.9, block=block)
    assert pairs(found) == expected
    assert len(found.left) == len(expected)
    assert (3, 7) in expected
    assert found.value == pytest.approx([value[i, j] for i, j in zip(found.left, found.right, strict=True)], abs=1e-6)


def test_halves_are_compared_as_they_are():
    a = np.array([[1, 0], [1, 1e-3], [0, 1]], np.float16)
    assert pairs(near_embeddings(a, threshold=0.999)) == {(0, 1)}


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(ValueError, match="out of range"):
        near_embeddings(np.eye(2, dtype=np.float32), threshold=threshold)


def test_widths_that_differ_are_refused():
    with pytest.raises(ValueError, match="Features must be"):
        near_embeddings(np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32), 0.9)


def test_a_threshold_that_finds_everything_fills_no_memory():
    with pytest.raises(ValueError, match="More than 10 pairs"):
        near_embeddings(np.ones((100, 2), np.float32), threshold=0.5, most=10)


@pytest.mark.parametrize("rows", [0, 1])
def test_nothing_is_near_nothing(rows):
    found = near_embeddings(np.ones((rows, 4), np.float32), threshold=0.5)
    assert pairs(found) == set()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 5), st.lists(st.integers(0, 7), max_size=5), st.integers(0, 2**32 - 1))
def test_the_nearest_is_that_of_brute_force_however_the_blocks_are_cut(n, sizes, seed):
    rng = np.random.default_rng(seed)
    a = rng.integers(-2, 3, (n, 3)).astype(np.float32)  # ties and zeros
    blocks = [rng.integers(-2, 3, (size, 3)).astype(np.float32) for size in sizes]
    value, row = nearest_embeddings(a, blocks)
    whole = np.concatenate([np.zeros((0, 3), np.float32), *blocks])
    if not len(whole):
        assert (row == -1).all()
        assert (value == -np.inf).all()
        return
    expected = cosines(a, whole)
    assert value == pytest.approx(expected.max(axis=1, initial=-2), abs=1e-6)
    assert expected[np.arange(n), row] == pytest.approx(value, abs=1e-6)


def planted(n=20_000, width=64, copies=1_000, seed=0):
    """Clusters of scattered rows, as of pictures, and near copies of some rows at a cosine of about 0.96."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(200, width))
    rows = centres[rng.integers(0, 200, n)] + 0.7 * rng.normal(size=(n, width))
    near = rows[:copies] + 0.35 * rng.normal(size=(copies, width))
    return np.concatenate([rows, near]).astype(np.float32)


def test_the_index_finds_nearly_all_that_brute_force_finds_and_nothing_else(record_property):
    pytest.importorskip("faiss", reason="the extra `neighbours` (faiss-cpu) is not installed: no recall to measure")
    rows = planted()
    every = pairs(near_embeddings(rows, threshold=0.94))
    found = near_embeddings_by_index(rows, 0.94)
    recall = len(pairs(found) & every) / len(every)
    record_property("recall", recall)
    print(f"{len(every):,} pairs by brute force, recall of the index {recall:.4f}")
    assert pairs(found) <= every
    assert len(found.left) == len(pairs(found))
    assert recall >= 0.99
    assert len(every) >= 500
    few = len(pairs(near_embeddings_by_index(rows, 0.94, probes=1))) / len(every)
    print(f"with 1 cell of {PROBES}: {few:.4f}")
    assert few < recall  # so that recall is something that can be lost here


def test_the_index_takes_few_rows_and_rows_of_zeros():
    pytest.importorskip("faiss", reason="the extra `neighbours` (faiss-cpu) is not installed")
    rows = np.array([[0, 0], [1, 0], [0, 0], [2, 0], [0, 1]], np.float32)
    assert pairs(near_embeddings_by_index(rows, 0.9)) == {(1, 3)}
    assert pairs(near_embeddings_by_index(rows[:1], 0.9)) == set()
    with pytest.raises(ValueError, match="More than 3 pairs"):
        near_embeddings_by_index(np.ones((50, 2), np.float32), 0.9, most=3)


def test_without_faiss_the_index_says_what_to_install(monkeypatch):
    whole = builtins.__import__

    def without(name, *rest, **more):
        if name == "faiss":
            raise ImportError(name)
        return whole(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(LmiaError) as caught:
        near_embeddings_by_index(np.eye(2, dtype=np.float32), 0.9)
    assert caught.value.remedy == "pip install 'lmia[neighbours]'"
