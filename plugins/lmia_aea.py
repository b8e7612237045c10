"""AEA: how the cosine changes when the image or the caption is transformed, in forms with names of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

import lmia
from lmia.signals import drops

Form = Literal["mean", "sum", "drop", "steady", "average"]

_FORMULAS: Mapping[Form, str] = {
    "mean": "cos + alpha * mean_k drop_k",
    "sum": "cos + alpha * sum_k drop_k",
    "drop": "mean_k drop_k",
    "steady": "-mean_k drop_k",
    "average": "mean_k cos_k",
}
_WITH_ALPHA = ("mean", "sum")


class AEA(lmia.Attack):
    """Cosine similarity combined with how much augmented views lower it, in five forms.

    After the augmentation-enhanced attack of Ko et al., ICCV 2023 (arXiv 2310.00108), which aggregates the cosine over
    transformations of a pair and finds that members' cosines fall further. The paper's formula and the parameters of
    its transformations are not in its official code and are unverified here, so no form is called the paper's.

    With `drop_k = cos(x) - cos(T_k x)` over every view k but the identity (views of the caption count like those of
    the image), the forms are

    - `mean`: cos + alpha * mean_k drop_k, a larger fall is a sign of membership;
    - `sum`: cos + alpha * sum_k drop_k, which weighs the falls more the more views there are;
    - `drop`: mean_k drop_k alone (the sum alone ranks pairs the same, so it is no form of its own);
    - `steady`: -mean_k drop_k, the other sign: a smaller fall is a sign of membership;
    - `average`: mean_k cos(T_k x), the other sign with the cosine in: it is cos - mean_k drop_k.

    Plain `aea` reports all five side by side, fixed beforehand. Picking the best of them, or the sign, by its result on
    members and non-members would be choosing on labels. With a single view, `mean` and `sum` are the same number.

    Args:
        form: which of the five.
        alpha: weight of the falls beside the cosine in `mean` and `sum`; not 0, which would be CSA.

    Raises:
        LmiaError: an unknown form, an alpha that is 0 or not finite, or one given to a form that has none.

    Example:
        >>> views = ("identity", "crop", "rotation")
        >>> one = lmia.Samples(torch.arange(1), ["a"], views, {"cosine": torch.tensor([[0.5, 0.25, 0.0]])})
        >>> {form: AEA(form).score(one).item() for form in ("mean", "sum", "drop", "steady", "average")}
        {'mean': 0.875, 'sum': 1.25, 'drop': 0.375, 'steady': -0.375, 'average': 0.125}
    """

    requires: ClassVar[frozenset[str]] = frozenset({"views"})
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {form: {"form": form} for form in _FORMULAS}
    together: ClassVar[bool] = True

    def __init__(self, form: Form = "mean", alpha: float = 1.0) -> None:
        if form not in _FORMULAS:
            raise lmia.LmiaError(f"AEA has no form '{form}'.", f"Take one of {', '.join(_FORMULAS)}.")
        if not math.isfinite(alpha) or alpha == 0:
            raise lmia.LmiaError(
                f"alpha must be a finite number other than 0, got {alpha}.",
                "Give another weight; with weight 0 the attack is csa.",
            )
        if alpha != 1 and form not in _WITH_ALPHA:
            raise lmia.LmiaError(
                f"alpha = {alpha} has no part in AEA's form '{form}', {_FORMULAS[form]}.",
                f"Leave alpha out, or take a form that has one: {', '.join(_WITH_ALPHA)}.",
            )
        self.form: Form = form
        self.alpha = alpha

    def score(self, samples: lmia.Samples) -> Tensor:
        """Return the form's scores, `(n,)` float64.

        Raises:
            LmiaError: the samples have the identity view alone.
        """
        if len(samples.view_names) < 2:
            raise lmia.LmiaError(
                f"AEA compares views, and there is only '{samples.view_names[0]}'.",
                "Choose an augmentation set with --views.",
            )
        fall, plain = drops(samples.cosine), samples.cosine[:, 0].to(torch.float64)
        match self.form:
            case "mean":
                return plain + self.alpha * fall.mean(dim=1)
            case "sum":
                return plain + self.alpha * fall.sum(dim=1)
            case "drop":
                return fall.mean(dim=1)
            case "steady":
                return -fall.mean(dim=1)
            case "average":
                return samples.cosine[:, 1:].to(torch.float64).mean(dim=1)

    def findings(self) -> Mapping[str, object]:
        """Say which formula was used, and what is not known of the paper's."""
        return {
            "formula": _FORMULAS[self.form],
            "caveat": "the formula and parameters of the published AEA are not in its official code: unverified",
        }


@lmia.hookimpl
def lmia_attacks() -> list[type[lmia.Attack]]:
    """Bring AEA."""
    return [AEA]
