from pathlib import Path

import numpy as np
import pytest

from lmia.columns import times
from lmia.errors import LmiaError
from lmia.listed import Listed
from worlds import Noise

KEYS = ["a", "b", "c", "d"]
MEMBERS = np.array([0, 2])


def csv(path, text):
    path.write_text(text)
    return path


def test_members_are_counted_and_others_are_not_looked_at(tmp_path):
    for text in ("key,seen\na,8\nc,1\n", "key,seen\nc,1\nb,x\na,8.0\nd,\n"):
        found = times(KEYS, MEMBERS, Noise(0, 4), "seen", csv(tmp_path / "c.csv", text))
        assert found.tolist() == [8, 0, 1, 0]
        assert found.dtype == np.int32


def test_a_manifest_says_it_by_itself(tmp_path):
    path = csv(tmp_path / "m.csv", "key,in,repeats\na,1,8\nb,0,0\nc,1,1\n")
    assert times(KEYS, MEMBERS, Listed(Noise(0, 4), str(path), "in"), None, None).tolist() == [8, 0, 1, 0]
    with pytest.raises(LmiaError, match="said twice"):
        times(KEYS, MEMBERS, Listed(Noise(0, 4), str(path), "in"), "seen", path)


def test_where_nothing_says_it_it_is_not_known():
    assert times(KEYS, MEMBERS, Noise(0, 4), None, Path("unread.csv")) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key,seen\na,8\n", "1 of 2 pairs of the members have no 'seen', such as 'c'"),
        ("key,seen\na,8\nc,\n", "1 of 2 pairs of the members have no 'seen', such as 'c'"),
        ("key,seen\na,8\nc,0\n", "'c' cannot have been shown '0' times"),
        ("key,seen\na,1.5\nc,1\n", "'a' cannot have been shown '1.5' times"),
        ("key,seen\na,nan\nc,1\n", "'a' cannot have been shown 'nan' times"),
        ("key,seen\na,inf\nc,1\n", "'a' cannot have been shown 'inf' times"),
        ("key,seen\na,often\nc,1\n", "'a' cannot have been shown 'often' times"),
        ("key,other\na,8\nc,1\n", "no one column 'seen'"),
    ],
)
def test_what_is_no_count_is_named(tmp_path, text, said):
    with pytest.raises(LmiaError, match="^[^\n]*" + said.replace("(", r"\(")) as caught:
        times(KEYS, MEMBERS, Noise(0, 4), "seen", csv(tmp_path / "c.csv", text))
    assert len(str(caught.value).splitlines()) == 2


def test_no_file_and_no_members(tmp_path):
    with pytest.raises(LmiaError, match="in no file"):
        times(KEYS, MEMBERS, Noise(0, 4), "seen", None)
    with pytest.raises(LmiaError, match="no members"):
        times(KEYS, None, None, "seen", tmp_path / "c.csv")


def test_a_word_of_a_million_letters_does_not_fill_the_memory(tmp_path):
    path = csv(tmp_path / "c.csv", f"key,seen\na,{'x' * 1_000_000}\nc,1\n")
    with pytest.raises(LmiaError, match="holds a 'seen' of 1,000,000 letters"):
        times(KEYS, MEMBERS, Noise(0, 4), "seen", path)
