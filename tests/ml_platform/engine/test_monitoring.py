from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from ml_platform.engine import metrics
from ml_platform.engine.asking import evidence, new_labels, said
from ml_platform.engine.kept_report import report_of
from ml_platform.engine.monitoring import Monitored, Monitoring, findings, watch
from ml_platform.engine.rollout import State, rolled_back
from ml_platform.engine.rollout_log import Entry, RolloutLog
from ml_platform.engine.skew import Skew
from ml_platform.engine.terms import Terms
from ml_platform.engine.watched import Watched
from ml_platform.errors import NotFoundError
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.records.monitor import Finding, MonitorRules, QualityRules
from ml_platform.records.retraining import Policy
from ml_platform.testing import training_set
from ml_platform.testing.memory_model_registry import MemoryModelRegistry
from resources.embedded.compute import EmbeddedCompute
from resources.embedded.lakehouse import EmbeddedLakehouse

NOW = datetime(2014, 1, 2, 10, 30, tzinfo=UTC)
WATCHED = Watched(
    table="predictions/late",
    logged=False,
    entity=("id",),
    event_time="event_time",
    window="month",
    timezone="UTC",
    task="binary",
    labels="gold/outcomes",
    label="late",
)
RULES = MonitorRules(minimum_rows=500, freshness_hours=48, quality=QualityRules())
MONITORING = Monitoring("monitors/late", "models/late", WATCHED, RULES, "c")
LOG = replace(MONITORING, watched=replace(WATCHED, table="endpoints/late__log", logged=True, window="day"))
COMPUTE = EmbeddedCompute(threads=1)
MONTHS = ("2013-10", "2013-11", "2013-12")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted")
    pin = training_set.write(folder / "rows")
    (folder / "package").mkdir()
    fit(JobOrder(training_set.fit_arguments(pin, estimator="baseline"), {}), folder / "package")
    return folder / "package"


@pytest.fixture
def registry(package: Path) -> MemoryModelRegistry:
    made = MemoryModelRegistry()
    made.register("late", package, {})
    made.move_alias("late", "champion", 1)
    return made


@pytest.fixture
def lakehouse(tmp_path: Path) -> EmbeddedLakehouse:
    """Predictions of three months: as trained, with the wind shifted, and with a handful of rows; a label for each."""
    made = EmbeddedLakehouse(str(tmp_path / "lakehouse"))
    rows = training_set.rows(seed=11)
    shifted = rows.set_column(1, "wind", pa.array(rows["wind"].to_numpy() + 2))
    for place, part in enumerate((rows, shifted, rows.slice(0, 20))):
        write_deltalake(made.table("predictions/late").uri, predicted(place, part), mode="append")
        write_deltalake(made.table("gold/outcomes").uri, outcomes(place, part), mode="append")
    return made


def moment(place: int) -> datetime:
    return datetime.fromisoformat(f"{MONTHS[place]}-20T00:00:00+00:00")


def repeated(value: Any, count: int) -> pa.Array:
    return pa.array([value] * count, pa.timestamp("us", tz="UTC") if isinstance(value, datetime) else None)


def predicted(place: int, part: pa.Table, version: int = 1, **changed: Any) -> pa.Table:
    count = part.num_rows
    columns = {name: part[name] for name in training_set.FEATURES}
    columns |= {
        "id": pa.array(part["id"].to_numpy() + 10_000 * place),
        "month": repeated(MONTHS[place], count),
        "event_time": repeated(moment(place), count),
        "prediction": part["chance"],
        "processed_at": repeated(datetime(2013, 12, 1, tzinfo=UTC), count),
        "model_version": repeated(version, count),
    }
    return pa.table({**columns, **changed})


def outcomes(place: int, part: pa.Table, **changed: Any) -> pa.Table:
    count = part.num_rows
    columns = {
        "id": pa.array(part["id"].to_numpy() + 10_000 * place),
        "event_time": repeated(moment(place), count),
        "known_at": repeated(moment(place) + timedelta(hours=5), count),
        "late": part["late"],
    }
    return pa.table({**columns, **changed})


def look(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry, of: Monitoring = MONITORING, now: datetime = NOW
) -> dict[tuple[str, str, str], Finding]:
    monitored = watch(of, now, lakehouse, COMPUTE, registry)
    assert monitored.findings == findings(monitored.made)
    return {(one.window, one.feature, one.statistic): one for one in monitored.findings}


