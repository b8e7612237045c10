"""The conformance kit: lawful plugins pass, and each law has a plugin that breaks it and is caught by name."""

import random
import threading
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

import lmia
from lmia import evidence
from lmia.testing import (
    ConformanceError,
    check_attack,
    check_made,
    check_measure,
    check_source,
    check_target,
    check_views,
    make_known,
    make_samples,
    make_world,
)
from worlds import SIDE, Loss, Matrices, Noise, Plain, Reflections, picture, png


def refused(law, call):
    with pytest.raises(ConformanceError) as broken:
        call()
    assert broken.value.law == law, str(broken.value)
    sentence = str(broken.value)
    assert "\n" not in sentence
    assert sentence.startswith(f"{law}: ")
    assert sentence.endswith(".")


# --- worlds ------------------------------------------------------------------------------------------------------


def test_samples_hold_every_array_and_their_cosines():
    some = make_samples(7, seed=3, width=16, views=4, measured={"loss": 1.0})
    assert some.view_names == ("identity", "view-1", "view-2", "view-3")
    expected = (normalize(some.view_image, dim=-1) * normalize(some.view_text, dim=-1)).sum(-1)
    torch.testing.assert_close(some.cosine, expected)
    torch.testing.assert_close(some.view_image[:, 0], some.image)
    torch.testing.assert_close(some.view_text[:, 0], some.text)
    assert some.measured["loss"].shape == (7,)
    assert some.ids.unique().numel() == 7
    assert some.image.norm(dim=1).std() > 0.1


def test_a_world_is_drawn_by_its_seed_alone():
    torch.manual_seed(1)
    first = make_world(20, seed=5)
    torch.manual_seed(2)
    second = make_world(20, seed=5)
    assert torch.equal(first.samples.image, second.samples.image)
    assert torch.equal(first.labels, second.labels)
    assert not torch.equal(first.samples.image, make_world(20, seed=6).samples.image)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_smallest_worlds_can_be_made(n):
    world = make_world(n)
    assert len(world.samples) == len(world.labels) == len(world.known.nonmembers) == len(world.known.pool) == n
    assert int(world.labels.sum()) == n // 2


@pytest.mark.parametrize(
    ("signal", "falls", "low", "high"), [(1, True, 0.6, 1), (1, False, 0, 0.4), (0, True, 0.4, 0.6)]
)
def test_what_is_planted_can_be_found(signal, falls, low, high):
    world = make_world(400, signal=signal, falls=falls, measured={"loss": -2.0})
    cosine, labels = world.samples.cosine, world.labels
    plain = evidence.auroc(cosine[:, 0], labels).value
    assert plain > 0.95 if signal else 0.4 < plain < 0.6
    fall = evidence.auroc((cosine[:, :1] - cosine[:, 1:]).mean(1), labels).value
    assert low <= fall <= high
    loss = evidence.auroc(-world.samples.measured["loss"], labels).value
    assert loss > 0.85 if signal else 0.4 < loss < 0.6


def test_no_row_is_in_two_roles():
    world = make_world(30)
    every = torch.cat([world.samples.image, world.known.nonmembers.image, world.known.pool.image])
    assert len(every.unique(dim=0)) == 90


def test_known_says_nothing_of_membership_by_order():
    known = make_known(400, seed=1)
    half = known.pool.cosine[:200, 0].mean() - known.pool.cosine[200:, 0].mean()
    assert abs(half) < 0.06  # members first would show 0.27


# --- making ------------------------------------------------------------------------------------------------------


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


# --- attacks -----------------------------------------------------------------------------------------------------


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


# --- measures ----------------------------------------------------------------------------------------------------


class Whitebox(Loss):
    """A white-box attack to spoil."""


