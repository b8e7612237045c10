"""A learnt combination against an optimiser of another kind, and which rule for two p-values keeps its word."""

import numpy as np
import pytest
from scipy import optimize, stats

from lmia.evidence.combining import any_dependence, combination


def test_weights_are_those_of_a_plain_optimiser():
    """The same penalised likelihood, written out: both sides count alike, each score in units of its spread."""
    generator = np.random.default_rng(0)
    mine, heldout = generator.normal([0.5, 0, -3], [1, 2, 0.1], (80, 3)), generator.normal(0, [1, 2, 0.1], (50, 3))
    heldout[:, 2] -= 3
    rows = np.concatenate([mine, heldout])
    scaled = (rows - rows.mean(0)) / rows.std(0)
    truth, weight = np.repeat([1, -1], [80, 50]), np.repeat([130 / 160, 130 / 100], [80, 50])

    def loss(beta):
        return (weight * np.logaddexp(0, -truth * (scaled @ beta[:3] + beta[3]))).sum() + (beta[:3] ** 2).sum() / 2

    best = optimize.minimize(
        loss, np.zeros(4), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 5000}
    )
    found = combination(mine, heldout)
    np.testing.assert_allclose(found.weights, best.x[:3], atol=2e-3)
    np.testing.assert_allclose(found.score(rows), scaled @ found.weights, atol=1e-12)


def test_a_score_that_does_not_vary_has_no_say():
    generator = np.random.default_rng(1)
    found = combination(
        np.c_[generator.normal(1, 1, 50), np.full(50, 0.1 + 0.2)], np.c_[generator.normal(size=50), np.full(50, 0.3)]
    )
    assert abs(found.weights[1]) < 1e-9
    assert found.weights[0] > 0.3


@pytest.mark.parametrize(
    ("mine", "heldout", "said"),
    [
        (np.zeros((0, 2)), np.zeros((3, 2)), "are not"),
        (np.zeros((3, 2)), np.zeros((3, 1)), "are not"),
        (np.zeros(3), np.zeros(3), "are not"),
        (np.full((3, 1), np.nan), np.zeros((3, 1)), "not finite"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(mine, heldout, said):
    with pytest.raises(ValueError, match=said):
        combination(mine, heldout)


@pytest.mark.parametrize("p", [[], [0.1, np.nan], [1.1], [-0.1], [[0.1]]])
def test_what_is_no_p_value_is_refused(p):
    with pytest.raises(ValueError, match="no p-values"):
        any_dependence(p)


def crossed(generator, worlds):
    """P-values of two halves of a world without any difference, one score, each half's sign taught by the other."""
    first, second = generator.normal(size=(2, worlds))
    return stats.norm.sf(first * np.sign(second)), stats.norm.sf(second * np.sign(first))


def test_twice_the_smaller_keeps_its_word_where_others_do_not():
    one, other = crossed(np.random.default_rng(2), 200_000)
    assert np.corrcoef(one, other)[0, 1] > 0.5
    ours = np.array([any_dependence(pair) for pair in zip(one[:50_000], other[:50_000], strict=True)])
    fisher = stats.chi2.sf(-2 * np.log(one * other), 4)
    stouffer = stats.norm.sf((stats.norm.isf(one) + stats.norm.isf(other)) / 2**0.5)
    for alpha in (0.05, 0.01):
        assert np.mean(ours <= alpha) <= alpha + 3 * (alpha / 50_000) ** 0.5
        assert np.mean(fisher <= alpha) > 1.3 * alpha
        assert np.mean(stouffer <= alpha) > 1.3 * alpha
    assert np.mean(ours <= 0.05) > 0.03  # and it is not idle
    assert (one + other >= 2 * np.minimum(one, other)).all()  # twice the mean is never smaller


@pytest.mark.parametrize("correlation", [-1.0, -0.5, 0.0, 0.5, 1.0])
def test_it_holds_under_any_dependence(correlation):
    generator = np.random.default_rng(3)
    first, noise = generator.normal(size=(2, 50_000))
    second = correlation * first + (1 - correlation**2) ** 0.5 * noise
    found = 2 * np.minimum(stats.norm.sf(first), stats.norm.sf(second))
    assert any_dependence([stats.norm.sf(first[0]), stats.norm.sf(second[0])]) == pytest.approx(min(1, found[0]))
    assert np.mean(found <= 0.05) <= 0.05 + 0.003
