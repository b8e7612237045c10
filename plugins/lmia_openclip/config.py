"""What a model says of itself: `open_clip_config.json`, and `training.json` beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path

from lmia import LmiaError
from lmia_openclip.preprocessing import Config, complete

LONGEST = 1 << 12
"""Tokens of a text: fifty times those of any model that is known. A causal tower's mask is a square of them."""

_MOST = {"": 1 << 22, "layers": 256, "mlp_ratio": 64, "width": 1 << 14, "embed_dim": 1 << 14, "image_size": 1 << 12}
_MOST |= {"context_length": LONGEST}
"""The largest numbers of a configuration: well above those of any model that is known."""

_DEEPEST = 16
"""Lists and objects within one another; those of open_clip's own models lie three deep."""

_WHOLE = {
    "layers",
    "width",
    "embed_dim",
    "image_size",
    "patch_size",
    "head_width",
    "heads",
    "context_length",
    "vocab_size",
}
"""Counts. Half a head builds a model, which breaks where it is first used."""


def read_config(path: Path) -> tuple[Config, Config]:
    """Read an `open_clip_config.json`: the model's configuration, and its preprocessing made complete.

    Raises:
        LmiaError: the file is missing, is no JSON, or describes no model.

    Example:
        >>> read_config(Path("no/open_clip_config.json"))
        Traceback (most recent call last):
        lmia.errors.LmiaError: There is no 'no/open_clip_config.json'.
        open_clip's own models bring one; a folder needs it beside its weights.
    """
    found = _json(path)
    config, preprocess = found.get("model_cfg"), found.get("preprocess_cfg") or {}
    keys = ("embed_dim", "vision_cfg", "text_cfg")
    if not isinstance(config, dict) or not isinstance(preprocess, dict) or not all(key in config for key in keys):
        raise LmiaError(f"'{path}' describes no model.", f"It needs a model_cfg with {', '.join(keys)}.")
    return deepcopy(config), complete(preprocess)


def training(path: Path) -> dict[str, str | int | float]:
    """Read what a `training.json` says of the training: `pairs` (N) and `epochs` (T), where there is one and it says so.

    Raises:
        LmiaError: it is no JSON, says something that is no positive number, or that the training has not ended.

    Example:
        >>> training(Path("no/training.json"))
        {}
    """
    told = _json(path) if path.is_file() else {}
    if told.get("finished") is False:
        raise LmiaError(
            f"'{path.parent}' holds a training that has not finished.",
            "Run its `lmia fit` again, which goes on where it ended, or take a target it kept: local-dir:.../epochs/NNN",
        )
    numbers: dict[str, str | int | float] = {}
    for key in ("pairs", "epochs"):
        value = told.get(key, 1)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
            raise LmiaError(f"'{path}' says {key} = {value!r}.", "Write a positive number, or drop it.")
        if key in told:
            numbers[key] = value
    return numbers


def check_size(config: Mapping[str, object]) -> None:
    """Refuse numbers that no model has, before they fill the memory.

    Args:
        config: a model's configuration, or a part of one.

    Raises:
        ValueError: a number is beyond every model, or a count is no whole number.

    Example:
        >>> check_size({"embed_dim": 512, "vision_cfg": {"layers": 10**9, "width": 64}})
        Traceback (most recent call last):
            ...
        ValueError: layers is 1000000000
    """
    for name, value in config.items():
        if isinstance(value, Mapping):
            check_size(value)
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int | float) and not abs(number) <= _MOST.get(name, _MOST[""]):
                raise ValueError(f"{name} is {number}")
            if name in _WHOLE and isinstance(number, float):
                raise ValueError(f"{name} is {number}, which is no whole number")


def check_parts(config: Mapping[str, object]) -> None:
    """Refuse what builds and breaks at the first picture or text, and towers whose description lies on a hub.

    Args:
        config: a model's configuration.

    Raises:
        ValueError: a tower returns its tokens where nobody takes them, or the other way round, or is a hub's.

    Example:
        >>> check_parts({"vision_cfg": {"timm_model_name": "hf-hub:org/name"}, "text_cfg": {}})
        Traceback (most recent call last):
            ...
        ValueError: timm_model_name is 'hf-hub:org/name', which is no name of timm's own
    """
    wanted = "multimodal_cfg" in config
    for part in ("vision_cfg", "text_cfg"):
        tower = config[part]
        assert isinstance(tower, Mapping)  # it was looked at
        if bool(tower.get("output_tokens")) != wanted and (part == "vision_cfg" or config.get("custom_text")):
            raise ValueError(f"output_tokens of {part} is {not wanted}, which CoCa alone can have, and has to")
        if re.search("[:/]", name := str(tower.get("timm_model_name"))):
            raise ValueError(f"timm_model_name is {name!r:.80}, which is no name of timm's own")


def _json(path: Path) -> Config:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LmiaError(
            f"There is no '{path}'.", "open_clip's own models bring one; a folder needs it beside its weights."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise LmiaError(f"'{path}' is no JSON file: {error}", "Mend or replace it.") from error
    if not isinstance(found, dict):
        raise LmiaError(f"'{path}' holds no JSON object.", "Mend or replace it.")
    if _deeper(found, _DEEPEST):
        raise LmiaError(f"'{path}' holds lists or objects more than {_DEEPEST} deep.", "No model's are; replace it.")
    return found


def _deeper(found: object, levels: int) -> bool:
    inner = [found]
    for _ in range(levels):
        inner = [value for one in inner for value in _inside(one)]
    return any(isinstance(one, dict | list) for one in inner)


def _inside(one: object) -> Iterable[object]:
    return one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
