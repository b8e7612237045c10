"""AEA's forms against loops, and the laws of an attack."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

import lmia_aea
from lmia import LmiaError, Samples
from lmia.registry import registry

FORMS = ["mean", "sum", "drop", "steady", "average"]


def samples(cosine):
    cosine = torch.as_tensor(cosine, dtype=torch.float32)
    n, v = cosine.shape
    views = ("identity", *(f"view {k}" for k in range(1, v)))
    return Samples(torch.arange(n), ["a"] * n, views, {"cosine": cosine})


def cosines(n, v=5, seed=0):
    """Cosines whose views follow the identity, as a model's do."""
    generator = torch.Generator().manual_seed(seed)
    return samples(torch.rand(n, 1, generator=generator) + torch.rand(n, v, generator=generator) / 2 - 0.75)


def by_hand(cosine, form, alpha):
    """METHODS 1.3 word for word, a pair at a time."""
    scores = []
    for row in cosine.tolist():
        falls = [row[0] - other for other in row[1:]]
        mean = sum(falls) / len(falls)
        scores.append(
            {
                "mean": row[0] + alpha * mean,
                "sum": row[0] + alpha * sum(falls),
                "drop": mean,
                "steady": -mean,
                "average": sum(row[1:]) / len(falls),
            }[form]
        )
    return scores


@given(
    st.lists(st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4), min_size=1, max_size=6),
    st.sampled_from(FORMS),
    st.sampled_from([0.5, 1.0, -2.0]),
)
def test_by_hand(rows, form, alpha):
    alpha = alpha if form in ("mean", "sum") else 1.0
    few = samples(rows)
    np.testing.assert_allclose(lmia_aea.AEA(form, alpha).score(few), by_hand(few.cosine, form, alpha), atol=1e-12)


def test_average_is_the_other_sign_of_mean():
    few = cosines(20)
    torch.testing.assert_close(lmia_aea.AEA("average").score(few), lmia_aea.AEA("mean", alpha=-1.0).score(few))


def test_no_two_forms_rank_alike():
    many = cosines(500)
    scores = {form: lmia_aea.AEA(form).score(many) for form in FORMS}
    for one, other in itertools.combinations(FORMS, 2):
        assert spearmanr(scores[one], scores[other]).statistic < 0.99, (one, other)


def test_no_form_is_csa():
    many = cosines(500)
    assert all(spearmanr(lmia_aea.AEA(form).score(many), many.cosine[:, 0]).statistic < 0.99 for form in FORMS)


@pytest.mark.parametrize("form", FORMS)
def test_laws(form):
    many = cosines(60)
    before = many.cosine.clone()
    attack = lmia_aea.AEA(form)
    scores = attack.score(many)
    assert scores.shape == (60,)
    assert scores.isfinite().all()
    torch.testing.assert_close(torch.cat([attack.score(part) for part in many.chunks(7)]), scores, rtol=1e-6, atol=0)
    assert torch.equal(lmia_aea.AEA(form).score(many), scores)
    scores.fill_(9)
    assert torch.equal(many.cosine, before)


@pytest.mark.parametrize(("form", "higher"), [("mean", 0), ("sum", 0), ("drop", 0), ("steady", 1), ("average", 1)])
def test_orientation(form, higher):
    """Two pairs of one cosine, the first falling further: each form says which of them is the likelier member."""
    scores = lmia_aea.AEA(form).score(samples([[0.5, 0.1, 0.2], [0.5, 0.4, 0.5]]))
    assert int(scores.argmax()) == higher


def test_equal_pairs_tie():
    assert all(lmia_aea.AEA(form).score(samples([[0.3, 0.1]] * 4)).unique().numel() == 1 for form in FORMS)


def test_plain_name_stands_for_all_forms():
    assert lmia_aea.AEA.together
    assert {name: lmia_aea.AEA(**given).form for name, given in lmia_aea.AEA.presets.items()} == {f: f for f in FORMS}
    assert lmia_aea.AEA.requires == {"views"}
    assert lmia_aea.AEA.needs == {"cosine"}
    assert lmia_aea.lmia_attacks() == [lmia_aea.AEA]


def test_no_form_claims_to_be_the_papers():
    assert not any("paper" in name or "official" in name for name in lmia_aea.AEA.presets)
    assert "unverified" in str(lmia_aea.AEA("sum").findings()["caveat"])
    assert lmia_aea.AEA("sum").findings()["formula"] == "cos + alpha * sum_k drop_k"


@pytest.mark.parametrize("word", ["ko", "paper", "iccv", "official"])
def test_no_set_of_views_claims_to_be_the_papers(word):
    sets = registry().names("views")
    assert {"gentle", "fourbasic"} <= set(sets)
    assert not [name for name in sets if word in name]


def test_no_views():
    with pytest.raises(LmiaError, match="only 'identity'"):
        lmia_aea.AEA().score(samples([[0.5]]))


@pytest.mark.parametrize("alpha", [0.0, math.nan, math.inf])
def test_alpha_out_of_range(alpha):
    with pytest.raises(LmiaError, match="alpha"):
        lmia_aea.AEA("mean", alpha)


@pytest.mark.parametrize("form", ["drop", "steady", "average"])
def test_alpha_where_it_has_no_part(form):
    with pytest.raises(LmiaError, match=r"alpha = 2\.0 has no part"):
        lmia_aea.AEA(form, 2.0)


def test_unknown_form():
    with pytest.raises(LmiaError, match="no form 'max'"):
        lmia_aea.AEA("max")
