"""How a point of the checklist is weighed: from what is there and what is missing to its state and its sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

State = Literal["done", "partly", "not done", "does not apply"]
Said = tuple[State, str]


def weighed(have: Sequence[str], lack: Sequence[str], did: str, missing: str) -> Said:
    """Weigh a point: done where nothing is missing, not done where nothing is there.

    Args:
        have: what is there.
        lack: what is missing.
        did: a sentence with {} for what is there, before any text from the data; left out where nothing is there.
        missing: a sentence with {} for what is missing; left out where nothing is missing.

    Example:
        >>> weighed(["a", "b"], ["c"], "Given: {}.", "Not given: {}.")
        ('partly', 'Given: a and b. Not given: c.')
        >>> weighed([], [], "Given: {}.", "Not given: {}.")
        ('not done', 'There is nothing to judge.')
    """
    state: State = "not done" if not have else "partly" if lack else "done"
    said = [text.replace("{}", listed(words), 1) for text, words in ((did, have), (missing, lack)) if words]
    return state, " ".join(said) or "There is nothing to judge."


def parted(made: Mapping[str, object]) -> tuple[list[str], list[str]]:
    """Part names by whether there is something behind them.

    Example:
        >>> parted({"a": 1, "b": None})
        (['a'], ['b'])
    """
    return [name for name, there in made.items() if there], [name for name, there in made.items() if not there]


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does.

    Example:
        >>> listed(["a", "b", "c"]), listed(["a"]), listed([])
        ('a, b and c', 'a', '')
    """
    return " and ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), *words[-1:]])
