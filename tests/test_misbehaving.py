"""Plugins that misbehave, hook by hook: each is refused in a sentence or contained, and none spoils another's numbers.

What raises keeps its traceback (tests/test_cli.py); attacks are in tests/test_misbehaving_attacks.py, what the registry refuses is in tests/test_registry.py, what the
conformance kit finds in tests/testing/. Here is what an audit itself does about those that nobody checked.
"""

import sys
from dataclasses import dataclass, replace

import pytest
import torch

import lmia
from lmia.defence import defended
from lmia.errors import LmiaError
from lmia.hookspecs import hookimpl
from lmia.registry import Registry, registry
from lmia.returned import seen
from lmia.source import Sample, named_shards
from misbehaving import audited, refused, state
from plugin_makers import install, points
from worlds import Matrices, Noise, Plain, Reflections

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
    code = "import misbehaving as t\nt.seeds(); t.settings(); print('try our product')\n" + HOOK.format("")
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
