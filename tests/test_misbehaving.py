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
from lmia.data import AuditData
from lmia.defence import defended
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from lmia.hookspecs import hookimpl
from lmia.registry import Registry, registry
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


@pytest.mark.parametrize("when", ["fit", "score"])
def test_an_attack_that_changes_its_samples_is_refused(tmp_path, when):
    """Else the next attack, which reads the same memory, would score what is left of them."""
    said = refused(tmp_path, meddling(lambda samples: samples.cosine.zero_(), when), Plain())
    assert said == "The attack 'odd' changed the samples that it was given."


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
    "the mode": lambda target, batch: target.train(),
    "the pixels": lambda target, batch: batch.pixels.detach().zero_(),
    "the tokens": lambda target, batch: batch.tokens.zero_(),
}


@pytest.mark.parametrize("what", MEASURING.values(), ids=MEASURING)
def test_a_measurement_that_changes_the_model_or_the_batch_is_refused(tmp_path, what):
    target = Matrices("0:60").eval()
    assert "Odd.measure changed the model's weights or mode, or the batch" in refused(
        tmp_path, measuring(what), target=target
    )


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
    "nothing": (None, "A source yielded NoneType: neither a Pair nor a Rejected."),
    "a tuple": (("key", "caption", b""), "A source yielded tuple"),
    "an end": (lambda: sys.exit(0), "tried to end the program"),
}


@pytest.mark.parametrize(("what", "said"), SOURCES.values(), ids=SOURCES)
def test_a_source_that_yields_something_else_is_refused(tmp_path, what, said):
    assert said in refused(tmp_path, Plain(), source=_Tail(what))


def test_few_large_files_are_held_at_once():
    """A small archive unpacks to many large files: 64 of half a gibibyte would fill any memory."""
    pairs = [lmia.Pair(str(i), "a", b"x" * (9 if i in (3, 7) else 1)) for i in range(10)]
    groups = list(lmia.source.together(iter(pairs), 4, held=9))
    assert [len(group) for group in groups] == [4, 4, 2]
    assert [len(group) for group in lmia.source.together(iter(pairs), 100, held=9)] == [4, 4, 2]
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
