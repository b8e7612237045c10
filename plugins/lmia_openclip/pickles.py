"""Pickles looked through before torch reads them: a few tuples within tuples of a dictionary's key can take for ever."""

from __future__ import annotations

import io
from pathlib import Path
from pickletools import genops
from typing import IO

import torch

LARGEST = 10_000
"""Things that a tuple may hold when it is written out. To be a key it is hashed, whatever it shares at every place anew."""

_LEGACY = 5  # pickles at the head of a file that is no zip: magic number, protocol, system, state, keys of storages
_MAKE = {"NONE", "NEWFALSE", "NEWTRUE", "BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "LONG1",
         "GLOBAL", "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"}  # fmt: skip


def check_tuples(path: Path) -> None:
    """Refuse a checkpoint of torch's whose pickles hold tuples that grow beyond `LARGEST`.

    Raises:
        ValueError: they do, or what is there is no pickle.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\3\4":
            file.seek(0)
            all(_look_through(file) for _ in range(_LEGACY))
            return
    _look_through(io.BytesIO(torch._C.PyTorchFileReader(str(path)).get_record("data.pkl")))


def _look_through(pickle: IO[bytes]) -> bool:
    """Follow one pickle as torch's reader does, with sizes in place of things; False where that reader will go no further."""
    stack: list[int] = []
    marked: list[list[int]] = []
    memo: dict[int, int] = {}
    for op, number, _ in genops(pickle):
        match op.name:
            case "PROTO" | "STOP":
                pass
            case "MARK":
                marked.append(stack)
                stack = []
            case "TUPLE":
                stack, items = marked.pop(), stack
                stack.append(_size(items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(op.name[-1])
                stack[-count:] = [_size(stack[-count:])]
            case "APPENDS" | "SETITEMS":
                stack = marked.pop()
            case "SETITEM":
                del stack[-2:]
            case "APPEND" | "BUILD":
                stack.pop()
            case "REDUCE" | "NEWOBJ":
                stack[-2:] = stack[-1:]  # it may be a tuple again: torch.Size
            case "BINPERSID":
                stack[-1] = 1
            case "BINPUT" | "LONG_BINPUT":
                memo[int(number or 0)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[int(number or 0)])
            case made if made in _MAKE:
                stack.append(1)
            case _:
                return False
    return True


def _size(items: list[int]) -> int:
    if (size := 1 + sum(items)) > LARGEST:
        raise ValueError(f"a tuple in it holds more than {LARGEST:,} things")
    return size
