from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from ml_platform.engine import loopback


class Echo(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.end_headers()
        self.wfile.write(body + self.headers["X-Named"].encode())

    def log_message(self, *told: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_request_is_answered_and_no_certificate_is_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *a, **k: read.append("read"))
    # a proxy of the environment is passed by as well
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    answer = loopback.request("PUT", url, content=b"said by ", headers={"X-Named": "us"}, timeout=5)
    assert (answer.status_code, answer.text, read) == (202, "said by us", [])


def test_nobody_is_trusted_over_tls(url: str) -> None:
    with pytest.raises(httpx.ConnectError):
        loopback.request("GET", url.replace("http:", "https:"), timeout=5)
