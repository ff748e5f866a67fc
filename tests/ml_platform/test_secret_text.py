from __future__ import annotations

import pytest

from ml_platform.secret_text import redacted


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-key")
    monkeypatch.setenv("SHOP", "postgresql://ann:canary-pass@host:5432/shop")
    monkeypatch.setenv("TOKEN_KIND", "jwt")  # so short that it is a word


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("nothing of it", "nothing of it"),
        ("the key canary-key is refused", "the key [hidden] is refused"),
        ("password canary-pass of ann", "password [hidden] of ann"),
        ("https://u:other@host/x?y=1", "https://[hidden]@host/x?y=1"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("a jwt", "a jwt"),
    ],
)
def test_what_is_secret_is_left_out(text: str, left: str) -> None:
    assert redacted(text) == left
