"""The kit on attacks: lawful ones pass, and each law has one that breaks it and is caught by name."""

import random
import threading
from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

import lmia
from lmia.testing import (
    ConformanceError,
    check_attack,
    check_views,
    make_world,
)
from refusal import refused
from worlds import Loss, Plain, Reflections


class Shadow(lmia.Attack):
    """How much closer a pair is than known non-members are, through a random projection.

    Args:
        rank: of the projection.
        scale: of the score.
    """

    needs = frozenset({"embeddings"})
    requires = frozenset({"known_nonmembers"})
    presets = MappingProxyType({"half": {"scale": 0.5}})

    def __init__(self, rank: int = 24, scale: float = 1.0) -> None:
        self.rank, self.scale = rank, scale

    def fit(self, known):
        draw = torch.Generator().manual_seed(known.seed)
        self.projection = torch.randn(known.nonmembers.image.shape[1], self.rank, generator=draw)
        self.mean = self._own(known.nonmembers).mean()

    def score(self, samples):
        return self.scale * (self._own(samples) - self.mean)

    def _own(self, samples):
        parts = [normalize(part @ self.projection, dim=-1) for part in (samples.image, samples.text)]
        return (parts[0] * parts[1]).sum(1)


class Rank(Plain):
    """The place among the batch."""

    def score(self, samples):
        return samples.cosine[:, 0].argsort().argsort().double()


class Standard(Plain):
    """The cosine in standard deviations of the batch."""

    def score(self, samples):
        return samples.cosine[:, 0] - samples.cosine[:, 0].mean()


class Distance(Plain):
    """The wrong way round."""

    def score(self, samples):
        return 1 - samples.cosine[:, 0]


class Constant(Plain):
    """Nothing."""

    def score(self, samples):
        return torch.zeros(len(samples))


class Holes(Plain):
    """NaN where the cosine is low."""

    def score(self, samples):
        return (samples.cosine[:, 0] - 0.4).log()


class Column(Plain):
    """A column instead of a row."""

    def score(self, samples):
        return samples.cosine[:, :1]


class Whole(Plain):
    """Whole numbers."""

    def score(self, samples):
        return (samples.cosine[:, 0] * 1000).long()


class Listing(Plain):
    """A list instead of a tensor."""

    def score(self, samples):
        return samples.cosine[:, 0].tolist()


class Greedy(Plain):
    """Reads what it did not declare."""

    def score(self, samples):
        return samples.image[:, 0]


class Viewer(Plain):
    """Reads views without requiring them."""

    def score(self, samples):
        return samples.cosine[:, 1]


class Pooled(Plain):
    """Reads the pool without requiring it."""

    def fit(self, known):
        self.mean = known.pool.cosine.mean()


class InPlace(Plain):
    """Changes what it is given."""

    def score(self, samples):
        return samples.cosine.sub_(0.1)[:, 0]


class Numpys(Plain):
    """Draws from NumPy's global generator."""

    def fit(self, known):
        self.noise = np.random.rand()


class Pythons(Plain):
    """Draws from Python's global generator."""

    def score(self, samples):
        return samples.cosine[:, 0] + random.random() * 0


class Clock(Plain):
    """Depends on how often it has been fitted."""

    fits = 0

    def fit(self, known):
        type(self).fits += 1
        self.offset = self.fits

    def score(self, samples):
        return samples.cosine[:, 0] + self.offset


class Changed(Plain):
    """An option set behind __init__'s back."""

    factor = 1.0

    def score(self, samples):
        return self.factor * samples.cosine[:, 0]


class Wordy(Plain):
    """Misspells a need."""

    needs = frozenset({"cosines"})


class Wishful(Plain):
    """Misspells a requirement."""

    requires = frozenset({"pools"})


class Misset(Plain):
    """A preset of an argument that is not there."""

    presets = MappingProxyType({"bench": {"lam": 1.0}})


class Tensors(Plain):
    """Findings that are no JSON."""

    def findings(self):
        return {"mean": torch.zeros(1)}


