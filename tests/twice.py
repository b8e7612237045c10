"""A world in which every audited pair is there twice, and its scores read without any of lmia's reading."""

from dataclasses import replace

import pyarrow.parquet as pq
import torch

from lmia.settings import digest
from worlds import Noise


class Twice(Noise):
    """Every pair of noise and a copy of it, under a key of its own."""

    def read(self, shard):
        for pair in super().read(shard):
            yield pair
            yield replace(pair, key=f"{pair.key} again")

    def fingerprint(self, shard):
        return digest("twice", super().fingerprint(shard))


TWICE = {"members": Twice(0, 100), "nonmembers": Twice(400, 500), "known_nonmembers": Noise(800, 900),
         "pool": Noise(1200, 1230)}  # fmt: skip


def plain(folder, attack="csa"):
    """Scores, labels and duplicate groups of a run of `Twice`, by key, without any of lmia's reading."""
    rows = [row for row in pq.read_table(folder / "scores.parquet").to_pylist()
            if (row["attack"], row["model"]) == (attack, "target") and row["role"] != "calibration"]  # fmt: skip
    rows.sort(key=lambda row: row["key"])
    groups = [int(row["key"].removesuffix(" again").removeprefix("noise/")) for row in rows]
    return (torch.tensor([row["score"] for row in rows], dtype=torch.float64),
            torch.tensor([row["role"] == "members" for row in rows]), torch.tensor(groups))  # fmt: skip
