"""Audits with plugins that misbehave, and what one may set for the whole process."""

import os
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

import lmia
from lmia.data import AuditData
from lmia.errors import LmiaError
from lmia.extract import FeatureExtractor
from worlds import Matrices, Noise


def audited(tmp_path, *attacks, target=None, views=None, source=Noise, out="out"):
    data = AuditData(members=source(0, 60), nonmembers=source(100, 190))
    model = FeatureExtractor(target or Matrices("0:60"), views, cache=tmp_path / "cache")
    return lmia.run_audit(model, data, list(attacks), out=tmp_path / out)


def refused(tmp_path, *attacks, **world):
    with pytest.raises(LmiaError) as error:
        audited(tmp_path, *attacks, **world)
    assert error.value.remedy
    assert not list((tmp_path / "out").glob("*"))
    return error.value.problem


def seeds():
    torch.manual_seed(123)
    np.random.seed(123)
    random.seed(123)


def settings():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_grad_enabled(not torch.is_grad_enabled())
    torch.use_deterministic_algorithms(True)
    os.chdir(tempfile.gettempdir())


def state():
    """What belongs to the process and not to an attack."""
    return (
        torch.random.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        Path.cwd(),
    )
