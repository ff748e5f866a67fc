from __future__ import annotations

import pytest

from ml_platform.secret_text import redacted


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-key")
    monkeypatch.setenv("SHOP", "postgresql://ann:canary-pass@host:5432/shop")
    monkeypatch.setenv("ML_PLATFORM_REDACTION_KEY", "canary-hash")
    monkeypatch.setenv("ML_PLATFORM_NOTIFIER__WEBHOOK", "https://hooks.example.org/services/canary-hook")
    monkeypatch.setenv("SHOP_PWD", "canary-pwd")
    monkeypatch.setenv("STORE", "https://store.example.org/box?sv=1&sig=canary-sig&x=1")
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
        ("hashed by canary-hash, logged in by canary-pwd", "hashed by [hidden], logged in by [hidden]"),
        ("POST https://hooks.example.org/services/canary-hook failed", "POST [hidden] failed"),
        ("403 for canary-sig", "403 for [hidden]"),
        ("db://h/x?sslpassword=other&sslmode=on", "db://h/x?sslpassword=[hidden]&sslmode=on"),
        ("s3://b/k?X-Amz-Signature=abc&X-Amz-Date=1", "s3://b/k?X-Amz-Signature=[hidden]&X-Amz-Date=1"),
        ("https://h/x?key=models/late&page=2", "https://h/x?key=models/late&page=2"),
    ],
)
def test_what_is_secret_is_left_out(text: str, left: str) -> None:
    assert redacted(text) == left
