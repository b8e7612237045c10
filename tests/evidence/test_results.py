import lmia.evidence
import lmia.report.model


def test_the_report_shows_what_the_evidence_returns():
    for name in ("TPR", "Threshold", "Curve", "Histogram"):
        assert getattr(lmia.report.model, name) is getattr(lmia.evidence, name)


def test_everything_public_is_there():
    assert all(hasattr(lmia.evidence, name) for name in lmia.evidence.__all__)
