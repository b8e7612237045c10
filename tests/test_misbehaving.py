"""Plugins that misbehave, hook by hook: each is refused in a sentence or contained, and none spoils another's numbers.

What raises keeps its traceback (tests/test_cli.py); what the registry refuses is in tests/test_registry.py, what the
conformance kit finds in tests/testing/. Here is what an audit itself does about those that nobody checked.
"""

import os
import random
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

import lmia
from lmia import scoring
from lmia.attack import Batch
from lmia.contained import bits
from lmia.data import AuditData
from lmia.defence import defended
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from lmia.hookspecs import hookimpl
from lmia.measurement import Measurement
from lmia.registry import Registry, registry
from lmia.returned import seen
from lmia.source import Sample, named_shards, together
from plugin_makers import install, points
from worlds import Loss, Matrices, Noise, Plain, Reflections


def audited(tmp_path, *attacks, target=None, views=None, source=Noise, out="out"):
    data = AuditData(members=source(0, 60), nonmembers=source(100, 190))
    model = FeatureExtractor(target or Matrices("0:60"), views, cache=tmp_path / "cache")
    return lmia.run_audit(model, data, list(attacks), out=tmp_path / out)


def refused(tmp_path, *attacks, **world):
    with pytest.raises(LmiaError) as error:
        audited(tmp_path, *attacks, **world)
    assert error.value.remedy
    assert not list((tmp_path / "out").glob("*"))
    return error.value.problem


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


def seeds():
    torch.manual_seed(123)
    np.random.seed(123)
    random.seed(123)


def settings():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_grad_enabled(not torch.is_grad_enabled())
    torch.use_deterministic_algorithms(True)
    os.chdir(tempfile.gettempdir())


def state():
    """What belongs to the process and not to an attack."""
    return (
        torch.random.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        Path.cwd(),
    )


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
    with pytest.raises(AttributeError, match="'tuple' object has no attribute 'sort'"):
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


# Views


class Compares(Plain):
    """Wants views."""

    requires = frozenset({"views"})


class OneMore(lmia.Views):
    """The picture, and one more."""

    how = None

    def views(self):
        return {"identity": lmia.View(), "odd": lmia.View(image=type(self).how), "down": Reflections().views()["down"]}


def viewing(how):
    return type("Odd", (OneMore,), {"how": staticmethod(how)})()


VIEWS = {
    "in place": (lambda pixels: pixels.zero_(), "The view 'odd' changed the pictures that it was given"),
    "in place, and a copy back": (lambda pixels: pixels.mul_(0.5).clone(), "changed the pictures"),
    "a picture less": (lambda pixels: pixels[1:], "The view 'odd' made ("),
    "one picture for all": (lambda pixels: pixels[:1], "The view 'odd' made (1, 3, 8, 8) float32 of pictures ("),
    "another size": (lambda pixels: pixels[..., :4], "The view 'odd' made ("),
    "grey": (lambda pixels: pixels[:, :1], "The view 'odd' made ("),
    "nothing": (lambda pixels: None, "The view 'odd' made NoneType"),
    "NaN": (lambda pixels: pixels / 0 * 0, "that are NaN or infinite (cosine@odd"),
    "an end": (lambda pixels: sys.exit(0), "The target, a view or a source tried to end the program"),
}


@pytest.mark.parametrize(("how", "said"), VIEWS.values(), ids=VIEWS)
def test_a_view_that_is_none_is_refused(tmp_path, how, said):
    assert said in refused(tmp_path, Compares(), views=viewing(how))


def _halved(array):
    array *= 0.5


UNSEEN = {
    "through data": lambda pixels: pixels.data.mul_(0.5).clone(),
    "through numpy": lambda pixels: _halved(pixels.numpy()) or pixels.clone(),
}


@pytest.mark.parametrize("how", UNSEEN.values(), ids=UNSEEN)
def test_what_a_view_writes_reaches_no_other_view(tmp_path, how):
    """Such writes are not counted; a view has the pictures for itself."""
    pixels = torch.ones(1, 3, 2, 2)
    assert seen(how, pixels, "odd").unique().tolist() == [0.5]
    assert pixels.unique().tolist() == [1]
    odd, plain = (audited(tmp_path / name, Compares(), views=viewing(one)).attacks[0].auc
                  for name, one in {"odd": how, "plain": lambda pixels: pixels * 0.5}.items())  # fmt: skip
    assert odd == plain


# Targets


class Odd(Matrices):
    """A target with one part spoilt.

    Args:
        part: the name of the method.
        made: what becomes of its result.
    """

    def __init__(self, part, made):
        super().__init__("0:60")
        whole = getattr(self, part)
        self.__dict__[part] = lambda *given: made(whole(*given))
        self.part, self.made = part, made

    def untrained(self, seed):
        return None


