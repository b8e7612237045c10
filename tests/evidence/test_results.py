import pkgutil
import subprocess
import sys

import pytest

import lmia.evidence
import lmia.report.model


def test_the_report_shows_what_the_evidence_returns():
    for name in ("TPR", "Threshold", "Curve", "Histogram"):
        assert getattr(lmia.report.model, name) is getattr(lmia.evidence, name)


def test_everything_public_is_there():
    assert all(hasattr(lmia.evidence, name) for name in lmia.evidence.__all__)


def test_no_public_name_is_hidden_by_a_module_of_that_name():
    modules = {module.name for module in pkgutil.iter_modules(lmia.evidence.__path__)}
    assert not modules & set(lmia.evidence.__all__)


def test_a_report_is_read_without_torch():
    code = "import sys, lmia.report.model; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'aurok'"):
        lmia.evidence.aurok  # noqa: B018
