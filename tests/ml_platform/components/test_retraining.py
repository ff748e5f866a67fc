from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from ml_platform.engine import decisions
from ml_platform.records.retraining import Decision
from ml_platform.testing.project import Project, Ran
from ml_platform.testing.shop import Made
from ml_platform.watching import retrain_tags

DECLARED = "monitors/returns/defs.yaml"
KEY = "monitors/returns__retraining"


@pytest.fixture
def deciding(made: Made) -> Iterator[Project]:
    """The shop with a monitor whose drift asks for a retrain as soon as one label came."""
    text = (made.project.root / DECLARED).read_text()
    asks = "thresholds: {psi: 0.000001}\n  retrain: {when: [drift], minimum_new_labels: 1, cooldown_hours: 24}"
    made.project.write(DECLARED, text.replace("minimum_rows: 20", f"minimum_rows: 20\n  {asks}"))
    yield made.project
    made.project.write(DECLARED, text)
    made.project.run('key:"monitors/returns"')


def run(project: Project) -> Ran:
    return project.run(f'key:"monitors/returns" or key:"{KEY}"')


def look(project: Project) -> dg.SensorResult | dg.SkipReason:
    repository = project.definitions.get_repository_def()
    with dg.build_sensor_context(project.instance, repository_def=repository) as context:
        return repository.get_sensor_def("retraining").evaluate_tick(context)  # type: ignore[return-value]


def test_decision_is_beside_its_monitor_and_reads_it(deciding: Project) -> None:
    node = deciding.node(KEY)
    assert {key.to_user_string() for key in node.parent_keys} == {"monitors/returns", "models/returns__champion"}
    assert [key.name for key in node.check_keys] == ["incident"]


def test_drift_without_new_labels_waits_and_the_reasons_are_shown(
    deciding: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run(deciding).said[KEY]
    assert said["decision"] == "wait"
    assert "- Data drift: in 2024-04, " in said["reasons"]
    assert "- Waits: 0 labels came that no version learned from, of 1." in said["reasons"]
    assert run(deciding).said[KEY]["outcome"] == "unchanged"
    assert look(deciding).run_requests == []

    # when labels come, then it asks; the sensor makes one run of it, and none while one is on its way
    monkeypatch.setattr("ml_platform.engine.asking.new_labels", lambda *_: 5)
    said = run(deciding).said[KEY]
    assert said["decision"] == "retrain"
    assert f" of {KEY}: learn it anew. Data drift: in 2024-04, " in said["tell"]
    assert [record.data["outcome"] for record in said["decisions"].records][:2] == ["retrain", "wait"]
    assert run(deciding).said[KEY]["outcome"] == "unchanged"

    (request,) = look(deciding).run_requests
    assert [key.to_user_string() for key in request.asset_selection] == [
        "training_sets/returns",
        "models/returns",
        "models/returns__champion",
    ]
    assert look(deciding).run_requests[0].run_key == request.run_key
    with dg.DagsterInstance.ephemeral() as busy:
        busy.add_run(dg.DagsterRun("retrain", status=dg.DagsterRunStatus.STARTED, tags=retrain_tags("models/returns")))
        repository = deciding.definitions.get_repository_def()
        with dg.build_sensor_context(busy, repository_def=repository) as context:
            assert repository.get_sensor_def("retraining").evaluate_tick(context).run_requests == []


def test_a_retrain_leaves_the_gate_to_the_person_who_promotes(shop: Project) -> None:
    # given a model that somebody promotes by hand, and a decision that asks for a retrain
    shop.change("models/returns/defs.yaml", "metric: log_loss", "metric: log_loss\n    promote: manual")
    shop.change(DECLARED, "minimum_rows: 20", "minimum_rows: 20\n  retrain: {}")
    asks = Decision(1, datetime(2024, 5, 1, tzinfo=UTC), "retrain", ("It drifted.",), 1, 5)
    decisions.record(shop.lakehouse.table(KEY), lambda _: asks)
    # then neither the sensor's run nor the job moves the alias
    (request,) = look(shop).run_requests
    made = ["training_sets/returns", "models/returns"]
    assert [key.to_user_string() for key in request.asset_selection] == made
    job = shop.definitions.resolve_job_def("retrain")
    assert {key.to_user_string() for key in job.asset_layer.executable_asset_keys} == set(made)