TARGETS = {
    "floats for bytes": ("preprocess", lambda x: x.float() / 255, "Odd.preprocess returned (3, 8, 8) float32"),
    "channels last": ("preprocess", lambda x: x.permute(1, 2, 0), "Odd.preprocess returned (8, 8, 3) uint8"),
    "no picture": ("preprocess", lambda x: None, "Odd.preprocess returned NoneType"),
    "a row too few": ("encode_image", lambda x: x[1:], "Odd.encode_image returned ("),
    "one row for all": ("encode_image", lambda x: x[:1], "Odd.encode_image returned (1, 16) float32"),
    "one text for all": ("encode_text", lambda x: x[:1], "Odd.encode_text returned (1, 16) float32"),
    "one token for all": ("tokenize", lambda x: x[:1], "Odd.encode_text returned (1, 16) float32"),
    "a flat answer": ("encode_text", lambda x: x[:, 0], "Odd.encode_text returned ("),
    "no answer": ("encode_text", lambda x: None, "Odd.encode_text returned NoneType"),
    "NaN": ("encode_image", lambda x: x * float("nan"), "numbers of 60 that are NaN or infinite (cosine)"),
    "an end": ("encode_text", lambda x: sys.exit(0), "The target, a view or a source tried to end the program"),
}


@pytest.mark.parametrize(("part", "made", "said"), TARGETS.values(), ids=TARGETS)
def test_a_target_that_answers_otherwise_is_refused_and_nothing_is_kept(tmp_path, part, made, said):
    assert said in refused(tmp_path, Plain(), target=Odd(part, made))
    assert not list((tmp_path / "cache").rglob("*.npy"))


# Sources


@dataclass
class _Tail:
    what: object

    def __call__(self, start, stop):
        made = _Odd(start, stop)
        made.what = self.what
        return made


class _Odd(Noise):
    """Noise, and something at the end."""

    what = None

    def read(self, shard):
        yield from super().read(shard)
        yield self.what() if callable(self.what) else self.what


SOURCES = {
    "nothing": (None, "_Odd yielded NoneType: neither a Pair nor a Rejected."),
    "a tuple": (("key", "caption", b""), "_Odd yielded tuple"),
    "an end": (lambda: sys.exit(0), "tried to end the program"),
    "a key that is missing": (lmia.Pair(None, "a", b""), " yielded a Pair whose key is NoneType, not text."),
    "a key that is a number": (lmia.Pair(5, "a", b""), " yielded a Pair whose key is int, not text."),
    "a caption that is missing": (lmia.Pair("a", None, b""), " yielded a Pair whose caption is NoneType, not text."),
    "a caption of bytes": (lmia.Pair("a", b"a", b""), " yielded a Pair whose caption is bytes, not text."),
    "a url that is a number": (lmia.Pair("a", "a", b"", 5), " yielded a Pair whose url is int, not text."),
    "half a letter": (lmia.Pair("a", "a", b"", "a\ud800"), " yielded a Pair whose url holds a lone surrogate, "),
    "a rejection of nothing": (lmia.Rejected(None, "x"), " yielded a Rejected whose key is NoneType, not text."),
    "a rejection for nothing": (lmia.Rejected("a", None), " yielded a Rejected whose reason is NoneType, not text."),
    "half a reason": (lmia.Rejected("a", "\ud800"), " yielded a Rejected whose reason holds a lone surrogate, "),
}


@pytest.mark.parametrize(("what", "said"), SOURCES.values(), ids=SOURCES)
def test_a_source_that_yields_something_else_is_refused(tmp_path, what, said):
    assert said in refused(tmp_path, Plain(), source=_Tail(what))


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (None, "Odd returned NoneType from read, not its records one by one."),
        ([lmia.Pair("a", None, b"")], "Odd yielded a Pair whose caption is NoneType, not text."),
    ],
)
def test_whose_records_are_wrong_is_said(records, said):
    with pytest.raises(LmiaError) as error:
        list(together(records, 4, who="Odd"))
    assert error.value.problem == said


def test_records_of_odd_texts_have_ways_of_their_own():
    """Keys are spelt out and captions rejected where they are no Unicode: a record's fault, not its source's."""
    records = [lmia.Pair("a\ud800", "b\ud800", b"", "http://ä"), lmia.Pair("c", "d", b""), lmia.Rejected("\ud800", "x")]
    assert list(together(records, 4)) == [records]


class Lists(Noise):
    """Lists something for its shards."""

    listed = None

    def shards(self):
        return type(self).listed


SHARDS = {
    "nothing": (None, "Lister.shards returned NoneType, not a list of names."),
    "a word": ("0001", "Lister.shards returned str, not a list of names."),
    "one twice": (["0", "1", "0"], "Lister.shards named the shard '0' more than once."),
}


@pytest.mark.parametrize("part", [lambda source: source, lambda source: Sample(source, 3)], ids=["whole", "sample"])
@pytest.mark.parametrize(("listed", "said"), SHARDS.values(), ids=SHARDS)
def test_what_is_no_list_of_shards_is_refused(listed, said, part):
    with pytest.raises(LmiaError) as error:
        named_shards(part(type("Lister", (Lists,), {"listed": listed})(0, 9)))
    assert error.value.problem == said