class NaNs(Plain):
    """Findings that are no JSON either."""

    def findings(self):
        return {"mean": float("nan")}


class Idle(Plain):
    """Finds nothing to learn, anywhere or where there is no memory."""

    anywhere = False
    found = MappingProxyType({"count": 0})

    def fit(self, known):
        if self.anywhere or known.pool is None or known.pool.cosine[:, 0].mean() < 0.55:
            raise lmia.NothingToLearn("The pool is like the rest.", "Take another.", self.found)


class AlwaysIdle(Idle):
    """Finds nothing to learn anywhere."""

    anywhere = True


class Gloomy(Idle):
    """Says so in tensors."""

    requires = frozenset({"pool"})
    found = MappingProxyType({"count": torch.zeros(1)})


class Picky(Idle):
    """Says so as it should."""

    requires = frozenset({"pool"})


class Held(Plain):
    """Holds a lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    "attack", [Plain(), Shadow(), Shadow(rank=16, scale=2.0), Picky()], ids=lambda a: type(a).__name__
)
def test_a_lawful_attack_passes(attack):
    assert check_attack(attack) is None


@pytest.mark.parametrize(
    ("law", "attack"),
    [
        ("rows are independent", Rank()),
        ("rows are independent", Standard()),
        ("a higher score means more likely a member", Distance()),
        ("a higher score means more likely a member", Constant()),
        ("scores are finite", Holes()),
        ("one score a sample", Column()),
        ("one score a sample", Listing()),
        ("scores are floats", Whole()),
        ("score works on what is declared", Greedy()),
        ("score works on what is declared", Viewer()),
        ("fit works on what is declared", Pooled()),
        ("fit works on what is declared", AlwaysIdle()),
        ("no hidden randomness", Numpys()),
        ("no hidden randomness", Pythons()),
        ("fits of one seed score alike", Clock()),
        ("needs holds known words", Wordy()),
        ("requires holds known words", Wishful()),
        ("a preset makes an attack", Misset()),
        ("findings are JSON", Tensors()),
        ("findings are JSON", NaNs()),
        ("findings are JSON", Gloomy()),
        ("a thing can be copied", Held()),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, lmia.Attack) else "",
)
def test_an_unlawful_attack_is_refused(law, attack):
    refused(law, lambda: check_attack(attack))


def test_an_attack_that_changes_its_inputs_is_refused():
    class Fits(Plain):
        """Changes what it learns from."""

        def fit(self, known):
            known.nonmembers.cosine.mul_(1.0).add_(0.0)
            known.nonmembers.ids.add_(1)

    refused("inputs are left as they are", lambda: check_attack(Fits()))
    with pytest.raises(ConformanceError):
        check_attack(InPlace())


def test_an_option_outside_the_settings_is_refused():
    attack = Changed()
    attack.factor = 2.0
    refused("settings say all", lambda: check_attack(attack))


def test_the_attack_and_the_world_stay_as_they_were():
    attack, world = Shadow(), make_world()
    before = world.samples.image.clone()
    check_attack(attack, world)
    assert not hasattr(attack, "projection")
    assert torch.equal(before, world.samples.image)


def test_the_global_generators_stay_as_they_were():
    states = random.getstate(), np.random.get_state()[1].copy(), torch.random.get_rng_state()
    check_attack(Shadow())
    check_views(Reflections())
    with pytest.raises(ConformanceError):
        check_attack(Numpys())
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()
    assert torch.equal(torch.random.get_rng_state(), states[2])


def test_a_measuring_attack_is_checked_on_planted_numbers():
    check_attack(Loss(), make_world(measured={"norm": -2.0}))
    refused(
        "a higher score means more likely a member", lambda: check_attack(Loss(), make_world(measured={"norm": 2.0}))
    )


def test_only_one_array_less_is_noticed():
    """An attack that declares embeddings gets no views' embeddings."""

    class Embedded(Plain):
        """Reads one array too many."""

        needs = frozenset({"embeddings"})

        def score(self, samples):
            return samples.view_image[:, 0, 0]

    refused("score works on what is declared", lambda: check_attack(Embedded()))
