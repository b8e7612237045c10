from pathlib import Path
from typing import Any, Literal

import pytest
from lightning.pytorch import Trainer

from lmia.errors import LmiaError
from lmia.options import checked, names


class Things:
    """Options of many types."""

    def __init__(
        self,
        whole: int = 1,
        real: float | Literal["auto"] = 0.5,
        maybe: int | None = 3,
        word: str = "x",
        one: Literal["a", "b"] = "a",
        yes: bool = False,
        many: list[int] | None = None,
        words: list[str] | None = None,
        pair: tuple[int, int] = (1, 2),
        table: dict[str, int] | None = None,
        place: Path | None = None,
        anything: Any = None,
        untyped=None,
    ) -> None: ...


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("whole", "7", 7),
        ("whole", "-7", -7),
        ("whole", 7, 7),
        ("real", ".5", 0.5),
        ("real", "1e-3", 0.001),
        ("real", 2, 2.0),
        ("real", "auto", "auto"),
        ("maybe", "null", None),
        ("maybe", None, None),
        ("word", "7", "7"),
        ("word", "true", "true"),
        ("word", "a, b", "a, b"),
        ("one", "b", "b"),
        ("yes", "true", True),
        ("yes", "False", False),
        ("yes", True, True),
        ("many", "3", [3]),
        ("many", 3, [3]),
        ("many", "1,2", [1, 2]),
        ("many", ["1,", "2"], [1, 2]),
        ("many", ["1", "2"], [1, 2]),
        ("many", "[1, 2]", [1, 2]),
        ("words", "a,1", ["a", "1"]),
        ("words", ["a b", "1"], ["a b", "1"]),
        ("table", '{"a": 1}', {"a": 1}),
        ("table", {"a": 1}, {"a": 1}),
        ("place", "a/b", "a/b"),
        ("untyped", "x", "x"),
        ("anything", "x", "x"),
    ],
)
def test_words_become_what_the_signature_says(name, given, expected):
    found = checked("thing", Things, {name: given})[name]
    assert found == expected
    assert type(found) is type(expected)
    assert checked("thing", Things, {name: found}) == {name: found}  # as in a replayed config


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("whole", "x", r"The option 'whole' of the thing cannot be 'x'\.\nIt takes int\."),
        ("whole", "1.5", "cannot be '1.5'"),
        ("whole", True, "cannot be True"),
        ("whole", None, "cannot be empty"),
        ("whole", ["1", "2"], "cannot be"),
        ("real", "x", r"It takes float or 'auto'\."),
        ("maybe", "x", r"It takes int or nothing \(null\)\."),
        ("word", 7, "It takes str"),
        ("one", "c", r"It takes 'a' or 'b'\."),
        ("yes", "perhaps", "It takes bool"),
        ("many", "1,x", r"It takes a list of int or nothing \(null\)\."),
        ("table", "x", "cannot be 'x'"),
        ("wohle", "1", "has no option 'wohle'.\nDid you mean 'whole'"),
    ],
)
def test_what_does_not_fit_is_named_with_what_would(name, given, said):
    with pytest.raises(LmiaError, match=said):
        checked("thing", Things, {name: given})


def test_a_thing_inside_a_thing_is_left_as_it_is():
    inner = {"class_path": "x.Y", "init_args": {}}
    assert checked("trainer", Trainer, {"callbacks": inner, "max_epochs": "3"}) == {"callbacks": inner, "max_epochs": 3}


def test_names_are_those_one_can_give():
    def maker(a, *rest, b=1, **more): ...

    assert names(maker) == ["a", "b"]
