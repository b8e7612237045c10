"""The one way `lmia` speaks to its user about a mistake: what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


class LmiaError(Exception):
    """A mistake of the user's, said in two lines and shown without a traceback (exit code 2).

    Args:
        problem: what is wrong, with the offending value in it.
        remedy: what to do about it.

    Example:
        >>> print(LmiaError("No attack is called 'wsaa'.", "Did you mean 'wsa'?"))
        No attack is called 'wsaa'.
        Did you mean 'wsa'?
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n{self.remedy}"


class NothingToLearn(LmiaError):  # noqa: N818 (a finding, not a fault)
    """An attack's `fit` found nothing to train on: a result of its own, reported with its table, exit code 0.

    Args:
        problem: why there is nothing to learn.
        remedy: what would change that.
        findings: what the attack measured before it gave up, as `Attack.findings` returns it.
    """

    def __init__(self, problem: str, remedy: str, findings: Mapping[str, object]) -> None:
        super().__init__(problem, remedy)
        self.findings = findings


def nearest(name: str, known: Iterable[str]) -> str:
    """Name the nearest known word, and list them all: the second line of every 'unknown name' error.

    Example:
        >>> nearest("wsaa", ["wsa", "csa"])
        "Did you mean 'wsa'? Known: csa, wsa."
        >>> nearest("x", [])
        'None is installed.'
    """
    names = sorted(known)
    if not names:
        return "None is installed."
    close = get_close_matches(name.lower(), [known.lower() for known in names], n=1, cutoff=0.5)
    hint = next((f"Did you mean '{known}'? " for known in names if close and known.lower() == close[0]), "")
    return f"{hint}Known: {', '.join(names)}."
