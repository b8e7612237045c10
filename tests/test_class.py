"""The class's notebook: run from top to bottom as it stands, and telling what it told."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

NOTEBOOK = json.loads((Path(__file__).parent.parent / "docs" / "class.ipynb").read_text("utf-8"))
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
RUNS = 4


def source(cell):
    return "".join(cell["source"])


def printed(cell):
    return "".join(text for output in cell["outputs"] if output["output_type"] == "stream" for text in output["text"])


def test_every_cell_was_run_in_order():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    assert {output["output_type"] for cell in CODE for output in cell["outputs"]} == {"stream"}
    assert sum("You were off by" in printed(cell) for cell in CODE) == RUNS


def test_a_guess_stands_before_every_run():
    runs = [i for i, cell in enumerate(CODE) if "world(" in source(cell) and "def world" not in source(cell)]
    assert len(runs) == RUNS
    assert all(source(CODE[i - 1]).startswith("guess = ") for i in runs)


def test_nothing_of_the_machine_it_was_run_on_is_in_it():
    assert not re.search(r"/(home|root|tmp|usr|work)/", json.dumps(NOTEBOOK))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_it_runs_and_tells_the_same(tmp_path, monkeypatch):
    """To two digits what stands in it: small trainings differ in the last bits from machine to machine."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for cell in CODE:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(source(cell), "class.ipynb", "exec"), names)
        numbers, before = (re.findall(r"-?\d+\.\d+", text) for text in (said.getvalue(), printed(cell)))
        assert [float(n) for n in numbers] == pytest.approx([float(n) for n in before], abs=0.05)
