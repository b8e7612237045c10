"""What is installed: found by entry points alone, named by its class, claimed by one; what is broken stops nobody."""

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

import lmia
from lmia import hookspecs
from lmia.errors import LmiaError
from lmia.registry import KINDS, Registry, registry
from plugin_makers import install, points
from worlds import Matrices, Noise, Plain, Reflections


@pytest.fixture
def module(monkeypatch):
    """Make a module with hooks, and an entry point for it, as a distribution in this environment would have."""

    def make(name, **hooks):
        made = ModuleType(name)
        for hook, found in hooks.items():
            function = found if callable(found) and not isinstance(found, type) else (lambda found=found: found)
            setattr(made, hook, hookspecs.hookimpl(function))
        monkeypatch.setitem(sys.modules, name, made)
        return EntryPoint(name=name, value=name, group="lmia")

    return make


@pytest.fixture
def toys(module):
    return Registry(
        [
            module("toy_attacks", lmia_attacks=[Plain]),
            module("toy_rest", lmia_targets=[Matrices], lmia_views=[Reflections], lmia_sources=[Noise]),
        ]
    )


def test_every_kind_is_listed_in_order_and_by_name(toys):
    found = [(plugin.kind, plugin.name) for plugin in toys.listing()]
    expected = [("attack", "plain"), ("target", "matrices"), ("views", "identity")]
    assert found == [*expected, ("views", "reflections"), ("source", "noise")]
    named = [["plain"], ["matrices"], ["identity", "reflections"], ["noise"], []]
    assert [toys.names(kind) for kind in KINDS] == named


def test_the_summary_is_the_docstrings_first_line(toys):
    assert {plugin.name: plugin.summary for plugin in toys.listing()}[
        "noise"
    ] == "Pictures of noise with the caption `pair INDEX`."


@pytest.mark.parametrize("name", ["plain", "Plain", "PLAIN", "some.module.Plain", "pla-in", "pla_in"])
def test_a_name_is_the_class_name_however_it_is_written(toys, name):
    assert toys.get("attack", name) is Plain


@pytest.mark.parametrize(
    ("kind", "name", "problem", "remedy"),
    [
        ("attack", "plein", "No attack is called 'plein'.", "Did you mean 'plain'? Known: plain."),
        ("views", "x", "No set of views is called 'x'.", "Known: identity, reflections."),
        ("target", "plain", "No target is called 'plain'.", "Known: matrices."),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_and_the_list(toys, kind, name, problem, remedy):
    with pytest.raises(LmiaError) as error:
        toys.get(kind, name)
    assert (error.value.problem, error.value.remedy) == (problem, remedy)


def test_an_empty_house_says_that_nothing_is_installed():
    with pytest.raises(LmiaError, match="None is installed"):
        Registry([]).get("attack", "csa")


def test_the_one_that_claims_is_found_with_its_arguments(toys):
    assert toys.claim("source", "noise:3:9") == (Noise, {"start": 3, "stop": 9})


def test_nobody_claims(toys):
    with pytest.raises(LmiaError) as error:
        toys.claim("source", "pairs.xyz")
    assert error.value.problem == "No source can read 'pairs.xyz'."
    assert "Kinds: noise." in error.value.remedy


@pytest.mark.parametrize("claimed", [["x"], "abc", True, 5, {1: 2}], ids=str)
def test_a_claim_of_a_wrong_type_is_broken_and_named(module, claimed):
    class Odd(Noise):
        """Claims with something else."""

        @classmethod
        def claims(cls, spec):
            return claimed

    both = Registry([module("one", lmia_sources=[Odd]), module("two", lmia_sources=[Noise])])
    assert both.claim("source", "noise:0:1") == (Noise, {"start": 0, "stop": 1})
    with pytest.raises(LmiaError) as error:
        both.claim("source", "pairs.xyz")
    said = f"TypeError in claims: it returned {type(claimed).__name__}, neither None nor init arguments by name"
    assert error.value.remedy.endswith(f"({said}).")
    assert "Kinds: noise. Broken, to be mended or uninstalled: odd of " in error.value.remedy


def test_two_claim(module):
    class Loud(Noise):
        """Claims the same."""

    both = Registry([module("one", lmia_sources=[Noise]), module("two", lmia_sources=[Loud])])
    with pytest.raises(LmiaError, match="Several sources claim 'noise:0:1': loud, noise"):
        both.claim("source", "noise:0:1")


class _Abstract(lmia.Attack):
    """Defines nothing."""


class _Wishful(Plain):
    """Requires what there is not."""

    requires = frozenset({"labels"})


class _NoSource(lmia.Source):
    """Lists and reads, but has no fingerprint."""

    def shards(self):
        return []

    def read(self, shard):
        yield from ()


def _fails():
    raise RuntimeError("no\nlicence")


@pytest.mark.parametrize(
    ("hooks", "reason"),
    [
        (
            {"lmia_attacks": [Plain()]},
            "TypeError: lmia_attacks must return subclasses of lmia.Attack, got <worlds.Plain",
        ),
        ({"lmia_attacks": [Noise]}, "TypeError: lmia_attacks must return subclasses of lmia.Attack, got <class"),
        ({"lmia_attacks": ["Plain"]}, "TypeError: lmia_attacks must return subclasses of lmia.Attack, got 'Plain'"),
        ({"lmia_attacks": [_Abstract]}, "TypeError: _Abstract does not define score"),
        ({"lmia_sources": [_NoSource]}, "TypeError: _NoSource does not define fingerprint"),
        ({"lmia_attacks": [_Wishful]}, "ValueError: _Wishful.requires holds ['labels'], allowed are ['anchors', "),
        ({"lmia_attacks": None}, "TypeError: "),
        ({"lmia_attacks": _fails}, "RuntimeError: no licence"),
        ({"lmia_attack": [Plain]}, "PluginValidationError: "),
    ],
)
def test_a_broken_plugin_is_listed_with_its_reason_and_stops_nobody(module, hooks, reason):
    found = Registry([module("broken_one", **hooks), module("good_one", lmia_attacks=[Plain])])
    last = found.listing()[-1]
    assert (last.kind, last.name, last.cls) == ("broken", "broken_one", None)
    assert last.summary.startswith(reason)
    assert "\n" not in last.summary
    assert found.get("attack", "plain") is Plain
    with pytest.raises(LmiaError, match=r"The plugin 'brokenone'|No attack is called 'broken_one'"):
        found.get("attack", "broken_one")


def test_a_broken_plugin_brings_nothing_at_all(module):
    """One bad class of two: the good one is not offered under a name that may mean something else tomorrow."""
    found = Registry([module("half", lmia_attacks=[Plain, _Abstract])])
    assert found.names("attack") == []
    assert found.manager.hook.lmia_attacks() == []


def test_the_same_class_from_two_entry_points_is_one(module):
    found = Registry([module("one", lmia_attacks=[Plain]), module("two", lmia_attacks=[Plain])])
    assert found.get("attack", "plain") is Plain


def test_distribution_and_version_come_from_its_metadata(tmp_path, monkeypatch):
    code = "import lmia\nfrom worlds import Plain\ndef lmia_attacks():\n    return [Plain]\n"
    install(tmp_path, "acme-plain", "acme_plain", code.replace("def", "@lmia.hookimpl\ndef"), version="3.1")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = Registry(points(tmp_path)).listing()[0]
    assert (plugin.kind, plugin.name, plugin.distribution, plugin.version) == ("attack", "plain", "acme-plain", "3.1")


def test_this_environment_is_loaded_once():
    assert registry() is registry()
    assert {"csa", "aea", "wsa", "anchor"} <= set(registry().names("attack"))
