"""Numbers left out within the towers while they learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn.functional import dropout

from lmia import Defence, LmiaError, Trainable
from lmia_defences.bounds import bounded

Tower = Literal["both", "image", "text"]


class Dropout(Defence):
    """Leaves out numbers at random within the towers while they learn; evaluation and weights are as without.

    Every `nn.Dropout` of the architecture gets the rate. open_clip's transformer blocks have none: there it is what each of
    a block's two branches (attention and MLP) adds that is thinned out. Its draws come from torch's own generator, as all
    dropout's do.

    What is known: in one study large dropout made membership inference a little easier, not harder, even under differential
    privacy (arXiv 2103.09008; not on CLIP). It costs a little time, and use at high rates.

    Args:
        rate: the share of numbers left out.
        tower: where: `both`, `image` or `text`.

    Raises:
        LmiaError: the rate is below 0 or not below 1; or the tower has no place for dropout, such as a ResNet.
    """

    def __init__(self, rate: float = 0.1, tower: Tower = "both") -> None:
        bounded(self, "rate", rate, 0, 1, below=True)
        if tower not in get_args(Tower):
            raise LmiaError(f"dropout knows no tower '{tower}'.", "Give both, image or text.")
        self.rate, self.tower = rate, tower

    def adapt(self, towers: Trainable) -> None:
        """Set or insert dropout; nothing is changed where a tower cannot have it."""
        found = {name: _places(part) for name, part in _parts(towers, self.tower).items()}
        for name, places in found.items():
            if not places:
                problem = f"The {name} tower has no place for dropout: neither an nn.Dropout nor a transformer's block."
                other = (
                    "Take a transformer" if self.tower != "both" else "Take a transformer, or defend the other tower"
                )
                raise LmiaError(problem, f"{other}.")
        for place in (place for places in found.values() for place in places):
            if isinstance(place, nn.Dropout):
                place.p = self.rate
            elif self.rate:
                place.register_forward_hook(_Thinned(self.rate))


@dataclass(frozen=True)
class _Thinned:
    """A hook rather than a module: the names of weights stay as they are."""

    rate: float

    def __call__(self, module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return dropout(output, self.rate, module.training)


def _parts(towers: Trainable, wanted: Tower) -> dict[str, list[nn.Module]]:
    """Return the modules of each tower that is wanted; open_clip calls the image's `visual`, and the rest is the text's."""
    image = next((module for name, module in towers.named_modules() if name.rpartition(".")[2] == "visual"), None)
    if image is None:
        if wanted != "both":
            problem = (
                f"Which modules of {type(towers).__name__} are the {wanted} tower's is not known: none is `visual`."
            )
            raise LmiaError(problem, "Defend both.")
        return {"only": list(towers.modules())}
    seen = list(image.modules())
    others = [module for module in towers.modules() if not any(module is one for one in seen)]
    parts = {"image": seen, "text": others}
    return parts if wanted == "both" else {wanted: parts[wanted]}


def _places(modules: list[nn.Module]) -> list[nn.Module]:
    places: list[nn.Module] = [module for module in modules if isinstance(module, nn.Dropout)]
    for block in modules:
        branches = [getattr(block, name, None) for name in ("ls_1", "ls_2")]  # what a branch passes before it is added
        own = any(isinstance(module, nn.Dropout) for module in block.modules())
        places += [branch for branch in branches if isinstance(branch, nn.Module) and not own]
    return places
