"""Attacks that misbehave, in what they return and in what they do besides: refused in a sentence, or contained."""

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lmia
from lmia import scoring
from lmia.attack import Batch
from lmia.contained import bits
from lmia.errors import LmiaError
from lmia.measurement import Measurement
from misbehaving import audited, refused, seeds, settings, state
from worlds import Loss, Matrices, Plain

# Attacks: what they return


class Returns(Plain):
    """Returns something made of the cosine."""

    made = None

    def score(self, samples):
        return type(self).made(samples.cosine[:, 0])


def returning(made):
    return type("Odd", (Returns,), {"made": staticmethod(made)})()


REFUSED = {
    "nothing": (lambda x: None, "The attack 'odd' returned NoneType for "),
    "a list": (lambda x: x.tolist(), "returned list for "),
    "an array": (lambda x: x.numpy(), "returned ndarray for "),
    "one number": (lambda x: x.mean(), "returned () float32 for "),
    "a row too few": (lambda x: x[1:], "float32 for "),
    "a column": (lambda x: x[:, None], ", 1) float32 for "),
    "complex numbers": (lambda x: x + 0j, ") complex64 for "),
    "NaN": (lambda x: x / 0 * 0, "that are NaN or infinite"),
    "infinity": (lambda x: x / 0, "that are NaN or infinite"),
}


