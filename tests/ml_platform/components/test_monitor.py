from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project, Ran
from ml_platform.testing.shop import Made

DECLARED = "monitors/returns/defs.yaml"


FAMILIES = {"drift", "prediction_drift", "quality", "skew", "freshness", "volume", "input"}


def check_of(ran: Ran, name: str) -> dg.AssetCheckEvaluation:
    (found,) = [check for check in ran.checks["monitors/returns"] if check.check_name == name]
    return found


@pytest.fixture
def monitor(made: Made) -> Iterator[Callable[..., Ran]]:
    """Runs the monitor and what it decides, as it is declared otherwise; the declaration is as it was afterwards."""
    text = (made.project.root / DECLARED).read_text()

    def run(*more: str, minimum_rows: int = 20, select: str = "monitors/returns") -> Ran:
        written = text.replace("minimum_rows: 20", "\n  ".join([f"minimum_rows: {minimum_rows}", *more]))
        made.project.write(DECLARED, written)
        return made.project.run(f'key:"{select}"')

    yield run
    made.project.write(DECLARED, text)
    made.project.run('key:"monitors/returns"')


def test_monitor_depends_on_what_it_watches_and_joins_and_has_a_check_a_family(made: Made) -> None:
    node = made.project.node("monitors/returns")
    read = {key.to_user_string() for key in node.parent_keys}
    assert read == {"predictions/returns", "models/returns__champion", "silver/orders"}
    assert node.kinds == {"deltalake", "monitor"}
    assert {key.name for key in node.check_keys} == FAMILIES


def test_monitor_shows_a_picture_a_report_and_a_row_a_window_and_feature(made: Made) -> None:
    said = made.first.said["monitors/returns"]
    assert said["drift"].startswith("![drift](data:image/svg+xml;base64,")
    rows = {(record.data["window"], record.data["feature"]): record.data for record in said["windows"].records}
    watched = ("amount", "store", "recent_amount", "hour", "above_recent", "prediction")
    assert set(rows) == {("2024-04", feature) for feature in watched}
    assert rows["2024-04", "amount"]["rows"] == 60
    assert {record.data["table"] for record in said["read"].records} == {"predictions/returns", "silver/orders"}
    assert "<h3>recent_amount</h3>" in Path(said["report"]).read_text()


def test_months_that_are_alike_pass_the_check_and_nothing_changes_in_a_second_run(made: Made) -> None:
    # the amounts and stores of every month are the very same numbers
    rows = {record.data["feature"]: record.data for record in made.first.said["monitors/returns"]["windows"].records}
    assert rows["amount"]["psi"] == pytest.approx(0)
    assert rows["store"]["psi"] == pytest.approx(0)
    assert not any(check.blocking for check in made.first.checks["monitors/returns"])
    assert made.again.said["monitors/returns"]["outcome"] == "unchanged"


def test_month_that_moved_fails_the_check_and_not_the_run(monitor: Callable[..., Ran]) -> None:
    ran = monitor("thresholds: {psi: 0.000001}")
    check = check_of(ran, "drift")
    assert ran.success
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.metadata["window"].value == "2024-04"
    assert check.metadata["failing"].value


def test_too_few_rows_are_a_state_of_their_own(monitor: Callable[..., Ran]) -> None:
    check = check_of(monitor(minimum_rows=61), "drift")
    assert check.passed
    assert check.metadata["state"].value == "not enough data"
    assert check.metadata["not_enough_data"].value == ["2024-04"]


def test_monitor_of_an_endpoints_log_says_that_too_few_have_asked_yet(made: Made, monitor: Callable[..., Ran]) -> None:
    made.project.change(DECLARED, "predictions: predictions/returns", "log_of: endpoints/returns")
    made.project.change(DECLARED, "window: month", "window: day")
    ran = made.project.run('key:"monitors/returns"')
    assert ran.success, ran.failures
    assert all(check.passed for check in ran.checks["monitors/returns"])
    # a rollout asks by version to see that answers agree, 200 times and more, which is audited and no traffic
    states = {check.check_name: check.metadata["state"].value for check in ran.checks["monitors/returns"]}
    assert states["drift"] == states["prediction_drift"] == states["quality"] == "not enough data"


def test_broken_input_is_an_error_and_an_incident_and_asks_for_nothing(monitor: Callable[..., Ran]) -> None:
    # given a clock that stands long after the newest order
    ran = monitor("freshness_hours: 1", "thresholds: {psi: 0.000001}", "retrain: {}")
    assert check_of(ran, "freshness").severity == dg.AssetCheckSeverity.ERROR
    decided = monitor(
        "freshness_hours: 1", "thresholds: {psi: 0.000001}", "retrain: {}", select="monitors/returns__retraining"
    )
    (incident,) = decided.checks["monitors/returns__retraining"]
    assert decided.said["monitors/returns__retraining"]["decision"] == "incident"
    assert not incident.passed
    assert "Freshness: in 2024-04" in str(incident.description)


def test_monitor_without_predictions_fails_the_run(tables: Project) -> None:
    assert "models/returns has no champion" in tables.run('key:"monitors/returns"').failures["monitors/returns"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("predictions/returns", "predictions/return", "it reads 'predictions/return', but .*Did you mean"),
        ("predictions/returns", "silver/orders", "silver/orders is a Table, but what is needed there is a Predictions"),
        ("models/returns", "gold/totals", "gold/totals is a Table, but what is needed there is a Model"),
        ("minimum_rows: 20", "thresholds: {psi: -1}", "psi is -1"),
        ("minimum_rows: 20", "features: {amont: {psi: 1}}", "learns from no such feature. Did you mean amount"),
        ("minimum_rows: 20", "baseline: season", "baseline is season, but baseline_windows is 1"),
        ("predictions: predictions/returns", "", "predictions and log_of are both left out"),
        ("minimum_rows: 20", "log_of: endpoints/returns", "predictions and log_of are both set"),
    ],
)
def test_wrong_declaration_is_refused_by_file(shop: Project, old: str, new: str, message: str) -> None:
    shop.change(DECLARED, old, new)
    with pytest.raises(DeclarationError, match=rf"{DECLARED}.*{message}"):
        _ = shop.definitions


def test_answers_that_are_gone_before_their_labels_come_are_refused(shop: Project) -> None:
    # given labels that come within a week, and a log that is kept for five days
    request = "request: {order_id: string}"
    shop.change("endpoints/returns/defs.yaml", request, f"{request}\n  log: {{retention_days: 5}}")
    shop.change(DECLARED, "predictions: predictions/returns", "log_of: endpoints/returns")
    shop.change(DECLARED, "window: month", "window: day")
    with pytest.raises(DeclarationError, match=rf"{DECLARED}.*within_hours is 168, .* for 5 days, so that answers are"):
        _ = shop.definitions
