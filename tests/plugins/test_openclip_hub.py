"""The hub: its cache first, one sentence within seconds where it is out of reach, and never a retry."""

import socket
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import huggingface_hub
import pytest
from huggingface_hub import constants

from lmia import LmiaError
from lmia_openclip import OpenCLIP, hub
from plugins.openclip_models import hub_cache

ASK = ("some/tiny", ["a.safetensors", "a.bin"], "The weights of tiny", ", and say X.")


def point_to(monkeypatch, port):
    address = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.partition("{repo_id}")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{address}/{template[1]}{template[2]}")


class Hub(BaseHTTPRequestHandler):
    """A hub of one repository: `files` by name; 401 for any other repository, as the real one answers."""

    def __init__(self, files, asked, *args):
        self.files, self.asked = files, asked
        super().__init__(*args)

    def do_HEAD(self):
        self.asked.append((self.command, self.path))
        name = self.path.rpartition("/")[2]
        known = self.path.startswith("/some/tiny/")
        found = known and name in self.files
        self.send_response(200 if found else 404 if known else 401)
        if not found:
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
        else:
            self.send_header("ETag", '"1234"')
            self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(self.files[name]) if found else 0))
        self.end_headers()
        if found and self.command == "GET":
            self.wfile.write(self.files[name])

    do_GET = do_HEAD

    def log_message(self, *args):
        """Keep the test's output clean."""


@pytest.fixture
def serve(monkeypatch):
    servers = []

    def start(**files):
        asked = []
        named = {name.replace("__", "."): content for name, content in files.items()}
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, named, asked))
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        point_to(monkeypatch, server.server_port)
        return asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_what_is_cached_is_taken_without_a_question(tmp_path, serve):
    asked = serve(a__bin=b"new")
    cache = hub_cache(tmp_path, "some/tiny", a__bin=b"old")
    assert hub.fetch(*ASK, cache_dir=str(cache)).read_bytes() == b"old"
    assert asked == []


def test_the_first_name_that_the_hub_has_is_downloaded(tmp_path, serve):
    asked = serve(a__bin=b"weights")
    assert hub.fetch(*ASK, cache_dir=str(tmp_path)).read_bytes() == b"weights"
    names = [path.rpartition("/")[2] for _, path in asked if path.startswith("/some/tiny/")]
    assert names[:2] == ["a.safetensors", "a.bin"]
    assert hub.fetch(*ASK, cache_dir=str(tmp_path)).read_bytes() == b"weights"


def test_a_repository_without_the_file_is_named(tmp_path, serve):
    serve(other=b"")
    with pytest.raises(LmiaError, match=r"'some/tiny' has no file called a.safetensors or a.bin"):
        hub.fetch(*ASK, cache_dir=str(tmp_path))


def test_a_repository_that_is_not_there_is_named(tmp_path, serve):
    serve()
    with pytest.raises(LmiaError, match="has no repository 'no/such'"):
        hub.fetch("no/such", *ASK[1:], cache_dir=str(tmp_path))


def test_a_hub_that_is_switched_off_is_not_asked(tmp_path, serve, monkeypatch):
    asked = serve(a__bin=b"")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LmiaError, match="The weights of tiny are not in the cache, and HF_HUB_OFFLINE") as caught:
        hub.fetch(*ASK, cache_dir=str(tmp_path))
    assert caught.value.remedy == "Fetch a.safetensors of some/tiny where there is a network, and say X."
    assert asked == []


@pytest.mark.parametrize("kind", ["refuses", "is silent"])
def test_a_hub_out_of_reach_is_one_sentence_within_seconds(kind, tmp_path, monkeypatch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if kind == "is silent":
            listener.listen()
        point_to(monkeypatch, listener.getsockname()[1])
        start = time.monotonic()
        with pytest.raises(
            LmiaError, match=r"^The weights of tiny are not in the cache and the hub cannot be reached\.\n"
        ):
            hub.fetch(*ASK, cache_dir=str(tmp_path))
        assert time.monotonic() - start < hub.PATIENCE + 2


def test_a_tag_and_a_repository_out_of_reach_say_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LmiaError) as caught:
        OpenCLIP("ViT-B-32", "laion400m_e32", cache_dir=str(tmp_path))
    assert "weights of ViT-B-32-quickgelu, laion400m_e32 are not in the cache" in caught.value.problem
    assert "--model ViT-B-32-quickgelu --pretrained FILE" in caught.value.remedy
    with pytest.raises(LmiaError) as caught:
        OpenCLIP("hf-hub:some/tiny", cache_dir=str(tmp_path))
    assert "configuration and weights of hf-hub:some/tiny are not in the cache" in caught.value.problem
    assert "--model local-dir:FOLDER" in caught.value.remedy


def test_a_download_that_breaks_says_so(tmp_path, serve, monkeypatch):
    serve(a__safetensors=b"x")

    def broken(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", broken)
    with pytest.raises(LmiaError, match=r"The weights of tiny could not be downloaded: .*No space left"):
        hub.fetch(*ASK, cache_dir=str(tmp_path))
