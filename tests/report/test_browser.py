"""Every page, with text that attacks a browser in all that comes from data, opened in one: no script runs, no request goes out."""

import shutil
import subprocess
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import hostile
import lmia
import worlds
from control.controls import made
from control.test_words import RISING
from lmia.control.outcome import Outcome
from lmia.control.page import write_control
from lmia.data import AuditData
from lmia.extract import FeatureExtractor
from lmia.report import html
from lmia.report.pairs import ShownPair, write_pairs
from lmia.study import page as study_page
from report import examples
from report.test_html import Page
from study.studies import cells, study
from study.test_table import rows

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on PATH"),
]
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
         "--disable-features=NetworkTimeServiceQuerying")  # fmt: skip


class Counting(BaseHTTPRequestHandler):
    """Stands as a proxy before all there is, and notes what is asked for."""

    def answer(self):
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_CONNECT = do_HEAD = answer

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def proxy():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def dump(path, proxy, profile):
    """Open a file as a person would; return what the browser made of it, and what it asked the network for."""
    proxy.asked.clear()
    network = [f"--proxy-server=127.0.0.1:{proxy.server_port}", "--proxy-bypass-list=<-loopback>", *QUIET]
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", *network]
    command += [f"--user-data-dir={profile}", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return done.stdout.decode("utf-8", "replace"), list(proxy.asked)


def host(url):
    return urlsplit(url if "://" in url else f"//{url}").hostname


@pytest.fixture(scope="module")
def own(proxy, tmp_path_factory):
    """Whom the browser asks for its own ends, with an empty page as well."""
    folder = tmp_path_factory.mktemp("empty")
    return {host(url) for url in dump(bare(folder / "empty.html", []), proxy, folder / "profile")[1]}


@pytest.fixture
def opened(proxy, own, tmp_path):
    """Open a file; return what the browser made of it, and what it asked for besides."""

    def open_(path):
        dom, asked = dump(path, proxy, tmp_path / "profile")
        return dom, [url for url in asked if host(url) not in own]

    return open_


def bare(path, payloads, head=""):
    """A page as one that escapes nothing would write it."""
    path.write_text(f"<!DOCTYPE html><html><head>{head}<title>t</title></head><body>{' '.join(payloads)}</body></html>")
    return path


def check_inert(dom, asked):
    assert asked == []
    assert hostile.RAN not in dom
    page = Page(dom) if dom.startswith("<!DOCTYPE") else Page(dom.partition("?>")[2] or dom)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form", "input", "a"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not [value for _, name, value in page.attributes if name in ("src", "href") and hostile.HOST in value]


@pytest.mark.parametrize("payload", hostile.LOADED, ids=lambda text: text[1:6])
def test_the_detector_sees_what_a_page_without_escaping_lets_through(payload, opened, tmp_path):
    """The tests below prove nothing if this fails."""
    for _ in range(3):  # of a machine that is busy a page may have its focus too late
        dom, asked = opened(bare(tmp_path / "bare.html", [payload]))
        if found := [url for url in asked if hostile.HOST in url]:
            break
    assert found
    if hostile.JS in payload:
        assert hostile.RAN in dom
        assert f"http://{hostile.HOST}/js" in asked


def test_the_policy_alone_would_stop_scripts_and_requests(opened, tmp_path):
    """In depth: were one place not escaped."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    dom, asked = opened(bare(tmp_path / "bare.html", hostile.LOADED, policy))
    assert "<svg" in dom
    assert hostile.RAN not in dom
    assert asked == []


def test_a_report_of_nothing_but_hostile_text(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "HOSTILE", hostile.ALL)
    (tmp_path / "report.html").write_text(html.html(examples.hostile()), "utf-8")
    dom, asked = opened(tmp_path / "report.html")
    assert POLICY in dom
    assert dom.count("&lt;script&gt;") > 100
    check_inert(dom, asked)


def test_pairs_with_hostile_captions_and_keys(opened, tmp_path):
    image = Image.new("RGB", (9, 9))
    shown = [
        ShownPair(text, text, image, text, text, 0.5, i) for i, text in enumerate((*hostile.PAYLOADS, hostile.ALL))
    ]
    dom, asked = opened(write_pairs(shown, tmp_path, demo=False))
    assert POLICY in dom
    assert dom.count("<img") == len(shown)
    check_inert(dom, asked)


def test_the_page_and_the_figure_of_a_hostile_study(opened, tmp_path, monkeypatch):
    text = hostile.ALL
    vary = {text: {"2": {}, "4": {}}}
    found = [
        {text: row["repeats"], **{k: v for k, v in row.items() if k != "repeats"}, "attack": text, "failed": text}
        for row in rows(status="did not run")
    ]
    monkeypatch.setattr(study_page, "rows", lambda *_: found)
    told = dict.fromkeys(("title", "question", "claim"), text)
    one = study(**told, limits=[text])
    one = replace(one, vary=vary, figure={"x": text, "y": "auc", "colour": "attack"})
    study_page.write_study(one, cells(), tmp_path, f"lmia study {text}")
    for name in ("index.html", "figure.svg"):
        check_inert(*opened(tmp_path / name))
    assert POLICY in (tmp_path / "index.html").read_text()


def test_the_page_and_the_figure_of_a_hostile_control(opened, tmp_path):
    control, found, trained = made(RISING)
    found = Outcome([replace(one, attack=hostile.ALL) for one in found.levels], found.power)
    trained = replace(trained, source=hostile.ALL, target=hostile.ALL)
    write_control(replace(control, out=tmp_path), found, trained, f"lmia control {hostile.ALL}")
    for name in ("index.html", "figure.svg"):
        check_inert(*opened(tmp_path / name))
    assert POLICY in (tmp_path / "index.html").read_text()


class Captioned(worlds.Noise):
    """Noise under hostile captions, keys and addresses."""

    def read(self, shard):
        for i, pair in enumerate(super().read(shard)):
            text = hostile.PAYLOADS[i % len(hostile.PAYLOADS)]
            url = f"http://{hostile.HOST}/{pair.key}/{text}"
            yield replace(pair, key=f"{text} {pair.key}", caption=f"{text} {pair.caption}", url=url)


class Named(worlds.Matrices):
    """A model of a hostile name."""

    def facts(self):
        return replace(super().facts(), name=hostile.ALL, details={hostile.ALL: hostile.ALL})


def test_an_audit_of_hostile_pairs_by_an_attack_of_a_hostile_name(opened, tmp_path):
    """Through the whole path: source, store, roles, slices, pairs."""
    roles = {"members": Captioned(0, 150), "nonmembers": Captioned(200, 350)}
    keys = [pair.key for source in roles.values() for shard in source.shards() for pair in source.read(shard)]
    sheet = tmp_path / f"{hostile.NAME}.parquet"
    pq.write_table(pa.table({"key": keys, hostile.ALL: [hostile.BROKEN_OUT[i % 2] for i in range(len(keys))]}), sheet)
    attack = type(hostile.ALL.replace("\0", ""), (worlds.Plain,), {"__doc__": hostile.ALL})()
    out = tmp_path / hostile.NAME
    data = AuditData(**roles, columns=sheet, slice_by=[hostile.ALL])
    report = lmia.run_audit(FeatureExtractor(Named("0:150")), data, [attack], out=out, show_pairs=True)
    assert any(hostile.BROKEN_OUT[0] in one.name for one in report.validity.slices.slices)
    for name in ("report.html", "pairs.html"):
        dom, asked = opened(out / name)
        assert "&lt;script&gt;" in dom
        check_inert(dom, asked)
