"""What a stranger, or a bad disk, may do to an input: bytes, texts, values and trees, each step drawn from the dice given.

The dice are a `random.Random`, or hypothesis' own (`st.randoms(use_true_random=False)`), which shrinks what it finds.
"""

from __future__ import annotations

import copy
import math
import struct
from collections.abc import Callable, Sequence
from random import Random

BYTES = (0x00, 0x01, 0x0A, 0x22, 0x2C, 0x7F, 0x80, 0xFE, 0xFF)
WHOLE = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
"""Numbers at which lengths and counts go wrong."""
TEXTS = (
    *(
        "",
        " ",
        "\n",
        "\r",
        "a\r\nb",
        "\0",
        "a\0b",
        "\t",
        ",",
        ";",
        '"',
        '""x',
        "'",
        '"open',
        "\\",
        "\ufeffx",
        "\x85",
        "\u2028",
    ),
    *("\ud800", "odd\udcff", "\udfff\ud800", "\uffff", "\U0010ffff"),
    *("\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b2J", "\u202efdp.exe", "\u200b", "a\bb", "\x7f"),
    *("\u0301" * 400, "a" + "\u0489" * 300, "\U0001f469\u200d" * 60, "\u00e9" * 200, "\u0130\u00df", "\ufdfa" * 50),
    *("&amp;" * 50, "&#x110000;", "&#0;", "<script>x</script>", "{{ 7*7 }}", "[bold]b[/bold]", "%s%n", "${HOME}"),
    *("<start_of_text>", "<end_of_text> x", "_", "...", "!" * 300, "''''", "x" * 3000, "ab " * 2000, "9" * 5000),
    *(
        "/dev/zero",
        "/dev/stdin",
        "../../x",
        "file:///x",
        "http://host/x.jpg",
        "pipe:true",
        "~",
        ".",
        "..",
        "x" * 300 + ".jpg",
    ),
    *(
        "nan",
        "inf",
        "-inf",
        "1e400",
        "-0",
        "0x10",
        "1_000",
        "1e-400",
        "null",
        "true",
        "False",
        "[]",
        "{}",
        "2001-99-99",
    ),
)
VALUES: tuple[object, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        0.5,
        -0.0,
        1e308,
        -1e308,
        5e-324,
        math.inf,
        2**31,
        2**63,
        -(2**63),
        2**64,
        10**30,
    ),
    *([], {}, [[]], {"": None}, [None], ["x"], [1, "x", None], {"x": 1}, {"class_path": "x"}, {"a": {"b": [1]}}),
)


def text(dice: Random) -> str:
    """Draw a text that is an attack on its reader, alone or within a plain one."""
    word = dice.choice(TEXTS)
    return word if dice.random() < 0.5 else f"a dog {word} in the sun {dice.choice(TEXTS)[:40]}"


