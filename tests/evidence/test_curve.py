import numpy as np
import pytest
import torch
from hypothesis import given
from sklearn.metrics import roc_curve

from evidence.cases import binormal, samples
from lmia.errors import LmiaError
from lmia.evidence.curve import roc, thin_curve


@given(samples())
def test_every_point_is_scikit_learns(case):
    scores, labels = case
    fpr, tpr, _ = roc_curve(labels.numpy(), scores.double().numpy(), drop_intermediate=False)
    found = roc(scores, labels)
    assert found[0].numpy() == pytest.approx(fpr, abs=1e-12)
    assert found[1].numpy() == pytest.approx(tpr, abs=1e-12)


def test_rates_are_whole_counts_in_float64():
    """torchmetrics divides in float32, where 0.1 of 30 nonmembers is above 0.1."""
    fpr, _ = roc(torch.arange(60.0), torch.arange(60) % 2)
    assert 0.1 in fpr.tolist()


def test_one_side_missing_is_a_sentence():
    with pytest.raises(LmiaError, match="no members"):
        roc(torch.zeros(3), torch.zeros(3))


def test_a_thinned_curve_keeps_points_ends_and_low_rates():
    scores, labels = binormal(torch.Generator().manual_seed(0), 20_000, 20_000, 1.0)
    fpr, tpr = roc(scores, labels)
    curve = thin_curve(fpr, tpr)
    assert 200 < len(curve.fpr) <= 500
    assert set(zip(curve.fpr, curve.tpr, strict=True)) <= set(zip(fpr.tolist(), tpr.tolist(), strict=True))
    assert (curve.fpr[0], curve.tpr[0], curve.fpr[-1], curve.tpr[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert list(curve.fpr) == sorted(curve.fpr)
    assert list(curve.tpr) == sorted(curve.tpr)
    assert sum(0 < f < 1e-3 for f in curve.fpr) >= 15  # of 19 rates that there are
    at = np.interp(np.logspace(-3, 0, 50), curve.fpr, curve.tpr)
    assert at == pytest.approx(np.interp(np.logspace(-3, 0, 50), fpr.numpy(), tpr.numpy()), abs=0.02)


@given(samples())
def test_a_short_curve_is_kept_whole(case):
    fpr, tpr = roc(*case)
    assert thin_curve(fpr, tpr).tpr == tuple(tpr.tolist())


def test_a_perfect_curve_thins_to_its_corner():
    fpr, tpr = roc(torch.arange(4000.0), torch.arange(4000) >= 2000)
    curve = thin_curve(fpr, tpr, points=50)
    assert (0.0, 1.0) in zip(curve.fpr, curve.tpr, strict=True)
    assert len(curve.fpr) <= 50


@pytest.mark.parametrize(("n", "m", "points"), [(0, 0, 500), (3, 4, 500), (100, 100, 9)])
def test_what_cannot_be_thinned_is_refused(n, m, points):
    with pytest.raises(ValueError, match="cannot thin"):
        thin_curve(torch.zeros(n), torch.zeros(m), points)
