"""A web server of one folder's worth of shards that fails as it is told to, and small tars to serve."""

import io
import random
import tarfile
import threading
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def shard(seed=0, pairs=12, size=200_000):
    """A tar of pairs whose pictures are noise, so that no two bytes of it are exchanged unseen."""
    draw, buffer = random.Random(seed), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for i in range(pairs):
            for name, data in ((f"{i:03d}.jpg", draw.randbytes(size)), (f"{i:03d}.txt", f"caption {i}".encode())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


class Shaky(ThreadingHTTPServer):
    """A server, what it has, and what it will do wrong.

    `troubles` are taken one by one, by whatever asks for a file (`HEAD` too if they are a status):
    a status; `("cut", n)`, an answer that breaks off after n bytes; `("short", n)`, one that ends there as if all were
    well; `("stall", n)`, one that says nothing more; a function to call before the next trouble.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.files, self.tags = {}, {}
        self.troubles = deque()
        self.ranges = self.sized = self.tagged = self.placed = True
        self.packs = False  # whether it says of its files that they were packed on the way
        self.retry_after = None
        self.asked = []  # of every GET: the range it asked for, or nothing
        self.encodings = set()
        self.over = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, name, data, tag="one"):
        self.files[name], self.tags[name] = data, tag
        return f"{self.url}/{name}"


class _Answer(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.server.encodings.add(self.headers["Accept-Encoding"])
        if self.server.troubles and isinstance(self.server.troubles[0], int):
            self._fail(self.server.troubles.popleft())
        elif self.path.strip("/") not in self.server.files:
            self._fail(404)
        else:
            self._say(200, self.server.files[self.path.strip("/")], 0)

    def do_GET(self):
        server, name = self.server, self.path.strip("/")
        server.asked.append(self.headers.get("Range"))
        server.encodings.add(self.headers["Accept-Encoding"])
        trouble = server.troubles.popleft() if server.troubles else None
        while callable(trouble):
            trouble()
            trouble = server.troubles.popleft() if server.troubles else None
        if isinstance(trouble, int) or name not in server.files:
            self._fail(trouble or 404)
            return
        data = server.files[name]
        begin = int(server.asked[-1][len("bytes=") : -1]) if server.ranges and server.asked[-1] else 0
        kind, count = trouble or ("whole", len(data))
        self._say(206 if begin else 200, data, begin, sized=kind != "short")
        try:
            self.wfile.write(data[begin : begin + count])
            if kind == "stall":
                server.over.wait(10)
        except OSError:  # the reader went away
            pass

    def _say(self, status, data, begin, sized=True):
        server = self.server
        self.send_response(status)
        if server.packs:
            self.send_header("Content-Encoding", "gzip")
        if begin and server.placed:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        if sized and server.sized:
            self.send_header("Content-Length", str(len(data) - begin))
        if server.tagged:
            self.send_header("ETag", f'"{server.tags[self.path.strip("/")]}"')
        self.end_headers()

    def _fail(self, status):
        self.send_response(status)
        if self.server.retry_after is not None:
            self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def shaky(monkeypatch):
    """Serve for a while, with nobody's proxy between."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    server = Shaky()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
