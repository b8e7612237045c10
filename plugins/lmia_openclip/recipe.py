"""What it takes to build a model: configuration, activation, preprocessing and weights, each with where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import open_clip
from open_clip.constants import HF_CONFIG_NAME, HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

from lmia import LmiaError
from lmia_openclip import hub
from lmia_openclip.config import read_config, training
from lmia_openclip.preprocessing import Config, Preprocessing, complete, of_file
from lmia_openclip.spec import FOLDER, HUB, is_architecture, unknown_architecture, unknown_tag
from lmia_openclip.weights import SUFFIXES

Activation = Literal["auto", "gelu", "quickgelu"]

RANDOM = "random"
_QUICK = "-quickgelu"
_OWN = "own"
_PREFERRED = (
    HF_SAFE_WEIGHTS_NAME,
    "open_clip_pytorch_model.safetensors",
    HF_WEIGHTS_NAME,
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a model, before a tensor is made.

    Args:
        name: what a person calls it.
        architecture: its name, `-quickgelu` included where that is what is built; `own` for a configuration of its own.
        config: open_clip's model configuration, with `quick_gelu` settled.
        preprocess: open_clip's preprocessing configuration.
        checkpoint: the weights' file; None for random weights.
        released: whether open_clip or the hub publishes these very weights for this very configuration.
        folder: the folder a `local-dir:` model came from.
        chosen: who chose the activation and the preprocessing, and what else is known of the training.
    """

    name: str
    architecture: str
    config: Config
    preprocess: Config
    checkpoint: Path | None
    released: bool = False
    folder: Path | None = None
    chosen: Mapping[str, str | int | float] = field(default_factory=dict)

    @property
    def activation(self) -> str:
        """The activation of its transformers."""
        return "quickgelu" if self.config.get("quick_gelu") else "gelu"


def write(
    model: str,
    pretrained: str | None = None,
    activation: Activation = "auto",
    preprocessing: Preprocessing = "auto",
    cache_dir: str | None = None,
) -> Recipe:
    """Write the recipe of a model; nothing is built, but weights may be downloaded.

    Args:
        model: an architecture, `hf-hub:ORG/NAME` or `local-dir:FOLDER`.
        pretrained: a tag, a checkpoint file, or `random`; only `random` or None with the two prefixes.
        activation: `auto` takes what the weights were trained with.
        preprocessing: what to do about a checkpoint file, which says nothing of its preprocessing: `default` of
            open_clip's training, `released` for that of the architecture's published weights, `auto` where both agree.
        cache_dir: the hub's cache; its default if None.

    Raises:
        LmiaError: a name, a tag, a file or a configuration is wrong or missing.

    Example:
        >>> write("ViT-B-32", "random", activation="quickgelu").architecture
        'ViT-B-32-quickgelu'
    """
    if model.startswith((FOLDER, HUB)):
        if pretrained not in (None, RANDOM):
            raise LmiaError(f"'{model}' brings its own weights, not '{pretrained}'.", "Drop --pretrained.")
        if preprocessing != "auto":
            raise LmiaError(f"'{model}' brings its own preprocessing, not '{preprocessing}'.", "Drop --preprocessing.")
        read = _folder if model.startswith(FOLDER) else _repository
        plain = read(model.partition(":")[2], pretrained, cache_dir)
    elif is_architecture(model):
        plain = _architecture(model.replace("/", "-"), pretrained, preprocessing, cache_dir)
    else:
        raise unknown_architecture(model)
    return plain if activation == "auto" else _forced(plain, activation)


def _forced(plain: Recipe, activation: Activation) -> Recipe:
    chosen = {**plain.chosen, "activation chosen by": "the user"}
    return replace(_with_activation(plain, quick=activation == "quickgelu"), chosen=chosen)


def _with_activation(plain: Recipe, quick: bool) -> Recipe:
    """Settle the activation, in the configuration and in the architecture's name, so that neither tells a lie."""
    settled = replace(plain, config={**plain.config, "quick_gelu": quick})
    if plain.architecture == _OWN or plain.activation == settled.activation:
        return settled
    bare = plain.architecture.removesuffix(_QUICK)
    named = f"{bare}{_QUICK}" if quick else bare
    return replace(settled, architecture=named, name=named + plain.name.removeprefix(plain.architecture))


