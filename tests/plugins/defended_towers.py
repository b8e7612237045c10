"""Towers of tiny open_clip models, as `lmia fit` gets them, and pairs for them."""

import json
from copy import deepcopy
from functools import cache

import open_clip
import torch

from lmia.registry import registry
from plugins.openclip_models import CLIP, folder

TINY = {**CLIP, "vision_cfg": {**CLIP["vision_cfg"], "image_size": 16, "patch_size": 4}}
RESNET = {**CLIP, "vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8}}


def target(path, config=TINY):
    """A plain target of its own, from a folder that is made and read once."""
    return deepcopy(_read(path, json.dumps(config)))


@cache
def _read(path, config):
    if not path.exists():
        folder(path, json.loads(config))
    cls, args = registry().claim("target", f"local-dir:{path}")
    return cls(**args)


def towers(path, config=TINY):
    """Towers of a target from that folder."""
    return target(path, config).trainable()


def batch(n=4, side=16):
    """Pixels `(n, 3, side, side)` and tokens `(n, 32)`."""
    pixels = torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(0))
    return pixels, open_clip.tokenize([f"picture number {i} of a cat" for i in range(n)], 32)
