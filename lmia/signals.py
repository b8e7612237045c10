"""Numbers from one sample's features: cosines, their drops under views, and their place against a fixed bank.

Functional and row by row: what a sample gets never depends on which samples stand beside it. Features are made float64
and unit long first, so that half and single precision are treated alike; a feature of length zero stays zero and has
cosine 0 with everything, as no direction is preferred to any other.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize, softplus

_TILE = 2**21
"""Bank cosines held at once, in numbers: 16 MB a tower."""


def unit(features: Tensor) -> Tensor:
    """Return `(..., d)` features as float64 of length one; a zero feature stays zero.

    Example:
        >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    return normalize(features.to(torch.float64), dim=-1)


def cosine(image: Tensor, text: Tensor) -> Tensor:
    """Return the cosine of each image with its own text.

    Args:
        image: `(..., d)` features of any norm and floating type.
        text: `(..., d)` features.

    Returns:
        `(...)` float64 in [-1, 1]; 0 where either feature is zero.

    Example:
        >>> cosine(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([[3.0, 3.0], [1.0, 0.0]])).round(decimals=4)
        tensor([0.7071, 0.0000], dtype=torch.float64)
    """
    return (unit(image) * unit(text)).sum(dim=-1).clamp(-1, 1)


def drops(cosine: Tensor) -> Tensor:
    """Return by how much each view lowers the cosine, `cos(x) - cos(T_k x)` for every view k but the identity.

    Args:
        cosine: `(n, v)`, the identity in column 0.

    Returns:
        `(n, v - 1)` float64; positive where the view costs similarity.

    Example:
        >>> drops(torch.tensor([[0.5, 0.25, 0.75]])).tolist()
        [[0.25, -0.25]]
    """
    exact = cosine.to(torch.float64)
    return exact[:, :1] - exact[:, 1:]


def contrastive(own: Tensor, texts: Tensor, images: Tensor, temperature: float) -> Tensor:
    """Return minus a pair's softmax contrastive loss (CLIP's) among the pairs of a bank, own pair included.

    With s the own cosine, a_j the image's with text j and b_j the text's with image j, at temperature t this is
    `t s - 1/2 [log(e^(t s) + sum_j e^(t a_j)) + log(e^(t s) + sum_j e^(t b_j))]`, computed as two softplus: the
    difference as written cancels to an exact 0, and to ties, wherever the own pair towers over the bank.

    Args:
        own: `(n,)` cosines s.
        texts: `(n, m)` cosines a; -inf takes a bank row out.
        images: `(n, m)` cosines b, likewise.
        temperature: the factor t on cosines, above 0 (the inverse of a temperature in the physicist's sense).

    Returns:
        `(n,)`, at most 0, higher for pairs closer than the bank's.

    Example:
        >>> contrastive(torch.tensor([1.0]), torch.tensor([[1.0]]), torch.tensor([[1.0]]), 10.0)  # -log 2
        tensor([-0.6931])
    """
    above = [_log_sum_exp(bank, temperature) - temperature * own for bank in (texts, images)]
    return -(softplus(above[0], threshold=40) + softplus(above[1], threshold=40)) / 2  # exact in float64 on both sides


def _log_sum_exp(cosines: Tensor, temperature: float) -> Tensor:
    """Return `log sum_j exp(t c_j)`; torch.logsumexp takes three times as long in float64 (measured)."""
    top = cosines.amax(dim=1, keepdim=True).clamp(min=-1)  # a row that is -inf throughout stays -inf, not nan
    return temperature * top[:, 0] + (cosines - top).mul_(temperature).exp_().sum(dim=1).log()


def anchor_normalised(
    image: Tensor,
    text: Tensor,
    bank_image: Tensor,
    bank_text: Tensor,
    temperature: float,
    exclude: Tensor | None = None,
) -> Tensor:
    """Return each pair's `contrastive` score among a fixed bank of pairs, a tile of rows at a time.

    Args:
        image: `(n, d)` features.
        text: `(n, d)` features.
        bank_image: `(m, d)` features of the bank's images.
        bank_text: `(m, d)` features of the bank's texts.
        temperature: the factor t on cosines, above 0.
        exclude: `(n,)` int64, for each sample one bank row to leave out, or -1 for none: a row of the bank is scored
            against the others, and not against itself twice.

    Returns:
        `(n,)` float64, at most 0; 0 where exclusion leaves no bank.

    Raises:
        ValueError: the bank has no rows.

    Example:
        >>> eye = torch.eye(2)
        >>> anchor_normalised(eye, eye, eye, eye, 1.0, exclude=torch.tensor([0, -1])).round(decimals=4).tolist()
        [-0.3133, -0.862]
    """
    tiles = _tiles(image, text, bank_image, bank_text, exclude)
    return _join(image, [contrastive(own, texts, images, temperature) for own, texts, images in tiles])


def sigmoid_normalised(
    image: Tensor, text: Tensor, bank_image: Tensor, bank_text: Tensor, temperature: float, bias: float
) -> Tensor:
    """Return minus each pair's sigmoid loss (SigLIP's) against a fixed bank of pairs, which count as non-matching.

    `log sig(t s + b) + 1/2 mean_j [log sig(-(t a_j + b)) + log sig(-(t b_j + b))]`, the letters as in `contrastive`,
    b alone the bias. The mean, not the loss's sum: over a bank of thousands the sum drowns the pair's own term.

    Args:
        image: `(n, d)` features.
        text: `(n, d)` features.
        bank_image: `(m, d)` features of the bank's images.
        bank_text: `(m, d)` features of the bank's texts.
        temperature: the factor t on cosines, above 0.
        bias: the loss's bias b.

    Returns:
        `(n,)` float64, at most 0.

    Raises:
        ValueError: the bank has no rows.

    Example:
        >>> one, zero = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
        >>> sigmoid_normalised(one, one, zero, zero, 1.0, 0.0).round(decimals=4).tolist()  # log sig(1) + log sig(0)
        [-1.0064]
    """
    scores = []
    for own, texts, images in _tiles(image, text, bank_image, bank_text, None):
        apart = [logsigmoid(-(temperature * bank + bias)).mean(dim=1) for bank in (texts, images)]
        scores.append(logsigmoid(temperature * own + bias) + (apart[0] + apart[1]) / 2)
    return _join(image, scores)


def _tiles(
    image: Tensor, text: Tensor, bank_image: Tensor, bank_text: Tensor, exclude: Tensor | None
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield `own (r,)`, `texts (r, m)`, `images (r, m)` for a few rows at a time; excluded cosines are -inf."""
    if not len(bank_image):
        raise ValueError("A bank needs at least one pair, got none.")
    bank_u, bank_v = unit(bank_image), unit(bank_text)
    size = max(1, _TILE // len(bank_u))
    for start in range(0, len(image), size):
        rows = slice(start, start + size)
        u, v = unit(image[rows]), unit(text[rows])
        texts, images = u @ bank_v.T, v @ bank_u.T
        if exclude is not None:
            out = exclude[rows]
            at = (out >= 0).nonzero().flatten()
            texts[at, out[at]] = images[at, out[at]] = -torch.inf
        yield (u * v).sum(dim=1), texts, images


def _join(image: Tensor, scores: list[Tensor]) -> Tensor:
    return torch.cat(scores) if scores else torch.empty(0, dtype=torch.float64, device=image.device)