def _architecture(name: str, pretrained: str | None, preprocessing: Preprocessing, cache_dir: str | None) -> Recipe:
    if pretrained is None:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)[:6]) or "none"
        raise LmiaError(
            f"'{name}' is an architecture, and no weights were named.",
            f"Add --pretrained TAG (such as {tags}), --pretrained FILE, or --pretrained random.",
        )
    tag = open_clip.get_pretrained_cfg(name, pretrained)
    plain = Recipe(
        name=f"{name}, {'random weights' if pretrained == RANDOM else pretrained}",
        architecture=name,
        config=open_clip.get_model_config(name),
        preprocess=complete({}),
        checkpoint=None,
        chosen={"activation chosen by": "the architecture"},
    )
    if not tag:
        return _untagged(plain, pretrained, preprocessing)
    if preprocessing != "auto":
        raise LmiaError(f"The tag '{pretrained}' brings its own preprocessing.", "Drop --preprocessing.")
    chosen = _chosen_by("the tag")
    if not tag.get("quick_gelu"):
        chosen["activation chosen by"] = "the architecture"
    # Quick GELU weights under GELU run, and give wrong features: open_clip only warns.
    made = _with_activation(plain, quick=True) if tag.get("quick_gelu") else plain
    checkpoint = _tagged_weights(made, tag, cache_dir)
    return replace(made, preprocess=complete(tag), checkpoint=checkpoint, released=True, chosen=chosen)


def _untagged(plain: Recipe, pretrained: str, preprocessing: Preprocessing) -> Recipe:
    checkpoint = None if pretrained == RANDOM else Path(pretrained).expanduser()
    if checkpoint and checkpoint.is_dir():
        raise LmiaError(f"'{pretrained}' is a folder, not a checkpoint file.", f"Write --model local-dir:{pretrained}")
    if checkpoint and not checkpoint.is_file():
        if checkpoint.suffix in SUFFIXES or "/" in pretrained:
            raise LmiaError(f"There is no checkpoint file '{pretrained}'.", "Check the path.")
        raise unknown_tag(plain.architecture, pretrained)
    preprocess, chooser = of_file(plain.architecture, preprocessing, guess=checkpoint is None)
    name = f"{plain.architecture}, {checkpoint.name}" if checkpoint else plain.name
    chosen = {**plain.chosen, "preprocessing chosen by": chooser}
    return replace(plain, name=name, checkpoint=checkpoint, preprocess=preprocess, chosen=chosen)


def _tagged_weights(made: Recipe, tag: Mapping[str, object], cache_dir: str | None) -> Path:
    place = str(tag.get("hf_hub") or "")
    remedy = f", and then say --model {made.architecture} --pretrained FILE."  # -quickgelu included: a file cannot tell
    if not place:
        raise LmiaError(
            f"The weights of {made.name} are not on the hub but at {tag.get('url')}.", f"Fetch them{remedy}"
        )
    repo, _, file = place.rpartition("/")
    names = [file] if file else [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]
    if file.endswith((".bin", ".pth")):
        names.insert(0, f"{file.rpartition('.')[0]}.safetensors")
    return hub.fetch(repo, names, f"The weights of {made.name}", remedy, cache_dir)


def _repository(repo: str, pretrained: str | None, cache_dir: str | None) -> Recipe:
    name = f"{HUB}{repo}"
    what = f"The configuration and weights of {name}"
    remedy = f", together with {HF_CONFIG_NAME} and weights, and then say --model {FOLDER}FOLDER."
    config, preprocess = read_config(hub.fetch(repo, [HF_CONFIG_NAME], what, remedy, cache_dir))
    weights = None
    if pretrained is None:
        weights = hub.fetch(repo, [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME], what, remedy, cache_dir)
    name += "" if weights else ", random weights"
    return Recipe(name, _OWN, config, preprocess, weights, released=True, chosen=_chosen_by("the hub's configuration"))


def _folder(place: str, pretrained: str | None, cache_dir: str | None) -> Recipe:
    folder = Path(place).expanduser()
    if not place or not folder.is_dir():
        raise LmiaError(f"There is no folder '{place}' for '{FOLDER}'.", "Check the path.")
    told = training(folder / "training.json")
    config, preprocess = read_config(folder / HF_CONFIG_NAME)
    weights = _only_weights(folder) if pretrained is None else None
    name = f"{folder.resolve().name}{'' if weights else ', random weights'}"
    chosen = _chosen_by("the folder's configuration") | told
    return Recipe(name, _OWN, config, preprocess, weights, folder=folder, chosen=chosen)


def _chosen_by(who: str) -> dict[str, str | int | float]:
    return {"activation chosen by": who, "preprocessing chosen by": who}


def _only_weights(folder: Path) -> Path:
    for name in _PREFERRED:
        if (folder / name).is_file():
            return folder / name
    found = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found) or "none"
    raise LmiaError(
        f"'{folder}' needs one file of weights, found {names}.",
        f"Call it {HF_SAFE_WEIGHTS_NAME}, or --pretrained random.",
    )
