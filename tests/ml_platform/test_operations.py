from __future__ import annotations

import pytest
from click.testing import CliRunner

from ml_platform.cli import main
from ml_platform.operations import COMMANDS


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_a_command_of_operation_is_one_of_the_command_line(command: str) -> None:
    assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0


def test_a_plan_without_an_instance_of_dagster_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    result = CliRunner().invoke(main, ["plan"])
    assert result.exit_code == 2
    assert "DAGSTER_HOME is not set" in result.output
