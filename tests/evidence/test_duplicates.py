"""Copies against brute force over all pairs of rows."""

import time
from itertools import combinations
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmia.evidence.duplicates import copies, groups, normal_caption, normal_url, placeholders, same


def test_words_match_by_hand():
    assert same(["a", "b", ""], ["c", "b", "", "b"]).tolist() == [-1, 1, -1]
    assert same([], ["a"]).tolist() == []
    assert normal_caption("\uff21 “Dog”; here…") == normal_caption("a dog HERE")
    assert normal_caption("a cat") != normal_caption("a dog")
    assert normal_url("http://www.a.org:80/x.jpg") == normal_url("https://A.org/x.jpg#y")
    assert normal_url("https://a.org/x.jpg?id=1") != normal_url("https://a.org/x.jpg?id=2")
    assert normal_url("http://me:secret@x.org:443") == normal_url("https://x.org/") == "x.org"
    assert normal_url("no address") == "no address"


@given(st.text("aW/?#:@.[]w1 \n", max_size=14).map(lambda rest: f"http://www.X.org:80/{rest}"))
def test_addresses_are_taken_apart_as_the_standard_library_does(url):
    parts = urlsplit(url.strip().replace("\n", ""))
    assert normal_url(url.strip().replace("\n", "")) == "x.org" + parts.path.rstrip("/") + (
        f"?{parts.query}" if parts.query else ""
    )


@given(st.lists(st.sampled_from(["", "a", "b", "c"])), st.lists(st.sampled_from(["", "a", "b", "c"])))
def test_the_first_equal_word_is_that_of_index(a, b):
    assert same(a, b).tolist() == [b.index(word) if word and word in b else -1 for word in a]


def test_groups_are_chains():
    assert groups(5, [(np.array([0]), np.array([1])), (np.array([1]), np.array([4]))]).tolist() == [0, 0, 1, 2, 0]
    assert groups(0, []).tolist() == []


HASHES = st.sampled_from(["00000000000000ff", "00000000000000fe", "ff00000000000000", "000000000000fc00", "gone", ""])
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "b", "c"]),
        st.sampled_from(["", "http://x.org/1", "https://www.X.org/1#top", "x.org/2"]),
        HASHES,
        st.sampled_from(["A dog.", "a dog", "a cat", "!!!", "???", ""]),
    ),
    max_size=12,
)


def alike(a, b, radius):
    """The rule in words: same file, same address, or the same caption on near looks."""
    if (a[0] and a[0] == b[0]) or (a[1] and normal_url(a[1]) == normal_url(b[1])):
        return True
    said = [normal_caption(row[3]) or row[3] for row in (a, b)]
    if not said[0] or said[0] != said[1] or not a[2] or not b[2]:
        return False
    if a[2] == b[2]:
        return True
    return "gone" not in (a[2], b[2]) and bin(int(a[2], 16) ^ int(b[2], 16)).count("1") <= radius


@settings(deadline=None, max_examples=150)
@given(ROWS, st.sampled_from([0, 1, 6, 15]))
def test_copies_are_those_of_brute_force_over_all_pairs(rows, radius):
    names = list(range(len(rows)))
    for i, j in [*combinations(range(len(rows)), 2)] * len(rows):
        if alike(rows[i], rows[j], radius):
            names[j] = names[i] = min(names[i], names[j])
    columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
    found = copies(*columns, radius=radius).groups
    assert len(found) == len(rows)
    assert [[a == b for b in names] for a in names] == [[a == b for b in found] for a in found]


def test_near_looks_under_one_caption_are_those_of_brute_force():
    """Hashes that crowd together, many captions: mixing the caption in neither hides a pair nor makes one up."""
    rng = np.random.default_rng(0)
    near = rng.integers(0, 2**63, 30, dtype=np.uint64)[rng.integers(0, 30, 600)]
    for _ in range(4):
        near ^= np.uint64(1) << rng.integers(0, 64, 600, dtype=np.uint64)
    captions = [f"caption {i}" for i in rng.integers(0, 40, 600)]
    phashes = [f"{int(one):016x}" for one in near]
    unlike = [str(i) for i in range(600)]
    links = [
        (i, j)
        for i, j in combinations(range(600), 2)
        if captions[i] == captions[j] and int(near[i] ^ near[j]).bit_count() <= 6
    ]
    left, right = np.array(links).T
    found = copies(unlike, [""] * 600, phashes, captions).groups
    expected = groups(600, [(left, right)])
    assert len(links) > 50
    assert len(np.unique(expected)) > 300
    assert ((found[:, None] == found) == (expected[:, None] == expected)).all()


def test_one_look_under_two_captions_has_its_neighbours_under_both():
    """The first row of a hash is not the only one: the same look may stand under another caption, with a copy there."""
    looks = ["00000000000000ff", "00000000000000ff", "00000000000000fe", "00000000000000fc"]
    found = copies(["a", "b", "c", "d"], [""] * 4, looks, ["a cat", "a dog", "a dog", "a cat"]).groups
    assert found.tolist() == [0, 1, 1, 0]


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="1 files, 0 urls"):
        copies(["a"], [], [""], [""])


def test_placeholders_are_looks_under_three_captions():
    looks = ["g", "g", "g", "x", "x", "x", "", "", ""]
    said = ["a", "b", "c", "a", "a", "b", "a", "b", "c"]
    assert placeholders(looks, said) == {"g": (3, 3)}
    assert placeholders(looks, said, least=2) == {"g": (3, 3), "x": (3, 2)}
    assert placeholders([], []) == {}


def table(n, seed=0):
    """Rows of which a tenth are copies of others: of the file, of the address, of looks and caption; and one placeholder."""
    rng = np.random.default_rng(seed)
    of = np.where(rng.random(n) < 0.1, rng.integers(0, n, n), np.arange(n))
    hashes = rng.integers(0, 2**63, n, dtype=np.uint64)[of]
    hashes[of != np.arange(n)] ^= np.uint64(0b111)
    captions = [f"A picture of thing number {i} on a shelf, with a price tag." for i in of]
    phashes = [f"{int(one):016x}" for one in hashes]
    phashes[: n // 20] = ["8000000000000000"] * (n // 20)
    return [f"{i}" for i in range(n)], [f"https://host.org/{i}" for i in range(n)], phashes, captions


def seconds(n):
    columns = table(n)
    start = time.process_time()  # of this process alone: others may be at work
    found = copies(*columns)
    taken = time.process_time() - start
    assert len(np.unique(found.groups)) < n
    assert "8000000000000000" in found.placeholders
    return taken


@pytest.mark.slow
def test_the_cost_grows_almost_as_the_rows_do():
    small, large = seconds(12_500), seconds(200_000)
    print(f"copies: {small:.2f} s for 12,500 rows, {large:.2f} s for 200,000")
    assert large < 50 * small  # 16 times the rows; all pairs would be 256 times