class Mixed(Loss):
    """Takes the gradient of the mean: a row's number depends on how many there are."""

    def measure(self, target, batch, anchors):
        pixels = batch.pixels.detach().requires_grad_()
        image, text = target.encode_image(pixels), target.encode_text(batch.tokens)
        (gradient,) = torch.autograd.grad((normalize(image) * normalize(text)).sum(1).mean(), pixels)
        return {"norm": gradient.flatten(1).norm(dim=1)}


class Backward(Loss):
    """Leaves gradients behind."""

    def measure(self, target, batch, anchors):
        image = normalize(target.encode_image(batch.pixels))
        image.sum().backward()
        return {"norm": image.detach().norm(dim=1)}


class Trains(Loss):
    """Moves a weight."""

    def measure(self, target, batch, anchors):
        with torch.no_grad():
            target.image.weight[0, 0] += 1
        return {"norm": batch.pixels.flatten(1).norm(dim=1)}


class Awake(Loss):
    """Leaves the mode changed."""

    def measure(self, target, batch, anchors):
        target.train(not target.training)
        return {"norm": batch.pixels.flatten(1).norm(dim=1)}


class Dice(Loss):
    """Draws."""

    def measure(self, target, batch, anchors):
        return {"norm": torch.rand(len(batch.rows))}


class Single(Loss):
    """One number for all."""

    def measure(self, target, batch, anchors):
        return {"norm": torch.zeros(1)}


class Secret(Loss):
    """Does not say that it measures."""

    needs = frozenset({"cosine"})


def test_a_lawful_measurement_passes_and_is_returned():
    measured = check_measure(Loss(), Eval("0:9"), captions=("pair 1", "pair 2", "pair 3"))
    assert measured["norm"].shape == (3,)
    assert not measured["norm"].requires_grad


@pytest.mark.parametrize(
    ("law", "attack"),
    [
        ("rows are independent", Mixed()),
        ("the target is left as it was", Backward()),
        ("the target is left as it was", Trains()),
        ("the target is left as it was", Awake()),
        ("no hidden randomness", Dice()),
        ("one row a pair", Single()),
        ("measuring is declared", Secret()),
    ],
)
def test_an_unlawful_measurement_is_refused(law, attack):
    refused(law, lambda: check_measure(attack, Eval("0:9"), captions=("pair 1", "pair 2", "pair 3")))


# --- views -------------------------------------------------------------------------------------------------------


def _noisy(pixels):
    return (pixels + torch.rand(pixels.shape)).clamp(0, 1)


def _first(pixels):
    return pixels[:1].expand_as(pixels).clone()


def _mean(pixels):
    return (pixels - pixels.mean()).clamp(0, 1)


def _loud(pixels):
    return pixels * 2


def _small(pixels):
    return pixels[..., 1:]


def _half(pixels):
    return pixels.half()


def _spoil(pixels):
    return pixels.mul_(0.5)


def _own(pixels):
    return pixels * 0.5


def _shuffle(text):
    return "".join(random.sample(text, len(text)))


def _bytes(text):
    return text.encode()


def _word(text):
    return text.split()[0]


class OneView(lmia.Views):
    """A set of one view."""

    image = None
    caption = None

    def views(self):
        return {"identity": lmia.View(), "other": lmia.View(type(self).image, type(self).caption)}


def one_view(image=None, caption=None):
    made = type("OneView", (OneView,), {"__doc__": "A set of one view."})
    made.image, made.caption = (staticmethod(f) if f else None for f in (image, caption))
    made.__module__, made.__qualname__ = __name__, "OneView"
    return made()


class NoIdentity(lmia.Views):
    """A set without the identity."""

    def views(self):
        return {"down": lmia.View(_own)}


class FalseIdentity(lmia.Views):
    """A set whose identity is none."""

    def views(self):
        return {"identity": lmia.View(_own)}


class Unnamed(lmia.Views):
    """A list instead of a dict."""

    def views(self):
        return {"identity": _own}


class _Dim:
    def __init__(self, by):
        self.by = by

    def __call__(self, pixels):
        return pixels * self.by


