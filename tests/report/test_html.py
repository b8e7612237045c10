"""report.html: one safe, self-contained page that answers first."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from lmia.report import html, lmia_audit_finished, sentences
from lmia.report.archive import to_json
from lmia.report.model import Provenance, Validity
from report import examples

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would find: tags, attributes, text; and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open, self.attributes = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(
    params=[examples.leakage, examples.suspects, examples.none_ran, examples.hostile], ids=lambda f: f.__name__
)
def report(request):
    return request.param()


def check_safe(text):
    page = Page(text)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "xlink:href", "srcset", "action", "style"):
            assert value.startswith(("#", "data:image/jpeg;base64,")) or name == "style", (tag, name, value)
            assert "url(" not in value or "url(#" in value
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "@import" not in text
    text.encode("utf-8")
    return page


def test_safe_whole_and_small(report):
    text = html.html(report)
    check_safe(text)
    assert len(text.encode()) < 1 << 20
    assert "default-src 'none'" in text


@pytest.mark.parametrize("make", [examples.leakage, examples.suspects, examples.none_ran], ids=lambda f: f.__name__)
def test_says_the_question_the_answer_and_all_that_matters(make):
    report = make()
    text = Page(html.html(report)).text
    for said in (
        sentences.question(report),
        sentences.answer(report),
        *sentences.sides(report),
        *sentences.limits(report),
        *report.warnings,
        *(attack.name for attack in report.attacks),
        *(note for attack in report.attacks for note in sentences.notes(attack)),
        *sentences.tpr_notes(report),
        *(reason for role in report.roles for reason in role.rejected),
        "weights_sha256",
        report.scores_sha256,
        report.validity.positives.sentence(),
        "AUC of 60 shown several times (median 8)",
    ):
        assert " ".join(said.split()) in text


def test_the_first_screen_has_question_answer_figure_sides_and_limits_in_that_order():
    text = html.html(examples.leakage()).partition("</header>")[0]
    marks = [
        "DEMO: not your data</p>",
        "<h1>Does demo-clip",
        'class="word">EVIDENCE</span> Supports a leak',
        "<svg",
        'class="answer">Yes',
        "Members: 400",
        "What this does not show",
    ]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)
    assert text.count("<svg") == 1


def first_screen(report):
    return Page(html.html(report).partition("</header>")[0].partition("<header>")[2]).text


REGIMES = {
    "randomised": "who is on which side was drawn by lot before training, as the user states",
    "one-run": "who is on which side was drawn by lot before one training, as the user states",
    "post hoc": "who is on which side was found afterwards, so that no difference is proof",
}


@pytest.mark.parametrize("regime", REGIMES)
def test_the_first_screen_says_how_the_sides_came_about(regime):
    report = examples.leakage()
    text = first_screen(replace(report, verdict=replace(report.verdict, regime=regime)))
    assert f"Rule: fixed before scoring, at 1 % false alarms; {REGIMES[regime]}." in text
    assert [one for one in REGIMES if REGIMES[one] in text] == [regime]


def test_the_first_screen_of_a_sealed_report_says_its_digest_and_which_run_it_is():
    sealed = Provenance("5e" * 32, "2026-01-01T00:00:00+00:00", 4, {"csa": 2, "wsa": 1}, 1, 0, 2)
    text = first_screen(examples.leakage(provenance=sealed))
    assert f"Sealed at {'5e' * 32} before scoring (made 2026-01-01T00:00:00+00:00 by its maker's clock;" in text
    assert "2 audits of these data came before the seal" in text
    assert "Run 4 on these data (3 earlier, with these attacks: csa (2 times); wsa)." in text
    assert "Of the earlier ones, 1 audited this model and 2 another." in text
    assert "Not sealed" not in text


def test_the_first_screen_of_a_report_without_a_seal_says_so():
    text = first_screen(examples.leakage(provenance=Provenance(run=1)))
    assert "Not sealed: nothing here shows that data and settings were fixed before a score was seen." in text
    assert "Run 1 on these data: this cache knows of none before it." in text
    assert "Sealed at" not in text


def test_demo_is_said_only_of_the_demo():
    assert sentences.DEMO in html.html(examples.leakage())
    assert sentences.DEMO not in html.html(examples.leakage(demo=False))


def test_hostile_text_is_shown_as_text():
    page = Page(html.html(examples.hostile()))
    shown = examples.HOSTILE.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e").replace("\udc80", r"\udc80")
    assert page.text.count(shown) > 15
    assert "{{ 7*7 }}" in page.text


def test_tables_of_findings_not_estimable_and_nothing_to_learn():
    text = Page(html.html(examples.leakage())).text
    for said in (
        "pseudo_members",
        "2655",
        "0.554",
        "not estimable",
        "needs 10,000 non-members, has 400",
        "nothing to learn",
    ):
        assert said in text
    assert "nan" not in text.lower().split()


def test_suspects_have_no_roc():
    text = html.html(examples.suspects(validity=Validity()))
    assert "Each suspect got a score" in text
    assert "37 with q at most 0.05" in Page(text).text
    assert "false positive rate: non-members wrongly named" not in text
    assert text.count("<svg") == 2
    assert html.html(examples.suspects()).count("<svg") == 3  # against the calibration pairs


def test_no_attack_at_all():
    assert "No answer: no attack was asked for." in html.html(examples.leakage(attacks=()))


def test_many_attacks_with_endless_findings_stay_below_a_mebibyte():
    rows = [{"name": "x" * 5000, "value": 0.5}] * 2000
    many = tuple(
        replace(examples.attack(f"a{i}", 0.7), findings={"rows": rows[:50]} if i % 8 == 0 else {}) for i in range(16)
    )
    report = examples.leakage(attacks=(*many, replace(many[0], name="big", findings={"rows": rows})))
    text = html.html(report)
    assert len(text.encode()) < 1 << 20
    assert "1,900 more rows are in report.json." in Page(text).text


def test_the_same_report_makes_the_same_page(report):
    assert html.html(report) == html.html(report)


def test_the_event_writes_both_pages(tmp_path):
    lmia_audit_finished(examples.leakage(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md"]
    assert (tmp_path / "report.html").read_text("utf-8") == html.html(examples.leakage())


def test_writing_changes_no_report():
    report = examples.leakage()
    before = to_json(report)
    html.html(report)
    assert to_json(report) == before
