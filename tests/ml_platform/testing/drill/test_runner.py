"""The drill is drilled: a guard that is switched off is told, and so is what was lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ml_platform import cli
from ml_platform.engine import leakage
from ml_platform.testing import shop
from ml_platform.testing.drill import runner
from ml_platform.testing.drill.outcome import Drill, Outcome
from ml_platform.testing.drill.runner import DRILLS, run, table
from ml_platform.testing.drill.world import TRAINING_SET, World

NAMES = [
    "a file sent twice",
    "late data",
    "a changed schema",
    "a flood of nulls",
    "a shifted covariate",
    "a leaky feature",
    "a worse model",
    "a failing rollout",
    "a killed writer",
    "a killed server",
    "a full disk",
    "a registry that is down",
]


README = (Path(__file__).parents[4] / "README.md").read_text()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The scratch platform as far as its training set."""
    made = World(tmp_path_factory.mktemp("drill") / "platform")
    made.make(f'+key:"{TRAINING_SET}"')
    yield made
    made.close()


def named(*names: str) -> list[Drill]:
    return [each for each in DRILLS if each.name in names]


def drilled(world: World, *names: str) -> tuple[bool, list[str]]:
    lines: list[str] = []
    return run(named(*names), world, lines.append), lines


def test_every_fault_that_was_promised_is_drilled() -> None:
    assert [each.name for each in DRILLS] == NAMES
    lines = README.split("### Fire drill")[1].split("\n## ")[0].splitlines()
    shown = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")]
    assert shown == ["drill", *NAMES]


def test_guards_that_fire_are_told_with_where_they_show(world: World) -> None:
    went_well, lines = drilled(world, "a changed schema", "a leaky feature")
    assert went_well, lines
    assert lines[0].startswith(" 1/2 a changed schema: fired. orders/renamed.csv has no column returned")
    assert any("training_sets/returns: leakage" in line for line in lines)
    assert lines[-1].startswith("2 of 2 guards fired and nothing was lost, in ")


def test_a_guard_that_is_switched_off_is_silent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leakage, "require_none", lambda *_: leakage.Leakage(240))
    went_well, lines = drilled(world, "a leaky feature")
    assert not went_well
    assert "SILENT: audit of" in "\n".join(lines)
    assert lines[-1] == "not so: a leaky feature"


def test_a_file_that_is_taken_twice_is_lost_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a platform whose orders of April come under other names, so that no file is the same
    text = runner.deliveries.shop.orders("2024-04")
    monkeypatch.setattr(runner.deliveries.shop, "orders", lambda _: text.replace(",0.0,", ",0.00,"))
    went_well, lines = drilled(world, "a file sent twice")
    assert not went_well
    assert "SILENT: ingest, by the" in "\n".join(lines)
    assert "LOST: 2" in "\n".join(lines)


def test_a_drill_that_stumbles_has_a_silent_guard(world: World) -> None:
    def stumbles(_: World) -> Outcome:
        raise OSError("no such file")

    lines: list[str] = []
    assert not run([Drill("a fault", "something", stumbles)], world, lines.append)
    assert lines[0] == " 1/1 a fault: SILENT. the drill ended in OSError: no such file"


def test_what_a_check_said_in_an_earlier_run_is_no_evidence(world: World) -> None:
    world.attempt(f'key:"{TRAINING_SET}"')
    assert world.check(TRAINING_SET, "leakage").passed
    world.attempt('key:"bronze/stores"')
    with pytest.raises(LookupError, match="leakage of training_sets/returns shows nothing of the last run"):
        world.check(TRAINING_SET, "leakage")


def test_what_is_lost_fails_the_drill_though_its_guard_fired(world: World) -> None:
    lost = Outcome("a guard", True, "an asset: check", "it fired", {"all 60 rows": False, "it serves": True})
    lines: list[str] = []
    assert not run([Drill("a fault", "something", lambda _: lost)], world, lines.append)
    assert lines[0] == " 1/1 a fault: LOST. it fired"
    assert "LOST: all 60 rows" in "\n".join(table([(Drill("a fault", "something", lambda _: lost), lost, 1.0)]))


def test_the_command_exits_with_1_where_a_guard_was_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    # given the two drills that need no more than the training set, of which the guard of one is switched off
    monkeypatch.setattr(runner, "DRILLS", named("a changed schema", "a leaky feature"))
    monkeypatch.setattr(World, "make", lambda world: world.run(f'+key:"{TRAINING_SET}"', shop.EVERYTHING))
    with monkeypatch.context() as off:
        off.setattr(leakage, "require_none", lambda *_: leakage.Leakage(240))
        silent = CliRunner().invoke(cli.main, ["drill"])
    assert (silent.exit_code, silent.stdout.splitlines()[-1]) == (1, "not so: a leaky feature")
    # and without that one, whose function remembers what this process asked it
    monkeypatch.setattr(runner, "DRILLS", named("a changed schema"))
    sound = CliRunner().invoke(cli.main, ["drill"])
    assert sound.exit_code == 0, sound.stdout
    assert sound.stdout.splitlines()[-1].startswith("1 of 1 guards fired and nothing was lost, in ")