class Drawn(lmia.Views):
    """A set that draws its parameters anew at every call, from no seed."""

    drawn = 0

    def views(self):
        type(self).drawn += 1
        return {"identity": lmia.View(), "dim": lmia.View(_Dim(1 / self.drawn))}


class Renamed(Drawn):
    """A set that names its views anew at every call."""

    def views(self):
        type(self).drawn += 1
        return {"identity": lmia.View(), f"dim-{self.drawn}": lmia.View(_own)}


@pytest.mark.parametrize(
    ("law", "views"),
    [
        ("no hidden randomness", one_view(_noisy)),
        ("pictures are independent", one_view(_first)),
        ("pictures are independent", one_view(_mean)),
        ("pictures keep their shape, dtype and range", one_view(_loud)),
        ("pictures keep their shape, dtype and range", one_view(_small)),
        ("pictures keep their shape, dtype and range", one_view(_half)),
        ("no hidden randomness", one_view(caption=_shuffle)),
        ("a caption's view is a caption", one_view(caption=_bytes)),
        ("a view works on any caption", one_view(caption=_word)),
        ("the first view is the identity", NoIdentity()),
        ("the first view is the identity", FalseIdentity()),
        ("views are returned by name", Unnamed()),
        ("equal arguments mean equal views", Drawn()),
        ("equal arguments mean equal views", Renamed()),
    ],
)
def test_an_unlawful_set_of_views_is_refused(law, views, monkeypatch):
    monkeypatch.setattr("lmia.testing.views.pickled", lambda thing: thing)  # these are made on the spot
    refused(law, lambda: check_views(views))


def test_a_view_that_spoils_its_input_is_refused(monkeypatch):
    monkeypatch.setattr("lmia.testing.views.pickled", lambda thing: thing)
    with pytest.raises(ConformanceError):
        check_views(one_view(_spoil))


def test_lawful_views_pass():
    check_views(Reflections())


def test_a_set_that_no_worker_can_get_is_refused():
    class Local(Reflections):
        """Nobody finds it."""

    refused("a thing can be sent to a worker process", lambda: check_views(Local()))


# --- sources -----------------------------------------------------------------------------------------------------


class Broken(Noise):
    """A source to spoil, by the name of a way to do it.

    Args:
        way: what is wrong with it.
    """

    def __init__(self, way: str = "") -> None:
        super().__init__(0, 6, shard=3)
        self.way = way

    @classmethod
    def claims(cls, spec):
        return None

    def shards(self):
        shards = super().shards()
        ways = {"none": [], "twice": shards * 2, "numbers": [0, 3], "moving": shards[:: -1 if self.reads % 4 else 1]}
        return ways.get(self.way, shards)

    def read(self, shard):
        for record in super().read(shard):
            match self.way:
                case "raises":
                    raise ValueError("no such file")
                case "tuple":
                    yield (record.key, record.caption)
                case "keys":
                    yield replace(record, key="pair")
                case "keyless":
                    yield replace(record, key="")
                case "array":
                    yield replace(record, image=np.zeros(3))
                case "essay":
                    yield lmia.Rejected(record.key, "cannot be read: " + "x" * 100)
                case "counter":
                    yield replace(record, caption=f"reading {self.reads}")
                case "shared":  # the place in the shard is the source's, not the reading's
                    start = int(shard)
                    self.at = start if record.key == f"noise/{start}" else self.at + 1
                    yield replace(record, caption=f"record {self.at}")
                case _:
                    yield record

    def fingerprint(self, shard):
        return {"moved": f"{id(self)}", "empty": ""}.get(self.way, super().fingerprint(shard))

    def count(self, shard):
        return 2 if self.way == "miscounts" else super().count(shard)


class Grabs(Broken):
    """Claims everything.

    Args:
        way: as there.
    """

    @classmethod
    def claims(cls, spec):
        return {"way": ""}


