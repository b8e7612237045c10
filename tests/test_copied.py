"""What is there twice in an audit, counted: every kind of copy planted, and held against a count by hand."""

import io

import pytest
from PIL import Image

import lmia
from lmia.evidence.copied import Copied, Shared
from lmia.report.checklist import checklist
from lmia.report.html import html
from lmia.report.markdown import markdown
from lmia_csa import CSA
from test_audit import audit
from worlds import Noise, Plain, picture, png


def jpeg(image):
    file = io.BytesIO()
    image.resize((64, 64), Image.Resampling.NEAREST).save(file, "JPEG", quality=90)
    return file.getvalue()


class Wide(Plain):
    """The cosine, but asks for features."""

    needs = frozenset({"cosine", "embeddings"})


class Planted(Noise):
    """Noise, and pairs of one's own behind it: `(key, caption, image)`."""

    def __init__(self, start, stop, planted):
        super().__init__(start, stop)
        self.planted = planted

    def read(self, shard):
        yield from super().read(shard)
        if shard == self.shards()[-1]:
            yield from (lmia.Pair(*one) for one in self.planted)

    def fingerprint(self, shard):
        return super().fingerprint(shard) + str(len(self.planted))


ROLES = {
    # a picture of its own side under the same caption, saved anew; and one of the other side's captions
    "members": Planted(0, 40, [("again", "pair 3", jpeg(picture(3))), ("said", "pair 401", png(picture(5000)))]),
    # a member's picture, larger and saved anew, under another caption: looks alone
    "nonmembers": Planted(400, 440, [("other", "something else", jpeg(picture(7)))]),
    "known_nonmembers": Noise(800, 840),
    "pool": Planted(1200, 1240, [("noise/1", "a key of a member's", png(picture(6000)))]),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copied")
    return {
        name: audit(folder, [attack], roles=ROLES, fpr=[0.3], out=name)
        for name, attack in (("cosine", CSA()), ("features", Wide()))
    }


def by(report, part, other):
    (found,) = [one for one in report.validity.copied.shared if (one.part, one.other) == (part, other)]
    return {rule: n for rule, n in found.by.items() if n}


def test_each_copy_is_counted_by_what_it_shares_and_nothing_else_is(reports):
    report = reports["cosine"]
    assert by(report, "members", "members") == {"looks": 1, "any": 1, "caption": 1}
    assert by(report, "members", "nonmembers") == {"looks": 1, "any": 1, "caption": 1}
    assert by(report, "nonmembers", "members") == {"looks": 1, "any": 1, "caption": 1}
    assert by(report, "members", "pool") == by(report, "pool", "members") == {"key": 1}
    assert sum(any(one.by.values()) for one in report.validity.copied.shared) == 5


def test_every_part_is_compared_with_itself_and_each_other_one(reports):
    parts = ("members", "nonmembers", "calibration", "fit", "pool")
    shared = reports["cosine"].validity.copied.shared
    assert {(one.part, one.other) for one in shared} == {(a, b) for a in parts for b in parts}
    assert {one.part: one.pairs for one in shared}["members"] == 42


def test_features_that_are_there_are_a_second_opinion_on_look_alikes(reports):
    assert reports["cosine"].validity.copied.look_alikes == reports["features"].validity.copied.look_alikes == 1
    assert reports["cosine"].validity.copied.seconded is None
    assert reports["features"].validity.copied.seconded == 1


def test_the_report_says_it_to_people(reports):
    report = reports["features"]
    for page in (markdown(report), html(report)):
        assert "No picture of one part was found in another, by file or address." in page
        assert "members also in nonmembers" in page
        assert "chance; the model" in page
        assert "features are near in 1 of them" in page
        assert "pool also in members" in page  # one key
        assert "pool also in nonmembers" not in page
    (point,) = [one for one in checklist(report) if one.title == "Were copies looked for?"]
    assert (
        "1 look-alikes under other captions were counted, of which the model's features find 1 near" in point.sentence
    )


def test_nothing_twice_is_said_too():
    found = Copied([Shared("members", "nonmembers", 9, {"sha256": 0, "url": 0})], 0)
    assert found.sentences() == ["No picture of one part was found in another, by file or address."]
