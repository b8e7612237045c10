"""What was asked for, checked before the model is run, and extracted in as few passes as it takes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from lightning.pytorch import Trainer

from lmia import evidence, roles
from lmia.attack import Attack
from lmia.data import AuditData, Shard
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor, extract
from lmia.gather import gather
from lmia.measurement import Measurement
from lmia.registry import registry
from lmia.samples import TargetFacts


@dataclass(frozen=True)
class Setup:
    """What was asked for, checked before the model is run.

    Args:
        model: the target and its views.
        data: the roles.
        attacks: as asked for.
        names: of the attacks, as in the report.
        fprs: false positive rates.
        asked: whether the user asked for these.
        seed: of everything.
    """

    model: FeatureExtractor
    data: AuditData
    attacks: Sequence[Attack]
    names: Sequence[str]
    fprs: Sequence[float]
    asked: bool
    seed: int

    @property
    def views(self) -> bool:
        """Whether some attack compares views."""
        return any("views" in attack.requires for attack in self.attacks)

    @property
    def needs(self) -> frozenset[str]:
        """What all attacks together need."""
        anchors = any("anchors" in attack.requires for attack in self.attacks)
        return frozenset({"cosine"} | ({"embeddings"} if anchors else set())).union(*(a.needs for a in self.attacks))

    def check(self) -> None:
        """Check the attacks' needs and requires, the roles and the rates.

        Raises:
            LmiaError: something cannot work.
        """
        if not self.attacks:
            raise LmiaError(
                "No attack is asked for.", f"Give --plugin NAME, of {', '.join(registry().names('attack'))}."
            )
        given = self.data.given()
        roles.check_given(given)
        for attack, name in zip(self.attacks, self.names, strict=True):
            if missing := attack.needs - self.model.target.answers:
                raise LmiaError(
                    f"The attack '{name}' needs {', '.join(sorted(missing))}, which the target does not answer.",
                    f"It answers {', '.join(sorted(self.model.target.answers)) or 'nothing'}; choose an attack that needs no more.",
                )
            if "views" in attack.requires and len(self.model.views) < 2:
                raise LmiaError(
                    f"The attack '{name}' compares views, and there is only the identity.",
                    f"Give --views NAME, of {', '.join(registry().names('views'))}.",
                )
            known = "known_members" in given or ("members" in given and self.data.known_share > 0)
            if "known_members" in attack.requires and not known:
                raise LmiaError(
                    f"The attack '{name}' learns from known members, and none are given.",
                    "Give --known-members SPEC, or --known-share 0.2 of the members.",
                )
            if "pool" in attack.requires and "suspects" in given and "pool" not in given and not attack.transductive:
                raise LmiaError(f"The attack '{name}' learns from a pool, and none is given.", "Give --pool SPEC.")
        if "nonmembers" in given and self.asked:
            source = given["nonmembers"]
            share = 1.0 if "known_nonmembers" in given else 1 - roles.KNOWN_SHARE
            share *= 1.0 if "pool" in given else 1 - roles.POOL_SHARE
            at_most = min(sum(map(source.count, source.shards())), getattr(source, "n", sys.maxsize))
            evidence.check_fprs(self.fprs, round(at_most * share), asked=True)

    @cached_property
    def facts(self) -> TargetFacts:
        """What every attack is told of the target; found once, since all of its weights are digested for it."""
        return self.model.target.facts()

    def extract(
        self, trainer: Trainer, plan: Mapping[str, Sequence[Shard]], besides: Sequence[FeatureExtractor] = ()
    ) -> tuple[dict[str, object], list[Measurement]]:
        """Extract what the attacks need; measurements against anchors take a second pass, when their features exist.

        Args:
            trainer: runs the passes.
            plan: the shards by role, as `lmia.roles.plan` lists them.
            besides: models of the same preprocessing and views, which see the pictures in the first pass as well.

        Returns:
            what the first pass took, and what was measured.
        """
        shards = [shard for role in plan.values() for shard in role]
        arrays = self.model.arrays(self.needs, self.views)
        measuring = [attack for attack in self.attacks if type(attack).measure is not Attack.measure]
        anchored = [attack for attack in measuring if "anchors" in attack.requires]
        measurements = [Measurement(attack) for attack in measuring if attack not in anchored]
        told = extract(trainer, self.model, self.data, shards, arrays, measurements, besides)
        if anchored:
            part = roles.assign(self.data, plan, self.model.store, self.seed)
            bank = gather(
                self.model, part.shards, part.rows, part.parts["fit"], np.arange(len(part.rows)), {"embeddings"}, False
            )
            second = [Measurement(attack, bank) for attack in anchored]
            extract(trainer, self.model, self.data, shards, [], second)
            measurements += second
        return told, measurements