class Raises(Broken):
    """Raises over a spec.

    Args:
        way: as there.
    """

    @classmethod
    def claims(cls, spec):
        raise ValueError(spec)


class Elsewhere(Broken):
    """Claims its spec for another.

    Args:
        way: as there.
    """

    @classmethod
    def claims(cls, spec):
        return {"way": "other"} if spec == "mine" else None


class Numbers(Noise):
    """Noise, documented.

    Args:
        start: as there.
        stop: as there.
        shard: as there.
        broken: as there.
    """

    def __init__(self, start: int, stop: int, shard: int = 64, broken: int = 0) -> None:
        super().__init__(start, stop, shard, broken)

    @classmethod
    def claims(cls, spec):
        return Noise.claims(spec) if spec.count(":") == 2 else None


def test_a_lawful_source_passes():
    check_source(Numbers(0, 7, shard=3, broken=3))
    check_source(Numbers(0, 7), "noise:0:7")


@pytest.mark.parametrize(
    ("law", "way"),
    [
        ("shards are named once, in a fixed order", "none"),
        ("shards are named once, in a fixed order", "twice"),
        ("shards are named once, in a fixed order", "numbers"),
        ("a record is read or rejected", "raises"),
        ("records are Pair or Rejected", "tuple"),
        ("keys are unique", "keys"),
        ("records have a key", "keyless"),
        ("a pair is text and picture", "array"),
        ("reasons are short phrases", "essay"),
        ("readings are equal", "counter"),
        ("readings are equal", "shared"),
        ("readings are equal", "moving"),
        ("fingerprints stay", "moved"),
        ("fingerprints stay", "empty"),
        ("count counts", "miscounts"),
    ],
)
def test_an_unlawful_source_is_refused(law, way):
    check_source(Broken())
    refused(law, lambda: check_source(Broken(way)))


@pytest.mark.parametrize(
    ("law", "source", "spec"),
    [
        ("a spec has one owner", Grabs(), None),
        ("claims never raises", Raises(), None),
        ("a spec has one owner", Broken(), "mine"),
        ("claims returns init arguments", Elsewhere(), "mine"),
    ],
)
def test_an_unlawful_claim_is_refused(law, source, spec):
    refused(law, lambda: check_source(source, spec))


# --- targets -----------------------------------------------------------------------------------------------------


class Eval(Matrices):
    """Matrices, in eval mode as they should be.

    Args:
        members: as there.
        leak: as there.
        seed: as there.
    """

    def __init__(self, members: str = "0:0", leak: float = 1.0, seed: int = 0) -> None:
        super().__init__(members, leak, seed)
        self.eval()

    def tokenize(self, captions):
        return super().tokenize([caption or "none" for caption in captions])


class Spoilt(Eval):
    """A target to spoil, by the name of a way to do it.

    Args:
        way: what is wrong with it.
    """

    def __init__(self, way: str = "") -> None:
        super().__init__("0:3")
        self.way = way
        self.train(way == "training")

    def preprocess(self, image):
        pixels = super().preprocess(image)
        if self.way == "paints":
            image.putpixel((0, 0), (1, 2, 3))
        made = {"floats": pixels.float() / 255, "grey": pixels[:1], "sizes": pixels[:, : SIDE - image.size[0] % 2]}
        return made.get(self.way, pixels)

    def tokenize(self, captions):
        tokens = super().tokenize(captions)
        return {"flat": tokens[:, 0], "short": tokens.int()}.get(self.way, tokens)

    def encode_image(self, pixels):
        features = super().encode_image(pixels)
        match self.way:
            case "unit":
                return normalize(features, dim=-1)
            case "nan":
                return features.log()
            case "double":
                return features.double()
            case "centred":
                return features - features.mean(0)
            case "dropout":
                return torch.nn.functional.dropout(features, 0.5, training=True)
            case "detached":
                return features.detach()
            case "wide":
                return torch.cat([features, features], dim=1)
            case "spoils":
                pixels.zero_()
        return features

    def facts(self):
        facts = super().facts()
        ways = {
            "nameless": replace(facts, name=" "),
            "bare": replace(facts, details={}),
            "zero": replace(facts, logit_scale=0.0),
            "tensor": replace(facts, details={"weights": torch.zeros(1)}),
            "infinite": replace(facts, details={"pairs": float("inf")}),
        }
        return ways.get(self.way, facts)

    def fingerprint(self):
        return {"deaf": "one", "moody": f"{id(self)}"}.get(self.way, super().fingerprint())

    @property
    def answers(self):
        return frozenset({"cosines"}) if self.way == "misspelt" else super().answers


