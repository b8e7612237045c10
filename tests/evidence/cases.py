"""Scores and labels for property tests: ties, signs, sizes, dtypes."""

import torch
from hypothesis import strategies as st
from torch import Tensor

DTYPES = (torch.float64, torch.float32, torch.bfloat16)


@st.composite
def samples(draw: st.DrawFn, smallest: int = 1, largest: int = 40) -> tuple[Tensor, Tensor]:
    """Draw scores with many ties, far outside [0, 1], in any dtype, and labels with both sides."""
    members = draw(st.integers(smallest, largest))
    nonmembers = draw(st.integers(smallest, largest))
    n = members + nonmembers
    value = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e4, 1e4, width=32))
    scores = draw(st.lists(value, min_size=n, max_size=n))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(draw(st.integers(0, 2**20))))
    labels = (torch.arange(n) < members)[order]
    return torch.tensor(scores, dtype=torch.float64).to(draw(st.sampled_from(DTYPES))), labels


def binormal(generator: torch.Generator, m: int, n: int, shift: float, wide: float = 1.0) -> tuple[Tensor, Tensor]:
    """Draw m members' scores from N(shift, wide^2) and n nonmembers' from N(0, 1)."""
    scores = torch.randn(m + n, generator=generator, dtype=torch.float64)
    scores[:m] = scores[:m] * wide + shift
    return scores, torch.arange(m + n) < m
