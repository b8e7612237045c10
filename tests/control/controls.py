"""A control for tests that needs no training: levels with given AUCs, and what the trainings were."""

from lmia.control import Control, Outcome
from lmia.control.levels import Level
from lmia.control.words import Trained
from lmia.evidence.estimate import Estimate
from lmia.evidence.results import TPR


def level(seed, repeats, auc, attack="csa"):
    """A level whose interval is 0.1 wide on either side; None where the attack gave no score."""
    if auc is None:
        return Level(seed, attack, repeats)
    estimate = Estimate(auc, auc - 0.1, auc + 0.1, 0.99, "DeLong", 60)
    return Level(seed, attack, repeats, 30, 200 + seed, estimate, 0.001, [TPR(0.1, estimate, 0.1, "")])


def outcome(table, attack="csa"):
    """Levels by seed: `{seed: {repeats: auc}}`."""
    return [level(seed, k, auc, attack) for seed, row in table.items() for k, auc in row.items()]


def made(table, power=0.9):
    """A control, its outcome, and what its trainings were."""
    found = Outcome(outcome(table), power)
    seeds = found.seeds
    control = Control(repeats=found.repeats, planted=40, seeds=seeds, power=power)
    same = dict.fromkeys(seeds, 8)
    trained = Trained(
        "emoji: 0:1200",
        "demo",
        dict.fromkeys(seeds, 600),
        dict.fromkeys(seeds, 590),
        same,
        dict.fromkeys(found.repeats, 0.5),
    )
    return control, found, trained
