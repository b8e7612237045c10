"""What a collection lacks that has no held-out one beside it, how to come by it, and what can be done meanwhile."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

WITHOUT = """\
Not tested. Without pairs that the model cannot have seen, no test can tell whether yours were used: a high score may be
your style, your subjects or your captions. That holds for every model and every score.
What is missing: pictures of yours that were never published, of the same time, cameras, subjects and captions.
How to come by it, the best first:
  - Frames of the same shoots that you kept to yourself: lmia dataset --mine SPEC --heldout SPEC --columns FILE
    --pair-by COLUMN compares published with unpublished frames of each shoot.
  - Other unpublished pictures of yours from the same time: lmia dataset --mine SPEC --heldout SPEC.
  - For what you publish from now on: a lot. This writes variants of each picture, of which you publish the one that was
    drawn; a model that prefers it was trained on it, and no other explanation is left:
        {canary}
  - Is there a public list of the data? lmia lookup says whether your pictures are on it, and needs none of this."""

WITH = """\
What you have: {known}, which you say the model has not seen. Against it, each of your pairs can get a p-value of its
own (and a q-value over them all), which is as good as those pairs are like yours, and no better:
    {audit}
If they are like yours in time, source and kind, they are what is missing, and the whole collection can be tested:
    {dataset}"""


def missing(
    mine: str, model: str | None = None, pretrained: str | None = None, known: str | None = None, score: str = "csa"
) -> str:
    """Say it, with commands that hold the words the user typed.

    Args:
        mine: the collection, as typed.
        model: the target, as typed.
        pretrained: its weights, as typed.
        known: pairs known not to have been used, as typed.
        score: of the suspects' audit.

    Example:
        >>> print(missing("my photos/", "local-dir:clip", known="later.csv").splitlines()[-3].strip())
        lmia audit --plugin csa --model local-dir:clip --suspects 'my photos/' --known-nonmembers later.csv
    """
    said = WITHOUT.format(canary=_line("lmia canary make --source", mine, "--out", "canaries"))
    if known is None:
        return said
    target = ["--model", model or "SPEC", *(["--pretrained", pretrained] if pretrained else [])]
    audit = _line("lmia audit --plugin", score, *target, "--suspects", mine, "--known-nonmembers", known)
    dataset = _line("lmia dataset --mine", mine, "--heldout", known, *target)
    return f"{said}\n{WITH.format(known=known, audit=audit, dataset=dataset)}"


def _line(command: str, *words: str) -> str:
    typed: Sequence[str] = [shlex.quote(word) for word in words]
    return " ".join([command, *typed])
