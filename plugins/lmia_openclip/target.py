"""OpenCLIP as a target."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import open_clip
import torch
from open_clip.transform import Normalize, PreprocessCfg, ToTensor, image_transform_v2
from PIL import Image
from torch import Tensor, nn

from lmia import LmiaError, Target, TargetFacts
from lmia_openclip import text, weights
from lmia_openclip.config import check_parts, check_size
from lmia_openclip.preprocessing import Preprocessing, describe
from lmia_openclip.recipe import Activation, Recipe, write
from lmia_openclip.resizing import Resizer, Resizing, Step
from lmia_openclip.spec import claim
from lmia_openclip.towers import Towers

Precision = Literal["fp32", "bf16", "fp16"]
_DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_PROBE = ("", "A photo of two cats.", "Ünïcode, 123 & <start_of_text>")  # tells tokenizers apart


class OpenCLIP(Target):
    """A model of open_clip: architecture and tag, architecture and checkpoint file, `hf-hub:` or `local-dir:`.

    Args:
        model: an architecture (`ViT-B-32`), `hf-hub:ORG/NAME`, or `local-dir:FOLDER` with an `open_clip_config.json`.
        pretrained: a tag, a checkpoint file (.pt, .pth, .bin, .safetensors), or `random` for weights drawn by `seed`.
        precision: what weights and activations are held in; features come out as float32.
        activation: `auto` takes what the weights were trained with: quick GELU where the tag says so, else what the
            configuration says. `gelu` and `quickgelu` force it, as some published numbers need.
        preprocessing: for a checkpoint file alone, which says nothing of it: open_clip's `default`, that of the
            architecture's `released` weights, or `auto` where there is no choice between them.
        cache_dir: the hub's cache; its default if not given.
        seed: of the random weights.
        resizing: who resizes pictures: `torch`, three times as fast, or `pillow`, to the last bit as open_clip does.

    Raises:
        LmiaError: something named is unknown, missing, damaged, unsafe, or out of reach.

    Example:
        >>> OpenCLIP.claims("ViT-B-32,laion400m_e32")
        {'model': 'ViT-B-32', 'pretrained': 'laion400m_e32'}
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: str,
        pretrained: str | None = None,
        precision: Precision = "fp32",
        activation: Activation = "auto",
        preprocessing: Preprocessing = "auto",
        cache_dir: str | None = None,
        seed: int = 0,
        resizing: Resizing = "torch",
    ) -> None:
        super().__init__()
        _check_choice("precision", precision, get_args(Precision))
        _check_choice("activation", activation, get_args(Activation))
        _check_choice("preprocessing", preprocessing, get_args(Preprocessing))
        _check_choice("resizing", resizing, get_args(Resizing))
        self._recipe = write(model, pretrained, activation, preprocessing, cache_dir)
        self._precision: Precision = precision
        self._seed = seed
        self._tokenizer = text.tokenizer(_section(self._recipe, "text_cfg"), self._recipe.folder, cache_dir)
        self.model: open_clip.CLIP = _build(self._recipe, seed)
        if self._recipe.checkpoint:
            weights.load(self.model, self._recipe.checkpoint, exact=not self._recipe.released)
        self._scale, self._bias = _head(self.model, self._recipe.name)
        self.model.to(_DTYPES[precision])
        steps, mean, std = _steps(self._recipe, self.model.visual.image_size)
        self._resizer = Resizer(steps, resizing)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.eval()

    @classmethod
    def claims(cls, spec: str) -> dict[str, object] | None:
        """Claim names of open_clip's architectures, near misses, `ARCH,TAG`, `open_clip:ARCH/TAG` and both prefixes."""
        return claim(spec)

    @property
    def precision(self) -> Precision:
        """The precision its towers compute in."""
        return self._precision

    def train(self, mode: bool = True) -> OpenCLIP:
        """Stay in eval mode: dropout would make an audit depend on chance."""
        nn.Module.train(self, False)
        return self

    def preprocess(self, image: Image.Image) -> Tensor:
        """Resize and crop an RGB image as open_clip does for this model: `(3, h, w)` uint8, not normalised."""
        return self._resizer(image)

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """Turn b captions into `(b, l)` int64 tokens; a causal tower's are cut behind the longest caption."""
        tokens = self._tokenizer(list(captions)).long()
        return text.cut(self.model, tokens) if text.can_cut(self.model) else tokens

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode `(b, 3, h, w)` pixels in [0, 1] into `(b, d)` raw float32 features."""
        normalised = (pixels.float() - self.mean) / self.std
        features: Tensor = self.model.encode_image(normalised.to(_DTYPES[self._precision]), normalize=False)
        return features.float()

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Encode `(b, l)` tokens, as `tokenize` made them, into `(b, d)` raw float32 features."""
        cut = text.can_cut(self.model)
        features: Tensor = text.encode(self.model, tokens) if cut else self.model.encode_text(tokens, normalize=False)
        return features.float()

    def untrained(self, seed: int) -> OpenCLIP:
        """Return the same architecture, preprocessing and tokenizer with open_clip's first weights, drawn by `seed`."""
        shared = {id(self.model): None, id(self._tokenizer): self._tokenizer}  # large both; the weights come anew
        twin = deepcopy(self, shared)
        name = f"{self._recipe.name}, untrained twin"
        twin._recipe = replace(self._recipe, checkpoint=None, name=name)
        twin._seed = seed
        twin.model = _build(self._recipe, seed)
        twin._scale, twin._bias = _head(twin.model, name)
        twin.model.to(device=self.mean.device, dtype=_DTYPES[self._precision])
        return twin.eval()

    def trainable(self) -> Towers:
        """Return this model's towers, free to learn; its weights become float32, and gradients are on."""
        self.model.float().requires_grad_(True)
        self._precision = "fp32"
        config = {"model_cfg": self._recipe.config, "preprocess_cfg": self._recipe.preprocess}
        return Towers(self.model, self.mean, self.std, config, self._tokenizer)

    def facts(self) -> TargetFacts:
        """What is known of the model: what was built, from which weights, and how its pictures are prepared."""
        size, config = self.model.visual.image_size, _section(self._recipe, "text_cfg")
        details: dict[str, str | int | float] = {
            "architecture": self._recipe.architecture,
            "activation": self._recipe.activation,
            "precision": self._precision,
            "preprocessing": f"{describe(self._recipe.preprocess)}, to {_height_width(size)} px, by {self._resizer.by}",
            "weights digest": weights.digest(self.model),
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "image size": _height_width(size),
            "context length": text.context_length(config),
            "open_clip": open_clip.__version__,
            **self._recipe.chosen,
        }
        if self._recipe.checkpoint is None:
            details["seed"] = self._seed
        sigmoid = self._bias is not None
        return TargetFacts(self._recipe.name, self._scale, self._bias, "sigmoid" if sigmoid else "softmax", details)

    def fingerprint(self) -> str:
        """Digest everything a feature depends on: weights, configuration, preprocessing, tokenizer, precision, torch.

        The weights are read anew at every call, so that a change in memory shows.
        """
        parts = {
            "weights": weights.digest(self.model),
            "config": self._recipe.config,
            "preprocess": self._recipe.preprocess,
            "resized by": self._resizer.by,
            "tokens": self._tokenizer(list(_PROBE)).tolist(),
            "precision": self._precision,
            "torch": torch.__version__.split(".")[:2],
        }
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise LmiaError(f"OpenCLIP's {name} cannot be '{value}'.", f"It is one of {', '.join(allowed)}.")


