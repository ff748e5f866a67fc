from __future__ import annotations

import dagster as dg
import pytest

from ml_platform.happenings import checks, failed_runs, sentences
from ml_platform.watching import TELL

KEY = dg.AssetKey(["monitors", "x"])
CHECK = dg.AssetCheckKey(KEY, "drift")


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def evaluated(instance: dg.DagsterInstance, passed: bool, failing: list[str], text: str = "…") -> None:
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=KEY,
            check_name="drift",
            passed=passed,
            metadata={"failing": failing},
            severity=dg.AssetCheckSeverity.WARN,
            description=text,
        )
    )


def test_check_stands_as_its_latest_evaluation(instance: dg.DagsterInstance) -> None:
    assert list(checks(instance, [CHECK])) == []
    evaluated(instance, False, ["amount"])
    (failed,) = checks(instance, [CHECK])
    assert (failed.state, failed.severity, failed.subject) == ("failed ['amount']", "warning", "drift of monitors/x")
    evaluated(instance, True, [])
    (kept,) = checks(instance, [CHECK])
    assert kept.state == ""


def test_numbers_that_move_make_no_other_failure(instance: dg.DagsterInstance) -> None:
    evaluated(instance, False, ["amount"], "amount 0.31")
    (first,) = checks(instance, [CHECK])
    evaluated(instance, False, ["amount"], "amount 0.32")
    (second,) = checks(instance, [CHECK])
    assert first.state == second.state


def test_sentence_is_that_of_the_latest_materialization(instance: dg.DagsterInstance) -> None:
    assert list(sentences(instance, [KEY])) == []
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY, metadata={TELL: "Learn it anew."}))
    assert [one.state for one in sentences(instance, [KEY])] == ["Learn it anew."]
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY))
    assert [one.state for one in sentences(instance, [KEY])] == [""]


def test_first_look_only_begins_to_watch_runs(instance: dg.DagsterInstance) -> None:
    instance.add_run(dg.DagsterRun("everything", status=dg.DagsterRunStatus.FAILURE))
    begun = failed_runs(instance, None)
    assert begun.runs == ()
    assert [one.severity for one in failed_runs(instance, begun.until - 60).runs] == ["error"]
    assert failed_runs(instance, begun.until + 60).runs == []
