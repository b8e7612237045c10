import fcntl
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmia import ledger
from lmia.ledger import Past, Scoring, append, earlier, of

DATA = of(["a", "b"])
ONE = Scoring("2026-01-01T00:00:00+00:00", "model", ("csa", "wsa"), "settings")


def file(root):
    return root / "audits" / f"{DATA}.jsonl"


def test_what_is_added_is_read_oldest_first(tmp_path):
    other = Scoring("2026-01-02T00:00:00+00:00", "model 2", ("aea:mean",), "others", "void")
    assert append(tmp_path, DATA, ONE) == Past()
    assert append(tmp_path, DATA, other) == Past((ONE,))
    assert earlier(tmp_path, DATA) == Past((ONE, other))
    assert earlier(tmp_path, of(["a"])) == Past()
    assert file(tmp_path).read_text().count("\n") == 2


def test_lines_are_added_and_never_changed(tmp_path):
    append(tmp_path, DATA, ONE)
    first = file(tmp_path).read_bytes()
    append(tmp_path, DATA, ONE)
    assert file(tmp_path).read_bytes() == first + first


@given(st.lists(st.text(max_size=3)), st.randoms(use_true_random=False))
def test_the_data_are_a_set(keys, random):
    again = keys + keys[:2]
    random.shuffle(again)
    assert of(keys) == of(again)
    assert of([*keys, "one more"]) != of(keys)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.builds(
            Scoring,
            st.text(max_size=5),
            st.text(max_size=5),
            st.lists(st.text(max_size=5), max_size=3).map(tuple),
            st.text(max_size=5),
            st.text(max_size=5),
        ),
        max_size=4,
    )
)
def test_any_words_come_back(tmp_path_factory, scorings):
    root = tmp_path_factory.mktemp("cache")
    befores = [append(root, DATA, one) for one in scorings]
    assert [past.count for past in befores] == [*range(len(scorings))]
    assert earlier(root, DATA) == Past(tuple(scorings))


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 400), more=st.integers(1, 3))
def test_a_torn_last_line_is_counted_and_spoils_no_other(tmp_path_factory, cut, more):
    root = tmp_path_factory.mktemp("cache")
    append(root, DATA, ONE)
    whole = file(root).read_bytes()
    torn = whole[: cut % len(whole)]  # a second line of which this much reached the disk
    file(root).write_bytes(whole + torn)
    for n in range(more):
        past = append(root, DATA, ONE)
        lost = bool(torn) and len(torn) < len(whole) - 1  # all but its line break is a whole line
        assert (past.count, past.unread, past.problem) == (1 + bool(torn) + n, int(lost), "")
    assert earlier(root, DATA).count == 1 + bool(torn) + more


@pytest.mark.parametrize(
    "line",
    [
        b"\x00\x00\x00",
        b"[]",
        b"5",
        b"{}",
        b"[" * 100_000,
        b"\xff\xfe",
        json.dumps({"time": "t", "target": 5, "attacks": [], "settings": "s", "verdict": ""}).encode(),
        json.dumps({"time": "t", "target": "x", "attacks": "csa", "settings": "s", "verdict": ""}).encode(),
        json.dumps({"time": "t", "target": "x", "attacks": [1], "settings": "s", "verdict": ""}).encode(),
    ],
    ids=range(9),
)
def test_a_strange_line_counts_as_an_audit(tmp_path, line):
    append(tmp_path, DATA, ONE)
    with file(tmp_path).open("ab") as out:
        out.write(line + b"\n")
    append(tmp_path, DATA, ONE)
    assert earlier(tmp_path, DATA) == Past((ONE, ONE), unread=1)


def test_a_line_of_a_later_version_is_read(tmp_path):
    append(tmp_path, DATA, ONE)
    tree = json.loads(file(tmp_path).read_text()) | {"new": 1}
    file(tmp_path).write_text(json.dumps(tree) + "\n")
    assert earlier(tmp_path, DATA) == Past((ONE,))


def test_a_cache_that_is_no_folder_costs_a_sentence(tmp_path):
    root = tmp_path / "cache"
    root.write_text("a file")
    past = append(root, DATA, ONE)
    assert past.count == 0
    assert past.problem.startswith("Earlier audits of these data are not known: ")
    assert past.problem.endswith(
        f"This audit is not counted for later ones: {file(root)} cannot be written (Not a directory)."
    )
    assert earlier(root, DATA).problem.endswith("cannot be read (Not a directory).")


def test_a_full_disk_costs_a_sentence_and_the_count_stays(tmp_path, monkeypatch):
    append(tmp_path, DATA, ONE)

    def full(file, line):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger, "_add", full)
    past = append(tmp_path, DATA, ONE)
    assert (past.scorings, past.unread) == ((ONE,), 0)
    assert (
        past.problem
        == f"This audit is not counted for later ones: {file(tmp_path)} cannot be written (No space left on device)."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache_costs_a_sentence(tmp_path):
    append(tmp_path, DATA, ONE)
    file(tmp_path).chmod(0o444)
    past = append(tmp_path, DATA, ONE)
    assert past.scorings == (ONE,)
    assert "Permission denied" in past.problem


def test_a_file_system_without_locks_will_do(tmp_path, monkeypatch):
    def none(file, how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(ledger.fcntl, "flock", none)
    append(tmp_path, DATA, ONE)
    assert append(tmp_path, DATA, ONE) == Past((ONE,))


def test_whoever_comes_second_waits_and_sees_the_first(tmp_path):
    append(tmp_path, DATA, ONE)
    line = file(tmp_path).read_bytes()
    with ThreadPoolExecutor(1) as pool:
        with file(tmp_path).open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # another open file: as good as another process
            second = pool.submit(append, tmp_path, DATA, ONE)
            with pytest.raises(TimeoutError):
                second.result(timeout=0.3)
            held.write(line)
        assert second.result(timeout=60) == Past((ONE, ONE))
    assert earlier(tmp_path, DATA) == Past((ONE,) * 3)


_MANY = """
import sys
from pathlib import Path
from lmia.ledger import Scoring, append
root, data, who, times = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
print("ready", flush=True)
sys.stdin.readline()
mine = Scoring("2026-01-01T00:00:00+00:00", who, ["csa"] * 900, "s")
print(*[append(root, data, mine).count for _ in range(times)])
"""


def test_processes_at_once_lose_nothing_and_share_no_number(tmp_path):
    times = 40
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _MANY, str(tmp_path), DATA, who, str(times)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        for who in ("one", "two", "three")
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # all wait at the line, and start together
        process.stdin.write("go\n")
        process.stdin.flush()
    numbers = [list(map(int, process.communicate(timeout=60)[0].split())) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(n for mine in numbers for n in mine) == [*range(3 * times)]
    assert all(mine == sorted(mine) for mine in numbers)
    past = earlier(tmp_path, DATA)
    assert (past.count, past.unread) == (3 * times, 0)
    assert [sum(one.target == who for one in past.scorings) for who in ("one", "two", "three")] == [times] * 3