def test_few_large_files_are_held_at_once():
    """A small archive unpacks to many large files: 64 of half a gibibyte would fill any memory."""
    pairs = [lmia.Pair(str(i), "a", b"x" * (9 if i in (3, 7) else 1)) for i in range(10)]
    groups = list(lmia.source.together(iter(pairs), 4, held=20))
    assert [len(group) for group in groups] == [4, 4, 2]
    assert [len(group) for group in lmia.source.together(iter(pairs), 100, held=20)] == [4, 4, 2]
    assert [pair for group in groups for pair in group] == pairs


# Defences


class Nobody(lmia.Defence):
    """Puts nothing before the target."""

    def around(self, target):
        return None


def test_a_defence_that_returns_no_target_is_refused():
    with pytest.raises(LmiaError, match="The defence 'nobody' put NoneType before the target"):
        defended(Matrices(), [Nobody()])


# Events


class _Listener:
    """Hears of a finished audit."""

    @hookimpl
    def lmia_audit_finished(self, report, out):
        sys.exit(0)


def test_who_hears_of_a_finished_audit_cannot_end_the_program(tmp_path):
    listener = _Listener()
    registry().manager.register(listener)
    try:
        with pytest.raises(LmiaError, match="tried to end the program"):
            audited(tmp_path, Plain())
    finally:
        registry().manager.unregister(listener)
    assert not (tmp_path / "out" / "report.html").exists()  # all of a report or nothing of it


# While modules are loaded

HOOK = "import lmia\nfrom worlds import Plain\n@lmia.hookimpl\ndef lmia_attacks():\n    {}return [Plain]\n"
AT_IMPORT = {
    "sys.exit(0)": "LmiaError: The plugin 'odd' tried to end the program (exit code 0).",
    "raise SystemExit('no licence')": "LmiaError: The plugin 'odd' tried to end the program (exit code no licence).",
    "raise BaseExceptionGroup('two', [ValueError(1)])": "ExceptionGroup: two",
}


@pytest.mark.parametrize("where", ["at import", "in the hook"])
@pytest.mark.parametrize("line", AT_IMPORT)
def test_a_module_that_ends_the_program_is_broken_and_stops_nobody(tmp_path, monkeypatch, line, where):
    code = (
        f"import sys\n{line}\n{HOOK.format('')}"
        if where == "at import"
        else "import sys\n" + HOOK.format(f"{line}\n    ")
    )
    loaded = load(tmp_path, monkeypatch, code)
    odd, good = loaded.listing()[-1], loaded.get("attack", "good")
    assert (odd.kind, odd.name) == ("broken", "odd")
    assert odd.summary.startswith(AT_IMPORT[line])
    assert good.__name__ == "Good"


def load(tmp_path, monkeypatch, code):
    """A registry of this module and of one that is as it should be."""
    for name in ("odd_one", "good_one"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    install(tmp_path / "site", "odd", "odd_one", code, point="odd")
    good = (
        HOOK.format("").replace("[Plain]", "[Good]").replace("@lmia", "class Good(Plain):\n    '''Good.'''\n@lmia", 1)
    )
    install(tmp_path / "site", "good", "good_one", good, point="zgood")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return Registry(points(tmp_path / "site"))


def test_a_module_that_sets_things_for_all_is_loaded_and_they_are_put_back(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "import test_misbehaving as t\nt.seeds(); t.settings(); print('try our product')\n" + HOOK.format("")
    monkeypatch.setitem(sys.modules, "test_misbehaving", sys.modules[__name__])
    before = state()
    loaded = load(tmp_path, monkeypatch, code)
    assert state() == before
    assert loaded.get("attack", "plain") is Plain
    out, err = capsys.readouterr()
    assert out == ""  # `lmia audit --print_config > mine.yaml` is a config
    assert err == "try our product\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (HOOK.format("").replace("lmia_attacks()", "lmia_attacks(report, out)"), "PluginValidationError: "),
        (HOOK.format("").replace("[Plain]", "7"), "TypeError: 'int' object is not iterable"),
        (HOOK.format("").replace("[Plain]", "[lmia.Attack]"), "TypeError: Attack does not define score"),
        (HOOK.format("").replace("return", "yield").replace("[Plain]", "1 / 0"), "ZeroDivisionError: "),
    ],
)
def test_a_hook_of_a_wrong_shape_is_broken_with_its_reason(tmp_path, monkeypatch, code, reason):
    odd = load(tmp_path, monkeypatch, code).listing()[-1]
    assert (odd.kind, odd.name) == ("broken", "odd")
    assert odd.summary.startswith(reason)


class Leaves(Noise):
    """Cannot even say whether a spec is its own."""

    @classmethod
    def claims(cls, spec):
        sys.exit(0)


def test_a_claim_that_ends_the_program_is_broken_and_stops_nobody():
    loaded = Registry([])
    loaded._plugins += [
        replace(loaded._plugins[0], kind="source", name=c.__name__.lower(), cls=c) for c in (Leaves, Noise)
    ]
    assert loaded.claim("source", "noise:0:1")[0] is Noise
    assert loaded.listing()[-1].summary.startswith("SystemExit in claims")
