from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from ml_platform.console import Progress, named, run_graph, selected
from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import EVERYTHING, FILES, LANDING, declaration, orders

ROOT = Path(__file__).parents[2]
TABLES = "group:bronze or group:silver or group:gold"


@pytest.fixture(autouse=True)
def dagster_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home


def runs() -> int:
    with dg.DagsterInstance.get() as instance:
        return instance.get_runs_count()


def test_every_asset_has_one_plain_line_with_rows_seconds_and_outcome(
    shop: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_graph(shop.definitions, TABLES, EVERYTHING)
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert said.err == ""
    assert "\033" not in said.out
    assert "\r" not in said.out
    shown = [re.split(r"\s{2,}", line.strip()) for line in lines[:5]]
    assert [line[0] for line in shown] == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    orders_line = next(line for line in shown if line[1] == "bronze/orders")
    assert orders_line[2] == "240 rows"
    assert re.fullmatch(r"\d+\.\d s", orders_line[3])
    assert orders_line[4] == "240 rows added, 0 removed"
    assert re.fullmatch(r"5 of 5 assets in \d+ s", lines[6])
    # and the second run says of each that it is unchanged
    assert run_graph(shop.definitions, TABLES, None)
    assert capsys.readouterr().out.count("unchanged") == 5


def test_plain_asset_shows_the_steps_own_seconds_and_that_it_was_materialized(
    shop: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    program = """
import time

import dagster as dg


@dg.asset(key=["landing", "shop"])
def shop():
    time.sleep(0.3)
"""
    shop.write("landing/shop/shop.py", program)
    assert run_graph(shop.definitions, 'key:"landing/shop"', None)
    name, seconds, outcome = re.split(r"\s{2,}", capsys.readouterr().out.splitlines()[0].strip())[1:]
    assert (name, outcome) == ("landing/shop", "materialized")
    assert 0.3 <= float(seconds.removesuffix(" s")) < 2


def test_failure_is_one_line_one_error_and_names_what_was_skipped(
    shop: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.land(LANDING, "orders/2024-02.csv", orders("2024-02")[:-20])
    assert not run_graph(shop.definitions, TABLES, EVERYTHING)
    said = capsys.readouterr()
    (failed,) = [line for line in said.out.splitlines() if line.endswith("FAILED")]
    assert "bronze/orders" in failed
    assert "1 of 5 assets" in said.out
    assert "skipped: gold/store_month, gold/totals, silver/orders" in said.out
    assert said.err.count("orders/2024-02.csv is cut off") == 1
    assert said.err.startswith("error: bronze/orders: orders/2024-02.csv is cut off")
    assert "Traceback" not in said.out + said.err


def test_error_that_was_translated_is_told_in_our_words(shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write("gold/totals/totals.sql", "SELECT no_such_function(1) AS n")
    assert not run_graph(shop.definitions, 'key:"gold/totals"', None)
    assert capsys.readouterr().err.startswith("error: gold/totals: the query of gold/totals does not run")


def test_run_that_fails_before_its_first_step_says_why(
    shop: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.services["lakehouse"] = replace(shop.services["lakehouse"], settings={"root": "${NO_SUCH_VARIABLE}"})
    assert not run_graph(shop.definitions, 'key:"gold/totals"', None)
    said = capsys.readouterr()
    assert said.err.startswith("error: lakehouse.root is unbound, but embedded needs it")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ("group:nope", "the selection is 'group:nope', but it matches no asset"),
        ('key:"gold/totls"', r"matches no asset.*Did you mean gold/totals"),
        (")(", r"the selection is '\)\(', but it cannot be read"),
    ],
)
def test_selection_that_matches_nothing_is_an_error_and_runs_nothing(shop: Project, select: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        run_graph(shop.definitions, select, None)
    assert runs() == 0


@pytest.mark.parametrize(
    ("partitions", "message"),
    [
        ("2024-01...2024-05", "the partition is '2024-05', but there is none of that name. They go from 2024-01 to"),
        ("January", "the partition is 'January'"),
        ("2024-03...2024-02", "the partitions are 2024-03...2024-02, but the first comes after the last"),
    ],
)
def test_partitions_that_do_not_exist_are_an_error_and_run_nothing(
    shop: Project, partitions: str, message: str
) -> None:
    with pytest.raises(DeclarationError, match=message):
        run_graph(shop.definitions, TABLES, partitions)
    assert runs() == 0


def test_one_partition_is_a_range_of_one(shop: Project) -> None:
    assert run_graph(shop.definitions, "group:bronze or group:silver", "2024-02")
    assert {row["month"] for row in shop.rows("silver/orders")} == {"2024-02"}


@pytest.mark.parametrize(
    ("select", "kept", "said"),
    [
        ("*", set(), "models/returns__champion is left out: it is promoted by hand"),
        ('key:"models/returns__champion"', {"models/returns__champion"}, ""),
        ('key:"models/returns"+', set(), "by who selects nothing but key:"),
    ],
)
def test_what_is_promoted_by_hand_is_made_only_by_its_name(
    shop: Project, capsys: pytest.CaptureFixture[str], select: str, kept: set[str], said: str
) -> None:
    shop.change("models/returns/defs.yaml", "metric: log_loss", "metric: log_loss\n    promote: manual")
    graph = shop.definitions.resolve_asset_graph()
    every = selected(select, graph)
    left = {key.to_user_string() for key in named(select, every, graph)}
    assert left & {"models/returns__champion"} == kept
    assert len(left) == len(every) - (1 if said else 0)
    assert said in capsys.readouterr().out


def test_a_selection_of_nothing_but_what_is_promoted_by_hand_is_an_error(shop: Project) -> None:
    shop.change("models/returns/defs.yaml", "metric: log_loss", "metric: log_loss\n    promote: manual")
    with pytest.raises(DeclarationError, match=r"all that it matches is promoted by hand. Select it by its key"):
        run_graph(shop.definitions, "kind:gate", None)
    assert runs() == 0


def test_selection_without_partitions_needs_none(shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_graph(shop.definitions, 'key:"bronze/stores"', None)
    assert "3 rows" in capsys.readouterr().out


def event(kind: dg.DagsterEventType, step: str, data: object = None) -> dg.EventLogEntry:
    happened = dg.DagsterEvent(kind.value, "job", step_key=step, event_specific_data=data)
    return dg.EventLogEntry(None, 10, "", "run", 0.0, step_key=step, job_name="job", dagster_event=happened)


def test_terminal_shows_what_is_being_made(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    progress = Progress([dg.AssetKey(["models", "late__champion"])])
    progress.hear(event(dg.DagsterEventType.STEP_START, "models__late__champion"))
    assert capsys.readouterr().out == "\r\033[K        models/late__champion …"


def test_summary_shows_the_models_metrics_and_the_curl_line(shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    program = """
import dagster as dg


@dg.asset(key=["landing", "shop"])
def shop():
    ranks = {"test_roc_auc": 0.75000000000000011, "test_log_loss": 0.5}
    is_near = {"test_brier": 0.2, "test_expected_calibration_error": 0.0125}
    return dg.MaterializeResult(metadata={**ranks, **is_near, "ask": "curl -s http://127.0.0.1:1/v2"})
"""
    shop.write("landing/shop/shop.py", program)
    assert run_graph(shop.definitions, 'key:"landing/shop"', None)
    out = capsys.readouterr().out
    assert (
        "model on the test split: roc_auc 0.7500, log_loss 0.5000, brier 0.2000, expected_calibration_error 0.0125"
        in out
    )
    assert 'in every digit: {"brier": 0.2, "expected_calibration_error": 0.0125, "log_loss": 0.5, ' in out
    assert '"roc_auc": 0.7500000000000001}' in out
    assert "ask the endpoint:\n  curl -s http://127.0.0.1:1/v2" in out
    assert "open the UI: make ui" in out


def test_tables_of_a_project_without_partitions_are_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"domain.yaml": FILES["domain.yaml"], "gold/one/one.sql": "SELECT 1 AS one\n"}
    project = Project(tmp_path, {**files, "gold/one/defs.yaml": declaration("Table", "description: One.")})
    assert run_graph(project.definitions, "*", None)
    assert "gold/one" in capsys.readouterr().out
