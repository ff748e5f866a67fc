from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ml_platform.engine import kept_report
from ml_platform.engine.kept_report import report_of
from resources.embedded.lakehouse import EmbeddedLakehouse


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fingerprints of every page that was drawn."""
    made: list[str] = []

    def page(key: str, description: str, of: str, measured: object, rules: object) -> str:
        made.append(of)
        return f"<!doctype html><!-- {of} -->"

    monkeypatch.setattr(kept_report, "page", page)
    return made


def monitored(snapshot: Any) -> Any:
    return SimpleNamespace(made=SimpleNamespace(snapshot=snapshot), rules=None, measure=lambda: None)


def test_page_is_drawn_anew_for_other_findings_only(
    lakehouse: EmbeddedLakehouse, put: Callable[..., Any], drawn: list[str]
) -> None:
    first = monitored(put("monitors/late", {"window": ["2013-11"]}))
    path = report_of(first, "…", lakehouse)
    assert report_of(first, "…", lakehouse) == path
    report_of(monitored(put("monitors/late", {"window": ["2013-12"]})), "…", lakehouse)
    assert len(drawn) == len(set(drawn)) == 2
    assert drawn[1] in Path(path).read_text()
