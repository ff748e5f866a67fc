from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ml_platform import binding
from ml_platform.errors import BindingError
from ml_platform.records.notice import Notice
from ml_platform.testing.notifier import NOTICE, SECRET, NotifierContract
from resources.slack.notifier import SlackNotifier

TOKEN, CHANNEL = f"xoxb-{SECRET}", "#on-call"


class WebApi(BaseHTTPRequestHandler):
    """As much of Slack's Web API as a message takes: who it is, whether the channel is there, and how fast."""

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        refused = ""
        if self.path != "/api/chat.postMessage":
            refused = "unknown_method"
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            refused = "invalid_auth"
        elif said["channel"] != CHANNEL:
            refused = "channel_not_found"
        elif self.server.limited:  # type: ignore[attr-defined]
            refused = "ratelimited"
        if not refused:
            self.server.told.append(said)  # type: ignore[attr-defined]
        self.send_response(429 if refused == "ratelimited" else 200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.end_headers()
        self.wfile.write(json.dumps({"ok": not refused, **({"error": refused} if refused else {})}).encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def slack() -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), WebApi)
    server.told, server.limited = [], False
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def api(server: Any) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/api"


class TestSlackNotifier(NotifierContract):
    @pytest.fixture
    def notifier(self, tmp_path: Path, slack: Any) -> SlackNotifier:
        return SlackNotifier(str(tmp_path), CHANNEL, TOKEN, api(slack))

    @pytest.fixture
    def unreachable(self, tmp_path: Path) -> SlackNotifier:
        return SlackNotifier(str(tmp_path), CHANNEL, TOKEN, f"http://127.0.0.1:9/{SECRET}")

    @pytest.fixture
    def received(self, slack: Any) -> Callable[[], Sequence[str]]:
        return lambda: [said["text"] for said in slack.told]

    @pytest.mark.parametrize(
        ("channel", "token", "word"),
        [("#elsewhere", TOKEN, "channel_not_found"), (CHANNEL, f"{TOKEN}x", "invalid_auth")],
    )
    def test_refusal_is_told_by_slacks_own_word_and_says_no_secret(
        self, channel: str, token: str, word: str, tmp_path: Path, slack: Any
    ) -> None:
        _, one = SlackNotifier(str(tmp_path), channel, token, api(slack)).tell(NOTICE)
        assert (one.delivered, one.fault) == (False, f"SlackRefusedError {word}")
        assert SECRET not in (tmp_path / "notices.jsonl").read_text()

    def test_what_was_refused_for_haste_arrives_when_it_is_told_again(
        self, notifier: SlackNotifier, slack: Any
    ) -> None:
        slack.limited = True
        assert [one.fault for one in notifier.tell(NOTICE) if not one.delivered] == ["SlackRefusedError ratelimited"]
        slack.limited = False
        assert all(one.delivered for one in notifier.tell(NOTICE))
        assert len(slack.told) == 1

    def test_text_mentions_nobody_and_is_no_link(self, notifier: SlackNotifier, slack: Any) -> None:
        notifier.tell(Notice("d4", "error", "<!channel> a & b", "see <http://example.org|here>"))
        (said,) = slack.told
        assert said["text"] == "*ERROR* &lt;!channel&gt; a &amp; b\nsee &lt;http://example.org|here&gt;"
        assert (said["channel"], said["unfurl_links"]) == (CHANNEL, False)


@pytest.mark.parametrize(("channel", "token", "lacks"), [("", TOKEN, "channel"), (CHANNEL, "", "token")])
def test_without_a_channel_or_a_token_nothing_is_bound(channel: str, token: str, lacks: str, tmp_path: Path) -> None:
    with pytest.raises(BindingError, match=f"has no {lacks}.*Set notifier.{lacks}"):
        SlackNotifier(str(tmp_path), channel, token)


def test_readme_s_binding_is_one_and_the_token_is_no_part_of_it(
    tmp_path: Path, slack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = (Path(__file__).parents[3] / "resources/slack/README.md").read_text().split("```yaml\n")[1].split("```")[0]
    for name, value in {"HOME": str(tmp_path), "ENV": "test", "PROFILE": "told"}.items():
        monkeypatch.setenv(f"ML_PLATFORM_{name}", value)
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    monkeypatch.setenv("ML_PLATFORM_NOTIFIER__API", api(slack))
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "told.yaml").write_text(shown)
    monkeypatch.setattr(binding, "profile_path", lambda: tmp_path / "profiles" / "told.yaml")
    bound = binding.binding("notifier")
    assert TOKEN not in str(bound)
    assert all(one.delivered for one in binding.build(bound).tell(NOTICE))
    assert len(slack.told) == 1
    assert (tmp_path / "test" / "notices" / "notices.jsonl").exists()
