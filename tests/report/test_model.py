"""The room's door: cheap to enter, and docs/report.md says every field."""

import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

from lmia.evidence.estimate import Estimate
from lmia.report import archive, model, scores
from lmia.report.model import (
    TPR,
    Adjusted,
    AttackResult,
    AuditReport,
    Baseline,
    Beside,
    Check,
    Copied,
    Curve,
    Histogram,
    Positive,
    Positives,
    Provenance,
    RoleCount,
    Shared,
    Slice,
    Slices,
    SuspectSummary,
    Threshold,
    Validity,
    Verdict,
)
from report import examples

DOCS = Path(__file__).parents[2] / "docs" / "report.md"
CLASSES = (
    Baseline,
    AuditReport,
    AttackResult,
    RoleCount,
    TPR,
    Threshold,
    Curve,
    Histogram,
    SuspectSummary,
    Estimate,
    Beside,
    Validity,
    Verdict,
    Provenance,
    Adjusted,
    Check,
    Slices,
    Slice,
    Positives,
    Positive,
    Copied,
    Shared,
)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_field_is_documented_in_its_own_section(cls):
    section = next(
        part for part in DOCS.read_text("utf-8").split("\n### ") if f"`{cls.__name__}`" in part.partition("\n")[0]
    )
    documented = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    names = [field.name for field in fields(cls)]
    assert names in [documented[at : at + len(names)] for at in range(len(documented))]


def test_every_part_of_a_report_is_asked_after():
    parts = {cls for cls in vars(model).values() if isinstance(cls, type) and is_dataclass(cls)}
    assert parts == set(CLASSES)


def test_every_column_is_documented():
    section = DOCS.read_text("utf-8").partition("## scores.parquet")[2]
    assert tuple(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == scores.COLUMNS


def test_the_examples_of_the_docs_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    archive.write_report(examples.leakage(), tmp_path)
    rng = np.random.default_rng(0)
    parts = [
        scores.RoleScores("csa", "members", ["a", "b"], np.array([0.9, 0.2]), p=np.array([0.25, 0.75])),
        scores.RoleScores("csa", "nonmembers", ["c", "d"], np.array([0.5, 0.1]), p=np.array([0.75, 1.0])),
        scores.RoleScores("csa", "calibration", ["x", "y", "z"], np.array([0.3, 0.5, 0.15])),
        scores.RoleScores("wsa", "members", ["a", "b"], rng.random(2) + 2),
        scores.RoleScores("wsa", "nonmembers", ["c", "d"], rng.random(2)),
    ]
    scores.write_scores(scores.score_table(parts), tmp_path / "scores.parquet")
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, str(DOCS), "exec"), {})
    out = capsys.readouterr().out
    assert "csa ran 0.894 [0.874, 0.914]" in out
    assert "csa 0.75\nwsa 1.0\n" in out
    assert "\n0.25 0.25\n0.750 [" in out
    assert out.endswith("]\nNone\n")  # two nonmembers carry no TPR


def test_entering_costs_neither_matplotlib_nor_jinja():
    code = "import sys, lmia.report; print([m for m in ('torch', 'torchmetrics', 'matplotlib', 'jinja2', 'pyarrow', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_models_names_are_at_the_door():
    import lmia.report

    assert lmia.report.AuditReport is AuditReport
    assert lmia.report.AttackResult is AttackResult
    with pytest.raises(AttributeError, match="nothing"):
        getattr(lmia.report, "nothing")  # noqa: B009 (an attribute, asked for by name)


def test_the_room_is_a_plugin_that_registers():
    import pluggy

    import lmia.report
    from lmia import hookspecs

    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(lmia.report)
    manager.check_pending()
    assert [impl.plugin_name for impl in manager.hook.lmia_audit_finished.get_hookimpls()] == ["lmia.report"]
