"""Audits of the demo's model on scenes that it never saw, and on its own, with everything extracted once: for proofs.

The model was trained on one half of the scenes 0 to 9,999. Scenes are drawn independently by their index, so whatever
tells two sets of later ones apart is chance, or was put there when they were chosen.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from random import Random

import numpy as np

import lmia
import lmia_demo
from lmia import record, specs
from lmia.clusters import HOST
from lmia.controls import controls
from lmia.data import AuditData, shards_of
from lmia.evidence.judged import Regime
from lmia.extract import FeatureExtractor, extract
from lmia.judging import DEFAULT_FPRS
from lmia.registry import registry
from lmia.report import AuditReport
from lmia.setup import Setup
from lmia.source import Sample
from lmia_demo.scenes import DRAWING, draw, scene

FIRST = 20_000
"""The first scene in use: twice as far as training went."""
SCENES = 12
"""So many thousand scenes are dealt to the two sides."""
KINS = 1_000_000
"""The scene that the first group of kin is made from."""
HALF = frozenset({"blue", "green", "pink"})
"""Of all halves of the backgrounds the one whose cosines lie furthest above the others': AUC .547, and .513 untrained. A
shift is the difference between two sides in how often it comes."""


class Dealt(Sample):
    """One of two hands of a source's pairs: what is dealt by one seed shares no pair, and no group, with the other hand.

    Args:
        source: where the pairs come from; a key's part up to its last dash names the group, where there are groups.
        n: how many pairs.
        seed: of the deal.
        hand: which of the two, 0 or 1.
        share: of scenes whose background is of that half; None for what comes.
        shards: how many of the source's shards are dealt.
    """

    def __init__(
        self,
        source: lmia.Source,
        n: int,
        seed: int = 0,
        hand: int = 0,
        share: float | None = None,
        shards: int = 2,
    ) -> None:
        super().__init__(source, n, seed)
        self.hand, self.share, self.dealt = hand, share, shards

    def shards(self) -> Sequence[str]:
        """Take some of the source's shards by seed, the same for both hands."""
        return sorted(self.source.shards(), key=self._hash)[: self.dealt]

    def draw(self, keys: Sequence[str]) -> list[int]:
        """Return the positions of this hand's n keys."""
        groups = sorted({_group(key) for key in keys}, key=self._hash)
        mine = {group: place for place, group in enumerate(groups[self.hand :: 2])}
        rows = [i for _, i in sorted((mine[_group(key)], i) for i, key in enumerate(keys) if _group(key) in mine)]
        if self.share is None:
            return sorted(rows[: self.n])
        wanted = int(np.random.default_rng((self.seed, self.hand)).binomial(self.n, self.share))
        inside = [i for i in rows if background(keys[i]) in HALF]
        outside = [i for i in rows if background(keys[i]) not in HALF]
        chosen = inside[:wanted] + outside[: self.n - wanted]
        assert len(chosen) == self.n, f"{len(chosen)} scenes of {self.n}: deal more shards"
        return sorted(chosen)


class Kin(lmia.Source):
    """Groups of 1 to 6 scenes with the same two emoji before the same background, published under a host of their own.

    Args:
        shards: how many, of 300 groups each.
    """

    def __init__(self, shards: int = 8) -> None:
        self.many = shards

    def shards(self) -> Sequence[str]:
        """Name the shards."""
        return [f"kin-{i}" for i in range(self.many)]

    def read(self, shard: str) -> Iterator[lmia.Pair | lmia.Rejected]:
        """Draw a shard's groups: every scene has a place and a relation of its own."""
        start = 300 * int(shard.partition("-")[2])
        for group in range(start, start + 300):
            first = scene(KINS + 6 * group)
            for one in range(1 + Random(group).randrange(6)):
                other = scene(KINS + 6 * group + one)
                what = replace(other, first=first.first, second=first.second, background=first.background)
                yield lmia.Pair(f"kin{group}-{one}", what.caption, draw(what), f"https://kin{group}.example.org/{one}")

    def fingerprint(self, shard: str) -> str:
        """Name what the pictures depend on; the packages that draw them stay the same within a test."""
        return f"{shard} of hosts from {KINS}, drawn by rules {DRAWING}"


def _group(key: str) -> str:
    return key.rpartition("-")[0] if key.startswith("kin") else key


@cache
def background(key: str) -> str:
    """Return the background of a scene by its key."""
    return scene(int(key.rpartition("-")[2])).background


