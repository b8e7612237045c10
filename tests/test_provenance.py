import dataclasses

import pytest

from lmia.ledger import Past, Scoring
from lmia.provenance import SHOWN, Provenance, told

ONE = Scoring("2026-03-01T12:00:00+00:00", "model", ("csa",), "s")


def other(**changes):
    return dataclasses.replace(ONE, **changes)


def test_the_first_run_is_said_to_be_the_first():
    found = told(Past(), ONE)
    assert found == Provenance(run=1)
    assert found.sentences() == [
        "Not sealed: nothing here shows that data and settings were fixed before a score was seen.",
        "Run 1 on these data: this cache knows of none before it.",
    ]


def test_a_repeat_is_counted_and_named():
    found = told(Past((ONE, ONE)), ONE)
    assert (found.run, found.repeats, found.same_target, found.earlier) == (3, 2, 2, {"csa": 2})
    assert found.sentences()[1:] == [
        "Run 3 on these data (2 earlier, with these attacks: csa (2 times)).",
        "The same run was made 2 times before (model, attacks, settings, data). It is counted all the same.",
    ]


@pytest.mark.parametrize("change", [{"settings": "t"}, {"target": "another"}, {"attacks": ("csa", "wsa")}])
def test_what_differs_in_anything_is_no_repeat(change):
    found = told(Past((other(**change),)), ONE)
    assert (found.run, found.repeats) == (2, 0)
    assert "The same run" not in " ".join(found.sentences())


def test_what_does_not_make_another_run():
    """Time and verdict are what came out, not what was asked; a list read back is a tuple."""
    same = other(time="2026-04-01T00:00:00+00:00", verdict="void", attacks=["csa"])
    assert told(Past((same,)), ONE).repeats == 1


def test_audits_of_another_model_are_told_apart():
    found = told(Past((ONE, other(target="x"), other(target="y"))), ONE)
    assert (found.run, found.same_target) == (4, 1)
    assert "Of the earlier ones, 1 audited this model and 2 another." in found.sentences()


def test_many_sets_of_attacks_are_cut_short_and_counted():
    past = Past(tuple(other(attacks=(f"attack-{i}",)) for i in range(SHOWN + 3)) + (other(attacks=("often",)),) * 2)
    found = told(past, ONE)
    assert len(found.earlier) == SHOWN + 4
    (said,) = (line for line in found.sentences() if line.startswith("Run"))
    assert said == (
        f"Run {SHOWN + 6} on these data ({SHOWN + 5} earlier, with these attacks: often (2 times); attack-0; attack-1; "
        "attack-2; attack-3; 4 other sets of attacks)."
    )


def test_torn_lines_are_counted_and_said():
    found = told(Past((ONE,), unread=2), ONE)
    assert found.run == 4
    assert found.sentences()[-1] == "Lines of the ledger that cannot be read: 2; each is counted as an audit."
    assert "Run 3 on these data (2 earlier)." in told(Past((), unread=2), ONE).sentences()


def test_where_nothing_could_be_counted_no_number_is_claimed():
    found = told(Past(problem="The cache is gone."), ONE)
    assert found.run == 0
    assert [line for line in found.sentences() if line.startswith("Run")] == []
    assert found.sentences()[-1] == "The cache is gone."
    assert told(Past((ONE,), problem="It is full."), ONE).run == 2


def test_a_seal_is_named_and_earlier_audits_are_held_against_it():
    times = [
        "2026-02-28T23:59:59+00:00",
        "2026-03-01T00:00:01+00:00",
        "2026-03-01T00:30:00+01:00",
        "no time",
        "2026-02-01",
    ]
    past = Past(tuple(other(time=time) for time in times))
    found = told(past, ONE, "d1ge57", "2026-03-01T00:00:00+00:00")
    assert (found.sealed, found.run, found.before_seal) == ("d1ge57", 6, 3)
    first, second, *_ = found.sentences()
    assert first.startswith("Sealed at d1ge57 before scoring (made 2026-03-01T00:00:00+00:00 ")
    assert second.startswith("3 audits of these data came before the seal")
    assert told(Past((ONE,)), ONE, "d1ge57", "2026-03-01T00:00:00+00:00").before_seal == 0
    assert told(past, ONE).before_seal == 0


def test_it_is_plain_data_that_a_report_can_hold():
    from lmia.report.archive import _plain, _record

    found = told(Past((ONE,), unread=1), ONE, "d", "2026-03-01T00:00:00+00:00")
    assert _record(Provenance, _plain(found, ""), "") == found
