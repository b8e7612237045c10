"""The towers of an open_clip model, free to learn, with open_clip's own losses."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import open_clip
import torch
from open_clip.constants import HF_CONFIG_NAME, HF_SAFE_WEIGHTS_NAME
from open_clip.loss import ClipLoss, SigLipLoss
from open_clip.tokenizer import HFTokenizer
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import normalize

from lmia import Trainable
from lmia_openclip import text

LARGEST = math.log(100)
"""The temperature's bound in CLIP's training: a factor of 100 on cosines."""


class Towers(Trainable):
    """CLIP and SigLIP as open_clip trains them: the softmax loss, or the sigmoid loss where the model has a `logit_bias`.

    Args:
        model: its modules are used, not copied.
        mean: `(3, 1, 1)` of the pixels' normalisation.
        std: likewise.
        config: what `open_clip_config.json` says of the model, and of its preprocessing.
        tokenizer: the target's.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: open_clip.CLIP,
        mean: Tensor,
        std: Tensor,
        config: Mapping[str, object],
        tokenizer: text.Tokenizer,
    ) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self._config, self._tokenizer = config, tokenizer

    @property
    def sigmoid(self) -> bool:
        """Whether the loss is SigLIP's."""
        return getattr(self.model, "logit_bias", None) is not None

    @property
    def temperature(self) -> nn.Parameter:
        """The logarithm of the factor on cosines in the loss."""
        scale: nn.Parameter = self.model.logit_scale
        return scale

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Encode `(b, 3, h, w)` pixels in [0, 1] into `(b, d)` raw features."""
        features: Tensor = self.model.encode_image((pixels - self.mean) / self.std, normalize=False)
        return features

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Encode `(b, l)` tokens, as the target's `tokenize` made them, into `(b, d)` raw features."""
        if text.can_cut(self.model):
            return text.encode(self.model, tokens)
        features: Tensor = self.model.encode_text(tokens, normalize=False)
        return features

    def loss(self, image: Tensor, text: Tensor, rank: int = 0, world: int = 1) -> Tensor:
        """Return open_clip's loss of `(b, d)` and `(b, d)` raw features, over the parts of all ranks."""
        pair = normalize(image.float(), dim=-1), normalize(text.float(), dim=-1)
        factor = self.temperature.exp()
        if self.sigmoid:
            found: Tensor = SigLipLoss(rank=rank, world_size=world)(*pair, factor, self.model.logit_bias)
        else:
            found = ClipLoss(gather_with_grad=True, rank=rank, world_size=world)(*pair, factor)
        return found

    def settle(self) -> None:
        """Keep the factor on cosines between 1 and 100, as CLIP's training does."""
        with torch.no_grad():
            self.temperature.clamp_(0, LARGEST)

    def save(self, folder: Path, tokens: Tensor | None = None) -> None:
        """Write `open_clip_config.json`, the weights as safetensors, and the tokenizer's files where it has its own."""
        weights = {name: value.detach().cpu().contiguous() for name, value in self.model.state_dict().items()}
        if tokens is not None:
            weights = _compact(weights, tokens)
        (folder / HF_SAFE_WEIGHTS_NAME).write_bytes(save(weights))
        (folder / HF_CONFIG_NAME).write_text(json.dumps(self._config, indent=2) + "\n")
        if isinstance(self._tokenizer, HFTokenizer):
            self._tokenizer.tokenizer.save_pretrained(folder)


def _compact(weights: dict[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
    """Halve weights, with bfloat16's 8 bits of precision so that they compress, and blank the words that nobody used."""
    small = {k: w.bfloat16().half() if w.is_floating_point() else w for k, w in weights.items()}
    for name, rows in small.items():
        if name.endswith("token_embedding.weight"):
            unused = torch.ones(len(rows), dtype=torch.bool)
            unused[tokens.flatten()] = False
            rows[unused] = 0
    return small
