"""A notifier on this machine: a file of everything that was told, and by choice a webhook and e-mail."""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import TYPE_CHECKING

from ml_platform.engine import notices
from ml_platform.records.notice import Delivery, Notice

if TYPE_CHECKING:
    from ml_platform.roles.notifier import Notifier

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
        """As the role promises."""
        channels: dict[str, Callable[[Notice], None]] = {}
        if self._webhook:
            channels["webhook"] = self._post
        if self._to:
            channels["mail"] = self._mail
        return notices.tell(self._folder, notice, channels)

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


if TYPE_CHECKING:
    _: type[Notifier] = EmbeddedNotifier
