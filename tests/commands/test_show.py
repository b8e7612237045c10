import pytest

from lmia.commands.show import main
from lmia.errors import LmiaError
from lmia.report.archive import write_report
from report import examples


def test_a_row_for_each_attack_and_a_line_for_each_audit(tmp_path, capsys):
    (tmp_path / "alike").mkdir()
    write_report(examples.leakage(), tmp_path / "alike")
    assert main([str(tmp_path / "alike")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in ("csa", "anchor", "0.894", "[0.874,0.914]", "0.881", "0.620", "0.512", "EVIDENCE"):
        assert words in said
    assert "Supports a leak, but is no proof." in said
    assert "lies in the data" in said


def test_what_is_no_audit_is_a_sentence(tmp_path):
    with pytest.raises(LmiaError, match="cannot be read"):
        main([str(tmp_path)])
