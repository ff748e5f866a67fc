from __future__ import annotations

import subprocess
import sys

import pytest

from ml_platform import binding
from ml_platform.binding import Binding, bindings
from ml_platform.errors import BindingError
from ml_platform.reachability import require_reachable


def bound(**changes: Binding) -> dict[str, Binding]:
    return {**bindings(), **changes}


def test_everything_embedded_is_in_reach() -> None:
    require_reachable(bindings())


def test_a_managed_job_with_a_local_lakehouse_is_refused_with_what_would_work() -> None:
    with pytest.raises(BindingError) as told:
        require_reachable(bound(job_runner=Binding("job_runner", "aws", {})))
    assert str(told.value) == (
        "resources/profiles/local.yaml:3: the lakehouse is embedded, but the jobs of the job_runner run in aws "
        "(resources/profiles/local.yaml:13) and cannot see it. What would work: lakehouse.service: aws; or "
        "job_runner.stages: true, so that tables are sent along as files."
    )


def test_a_local_job_is_refused_a_lakehouse_that_lends_its_credentials() -> None:
    lends = {"lakehouse": Binding("lakehouse", "databricks", {})}
    with pytest.raises(BindingError, match="the lakehouse is databricks, but the jobs of the job_runner run in embed"):
        require_reachable(bound(**lends))
    require_reachable(bound(**lends, job_runner=Binding("job_runner", "embedded", {"home": "", "stages": True})))


def test_a_table_that_is_sent_along_needs_no_reach() -> None:
    require_reachable(bound(job_runner=Binding("job_runner", "gcp", {"stages": True})))


def test_a_managed_endpoint_is_refused_a_local_store_and_a_local_log(monkeypatch: pytest.MonkeyPatch) -> None:
    host = {"endpoint_host": Binding("endpoint_host", "gcp", {})}
    with pytest.raises(BindingError, match=r"the feature_store is embedded.*endpoint_host\.lookup: caller"):
        require_reachable(bound(**host))
    monkeypatch.setenv("ML_PLATFORM_ENDPOINT_HOST__LOOKUP", "caller")
    asked = Binding("endpoint_host", "gcp", {"lookup": "${ML_PLATFORM_ENDPOINT_HOST__LOOKUP}"})
    with pytest.raises(BindingError, match="the prediction_log is embedded"):
        require_reachable(bound(endpoint_host=asked))
    require_reachable(bound(endpoint_host=asked, prediction_log=Binding("prediction_log", "gcp", {})))


@pytest.mark.parametrize(
    ("settings", "reached"),
    [
        ({"remote": "sc://127.0.0.1:15002"}, {"embedded", "aws", "gcp"}),
        ({"remote": "sc://localhost:15002/;user_id=ann"}, {"embedded", "aws", "gcp"}),
        ({"remote": "sc://[::1]:15002"}, {"embedded", "aws", "gcp"}),
        ({"remote": "sc://spark.internal:15002"}, {"aws", "gcp"}),
        ({"remote": "sc://10.0.0.7:15002"}, {"aws", "gcp"}),
        ({"cluster_id": "0123-456789-abcdefgh"}, {"aws", "databricks"}),
    ],
)
def test_what_spark_sees_depends_on_where_it_is(settings: dict[str, str], reached: set[str]) -> None:
    compute = Binding("compute", "databricks", settings)
    # tables are sent along to jobs, so that only the queries' own way is looked at
    jobs = Binding("job_runner", "embedded", {"home": "", "stages": True})

    def passes(service: str) -> bool:
        try:
            require_reachable(bound(compute=compute, job_runner=jobs, lakehouse=Binding("lakehouse", service, {})))
        except BindingError:
            return False
        return True

    assert {service for service in binding.players("lakehouse") if passes(service)} == reached


def test_a_cluster_with_a_local_lakehouse_is_refused_by_the_lines_of_the_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(BindingError) as told:
        require_reachable(bound(compute=Binding("compute", "databricks", {"cluster_id": "0123-456789-abcdefgh"})))
    assert str(told.value) == (
        "resources/profiles/local.yaml:3: the lakehouse is embedded, but the queries of the compute run in databricks "
        "(resources/profiles/local.yaml:6) and cannot see it. What would work: lakehouse.service: aws; or "
        "lakehouse.service: databricks."
    )
    # a server's place may be in a variable, and a Spark that is nowhere is told when definitions load
    monkeypatch.setenv("ML_PLATFORM_COMPUTE__REMOTE", "sc://127.0.0.1:15002")
    require_reachable(bound(compute=Binding("compute", "databricks", {"remote": "${ML_PLATFORM_COMPUTE__REMOTE}"})))
    with pytest.raises(BindingError, match="one of them says where Spark is"):
        require_reachable(bound(compute=Binding("compute", "databricks", {})))


def test_a_service_that_a_variable_named_is_told_by_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_PLATFORM_JOB_RUNNER", "databricks")
    with pytest.raises(BindingError, match=r"run in databricks \(ML_PLATFORM_JOB_RUNNER\)"):
        require_reachable(bindings())


def test_definitions_do_not_load_where_a_store_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_PLATFORM_JOB_RUNNER", "aws")
    code = "from ml_platform.definitions import defs; defs()"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert loaded.returncode
    assert "the lakehouse is embedded, but the jobs of the job_runner run in aws" in loaded.stderr


@pytest.mark.parametrize("profile", ["local", "aws", "gcp", "databricks", "mixed"])
def test_profiles_as_they_come_pair_services_that_see_each_other(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_PLATFORM_PROFILE", profile)
    require_reachable(binding.bindings())