def test_a_lawful_target_passes():
    check_target(Eval("0:3"), captions=("pair 1", "pair 2", "pair 77"))
    check_target(Spoilt(), images=[picture(3), picture(4)])


@pytest.mark.parametrize(
    ("law", "way"),
    [
        ("a target stays in eval mode", "training"),
        ("inputs are left as they are", "paints"),
        ("inputs are left as they are", "spoils"),
        ("pictures become (3, h, w) uint8 of one size", "floats"),
        ("pictures become (3, h, w) uint8 of one size", "grey"),
        ("pictures become (3, h, w) uint8 of one size", "sizes"),
        ("captions become (b, l) int64", "flat"),
        ("captions become (b, l) int64", "short"),
        ("features are raw", "unit"),
        ("features are finite", "nan"),
        ("features are (b, d) float32", "double"),
        ("both towers have one width", "wide"),
        ("rows are independent", "centred"),
        ("no hidden randomness", "dropout"),
        ("gradients flow where answers says so", "detached"),
        ("facts are complete", "nameless"),
        ("facts are complete", "bare"),
        ("facts are complete", "zero"),
        ("facts are JSON", "tensor"),
        ("facts are JSON", "infinite"),
        ("a fingerprint changes with a weight", "deaf"),
        ("fingerprints stay", "moody"),
        ("answers holds known words", "misspelt"),
    ],
)
def test_an_unlawful_target_is_refused(law, way):
    refused(law, lambda: check_target(Spoilt(way)))


class Twin(Eval):
    """A target whose untrained twin is odd in some way.

    Args:
        way: which.
    """

    def __init__(self, way: str = "") -> None:
        super().__init__("0:3")
        self.way = way

    def untrained(self, seed):
        if self.way == "moves":
            self.image.weight.data += 1
        moody = torch.seed() % 1000 if self.way == "moody" else 0
        return self if self.way == "self" else (Tall if self.way == "tall" else Eval)("0:0", seed=seed + moody)


class Tall(Eval):
    """Crops pictures otherwise."""

    def preprocess(self, image):
        return super().preprocess(image).flip(-1)


def test_a_lawful_twin_passes():
    check_target(Twin())


@pytest.mark.parametrize(
    ("law", "way"),
    [
        ("an untrained twin is drawn by its seed", "self"),
        ("an untrained twin is drawn by its seed", "moody"),
        ("an untrained twin is drawn by its seed", "moves"),
        ("a twin prepares pairs as its target does", "tall"),
    ],
)
def test_an_unlawful_twin_is_refused(law, way):
    refused(law, lambda: check_target(Twin(way)))


class Padded(Eval):
    """A target whose captions are seen with their padding.

    Args:
        members: as there.
        leak: as there.
        seed: as there.
    """

    def tokenize(self, captions):
        longest = max(map(len, captions), default=0)
        return torch.tensor([[len(c) + longest] for c in captions])


def test_a_target_that_sees_padding_is_refused():
    refused("rows are independent", lambda: check_target(Padded()))


def test_png_and_picture_are_the_same():
    assert lmia.testing.sources.content(lmia.Pair("a", "b", png(picture(1)))) != lmia.testing.sources.content(
        lmia.Pair("a", "b", png(picture(2)))
    )
