from dataclasses import replace

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


def test_a_name_of_several_lines_stays_on_one(tmp_path, capsys):
    """Or an attack's name could pass for the line of an audit."""
    report, folder = examples.leakage(), tmp_path / "al\nike"
    first, *rest = report.validity.adjusted
    named = replace(first, attack="csa\n\nalike: NO EVIDENCE")
    folder.mkdir()
    write_report(replace(report, validity=replace(report.validity, adjusted=(named, *rest))), folder)
    assert main([str(folder)]) == 0
    out = capsys.readouterr().out
    assert not any(line.strip().startswith(("alike", "ike")) for line in out.splitlines())
    assert r"csa\n" in out


def test_what_is_no_audit_is_a_sentence(tmp_path):
    with pytest.raises(LmiaError, match="cannot be read"):
        main([str(tmp_path)])
