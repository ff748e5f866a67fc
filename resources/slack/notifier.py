"""A notifier on Slack, by dagster-slack: a message in a channel, and a file of everything that was told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ml_platform.engine import notices
from ml_platform.errors import BindingError
from ml_platform.records.notice import Delivery, Notice

if TYPE_CHECKING:
    from ml_platform.roles.notifier import Notifier

_SECONDS = 10
# Of a longer text Slack shows a part, and says so.
_CHARACTERS = 3_900


class SlackNotifier:
    """Every notice is a message, and with what became of it a line of JSON in `notices.jsonl`.

    folder: made by the first notice. channel: name or id of one that the app is a member of. token: of a bot with the
    scope `chat:write`, written as `${NAME}`. api: where the Web API is, for a stand-in or an enterprise grid.
    """

    def __init__(self, folder: str, channel: str, token: str, api: str = "") -> None:
        for name, given in {"channel": channel, "token": token}.items():
            if not given:
                raise BindingError(f"the notifier is slack, but it has no {name}", remedy=f"Set notifier.{name}")
        self._folder = Path(folder).absolute()
        self._channel, self._token, self._api = channel, token, api

    def tell(self, notice: Notice) -> Sequence[Delivery]:
        """As the role promises. An answer that is lost on its way is told again: Slack has the message twice then."""
        return notices.tell(self._folder, notice, {"slack": self._post})

    def _post(self, notice: Notice) -> None:
        from dagster_slack import SlackResource
        from slack_sdk.errors import SlackApiError

        client = SlackResource(token=self._token).get_client()
        client.timeout = _SECONDS
        if self._api:
            client.base_url = f"{self._api.rstrip('/')}/"
        text = f"*{notice.severity.upper()}* {_plain(notice.subject)}\n{_plain(notice.text)}"
        try:
            client.chat_postMessage(channel=self._channel, text=text[:_CHARACTERS], unfurl_links=False)
        except SlackApiError as error:
            raise SlackRefusedError(str(error.response.get("error", ""))) from None


class SlackRefusedError(Exception):
    """Slack took no message. code: its word for why, for instance `channel_not_found`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _plain(text: str) -> str:
    """The text with what would be a link or a mention to Slack shown as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


if TYPE_CHECKING:
    _: type[Notifier] = SlackNotifier
