"""What fp32 means on a GPU: 24 bits everywhere, which cuDNN's convolutions do not keep to unless told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision() -> Iterator[None]:
    """Keep fp32 convolutions from TF32, whose factors have 11 bits, for a while.

    PyTorch allows it by default in convolutions, and not in matrix products. A tower's first layer is a convolution, and
    with it a cosine of the demo's model moved by 4e-4. Whoever wants speed for precision asks for `bf16`, and the report says so.

    Example:
        >>> with full_precision():
        ...     torch.backends.cudnn.allow_tf32
        False
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
