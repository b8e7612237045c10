"""How things are made: each law has a thing that breaks it and is caught by name."""

import threading

import pytest

import lmia
from lmia.testing import (
    check_made,
)
from refusal import refused
from worlds import Noise, Plain


class Untyped(Plain):
    """An attack.

    Args:
        k: a number.
    """

    def __init__(self, k=1):
        self.k = k


class Undescribed(Plain):
    """An attack with a secret."""

    def __init__(self, k: int = 1) -> None:
        self.k = k


class AnyNumber(Plain):
    """An attack.

    Args:
        options: anything.
    """

    def __init__(self, **options: int) -> None:
        self.options = options


class Undocumented(Plain):
    pass


Undocumented.__doc__ = None


class Lock(Plain):
    """An attack.

    Args:
        lock: not for a config.
    """

    def __init__(self, lock: object = None) -> None:
        self.lock = lock


class Rounded(Plain):
    """An attack whose annotation lies.

    Args:
        k: said to be whole.
    """

    def __init__(self, k: int = 1) -> None:
        self.k = k


class Lambda(Plain):
    """An attack with a type that no parser reads.

    Args:
        k: said to be a thread.
    """

    def __init__(self, k: threading.Thread = 3) -> None:  # type: ignore[assignment]
        self.k = k


@pytest.mark.parametrize(
    ("law", "thing"),
    [
        ("arguments are typed", Untyped()),
        ("arguments are documented", Undescribed()),
        ("arguments are typed", AnyNumber()),
        ("a class is documented", Undocumented()),
        ("settings are plain values", Lock(threading.Lock)),
        ("the command line can make it", Rounded(0.5)),
        ("the command line can make it", Lambda()),
    ],
)
def test_a_thing_made_otherwise_is_refused(law, thing):
    refused(law, lambda: check_made(thing))


def test_things_within_things_are_plain():
    check_made(lmia.source.Sample(Noise(0, 20), n=3))