def test_shifted_feature_is_named_in_its_window_alone(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    found = look(lakehouse, registry)

    assert found["2013-10", "wind", "psi"].state == "steady"
    assert found["2013-11", "wind", "psi"].state == found["2013-11", "wind", "ks"].state == "drifted"
    assert found["2013-11", "carrier", "psi"].state == "steady"
    assert {one.state for (window, feature, _), one in found.items() if window == "2013-12" and feature == "wind"} == {
        "not enough data"
    }
    assert found["2013-12", "", "rows"].state == "broken"


def test_distance_is_scipys_of_the_rows_within_a_hundredth(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    from scipy.stats import ks_2samp

    trained, seen = training_set.rows(), training_set.rows(seed=11)
    train = trained.filter(pa.compute.equal(trained["split"], "train"))["wind"].drop_null().to_numpy()
    exact = ks_2samp(train, seen["wind"].drop_null().to_numpy() + 2).statistic
    found = look(lakehouse, registry)["2013-11", "wind", "ks"].value
    assert found is not None
    assert exact - 0.011 <= found <= exact


def test_quality_is_that_of_the_labels_which_have_come(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    rows = training_set.rows(seed=11)
    found = look(lakehouse, registry)
    loss = found["2013-10", "prediction", "log_loss"]
    assert loss.value == pytest.approx(metrics.log_loss(rows["late"].to_numpy(), rows["chance"].to_numpy()))
    assert (loss.rows, loss.state) == (5000, "steady")
    area = found["2013-10", "prediction", "roc_auc"]
    assert area.value == pytest.approx(metrics.roc_auc(rows["late"].to_numpy(), rows["chance"].to_numpy()), abs=1e-3)
    assert area.lower is not None
    assert area.upper is not None
    assert area.lower < area.value < area.upper  # type: ignore[operator]


def test_labels_count_as_they_are_known_by_the_clock(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    # given a clock that went back before November's labels were known
    found = look(lakehouse, registry, now=moment(1) + timedelta(hours=4))
    assert found["2013-10", "prediction", "log_loss"].rows == 5000
    assert found["2013-11", "prediction", "log_loss"].rows == 0
    assert found["2013-11", "prediction", "log_loss"].state == "not enough data"


def test_label_that_comes_twice_counts_once_as_it_was_known_last(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    rows, uri = training_set.rows(seed=11), lakehouse.table("gold/outcomes").uri
    late = repeated(moment(0) + timedelta(hours=6), 5000)
    write_deltalake(uri, outcomes(0, rows), mode="append")  # the same again
    other = outcomes(0, rows, known_at=late, late=pa.compute.invert(rows["late"]))
    write_deltalake(uri, other.slice(0, 1000), mode="append")
    # of these nobody can say which holds
    write_deltalake(uri, outcomes(0, rows, late=pa.compute.invert(rows["late"])).slice(1000, 500), mode="append")

    one = look(lakehouse, registry)["2013-10", "prediction", "log_loss"]
    truth = rows["late"].to_numpy(zero_copy_only=False).copy()
    truth[:1000] = ~truth[:1000]
    kept = np.r_[0:1000, 1500:5000]
    assert one.rows == 4500
    assert one.value == pytest.approx(metrics.log_loss(truth[kept], rows["chance"].to_numpy()[kept]))


def test_labels_that_never_come_are_broken(lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry) -> None:
    rows = training_set.rows(seed=11)
    write_deltalake(lakehouse.table("gold/outcomes").uri, outcomes(1, rows).slice(0, 100), mode="overwrite")
    found = look(lakehouse, registry)
    assert found["2013-11", "prediction", "labelled_share"].value == pytest.approx(0.02)
    assert found["2013-11", "prediction", "labelled_share"].state == "broken"


def test_baseline_of_another_schema_is_broken_and_the_rest_is_told(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    part = predicted(1, training_set.rows(seed=11), wind=repeated("strong", 5000)).drop_columns(["carrier"])
    write_deltalake(lakehouse.table("predictions/late").uri, part, mode="overwrite", schema_mode="overwrite")
    found = look(lakehouse, registry)
    assert found["2013-11", "carrier", "schema"].detail == "the baseline has it, but what is watched does not"
    assert found["2013-11", "wind", "schema"].value == 1.0
    assert found["2013-11", "hour", "psi"].state == "steady"
    _, broken = said(Policy(), list(found.values()))
    assert [sentence.partition(",")[0] for sentence in broken] == ["Freshness: in 2013-11", "Input: in 2013-11"]


def test_event_that_was_scored_again_counts_once(lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry) -> None:
    again = predicted(0, training_set.rows(seed=11), processed_at=repeated(datetime(2013, 12, 9, tzinfo=UTC), 5000))
    write_deltalake(lakehouse.table("predictions/late").uri, again, mode="append")
    assert look(lakehouse, registry)["2013-10", "", "rows"].value == 5000


def test_nothing_of_the_champion_is_not_enough_data(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry, package: Path
) -> None:
    registry.register("late", package, {"fingerprint": "other"})
    registry.move_alias("late", "champion", 2)
    found = look(lakehouse, registry)
    assert {one.state for one in found.values()} == {"not enough data"}
    assert {window for window, *_ in found} == {"none yet"}


def logged(lakehouse: EmbeddedLakehouse, days: dict[str, int], version: int = 1, first: int = 0, **said: Any) -> None:
    """Requests on some days, each of the log's own form; the log stands, empty too."""
    rows, place = training_set.rows(seed=12).to_pylist(), first
    told: dict[str, list[Any]] = {name: [] for name in ("event_time", "model_version", "inputs", "features", "output")}
    for day, count in days.items():
        for row in rows[place : place + count]:
            told["event_time"].append(datetime.fromisoformat(f"{day}T12:00:00+00:00"))
            told["model_version"].append(version)
            told["inputs"].append(json.dumps({"id": row["id"]}))
            told["features"].append(json.dumps({name: row[name] for name in training_set.FEATURES}))
            told["output"].append(row["chance"])
        place += count
    types = [pa.timestamp("us", tz="UTC"), pa.int64(), pa.string(), pa.string(), pa.float64()]
    columns = {name: pa.array(of, kind) for (name, of), kind in zip(told.items(), types, strict=True)}
    beside = {"error": "", "shadow": False, "named": False, **said}
    count = len(told["output"])
    columns |= {
        name: pa.array([value] * count, pa.string() if name == "error" else pa.bool_())
        for name, value in beside.items()
    }
    table = pa.table(columns)
    write_deltalake(lakehouse.table("endpoints/late__log").uri, table, mode="append")


def test_log_is_read_as_the_batch_is(lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry) -> None:
    logged(lakehouse, {"2013-12-30": 1500, "2013-12-31": 1500})
    rows = training_set.rows(seed=12).slice(0, 1500)
    at = repeated(datetime(2013, 12, 30, 12, tzinfo=UTC), 1500)
    known = repeated(datetime(2013, 12, 30, 18, tzinfo=UTC), 1500)
    labels = outcomes(0, rows, id=rows["id"], event_time=at, known_at=known)
    write_deltalake(lakehouse.table("gold/outcomes").uri, labels, mode="append")

    found = look(lakehouse, registry, LOG)

    assert {found["2013-12-31", name, "psi"].state for name in training_set.FEATURES} == {"steady"}
    one = found["2013-12-30", "prediction", "log_loss"]
    assert one.rows == 1500
    assert one.value == pytest.approx(metrics.log_loss(rows["late"].to_numpy(), rows["chance"].to_numpy()))


def test_empty_log_is_not_enough_data(lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry) -> None:
    logged(lakehouse, {})
    assert {one.state for one in look(lakehouse, registry, LOG).values()} == {"not enough data"}


def test_what_a_log_does_not_hold_in_the_clear_is_not_compared(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    logged(lakehouse, {"2013-12-31": 600})
    hidden = replace(LOG, watched=replace(LOG.watched, redacted=("carrier",)))
    found = look(lakehouse, registry, hidden)
    one = found["2013-12-31", "carrier", "psi"]
    assert (one.value, one.state, one.detail) == (None, "not enough data", "the log does not hold it in the clear")
    assert found["2013-12-31", "hour", "psi"].state == "steady"
    report_of(watch(hidden, NOW, lakehouse, COMPUTE, registry), "…", lakehouse)


def test_hole_in_a_log_breaks_its_volume(lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry) -> None:
    logged(lakehouse, {"2013-12-29": 600, "2013-12-31": 600})
    found = look(lakehouse, registry, LOG)
    assert (found["2013-12-30", "", "rows"].value, found["2013-12-30", "", "rows"].state) == (0, "broken")


def test_log_that_falls_silent_breaks_its_volume_though_no_age_is_asked(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    logged(lakehouse, {"2013-12-28": 600, "2013-12-29": 600})
    found = look(lakehouse, registry, LOG)
    assert (found["2013-12-30", "", "rows"].value, found["2013-12-30", "", "rows"].state) == (0, "broken")


def test_during_a_rollout_drift_is_of_the_champion_and_volume_of_both(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    logged(lakehouse, {"2013-12-30": 1200, "2013-12-31": 600})
    logged(lakehouse, {"2013-12-31": 600}, version=2, first=2000)
    for first, beside in enumerate(({"shadow": True}, {"named": True})):
        logged(lakehouse, {"2013-12-31": 500}, first=3000 + 500 * first, **beside)  # what is no traffic
    found = look(lakehouse, registry, LOG)
    assert found["2013-12-31", "wind", "psi"].rows == 600
    assert (found["2013-12-31", "", "rows"].value, found["2013-12-31", "", "rows"].state) == (1200, "steady")


def test_after_a_roll_back_what_is_watched_is_what_serves_again(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry, package: Path
) -> None:
    logged(lakehouse, {"2013-12-31": 600})
    registry.register("late", package, {})
    registry.move_alias("late", "champion", 2)
    assert look(lakehouse, registry, LOG)["2013-12-31", "wind", "psi"].state == "not enough data"
    new, old = (Terms(number, "d", {}, ()) for number in (2, 1))
    log = RolloutLog(lakehouse.table("endpoints/late__rollout"))
    entry = log.write(Entry(State(new.target, old.target, "step", share=0.5), new, old), NOW)
    assert look(lakehouse, registry, LOG)["2013-12-31", "wind", "psi"].state == "not enough data"
    log.write(replace(entry, state=rolled_back(entry.state, ["Broken."])), NOW)
    found = look(lakehouse, registry, LOG)["2013-12-31", "wind", "psi"]
    assert (found.rows, found.state) == (600, "steady")


def test_requests_without_an_answer_break_the_volume_and_are_no_drift(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    logged(lakehouse, {"2013-12-31": 900})
    logged(lakehouse, {"2013-12-31": 100}, first=900, error="the online store is down")
    found = look(lakehouse, registry, LOG)
    failed = found["2013-12-31", "", "failed_share"]
    assert (failed.value, failed.state, failed.detail) == (0.1, "broken", "100 requests got no answer")
    assert (found["2013-12-31", "wind", "psi"].rows, found["2013-12-31", "", "rows"].value) == (900, 1000)


def test_watching_again_is_unchanged_until_the_hour_or_an_audit_changes(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(now: datetime) -> bool:
        return watch(MONITORING, now, lakehouse, COMPUTE, registry).made.commit.unchanged

    assert not again(NOW)
    assert again(NOW + timedelta(minutes=29))
    assert not again(NOW + timedelta(minutes=30))
    found = {"endpoints.late": Skew(50, 50, {"wind": 5})}
    monkeypatch.setattr("ml_platform.engine.skew.verdicts", lambda model, lakehouse: found)
    assert look(lakehouse, registry)["2013-12", "wind", "differing"].value == 0.1


def test_report_is_drawn_once_for_the_same_findings(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    def kept(monitored: Monitored) -> Path:
        return Path(report_of(monitored, "What is <watched>.", lakehouse))

    path = kept(watch(MONITORING, NOW, lakehouse, COMPUTE, registry))
    text, at = path.read_text(), path.stat().st_mtime_ns
    assert kept(watch(MONITORING, NOW, lakehouse, COMPUTE, registry)).stat().st_mtime_ns == at
    assert "What is &lt;watched&gt;." in text
    assert all(text.count(f"<h3>{name}</h3>") == 1 for name in training_set.FEATURES)
    assert not any(outside in text for outside in ("http://", "https://", "<script", "src=", "@import", "url("))
    # one that was lost after the commit is drawn again from the counts
    path.unlink()
    assert kept(watch(MONITORING, NOW, lakehouse, COMPUTE, registry)).read_text() == text


def test_labels_are_new_beyond_those_that_the_newest_version_learned_from(
    lakehouse: EmbeddedLakehouse, registry: MemoryModelRegistry
) -> None:
    training_set.write(Path(lakehouse.table("training_sets/late").uri))  # 5,000 rows
    pin = {"key": "training_sets/late", "version": 0}
    registry.record("late", 1, {"training_set": json.dumps(pin)})
    champion = registry.version("late", "champion")
    assert champion is not None
    assert new_labels(champion, WATCHED, NOW, lakehouse, COMPUTE) == 5000 + 5000 + 20 - 5000
    found = tuple(look(lakehouse, registry).values())
    steady = [one for one in found if one.window == "2013-11"]
    known = evidence(Policy(), steady, (), 1, champion, WATCHED, NOW, lakehouse, COMPUTE, running=False)
    assert known.new_labels == 5020
    assert known.broken == ()
    assert known.asking[0].startswith("Data drift: in 2013-11, wind ")


def test_without_a_champion_there_is_no_baseline(lakehouse: EmbeddedLakehouse) -> None:
    with pytest.raises(NotFoundError, match="has no champion"):
        watch(MONITORING, NOW, lakehouse, COMPUTE, MemoryModelRegistry())