@dataclass(frozen=True)
class Plan:
    """One audit.

    Args:
        kind: what it is a case of.
        seed: of the data.
        n: pairs a side.
        shift: members' share of that half of the backgrounds minus nonmembers', or None.
        plugin: the attacks.
        twin: the audit's seed, and so its twin's.
        regime: how the roles are said to have come about.
    """

    kind: str
    seed: int
    n: int
    shift: float | None = None
    plugin: tuple[str, ...] = ("csa",)
    twin: int = 0
    regime: Regime = "post hoc"

    def roles(self) -> dict[str, lmia.Source]:
        """Return the sources: the two sides dealt from the same scenes, what is known and the pool from others."""
        if self.kind == "memory":
            return self._trained()
        source = Kin() if self.kind == "clusters" else never_seen(0, SCENES)
        shares = [None, None] if self.shift is None else [0.5 + self.shift / 2, 0.5 - self.shift / 2]
        dealt = 1 if self.n <= 200 else 2 if self.n <= 500 else 4
        one, other = (Dealt(source, self.n, self.seed, hand, share, dealt) for hand, share in enumerate(shares))
        others = never_seen(SCENES, 4)
        known, pool = Dealt(others, 240, self.seed, 0, shares[1], 1), Dealt(others, 240, self.seed, 1, None, 1)
        return {"members": one, "nonmembers": other, "known_nonmembers": known, "pool": pool}

    def _trained(self) -> dict[str, lmia.Source]:
        spec = {"members": "emoji:in:0:7000", "nonmembers": "emoji:out:0:7000"}
        spec |= {"known_nonmembers": "emoji:out:7000:9000", "pool": "emoji:9000:10000"}
        n = {"known_nonmembers": 240, "pool": 240}
        return {role: specs.source(f"{spec[role]}?n={n.get(role, self.n)}&seed={self.seed}") for role in spec}


def never_seen(start: int, shards: int) -> lmia.Source:
    """Return so many thousand scenes that no training saw."""
    return lmia_demo.Emoji(f"{FIRST + 1000 * start}:{FIRST + 1000 * (start + shards)}")


def run(plan: Plan, cache: Path) -> AuditReport:
    """Run an audit on what is extracted already."""
    model = FeatureExtractor(target(), None, cache)
    trainer = record.trainer(accelerator="cpu", callbacks=[], enable_progress_bar=False)
    with tempfile.TemporaryDirectory() as out:
        return lmia.run_audit(
            model,
            AuditData(**plan.roles(), cluster_by=HOST if plan.kind == "clusters" else None),
            plan.plugin,
            out=out,
            trainer=trainer,
            seed=plan.twin,
            regime=plan.regime,
        )


@cache
def target() -> lmia.Target:
    """Return the demo's model, whose twins are built once a process: a copy takes a second."""
    model = specs.target(f"local-dir:{lmia_demo.MODEL}")
    model.untrained = cache(model.untrained)
    return model


def warm(source: lmia.Source, cache: Path, twins: Sequence[int]) -> None:
    """Extract a source with the target and with the twins of so many audits' seeds, in one pass over its pictures."""
    model, data = FeatureExtractor(target(), None, cache), AuditData(source, source)
    attacks = specs.attacks(["anchor"])
    setups = [Setup(model, data, attacks, ["anchor"], DEFAULT_FPRS, False, seed) for seed in twins]
    besides = [control.setup.model for setup in setups for control in controls(setup, [])]
    trainer = record.trainer(accelerator="cpu", callbacks=[], enable_progress_bar=False)
    extract(trainer, model, data, shards_of(source), model.arrays({"cosine", "embeddings"}, False), [], besides)


def without_pages() -> None:
    """Let this process write no pages for people: they cost as much time as the blind baselines."""
    registry().manager.unregister(name="lmia:report")


def read_by(plans: Sequence[Plan]) -> list[lmia.Source]:
    """Return all that the audits read, in parts of some thousand pairs."""
    kinds = {plan.kind for plan in plans}
    found: list[lmia.Source] = [Kin()] if "clusters" in kinds else []
    if kinds - {"memory"}:
        found += [never_seen(start, 4) for start in range(0, SCENES + 4, 4)]
    if "memory" in kinds:
        names = ("in:0:7000", "out:0:5000", "out:5000:9000", "9000:10000")
        found += [specs.source(f"emoji:{name}") for name in names]
    return found


def run_all(plans: Sequence[Plan], cache: Path, twins: Sequence[int], jobs: int = 2) -> list[AuditReport]:
    """Extract all that the audits read, then run them, on so many processes of one thread each."""
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=without_pages) as pool:
        list(pool.map(partial(warm, cache=cache, twins=twins), read_by(plans)))
        return list(pool.map(partial(run, cache=cache), plans))
