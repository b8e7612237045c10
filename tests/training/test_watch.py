"""The figures of an epoch against independent ones."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch.nn.functional import normalize

from lmia.membership import Membership
from lmia.specs import source
from lmia.training.data import tokens_of
from lmia.training.pairs import decoded
from lmia.training.watch import Watched, recall
from training.worlds import target


@given(st.integers(1, 12), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_recall_is_the_share_of_pairs_that_find_each_other(n, seed):
    image, text = (normalize(torch.randn(2, n, 4, generator=torch.Generator().manual_seed(seed)), dim=-1)).unbind()
    found = [max(range(n), key=lambda j: float(image[i] @ text[j])) == i for i in range(n)]
    found += [max(range(n), key=lambda j: float(text[i] @ image[j])) == i for i in range(n)]
    assert recall(image, text) == pytest.approx(np.mean(found))


def test_recall_of_nothing_is_no_number():
    assert math.isnan(recall(torch.zeros(0, 2), torch.zeros(0, 2)))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = target()
    pairs = decoded(source("emoji:0:60"), made.preprocess, tmp_path_factory.mktemp("pairs"))
    return made, pairs, tokens_of(made.tokenize, pairs.captions)


def test_figures_are_those_of_the_targets_own_features(world):
    made, pairs, tokens = world
    inside = np.arange(60) < 25
    known = Membership(pairs.keys, inside, inside.astype(np.int32))
    watched = Watched.chosen(pairs, tokens, known, 100, 0)
    towers = made.trainable()
    towers.train()
    found = watched.figures(towers)
    assert towers.training
    with torch.inference_mode():
        image = made.encode_image(pairs.pixels / 255).numpy()
        text = made.encode_text(tokens).numpy()
    cosine = (image * text).sum(1) / np.linalg.norm(image, axis=1) / np.linalg.norm(text, axis=1)
    assert found["auc"] == pytest.approx(roc_auc_score(inside, cosine), abs=1e-6)
    assert found["scale"] == pytest.approx(1 / 0.07, rel=1e-4)


def test_repeated_members_are_watched_only_where_there_are_no_others(world):
    _, pairs, tokens = world
    times = np.array([0] * 20 + [1] * 20 + [8] * 20, np.int32)
    some = Watched.chosen(pairs, tokens, Membership(pairs.keys, times > 0, times), 15, 0)
    assert len(some.inside) == len(some.outside) == 15
    assert set(some.inside) <= set(range(20, 40))
    assert set(some.outside) <= set(range(20))
    always = np.where(times > 0, 8, 0).astype(np.int32)
    assert len(Watched.chosen(pairs, tokens, Membership(pairs.keys, always > 0, always), 100, 0).inside) == 40


def test_without_others_there_is_no_auc(world):
    made, pairs, tokens = world
    ones = np.ones(60, np.int32)
    found = Watched.chosen(pairs, tokens, Membership(pairs.keys, ones > 0, ones), 10, 0).figures(made.trainable())
    assert math.isnan(found["auc"])
    assert math.isnan(found["recall"])
    assert 0 <= found["recall in"] <= 1
