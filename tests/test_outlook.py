import pytest

from lmia.data import AuditData
from lmia.outlook import outlook
from lmia.source import Sample, Source
from worlds import Counted, Noise


class Elsewhere(Noise):
    def shards(self):
        return [f"https://x.org/{name}" for name in super().shards()]

    def count(self, shard):
        raise AssertionError("it is not read for this")


@pytest.mark.parametrize(
    ("roles", "counts"),
    [
        ({"members": Counted(0, 100), "nonmembers": Counted(200, 300)}, "80 + 56"),
        ({"members": Counted(0, 100), "nonmembers": Counted(200, 300), "known_nonmembers": Counted(400, 500)}, "80 + 80"),
        ({"members": Counted(0, 100), "nonmembers": Counted(200, 300), "known_nonmembers": Counted(400, 500),
          "pool": Counted(600, 700)}, "100 + 100"),
        ({"suspects": Sample(Counted(0, 100), 40), "known_nonmembers": Counted(200, 299)}, "40 + 33"),
        ({"members": Counted(0, 64 * 20), "nonmembers": Counted(2000, 2100), "pool": Counted(3000, 3010)}, "1,280 + 70"),
    ],
)  # fmt: skip
def test_it_counts_what_the_roles_leave(roles, counts):
    assert outlook(AuditData(**roles), 0.6).startswith(f"Before anything is read: with {counts} pairs")


def test_what_lies_elsewhere_is_not_read_for_it():
    for far in (Elsewhere(0, 100), Sample(Elsewhere(0, 100), 40)):
        assert outlook(AuditData(members=far, nonmembers=Counted(200, 300)), 0.6) == ""


def test_what_can_only_be_counted_by_reading_it_is_not_read_twice():
    class Uncounted(Noise):
        count = Source.count

        def read(self, shard):
            raise AssertionError("it is not read for this")

    assert outlook(AuditData(members=Uncounted(0, 100), nonmembers=Counted(200, 300)), 0.6) == ""
