"""Pictures of which the image tower sees some patches only while it learns."""

from __future__ import annotations

import timm.layers
from open_clip import transformer
from timm.models.vision_transformer import VisionTransformer

from lmia import Defence, LmiaError, Trainable
from lmia_defences.bounds import bounded


class PatchDropout(Defence):
    """Hides patches of every picture, other ones each time, while the image tower learns; evaluation sees all.

    open_clip's own way (arXiv 2212.00794), where it is there to train faster; timm's in towers that are timm's. Draws come
    from torch's own generator.

    What is known: of its effect on membership inference we know no figure. It saves time, and costs use at high shares.

    Args:
        share: of the patches to hide; at least one is seen.

    Raises:
        LmiaError: the share is below 0 or not below 1; or the image tower has no patches, such as a ResNet.
    """

    def __init__(self, share: float = 0.5) -> None:
        bounded(self, "share", share, 0, 1, below=True)
        self.share = share

    def adapt(self, towers: Trainable) -> None:
        """Put open_clip's or timm's module in its place; it has no weights."""
        done = False
        for module in towers.modules():
            if isinstance(module, transformer.VisionTransformer):
                module.patch_dropout = transformer.PatchDropout(self.share).train(module.training)
                done = True
            elif isinstance(module, VisionTransformer):
                hidden = timm.layers.PatchDropout(self.share, num_prefix_tokens=module.num_prefix_tokens)
                module.patch_drop = hidden.train(module.training)
                done = True
        if not done:
            problem = "The image tower cannot hide patches: it is no vision transformer of open_clip's or timm's."
            raise LmiaError(problem, "Take a ViT, or another defence.")