@pytest.mark.parametrize(("made", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_score_is_refused(tmp_path, made, said):
    assert said in refused(tmp_path, returning(made))


CONTAINED = {
    "half precision": (lambda x: x.half(), 1e-3),
    "double precision": (lambda x: x.double(), 0),
    "gradients": (lambda x: x.clone().requires_grad_(), 0),
    "another layout": (lambda x: torch.stack([x, x], 1)[:, 0], 0),
}


@pytest.mark.parametrize(("made", "apart"), CONTAINED.values(), ids=CONTAINED)
def test_scores_of_another_type_are_the_same_scores(tmp_path, made, apart):
    odd, plain = audited(tmp_path, returning(made), Plain()).attacks
    assert odd.auc.value == pytest.approx(plain.auc.value, abs=apart)


class Finds(Plain):
    """Has findings of its own."""

    found = None

    def findings(self):
        return type(self).found


def itself():
    found = {}
    return found | {"in": [found], "x": found.setdefault("self", [found])}


FINDINGS = {
    "nothing": (None, "returned NoneType as its findings."),
    "a list": ([1], "returned list as its findings."),
    "a number of numpy's": ({"x": np.float32(1)}, "are not JSON: Object of type float32 is not JSON serializable."),
    "a set": ({"x": {1}}, "are not JSON: Object of type set is not JSON serializable."),
    "NaN": ({"x": [float("nan")]}, "are not JSON: Out of range float values are not JSON compliant"),
    "a list in itself": (itself(), "are not JSON: Circular reference detected."),
}


@pytest.mark.parametrize(("found", "said"), FINDINGS.values(), ids=FINDINGS)
def test_findings_that_no_report_can_hold_are_refused(tmp_path, found, said):
    told = refused(tmp_path, type("Odd", (Finds,), {"found": found})())
    assert told.startswith("The attack 'odd' ")
    assert said in told


# Attacks: what they do besides


class Meddles(Plain):
    """Does something beside scoring.

    Args:
        when: in `fit`, in `score` or in both.
    """

    what = None

    def __init__(self, when: str = "both") -> None:
        self.when = when

    def fit(self, known):
        if self.when in ("fit", "both"):
            type(self).what(known.nonmembers)

    def score(self, samples):
        scores = samples.cosine[:, 0].clone()
        if self.when in ("score", "both"):
            type(self).what(samples)
        return scores


def meddling(what, when="both"):
    return type("Odd", (Meddles,), {"what": staticmethod(what)})(when)


class Draws(Plain):
    """Draws from torch's global generator, as a careless author does."""

    def score(self, samples):
        return samples.cosine[:, 0] + torch.rand(len(samples))


@pytest.mark.parametrize("what", [seeds, settings], ids=lambda what: what.__name__)
def test_what_an_attack_sets_for_all_is_put_back(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    target = Matrices("0:60")  # its layers draw
    alone = audited(tmp_path, Draws(), Plain(), target=target, out="alone")
    before = state()
    beside = audited(tmp_path, meddling(lambda samples: what()), Draws(), Plain(), target=target, out="beside")
    assert state() == before
    assert [one.auc for one in beside.attacks[1:]] == [one.auc for one in alone.attacks]


def test_the_detector_sees_what_is_set_for_all(monkeypatch, tmp_path):
    """The test above proves nothing if this fails."""
    monkeypatch.chdir(tmp_path)
    before, threads, folder = state(), torch.get_num_threads(), Path.cwd()
    kept = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    try:
        seeds(), settings()
        assert [one == other for one, other in zip(before, state(), strict=True)] == [False] * 8
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(threads)
        torch.set_grad_enabled(True)
        torch.use_deterministic_algorithms(False)
        os.chdir(folder)
        random.setstate(kept[0]), np.random.set_state(kept[1]), torch.random.set_rng_state(kept[2])


def _negate(array):
    array *= -1


WRITES = {
    "counted": torch.Tensor.neg_,
    "through data": lambda tensor: tensor.data.neg_(),
    "through numpy": lambda tensor: _negate(tensor.numpy()),
    "sorted": lambda tensor: tensor.numpy().sort(axis=0),
}


@pytest.mark.parametrize("when", ["fit", "score"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_an_attack_that_changes_its_samples_is_refused(tmp_path, when, write):
    """Else the next attack, which reads the same memory, would score what is left of them."""
    said = refused(tmp_path, meddling(lambda samples: write(samples.cosine), when), Plain())
    assert said == "The attack 'odd' changed the samples that it was given."


CHANGES = {
    "every sign": lambda array: np.negative(array, out=array),
    "every other sign": lambda array: np.negative(array[::2], out=array[::2]),
    "one number": lambda array: np.put(array, 3, 2.0),
    "one bit": lambda array: np.put(array, 3, np.nextafter(array.flat[3], np.float32(9))),
    "the rows' order": lambda array: array.sort(axis=0),
    "the columns' order": lambda array: array.sort(axis=-1),
    "two rows": lambda array: array.__setitem__([0, 1], array[[1, 0]]),
}
SHAPES = {"few": (10, 2), "odd": (10, 3), "a part": (10, 4), "deep": (10, 3, 4)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_no_accident_keeps_the_sums(change, shape):
    """Signs are the highest bits: of an even number of them nothing is left in a sum that has no room above."""
    whole = torch.rand(SHAPES[shape], generator=torch.Generator().manual_seed(1))
    given = whole[:, :3] if shape == "a part" else whole
    samples = lmia.Samples(
        torch.arange(10), ["a"] * 10, ("identity",), {"cosine": torch.zeros(10, 1), "view_image": given}
    )
    attack = meddling(lambda samples: change(samples.view_image.numpy()), "score")
    with pytest.raises(LmiaError, match="'odd' changed the samples"):
        scoring.score(attack, "odd", samples, seed=0)


@pytest.mark.parametrize("name", ["ids", "norm"])
def test_the_order_of_single_numbers_counts(name):
    given = {"ids": torch.arange(10), "norm": torch.linspace(0, 1, 10)}
    samples = lmia.Samples(
        given["ids"], ["a"] * 10, ("identity",), {"cosine": torch.zeros(10, 1)}, {"norm": given["norm"]}
    )
    attack = meddling(lambda samples: np.copyto(given[name].numpy(), given[name].numpy()[::-1].copy()), "score")
    with pytest.raises(LmiaError, match="'odd' changed the samples"):
        scoring.score(attack, "odd", samples, seed=0)


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.bfloat16, torch.float16, torch.float64, torch.complex64]
)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 8), (0, 8)])
def test_every_tensor_has_bits(dtype, shape):
    for tensor in (torch.ones(shape, dtype=dtype), torch.ones((*shape, 8, 2), dtype=dtype).mT[..., 1, 1:5]):
        assert bits(tensor).sum().dtype == torch.int64
        assert bool(bits(tensor).sum() == bits(torch.zeros_like(tensor)).sum()) is (tensor.numel() == 0)


@pytest.mark.parametrize("when", ["fit", "score"])
def test_captions_are_nobodys_to_sort(tmp_path, when):
    with pytest.raises(AttributeError, match="'Texts' object has no attribute 'sort'"):
        audited(tmp_path, meddling(lambda samples: samples.captions.sort(), when))


@pytest.mark.parametrize("when", ["fit", "score"])
def test_an_attack_that_ends_the_program_is_no_finished_audit(tmp_path, when):
    assert refused(tmp_path, meddling(lambda samples: sys.exit(0), when)).startswith("The attack 'odd' tried to end")


# Attacks that measure the model


class Measures(Loss):
    """Measures, and does something besides."""

    def measure(self, target, batch, anchors):
        found = super().measure(target, batch, anchors)
        type(self).what(target, batch)
        return found


def measuring(what):
    return type("Odd", (Measures,), {"what": staticmethod(what)})()


def _weights(target, batch):
    with torch.no_grad():
        target.image.weight.mul_(2)


MEASURING = {
    "the weights": _weights,
    "the weights, through data": lambda target, batch: target.image.weight.data.normal_(),
    "the weights' signs": lambda target, batch: target.image.weight.data.neg_(),
    "the weights, through numpy": lambda target, batch: _negate(target.image.weight.detach().numpy()),
    "the pixels, through numpy": lambda target, batch: _negate(batch.pixels.detach().numpy()),
    "the mode": lambda target, batch: target.train(),
    "the pixels": lambda target, batch: batch.pixels.detach().zero_(),
    "the tokens": lambda target, batch: batch.tokens.zero_(),
}


@pytest.mark.parametrize("what", MEASURING.values(), ids=MEASURING)
def test_a_measurement_that_changes_the_model_or_the_batch_is_refused(tmp_path, what):
    target = Matrices("0:60").eval()
    said = refused(tmp_path, measuring(what), target=target)
    assert said == "Odd.measure changed the model's weights or mode, the batch or the anchors."
    assert not list((tmp_path / "cache").rglob("*.np[yz]"))  # of a spoilt model nothing is kept


def test_a_measurement_that_changes_its_anchors_is_refused():
    bank = lmia.Samples(torch.arange(2), ["a", "b"], ("identity",), {"cosine": torch.ones(2, 1)})
    attack = measuring(lambda target, batch: bank.cosine.data.zero_())
    batch = Batch(torch.arange(2), torch.rand(2, 3, 8, 8), torch.ones(2, 1, dtype=torch.int64))
    with pytest.raises(LmiaError, match=r"Odd\.measure changed .* or the anchors"):
        Measurement(attack, bank).take(Matrices(), batch)


class Odder(Loss):
    """Returns something for measurements."""

    made = None

    def measure(self, target, batch, anchors):
        return type(self).made(super().measure(target, batch, anchors)["norm"])


MEASURED = {
    "nothing": (lambda norm: None, "NoneType"),
    "a tensor": (lambda norm: norm, "(60,) float32"),
    "a list in it": (lambda norm: {"norm": norm.tolist()}, "{'norm': 'list'}"),
    "an array in it": (lambda norm: {"norm": norm.numpy()}, "{'norm': 'ndarray'}"),
    "one number": (lambda norm: {"norm": norm, "mean": norm.mean()}, "{'mean': '() float32'}"),
    "a row too few": (lambda norm: {"norm": norm[1:]}, "{'norm': '(59,) float32'}"),
    "no text for a name": (lambda norm: {1: norm}, "{1: '(60,) float32'}"),
}


@pytest.mark.parametrize(("made", "said"), MEASURED.values(), ids=MEASURED)
def test_what_is_no_measurement_is_refused(tmp_path, made, said):
    odd = type("Odd", (Odder,), {"made": staticmethod(made)})()
    assert refused(tmp_path, odd) == f"Odd.measure returned {said} for 60 pairs."


def test_a_measurement_that_ends_the_program_is_refused(tmp_path):
    said = refused(tmp_path, measuring(lambda target, batch: sys.exit(0)))
    assert said.startswith("Odd.measure tried to end the program")
