"""How pictures are prepared for a model, as open_clip writes it down, and what to do where it is not written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Literal

import open_clip
from open_clip.constants import HF_CONFIG_NAME
from open_clip.transform import PreprocessCfg, merge_preprocess_dict

from lmia import LmiaError

Config = dict[str, object]
Preprocessing = Literal["auto", "default", "released"]


def complete(own: Mapping[str, object]) -> Config:
    """Complete a preprocessing configuration with open_clip's defaults; the size comes from the model when it is built.

    Example:
        >>> complete({"resize_mode": "squash"})["interpolation"]
        'bicubic'
    """
    merged: Config = merge_preprocess_dict(asdict(PreprocessCfg()), dict(own))
    listed = {key: list(value) if isinstance(value, tuple) else value for key, value in merged.items()}
    return {key: value for key, value in listed.items() if key != "size"}


def describe(preprocess: Mapping[str, object]) -> str:
    """Say in a few words how pictures are prepared.

    Example:
        >>> describe({"resize_mode": "squash", "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3})
        'squash, bilinear, mean [0.5, 0.5, 0.5], std [0.5, 0.5, 0.5]'
    """
    how = (preprocess["resize_mode"], preprocess["interpolation"])
    return f"{how[0]}, {how[1]}, mean {preprocess['mean']}, std {preprocess['std']}"


def of_file(architecture: str, wanted: Preprocessing, guess: bool) -> tuple[Config, str]:
    """Choose a preprocessing where none is written down: for a checkpoint file, or for random weights.

    Args:
        architecture: a name that open_clip knows.
        wanted: `default` (of open_clip's training), `released` (that of the architecture's published weights), or
            `auto`: the default, if some published weights have it too or there are none.
        guess: whether a guess does no harm (random weights).

    Returns:
        The configuration, and who chose it.

    Raises:
        LmiaError: there is a choice to make, and it would change the features.

    Example:
        >>> of_file("ViT-B-32", "auto", guess=False)[1]
        "open_clip's default"
    """
    default = complete({})
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    released: list[Config] = []
    for tag in tags:
        if (one := complete(open_clip.get_pretrained_cfg(architecture, tag))) not in released:
            released.append(one)
    if wanted == "default" or (wanted == "auto" and (not tags or default in released)):
        return default, "open_clip's default" if wanted == "auto" else "the user"
    if len(released) == 1 and (wanted == "released" or guess):
        return released[0], "the user" if wanted == "released" else "the architecture's released weights"
    if guess and wanted == "auto":
        return default, "open_clip's default"
    raise LmiaError(
        f"A checkpoint file says nothing of its preprocessing, and {architecture}'s {len(released)} released way(s) "
        f"differ from open_clip's default: {'; '.join(map(describe, released)) or 'none'}, not {describe(default)}.",
        "Say --model.target.preprocessing released or default, or put the file into a folder with its "
        f"{HF_CONFIG_NAME} and write local-dir:FOLDER.",
    )
