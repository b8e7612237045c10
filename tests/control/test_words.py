"""What a control says: found, found nowhere, found at once; and everything that it does not show."""

from dataclasses import replace

import pytest

from control.controls import made, outcome
from lmia.control import Outcome
from lmia.control.words import headline, limits, notes, sentence

RISING = {0: {1: 0.5, 4: 0.65, 16: 0.9}, 1: {1: 0.52, 4: 0.7, 16: 0.9}, 2: {1: 0.5, 4: 0.66, 16: 0.9}}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (RISING, "This audit would have found data repeated at least 4 times."),
        ({0: {1: 0.5, 4: 0.5}}, "This audit would not have found repeated data: not even data shown 4 times."),
        (
            {0: {4: 0.65}, 1: {4: 0.5}, 2: {4: 0.65}},
            "This audit cannot be relied on to find repeated data: data shown 4 times was found in 2 of 3 trainings alone.",
        ),
        (
            {0: {1: 0.9, 4: 0.9}},
            "This audit would have found data that is shown once an epoch, and all that is repeated.",
        ),
        (
            {0: {2: 0.9, 4: 0.9}},
            "This audit would have found data repeated at least 2 times, the least that was tried.",
        ),
    ],
)
def test_headline(table, said):
    assert headline(made(table)[1]) == said


def test_sentence_names_all_that_it_rests_on():
    control, found, trained = made(RISING)
    said = sentence(found, control, trained)
    for part in (
        "demo was trained on 600 pairs drawn by lot from emoji: 0:1200 for 8 epochs",
        "An audit by csa told 30 pairs that an epoch shows 4 times, and those of every higher level tried (16),",
        "from 200 to 202 held-out ones in 3 of 3 trainings (one-sided level 0.01, Bonferroni over 3 levels and 1 attack).",
        "This holds for this data, training and size alone.",
    ):
        assert part in said
    assert "\n" not in said


def test_one_epoch_is_one():
    control, found, trained = made(RISING)
    trained = replace(trained, epochs=dict.fromkeys(found.seeds, 1))
    assert "for 1 epoch, and some of them" in sentence(found, control, trained)
    assert any("over 1 epoch a pair" in limit for limit in limits(found, trained))


def test_sentence_where_nothing_is_found():
    control, found, trained = made({0: {1: 0.5, 4: 0.65}, 1: {1: 0.5, 4: 0.5}})
    said = sentence(found, control, trained)
    assert "30 pairs that an epoch shows 4 times, the most that was tried, from" in said
    assert "in 1 of 2 trainings: too few (" in said


def test_sentence_at_one_level():
    control, found, trained = made({0: {1: 0.9}})
    said = sentence(found, control, trained)
    assert "told 30 pairs that an epoch shows once from 200 held-out ones in 1 of 1 training (" in said
    assert "over 1 level and 1 attack" in said


def test_limits_say_size_number_epochs_trainings_and_batches():
    _, found, trained = made(RISING)
    said = " ".join(limits(found, trained))
    for part in (
        "this size",
        "It is about 30 such pairs together",
        "over 8 epochs",
        "at least 37 % of such trainings",
        "fresh --seeds",
    ):
        assert part in said
    assert "0.5 times at level 1, 0.5 times at level 4" in said  # as `made` has it


def test_a_failed_attack_and_a_lone_level_are_said():
    levels = outcome({0: {1: 0.7, 4: 0.5, 16: 0.9}}) + outcome({0: {1: None, 4: None, 16: None}}, "wsa")
    found = Outcome(levels, 1.0)
    assert found.smallest() == 16
    assert notes(found) == [
        "wsa has no score at some level with seed 0; this counts as not found.",
        "Level 1 was found in some trainings, which does not count: a level and every higher level must be found in enough of them.",
    ]
    assert notes(made({0: {4: 0.9}})[1]) == []
