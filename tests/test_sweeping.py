import gc
import subprocess
import sys

import pytest

from lmia import shell
from lmia.sweeping import unswept


@pytest.mark.parametrize("before", [True, False])
def test_the_search_goes_on_afterwards_as_it_was(monkeypatch, before):
    monkeypatch.setattr(gc, "isenabled", lambda: before)
    done = []
    monkeypatch.setattr(gc, "disable", lambda: done.append("off"))
    monkeypatch.setattr(gc, "enable", lambda: done.append("on"))
    with pytest.raises(KeyError), unswept():
        raise KeyError
    assert done == ["off", "on"][: 1 + before]


def test_a_command_is_imported_unswept_and_run_swept(tmp_path, monkeypatch):
    (tmp_path / "unswept_command.py").write_text(
        "import gc\nimported = gc.isenabled()\ndef main(argv):\n    return 2 * imported + gc.isenabled()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(shell.COMMANDS, "here", "unswept_command:main")
    assert gc.isenabled()
    assert shell.run(["here"]) == 1


def test_python_ends_without_a_search():
    code = (
        "import atexit, gc; from lmia import shell\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 1000)); shell.main(['--version'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["lmia", "0.1.0", "True"]
