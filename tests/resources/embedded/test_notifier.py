from __future__ import annotations

import json
import socketserver
from collections.abc import Callable, Iterator, Sequence
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ml_platform.records.notice import Notice
from ml_platform.testing.notifier import NOTICE, SECRET, NotifierContract
from resources.embedded.notifier import EmbeddedNotifier


class Webhook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.told.append(self.rfile.read(int(self.headers["Content-Length"])).decode())  # type: ignore[attr-defined]
        self.send_response(self.server.answers)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


class Mailbox(socketserver.StreamRequestHandler):
    """As much of SMTP as a client without TLS speaks."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                body = list(iter(self.rfile.readline, b".\r\n"))
                self.server.told.append(b"".join(body).decode())  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
            if verb == b"QUIT":
                return


@pytest.fixture
def serving() -> Iterator[Callable[[Any, Any], Any]]:
    """Starts a server of a kind with a handler on a free port."""
    started: list[Any] = []

    def start(kind: Any, handler: Any) -> Any:
        server = kind(("127.0.0.1", 0), handler)
        server.told, server.answers = [], 200
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def webhook(serving: Callable[[Any, Any], Any]) -> Any:
    return serving(HTTPServer, Webhook)


@pytest.fixture
def mailbox(serving: Callable[[Any, Any], Any]) -> Any:
    return serving(socketserver.ThreadingTCPServer, Mailbox)


def url(server: Any) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/services/{SECRET}"


class TestEmbeddedNotifier(NotifierContract):
    @pytest.fixture
    def notifier(self, tmp_path: Path, webhook: Any, mailbox: Any) -> EmbeddedNotifier:
        return EmbeddedNotifier(
            str(tmp_path / "notices"),
            webhook=url(webhook),
            mail_to=["oncall@example.org"],
            mail_from="platform@example.org",
            mail_host="127.0.0.1",
            mail_port=mailbox.server_address[1],
            mail_tls=False,
        )

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> EmbeddedNotifier:
        return EmbeddedNotifier(
            str(tmp_path / "notices"),
            webhook=f"http://127.0.0.1:9/{SECRET}",
            mail_to=["oncall@example.org"],
            mail_host="127.0.0.1",
            mail_port=9,
            mail_password=SECRET,
        )

    @pytest.fixture
    def received(self, webhook: Any, mailbox: Any) -> Callable[[], Sequence[str]]:
        return lambda: [*webhook.told, *mailbox.told]

    def test_every_notice_and_what_became_of_it_is_a_line_of_a_file(
        self, unreachable: EmbeddedNotifier, tmp_path: Path
    ) -> None:
        unreachable.tell(NOTICE)
        text = (tmp_path / "notices" / "notices.jsonl").read_text()
        (line,) = map(json.loads, text.splitlines())
        assert line["channels"] == {"log": "delivered", "webhook": "ConnectError", "mail": "ConnectionRefusedError"}
        assert (line["id"], line["subject"]) == (NOTICE.id, NOTICE.subject)
        assert SECRET not in text

    def test_refusal_of_a_webhook_is_told_by_its_status(self, tmp_path: Path, webhook: Any) -> None:
        webhook.answers = 403
        _, one = EmbeddedNotifier(str(tmp_path), webhook=url(webhook)).tell(NOTICE)
        assert (one.delivered, one.fault) == (False, "HTTPStatusError 403")

    def test_redirect_of_a_webhook_is_not_followed(self, tmp_path: Path, webhook: Any) -> None:
        webhook.answers = 302
        _, one = EmbeddedNotifier(str(tmp_path), webhook=url(webhook)).tell(NOTICE)
        assert not one.delivered

    def test_webhook_is_sent_what_slack_reads_or_the_fields(self, tmp_path: Path, webhook: Any) -> None:
        EmbeddedNotifier(str(tmp_path / "a"), webhook=url(webhook)).tell(NOTICE)
        EmbeddedNotifier(str(tmp_path / "b"), webhook=url(webhook), payload="fields").tell(NOTICE)
        slack, fields = map(json.loads, webhook.told)
        assert slack == {"text": f"*ERROR* {NOTICE.subject}\n{NOTICE.text}"}
        assert fields == {"id": "a1", "severity": "error", "subject": NOTICE.subject, "text": NOTICE.text}

    def test_line_break_in_a_subject_begins_no_header(self, notifier: EmbeddedNotifier, mailbox: Any) -> None:
        notifier.tell(Notice("c3", "info", "one\r\nBcc: thief@example.org", "…"))
        mail = message_from_string(mailbox.told[0], policy=policy.default)
        assert mail["Subject"] == "[info] one Bcc: thief@example.org"
        assert mail["Bcc"] is None
