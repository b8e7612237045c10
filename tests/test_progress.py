"""The bar: pairs and their rate beside shards of all shards, where a person looks on, and nowhere else."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from lmia import progress, record
from lmia.data import AuditData, Read, shards_of
from lmia.extract import FeatureExtractor, extract
from lmia.progress import PairProgress
from worlds import Matrices, Noise


@pytest.fixture(autouse=True)
def _terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")


def bar(terminal=True):
    """A bar, and what it draws on."""
    file = io.StringIO()
    return PairProgress(Console(file=file, force_terminal=terminal, color_system=None, width=140)), file


def left(file):
    """The bar as it was left standing."""
    return file.getvalue().rpartition("Extracting")[2]


@pytest.fixture
def trainer():
    """A trainer's own view of two shards to extract."""
    data = AuditData(members=Noise(0, 100))
    data.mine = shards_of(data.sources["members"])
    return SimpleNamespace(datamodule=data, global_rank=0, world_size=1, is_global_zero=True)


def batch(pairs, last=False):
    return Read("0", None, [("key", "caption", None)] * pairs, [], last)


def test_pairs_are_counted_not_batches_and_their_rate_is_by_the_clock(trainer, monkeypatch):
    clock = iter([10.0, 12.0, 14.0, 15.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    shown, file = bar()
    shown.on_predict_start(trainer, None)
    for i, one in enumerate((batch(640), batch(1360), batch(0, last=True))):
        shown.on_predict_batch_end(trainer, None, None, one, i)
    shown.on_predict_end(trainer, None)
    assert (shown.pairs, shown.seconds) == (2000, 5.0)
    assert "1/2 shards, 2,000 pairs, 400 pairs/s" in left(file)


def test_a_second_pass_counts_anew(trainer):
    shown, _ = bar()
    for _ in range(2):
        shown.on_predict_start(trainer, None)
        shown.on_predict_batch_end(trainer, None, None, batch(7), 0)
        shown.on_predict_end(trainer, None)
    assert shown.pairs == 7


@pytest.mark.parametrize("quiet", ["no terminal", "another rank", "disabled"])
def test_nothing_is_drawn_where_no_person_looks_on(trainer, quiet):
    shown, file = bar(terminal=quiet != "no terminal")
    trainer.is_global_zero = quiet != "another rank"
    if quiet == "disabled":
        shown.disable()
    shown.on_predict_start(trainer, None)
    shown.on_predict_batch_end(trainer, None, None, batch(7), 0)
    shown.on_predict_end(trainer, None)
    assert shown.pairs == 7
    assert file.getvalue() == ""


def test_an_extraction_ends_with_all_its_pairs_and_shards(tmp_path):
    shown, file = bar()
    data = AuditData(members=Noise(0, 150, shard=64), batch=16, workers=0)
    model = FeatureExtractor(Matrices(), None, tmp_path)
    shards = shards_of(data.sources["members"])
    extract(record.trainer(accelerator="cpu", callbacks=[shown]), model, data, shards, ["cosine"])
    assert shown.pairs == 150
    assert "3/3 shards, 150 pairs, " in left(file)
    assert "pairs/s" in left(file)
