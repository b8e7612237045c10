"""The pictures of all roles compared with each other: how many are there twice, and which row is a copy of which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lmia.evidence.duplicates import groups, placeholders, same
from lmia.evidence.hashes import RADIUS, as_hashes, near_hashes
from lmia.evidence.links import Links, Rows
from lmia.overlap.ties import Tie, partners

RULES = ("sha256", "url", "looks", "embedding")
"""What makes two pictures the same, the strongest first."""
HINTS = ("key", "caption")
"""What two pictures may share by chance."""


class Worded(Protocol):
    """Pairs, and what a rule compares of each."""

    def __len__(self) -> int: ...

    def words(self, rule: str) -> list[str]:
        """Return a word a pair: of `sha256`, `url`, `phash`, `key`, `caption`; an empty word is like nothing."""
        ...


@dataclass(frozen=True)
class Copy:
    """A row that is a copy of another.

    Args:
        row: its number among the rows of all roles.
        why: `in several roles`, or `repeated` within its own.
        rule: one of `RULES`: what makes it a copy.
        of: the row that it is a copy of.
        detail: how near, where the rule is not one of yes or no.
    """

    row: int
    why: str
    rule: str
    of: int
    detail: str


@dataclass(frozen=True)
class Found:
    """What a check found, over the rows of all roles one after the other.

    Args:
        role: `(n,)` number of each row's role, in the order given.
        group: `(n,)` rows of one group are one picture.
        within: rows of each role that repeat an earlier one of it, by rule; `any` for all rules together.
        across: rows of the first of two roles that are also in the second, likewise; every two roles, both ways.
        false_friends: pictures that look like another, though neither captions, files nor urls agree.
        seconded: how many of these the embeddings find near as well; None where there are none.
        placeholders: looks that stand under many captions: on how many rows, and under how many.
        copies: every row that is a copy, in order, but for the first of its picture where one role holds them all.
    """

    role: Rows
    group: Rows
    within: Mapping[str, Mapping[str, int]]
    across: Mapping[str, Mapping[str, int]]
    false_friends: int
    seconded: int | None
    placeholders: Mapping[str, tuple[int, int]]
    copies: Sequence[Copy]


def check(
    roles: Mapping[str, Worded],
    radius: int = RADIUS,
    embedded: Links | None = None,
    confirm: Callable[[NDArray[np.int64]], int] | None = None,
) -> Found:
    """Compare the pictures of all roles with each other.

    Args:
        roles: the pictures by role.
        radius: so many bits the hashes of two pictures that look alike may differ in.
        embedded: rows that are near by embedding, with their cosines; the first row of each file stands for the rest.
        confirm: says of how many of `(k, 2)` rows that look alike a model finds the same, where `embedded` is not given.
    """
    role = np.repeat(np.arange(len(roles)), [len(one) for one in roles.values()])
    words = {
        rule: [w for one in roles.values() for w in one.words(rule)] for rule in ("sha256", "url", *HINTS, "phash")
    }
    first = {rule: same(words[rule], words[rule]) for rule in words}
    hashes = as_hashes(words["phash"])
    near = _once(near_hashes(hashes, hashes, radius))
    ties = {
        "sha256": Tie(first["sha256"]),
        "url": Tie(first["url"]),
        "looks": Tie(first["phash"], _by(near, near.value)),
    } | ({} if embedded is None else {"embedding": Tie(first["sha256"], _by(embedded, -embedded.value))})
    names = {rule: groups(len(role), tie.edges()) for rule, tie in ties.items()}
    names["any"] = groups(len(role), [edges for tie in ties.values() for edges in tie.edges()])
    names |= {rule: first[rule] for rule in HINTS}
    friends = _false_friends(near, first)
    return Found(
        role=role,
        group=names["any"],
        within={name: _within(names, role == i) for i, name in enumerate(roles)},
        across={
            f"{a} in {b}": {rule: _shared(labels, role == i, role == j) for rule, labels in names.items()}
            for i, a in enumerate(roles)
            for j, b in enumerate(roles)
            if i != j
        },
        false_friends=len(friends),
        seconded=_seconded(friends, names["embedding"])
        if embedded is not None
        else confirm(friends)
        if confirm
        else None,
        placeholders=placeholders(words["phash"], words["caption"]),
        copies=_copies(role, names["any"], ties),
    )


def _once(near: Links) -> Links:
    """Keep each pair of two hashes once."""
    some = near.left < near.right
    return Links(near.left[some], near.right[some], near.value[some])


def _by(near: Links, distance: NDArray[np.float64]) -> Links:
    order = np.argsort(distance, kind="stable")
    return Links(near.left[order], near.right[order], near.value[order])


def _within(names: Mapping[str, Rows], mine: NDArray[np.bool_]) -> dict[str, int]:
    counts = {}
    for rule, labels in names.items():
        some = labels[mine & (labels >= 0)]
        counts[rule] = len(some) - len(np.unique(some))
    return counts


def _shared(labels: Rows, one: NDArray[np.bool_], other: NDArray[np.bool_]) -> int:
    return int(np.isin(labels[one & (labels >= 0)], labels[other & (labels >= 0)]).sum())


def _false_friends(near: Links, first: Mapping[str, Rows]) -> NDArray[np.int64]:
    """Return `(k, 2)` rows whose looks are equal or near, though nothing else of them agrees: of each look its first row."""
    look = first["phash"]
    again = np.flatnonzero((look >= 0) & (look != np.arange(len(look))))
    left, right = np.concatenate([near.left, look[again]]), np.concatenate([near.right, again])
    apart = np.ones(len(left), np.bool_)
    for rule in ("sha256", "url", "caption"):
        apart &= (first[rule][left] != first[rule][right]) | (first[rule][left] < 0)
    return np.stack([left[apart], right[apart]], axis=1)


def _seconded(friends: NDArray[np.int64], labels: Rows) -> int:
    return int((labels[friends[:, 0]] == labels[friends[:, 1]]).sum())


def _copies(role: Rows, group: Rows, ties: Mapping[str, Tie]) -> list[Copy]:
    """Name what each copy is a copy of: across roles a row of another one, within a role an earlier one, where it can."""
    first = np.unique(group, return_index=True)[1][group]  # groups are numbered from 0 without gaps
    mixed = np.bincount(group[role != role[first]], minlength=len(group))[group] > 0
    repeated = ~mixed & (first != np.arange(len(first)))
    of, by, value = partners(role, list(ties.values()))
    names = list(ties)
    return [
        Copy(
            i, "in several roles" if mixed[i] else "repeated", names[by[i]], int(of[i]), _detail(names[by[i]], value[i])
        )
        for i in np.flatnonzero(mixed | repeated).tolist()
    ]


def _detail(rule: str, value: float) -> str:
    if rule == "looks":
        return f"{value:.0f} of 64 bits differ"
    return f"cosine {value:.4f}" if rule == "embedding" else ""
