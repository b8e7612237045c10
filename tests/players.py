"""The small world of `worlds` as a plugin, for tests of the command line; and attacks that misbehave."""

import lmia
import worlds


class Toy(worlds.Matrices):
    """A dual encoder of two matrices, named by the pairs it has seen: `toy:0:100`.

    Args:
        members: `START:STOP` of the pairs it has seen.
        leak: how much it remembers of them.
        precision: a word that it does nothing with.
    """

    def __init__(self, members: str = "0:0", leak: float = 1.0, precision: str = "fp32") -> None:
        super().__init__(members, leak)
        self.named_precision = precision

    @classmethod
    def claims(cls, spec):
        return {"members": spec.removeprefix("toy:")} if spec.startswith("toy:") else None


class Knobs(lmia.Attack):
    """The cosine times a factor, with an option of every type.

    Args:
        factor: of the cosine.
        steps: does nothing.
        shares: does nothing.
        mode: does nothing.
        loud: does nothing.
    """

    presets = {"half": {"factor": 0.5}, "loud": {"loud": True}}  # noqa: RUF012

    def __init__(
        self,
        factor: float | None = 1.0,
        steps: int = 3,
        shares: list[float] = [0.5],  # noqa: B006
        mode: str = "plain",
        loud: bool = False,
    ) -> None:
        self.factor = 1.0 if factor is None else factor

    def score(self, samples):
        return samples.cosine[:, 0] * self.factor


class Both(worlds.Plain):
    """Two forms under one name.

    Args:
        form: which.
        weight: does nothing.
    """

    presets = {"one": {"form": "one"}, "two": {"form": "two"}}  # noqa: RUF012
    together = True

    def __init__(self, form: str = "one", weight: float = 1.0) -> None: ...


class Compares(worlds.Plain):
    """Wants views."""

    requires = frozenset({"views"})


class Faulty(worlds.Plain):
    """Raises an error of its own."""

    def score(self, samples):
        raise ValueError("a fault of the attack's author")


class NaNs(worlds.Plain):
    """Returns NaN."""

    def score(self, samples):
        return samples.cosine[:, 0] * float("nan")


class Crooked(worlds.Plain):
    """Returns the wrong shape."""

    def score(self, samples):
        return samples.cosine


@lmia.hookimpl
def lmia_attacks():
    return [worlds.Plain, Knobs, Both, Compares, Faulty, NaNs, Crooked]


@lmia.hookimpl
def lmia_targets():
    return [Toy]


@lmia.hookimpl
def lmia_sources():
    return [worlds.Noise]


@lmia.hookimpl
def lmia_views():
    return [worlds.Reflections]


def install(monkeypatch, *more):
    """Let the registry find these, and what else is named, beside what is installed, for the length of a test."""
    from importlib.metadata import EntryPoint, entry_points

    from lmia import registry

    points = [EntryPoint(name, name, "lmia") for name in ("players", *more)]
    fresh = registry.Registry([*entry_points(group="lmia"), *points])
    for module in ("audit", "cli", "guide", "request", "specs"):
        monkeypatch.setattr(f"lmia.{module}.registry", lambda: fresh)
    return fresh
