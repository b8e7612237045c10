"""All defences of a training at once, in a training; and what comes out is a plain target."""

import json

import pytest

import lmia_defences
from lmia.training import FitData, Learner, Plan, run_fit
from plugins.defended_towers import target
from worlds import Noise


def test_all_defences_of_a_training_train_together(tmp_path):
    pytest.importorskip("opacus")
    defences = [cls() for cls in lmia_defences.lmia_defences() if cls().trains]
    assert len(defences) == 9
    clip = target(tmp_path / "clip")
    data = FitData(Noise(0, 60), share=0.5, batch=8)
    record = run_fit(Learner(clip, Plan(epochs=2), defences), data, tmp_path / "out", seed=3)
    told = json.loads((tmp_path / "out" / "training.json").read_text())
    assert told["promises"] == pytest.approx(record.promises)
    assert record.promises["delta"] == pytest.approx(1 / record.pairs)
    assert record.promises["sampling rate"] == pytest.approx(8 / record.pairs)
    assert record.promises["epsilon"] > 0
    trained = target(tmp_path / "out")
    assert trained.fingerprint() != target(tmp_path / "clip").fingerprint()
    assert list(trained.model.state_dict()) == list(target(tmp_path / "clip").model.state_dict())
