import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from console import LMIA, files, ran
from lmia import cli, shell

HEAVY = ["torch", "lightning", "numpy", "yaml", "rich", "jsonargparse"]


@pytest.mark.parametrize("words", [["--help"], ["--version"], []])
def test_help_and_version_are_quick_and_import_no_torch(words):
    code = f"import sys, lmia.shell; lmia.shell.run({words}); sys.exit(any(m in sys.modules for m in {HEAVY}))"
    best = min(_seconds([sys.executable, "-c", code]) for _ in range(3))
    assert best < 0.5


def _seconds(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def test_finished_audits_are_shown_without_torch():
    code = (
        f"import sys, lmia.shell; lmia.shell.run(['show', '.']); sys.exit(any(m in sys.modules for m in {HEAVY[:2]}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 2)


def test_help_names_the_commands_and_version_the_version(capsys):
    assert shell.run([]) == shell.run(["--help"]) == shell.run(["-h"]) == 0
    text = capsys.readouterr().out
    assert text.count("lmia audit --plugin wsa ") == 6
    assert max(map(len, text.splitlines())) <= 120
    assert shell.run(["--version"]) == 0
    assert capsys.readouterr().out == "lmia 0.1.0\n"


def test_an_unknown_command_is_said_with_the_nearest(capsys):
    assert shell.run(["aduit"]) == 2
    one, two = capsys.readouterr().err.splitlines()
    assert one == "lmia: There is no command 'aduit'."
    assert two.startswith("Did you mean 'audit'? Known: audit, ")
    assert two.endswith("plugins, seal, show, study, unlearned, verify. `lmia --help` shows more.")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/x"), 2, "lmia: out/x cannot be written: No space left"),
        (OSError(errno.EROFS, "Read-only file system", "out/x"), 2, "lmia: out/x cannot be opened: Read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), 2, "lmia: a cannot be opened: Permission denied."),
        (KeyboardInterrupt(), 130, "Interrupted"),
    ],
)
def test_faults_of_the_world_are_sentences(monkeypatch, capsys, error, code, said):
    def fail(argv):
        raise error

    monkeypatch.setattr(cli, "audit", fail)
    assert shell.run(["audit"]) == code
    text = capsys.readouterr().err
    assert text.startswith(said)
    assert len(text.splitlines()) == (2 if code == 2 else 1)


def test_ctrl_c_inside_lightning_is_130_too(monkeypatch, capsys):
    def interrupted(argv):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)  # as Lightning does

    monkeypatch.setattr(cli, "audit", interrupted)
    assert shell.run(["audit"]) == 130
    monkeypatch.setattr(cli, "audit", lambda argv: sys.exit(0))
    with pytest.raises(SystemExit):
        shell.run(["audit"])


@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O error"), ValueError("x"), RuntimeError("torchvision")])
def test_every_other_fault_keeps_its_traceback(monkeypatch, error):
    def fail(argv):
        raise error

    monkeypatch.setattr(cli, "audit", fail)
    with pytest.raises(type(error)):
        shell.run(["audit"])


@pytest.mark.parametrize(
    "failure", ["RuntimeError('operator torchvision::nms does not exist')", "ImportError('undefined symbol: x')"]
)
@pytest.mark.parametrize("word", ["plugins", "audit", "compare"])
def test_torch_and_torchvision_that_do_not_match_are_a_sentence(tmp_path, failure, word):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(f"raise {failure}\n")
    code, out, err = ran(word, PYTHONPATH=str(tmp_path))
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert first.startswith("lmia: torch and torchvision do not match: ")
    assert "pip install --upgrade torch torchvision" in second


def test_a_reader_who_leaves_is_no_fault():
    done = subprocess.run(
        f"'{LMIA}' plugins | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, code = done.stdout.splitlines()
    assert first.split()[:2] == ["kind", "name"]
    assert (code, done.stderr) == ("0", "")


def test_ctrl_c_in_mid_audit(tmp_path):
    words = files(tmp_path, pairs=4000)
    env = {**os.environ, "LMIA_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    command = [LMIA, "audit", "--plugin", "csa", *words, "--out", str(tmp_path / "out")]
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}  # a job in the background ignores it
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, **heard)
    while process.poll() is None and not (tmp_path / "out").exists():
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("Interrupted")
    assert "Traceback" not in err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_mistake_with_escapes_in_it_does_nothing_to_the_terminal(capsys):
    assert shell.run(["\x1b]0;title\x07\x1b[31m\udcff\u202e" + "x" * 10_000]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2
    assert err.replace("\n", "").isprintable()
    assert r"'\x1b]0;title\x07\x1b[31m\udcff\u202exxx" in err
    assert len(err) < 6000
