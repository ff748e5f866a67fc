from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from ml_platform.cli import main
from ml_platform.testing.project import Project


@pytest.mark.parametrize(
    "command", [("taint", "gold/totals@0", "--why", "wrong"), ("erase", "gold/totals", "--key", "orders=1")]
)
def test_what_the_ui_has_to_show_needs_its_instance(
    shop: Project, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setitem(sys.modules, "shop_definitions", SimpleNamespace(defs=lambda: shop.definitions))
    monkeypatch.setattr("ml_platform.binding.service", shop.service)
    result = CliRunner().invoke(main, [*command, "-m", "shop_definitions"])
    assert result.exit_code == 2
    assert "DAGSTER_HOME is not set" in result.stderr


def test_a_taint_without_a_reason_and_an_erasure_without_a_key_are_refused() -> None:
    for command, lacking in ((["taint", "gold/totals@0"], "--why"), (["erase", "gold/totals"], "--key")):
        result = CliRunner().invoke(main, command)
        assert (result.exit_code, lacking in result.stderr) == (2, True)
