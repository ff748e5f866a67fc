"""A notifier on this machine: a file of everything that was told, and by choice a webhook and e-mail."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_platform.records.notice import Delivery, Notice

if TYPE_CHECKING:
    from ml_platform.roles.notifier import Notifier

_FILE = "notices.jsonl"
_REMEMBERED_BYTES = 1 << 20
_SECONDS = 10.0


class EmbeddedNotifier:
    """Every notice and what became of it is a line of JSON in `notices.jsonl`, whatever the other channels do.

    folder: made by the first notice. webhook: a URL that is sent JSON; of a Slack incoming webhook or what accepts the
    same, `{"text": …}`, where payload is `text`, or every field of a notice, where it is `fields`.
    mail_to: recipients; then mail_host, mail_port, mail_from, and where the server asks for them mail_user and
    mail_password, over TLS unless mail_tls is false. A secret is written as `${NAME}`, an environment variable.
    """

    def __init__(
        self,
        folder: str,
        webhook: str = "",
        payload: str = "text",
        mail_to: Sequence[str] = (),
        mail_from: str = "",
        mail_host: str = "localhost",
        mail_port: int = 587,
        mail_user: str = "",
        mail_password: str = "",
        mail_tls: bool = True,
    ) -> None:
        self._folder = Path(folder).absolute()
        self._webhook, self._payload = webhook, payload
        self._to = (mail_to,) if isinstance(mail_to, str) else tuple(mail_to)
        self._from = mail_from
        self._server = (mail_host, int(mail_port))
        self._login, self._tls = (mail_user, mail_password), mail_tls

    def tell(self, notice: Notice) -> Sequence[Delivery]:
        """As the role promises. What cannot be written down is told on the other channels all the same."""
        arrived = self._arrived(notice.id)
        channels: dict[str, Callable[[Notice], None]] = {}
        if self._webhook:
            channels["webhook"] = self._post
        if self._to:
            channels["mail"] = self._mail
        done = [
            Delivery(name, delivered=True) if name in arrived else _tried(name, send, notice)
            for name, send in channels.items()
        ]
        written = Delivery("log", delivered=True)
        if "log" not in arrived or {one.channel for one in done} - arrived:
            written = _tried("log", lambda it: self._write(it, done), notice)
        return [written, *done]

    def _arrived(self, notice_id: str) -> set[str]:
        """The channels on which a notice of that id was delivered, as far as the end of the file remembers."""
        path = self._folder / _FILE
        if not path.exists():
            return set()
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _REMEMBERED_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
        found: set[str] = set()
        for line in lines:
            if notice_id in line:
                found |= _delivered(line, notice_id)
        return found

    def _write(self, notice: Notice, done: Sequence[Delivery]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        channels = {"log": "delivered", **{one.channel: one.fault or "delivered" for one in done}}
        line = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "id": notice.id,
            "severity": notice.severity,
            "subject": notice.subject,
            "text": notice.text,
            "channels": channels,
        }
        with (self._folder / _FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _post(self, notice: Notice) -> None:
        import httpx

        said = {"text": f"*{notice.severity.upper()}* {notice.subject}\n{notice.text}"}
        if self._payload == "fields":
            said = {"id": notice.id, "severity": notice.severity, "subject": notice.subject, "text": notice.text}
        httpx.post(self._webhook, json=said, timeout=_SECONDS, follow_redirects=False).raise_for_status()

    def _mail(self, notice: Notice) -> None:
        message = EmailMessage()
        # A line break in a subject would begin another header.
        message["Subject"] = " ".join(f"[{notice.severity}] {notice.subject}".split())
        message["From"], message["To"] = self._from, ", ".join(self._to)
        message.set_content(notice.text)
        with smtplib.SMTP(*self._server, timeout=_SECONDS) as server:
            if self._tls:
                server.starttls()
            if self._login[0]:
                server.login(*self._login)
            server.send_message(message)


def _tried(channel: str, send: Callable[[Notice], Any], notice: Notice) -> Delivery:
    try:
        send(notice)
    except Exception as error:  # whatever a channel raises: the others, and the caller, go on
        return Delivery(channel, delivered=False, fault=_fault(error))
    return Delivery(channel, delivered=True)


def _fault(error: Exception) -> str:
    """Why a channel did not deliver, by kind and status alone: messages of libraries quote addresses."""
    status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "smtp_code", None)
    return f"{type(error).__name__}{f' {status}' if status else ''}"


def _delivered(line: str, notice_id: str) -> set[str]:
    try:
        told = json.loads(line)
    except ValueError:  # torn, or cut by where we began to read
        return set()
    if told.get("id") != notice_id:
        return set()
    return {name for name, became in told["channels"].items() if became == "delivered"}


if TYPE_CHECKING:
    _: type[Notifier] = EmbeddedNotifier