def long_text(dice: Random, letters: int = 1 << 20) -> str:
    """Draw a text of so many letters: one word, many words, or a sign again and again."""
    part = dice.choice(("a", "ab", "word ", "\u00e9", "\U0001f469", "!", "1", " ", "&amp;", "\u0301", "a\n", "\x1b[1m"))
    if dice.random() < 0.3:
        part = "".join(Random(dice.random()).choices("abcdefghijklmnopqrstuvwxyz", k=letters))
    return (part * (letters // len(part) + 1))[:letters]


def value(dice: Random) -> object:
    """Draw a value of any kind but the right one, most of the time."""
    return text(dice) if dice.random() < 0.4 else copy.deepcopy(dice.choice(VALUES))


def _place(dice: Random, data: bytes) -> int:
    return dice.randrange(len(data) + 1)


def _span(dice: Random, data: bytes, longest: int = 64) -> tuple[int, int]:
    start = _place(dice, data)
    return start, min(len(data), start + 1 + dice.randrange(longest))


def flip(data: bytes, dice: Random) -> bytes:
    """Flip a bit."""
    at = _place(dice, data)
    return data if at == len(data) else data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]


def overwrite(data: bytes, dice: Random) -> bytes:
    """Set a byte to one at which readers stumble."""
    at = _place(dice, data)
    return data[:at] + bytes([dice.choice(BYTES)]) + data[at + 1 :]


def length(data: bytes, dice: Random) -> bytes:
    """Write a number at which lengths go wrong over 1, 2, 4 or 8 bytes, in either order of bytes."""
    kind = dice.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
    size = struct.calcsize(kind)
    at = _place(dice, data)
    return data[:at] + struct.pack(kind, dice.choice(WHOLE) % (1 << 8 * size)) + data[at + size :]


def cut(data: bytes, dice: Random) -> bytes:
    """End too early."""
    return data[: _place(dice, data)]


def lose(data: bytes, dice: Random) -> bytes:
    """Leave bytes out."""
    start, stop = _span(dice, data)
    return data[:start] + data[stop:]


def double(data: bytes, dice: Random) -> bytes:
    """Say bytes twice, or a hundred times."""
    start, stop = _span(dice, data, 600)
    return data[:stop] + data[start:stop] * dice.choice((1, 1, 1, 100)) + data[stop:]


def insert(data: bytes, dice: Random) -> bytes:
    """Put in noise, or a text."""
    at = _place(dice, data)
    noise = dice.randbytes(1 + dice.randrange(32)) if dice.random() < 0.5 else raw(text(dice))
    return data[:at] + noise + data[at:]


def blank(data: bytes, dice: Random) -> bytes:
    """Fill a stretch with zeros or ones, as a disk does."""
    start, stop = _span(dice, data, 600)
    return data[:start] + bytes([dice.choice((0, 255))]) * (stop - start) + data[stop:]


def swap(data: bytes, dice: Random) -> bytes:
    """Let two stretches change places."""
    a, b, c = sorted(_place(dice, data) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


EDITS: tuple[Callable[[bytes, Random], bytes], ...] = (
    *(flip, overwrite, length, cut, lose, double, insert, blank, swap),
)


def mutated(data: bytes, dice: Random, others: Sequence[bytes] = ()) -> bytes:
    """Change bytes in one to six ways; now and then splice in the end of another input, or let nothing stand but noise."""
    if others and dice.random() < 0.1:
        other = dice.choice(others)
        data = data[: _place(dice, data)] + other[_place(dice, other) :]
    if dice.random() < 0.02:
        return dice.randbytes(dice.randrange(200))
    for _ in range(1 + dice.randrange(6) if dice.random() < 0.7 else 1):
        data = dice.choice(EDITS)(data, dice)
    return data


def raw(word: str) -> bytes:
    """Encode a text, lone surrogates too, as a hostile writer does."""
    return word.encode("utf-8", "surrogatepass")


def mutated_tree(tree: object, dice: Random) -> object:
    """Change a tree of mappings and lists in one to four places; what is given stays as it is."""
    tree = copy.deepcopy(tree)
    for _ in range(1 + dice.randrange(4) if dice.random() < 0.5 else 1):
        tree = _changed(tree, dice)
    return tree


def _changed(tree: object, dice: Random) -> object:
    inner = _keys(tree)
    if not inner or dice.random() < 0.15:
        return value(dice)
    key = dice.choice(inner)
    if dice.random() < 0.6:
        tree[key] = _changed(tree[key], dice)
        return tree
    kind = dice.choice(("replace", "replace", "lose", "rename", "double", "wrap", "swap"))
    if kind == "replace":
        tree[key] = value(dice)
    elif kind == "wrap":
        tree[key] = dice.choice(([tree[key]], {"x": tree[key]}, [tree[key]] * 3))
    elif kind == "swap":
        other = dice.choice(inner)
        tree[key], tree[other] = tree[other], tree[key]
    elif kind == "double":
        (tree.append(tree[key]) if isinstance(tree, list) else tree.update({f"{key}2": tree[key]}))
    elif kind == "rename" and isinstance(tree, dict):
        tree[text(dice)] = tree.pop(key)
    else:
        del tree[key]
    return tree


def _keys(tree: object) -> list[object]:
    return list(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list) else []
