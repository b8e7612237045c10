"""Who is in, and which pairs an epoch shows."""

from collections import Counter

import numpy as np
import pytest
import torch

from lmia.defence import Defence
from lmia.errors import LmiaError
from lmia.lots import drawn
from lmia.membership import Membership
from lmia.specs import source
from lmia.training.data import Drawn, Epochs, FitData, Order, left_out, tokens_of
from lmia.training.pairs import Pairs

KEYS = [f"pair {i}" for i in range(200)]
PAIRS = Pairs(KEYS, [f"caption {i}" for i in range(200)], ["0" * 16] * 200, torch.arange(200).view(200, 1, 1, 1), {})
TOKENS = torch.arange(200)[:, None]


def epochs(times, batch=16, **options):
    times = np.asarray(times, np.int32)
    order = Order(batch, **{"seed": 0} | {k: v for k, v in options.items() if k in ("seed", "rank", "world")})
    rest = {"defences": (), "tokenize": None} | {k: v for k, v in options.items() if k not in ("seed", "rank", "world")}
    return Epochs(Drawn(PAIRS, Membership(KEYS, times > 0, times), TOKENS), order, **rest)


def shown(some):
    return [tokens.flatten().tolist() for _, tokens in some]


@pytest.mark.parametrize(("n", "world"), [(17, 2), (19, 4), (20, 4), (33, 8), (16, 16), (200, 3)])
def test_no_rank_is_given_a_batch_without_pairs(n, world):
    ranks = [epochs([1] * n + [0] * (200 - n), rank=rank, world=world) for rank in range(world)]
    sizes = [[len(part) for part in shown(some)] for some in ranks]
    assert all(one == sizes[0] for one in sizes)
    assert 0 not in sizes[0]
    assert len(sizes[0]) == len(ranks[0])


def test_a_last_batch_of_one_pair_twice_is_left_out_by_two_ranks():
    some = [epochs([2] + [0] * 199, rank=rank, world=2) for rank in (0, 1)]
    assert [shown(one) for one in some] == [[], []]


def test_the_drawn_are_in_and_the_first_of_them_repeated():
    known = FitData(source("emoji:0:9"), share=0.3, repeated=5, repeats=4).membership(PAIRS, [], seed=7)
    assert known.inside.tolist() == [drawn(key, 7, 0.3) for key in KEYS]
    members = known.repeats[known.inside].tolist()
    assert members == [4] * 5 + [1] * (len(members) - 5)


def test_without_makes_a_twin_that_differs_in_these_alone(tmp_path):
    data = FitData(source("emoji:0:9"))
    before = data.membership(PAIRS, [], 0)
    gone = [key for key, inside in zip(KEYS, before.inside, strict=True) if inside][:7]
    (tmp_path / "keys.csv").write_text("key\n" + "\n".join(gone) + "\n")
    after = FitData(source("emoji:0:9"), without=tmp_path / "keys.csv").membership(PAIRS, [], 0)
    assert [key for key, a, b in zip(KEYS, before.inside, after.inside, strict=True) if a != b] == gone


def test_keys_to_go_without_must_be_the_sources(tmp_path):
    (tmp_path / "keys.csv").write_text("key\npair 1\nx\ny\nz\nq\n")
    with pytest.raises(LmiaError, match=r"4 keys of .* not in the source, such as 'x', 'y', 'z'"):
        left_out(tmp_path / "keys.csv", KEYS)
    (tmp_path / "other.csv").write_text("keys\npair 1\n")
    with pytest.raises(LmiaError, match="no column 'key'"):
        left_out(tmp_path / "other.csv", KEYS)


def test_keys_of_digits_keep_their_zeros(tmp_path):
    (tmp_path / "keys.csv").write_text("key\n007\n")
    assert left_out(tmp_path / "keys.csv", ["007", "7"]) == ["007"]


def test_a_defence_may_leave_pairs_out():
    class Even(Defence):
        def keep(self, keys, captions, phash):
            return np.array([int(key.split()[1]) % 2 == 0 for key in keys], dtype=bool)

    known = FitData(source("emoji:0:9")).membership(PAIRS, [Even()], 0)
    assert known.inside.tolist() == [drawn(key, 0) and i % 2 == 0 for i, key in enumerate(KEYS)]


@pytest.mark.parametrize("options", [{"share": 0}, {"share": 1.5}, {"repeated": -1}, {"repeats": 0}, {"batch": 1}])
def test_numbers_out_of_range_are_said(options):
    with pytest.raises(LmiaError):
        FitData(source("emoji:0:9"), **options)


def test_too_few_in_is_said():
    with pytest.raises(LmiaError, match="0 of the 200 pairs are in"):
        FitData(source("emoji:0:9"), share=1e-9).membership(PAIRS, [], 0)


def test_an_epoch_shows_every_pair_as_often_as_asked_but_never_twice_in_a_batch():
    times = np.arange(200) % 3
    some = shown(epochs(times, batch=32))
    assert len(some) == len(epochs(times, batch=32)) == -(-times.sum() // 32)
    assert all(len(set(batch)) == len(batch) for batch in some)
    count = Counter(row for batch in some for row in batch)
    assert all(1 <= count[row] <= n if n else row not in count for row, n in enumerate(times))
    assert sum(count.values()) > 0.8 * times.sum()  # the rest fell twice into a batch


def test_orders_depend_on_seed_and_epoch_alone():
    times = np.ones(200)
    one = epochs(times, epoch=lambda: 3)
    torch.manual_seed(5)
    assert shown(one) == shown(one) == shown(epochs(times, epoch=lambda: 3))
    assert shown(one) != shown(epochs(times, epoch=lambda: 4))
    assert shown(one) != shown(epochs(times, epoch=lambda: 3, seed=1))


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_a_batch_evenly(world):
    alone = shown(epochs(np.ones(200), batch=31))
    parts = [shown(epochs(np.ones(200), batch=31, rank=rank, world=world)) for rank in range(world)]
    for whole, *each in zip(alone, *parts, strict=True):
        assert len({len(part) for part in each}) == 1
        together = sorted(row for part in each for row in part)
        assert together == sorted(whole)[: len(whole) // world * world]


def test_changed_captions_are_tokenised_as_shown():
    class Last(Defence):
        def captions(self, captions, draw):
            return [f"{caption} {draw.random()}" for caption in captions]

    def tokenize(captions):
        return torch.tensor([[int(one.split()[1])] for one in captions])

    some = epochs(np.ones(200), defences=[Last()], tokenize=tokenize)
    assert shown(some) == shown(epochs(np.ones(200)))


def test_tokens_of_many_calls_have_one_width(monkeypatch):
    monkeypatch.setattr("lmia.training.data.TOKENISED", 2)

    def tokenize(captions):
        width = max(map(len, captions))
        return torch.tensor([[ord(c) for c in one.ljust(width, "\0")] for one in captions])

    found = tokens_of(tokenize, ["a", "bcd", "ef"])
    assert found.tolist() == [[97, 0, 0], [98, 99, 100], [101, 102, 0]]