def _section(recipe: Recipe, name: str) -> dict[str, object]:
    section = recipe.config.get(name)
    if not isinstance(section, dict):
        raise LmiaError(f"The configuration of {recipe.name} has no {name}.", "Mend its model_cfg.")
    return section


def _build(recipe: Recipe, seed: int) -> open_clip.CLIP:
    """Build the architecture with weights drawn by `seed`, leaving torch's own generator where it was."""
    config = deepcopy(recipe.config)
    vision, words = _section(recipe, "vision_cfg"), _section(recipe, "text_cfg")
    if words.get("hf_model_name"):
        text.need_transformers(str(words["hf_model_name"]))
    config["vision_cfg"] = {**vision, "timm_model_pretrained": False}
    config["text_cfg"] = {**text.described_here(words, recipe.folder), "hf_model_pretrained": False}
    custom = config.pop("custom_text", False) or "hf_model_name" in words
    kind = open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            check_size(config)
            check_parts({**config, "custom_text": custom})
            if recipe.checkpoint:
                _check_room(partial(kind if custom else open_clip.CLIP, **config), recipe.checkpoint)
            return (kind if custom else open_clip.CLIP)(**config)
        except Exception as error:  # a configuration from anywhere can break a constructor in any way
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise LmiaError(f"The configuration of {recipe.name} builds no model: {reason}", "Mend it.") from error


def _check_room(make: Callable[[], nn.Module], checkpoint: Path) -> None:
    """Raise a ValueError where a model is far larger than its weights' file: memory would be filled for nothing."""
    with suppress(RuntimeError), torch.device("meta"):  # some towers ask a tensor for its number, and here it has none
        model = make()
        numbers = sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))
        if numbers > 4 * checkpoint.stat().st_size:
            raise ValueError(f"it has {numbers:,} numbers, its weights {checkpoint.stat().st_size:,} bytes")


def _head(model: open_clip.CLIP, name: str) -> tuple[float, float | None]:
    """Read the loss's factor (exponentiated) and bias, before a low precision rounds them."""
    bias = getattr(model, "logit_bias", None)
    factor, added = model.logit_scale.exp().item(), None if bias is None else bias.item()
    if not (math.isfinite(factor) and math.isfinite(added or 0)):
        raise LmiaError(
            f"The weights of {name} are no training's: logit_scale {model.logit_scale.item():g}, logit_bias {added}.",
            "A factor of e**logit_scale on cosines, and its bias, are finite numbers; take other weights.",
        )
    return factor, added


def _steps(recipe: Recipe, size: int | tuple[int, int]) -> tuple[list[Step], Tensor, Tensor]:
    """Take open_clip's own evaluation transform apart: what happens to the picture, mean `(3, 1, 1)` and std."""
    try:
        steps = image_transform_v2(PreprocessCfg(size=size, **recipe.preprocess), is_train=False).transforms
        normalize = next(step for step in steps if isinstance(step, Normalize))
        mean, std = (torch.tensor(values).view(3, 1, 1).float() for values in (normalize.mean, normalize.std))
        if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
            raise ValueError("mean or std is no number")
    except Exception as error:  # a configuration from anywhere can break open_clip in any way
        how = describe(recipe.preprocess)
        raise LmiaError(f"The preprocessing of {recipe.name} is not open_clip's: {how}.", "Mend it.") from error
    return [step for step in steps if not isinstance(step, Normalize | ToTensor)], mean, std


def _height_width(size: int | Sequence[int]) -> str:
    height, width = (size, size) if isinstance(size, int) else size
    return f"{height}x{width}"
