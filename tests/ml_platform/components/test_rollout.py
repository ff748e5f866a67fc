from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from ml_platform.cli import main
from ml_platform.engine import alias_log, delta, rolled_out
from ml_platform.engine.estimators.baseline import BaselineEstimator
from ml_platform.engine.package import Feature, ModelCard, write_card
from ml_platform.engine.rollout_log import Entry, RolloutLog
from ml_platform.errors import DeclarationError
from ml_platform.records.prediction import ServedPrediction
from ml_platform.testing import shop as shops
from ml_platform.testing.project import Project, Ran
from resources.mlflow import packages

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
KEY, NAME = "endpoints/returns", "returns"
ROLLOUT = """\
  rollout:
    steps: [0.5, 1.0]
    soak_minutes: 30
    guards: {error_share: 0.01, minimum_requests: 5, parity: {rows: 20}}
"""
FEATURES = (Feature("amount", "number"), Feature("store", "category", shops.STORES), Feature("recent_amount", "number"))


@pytest.fixture(scope="module")
def served(_tables: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The shop with a declared rollout; version 1, by hand, is registered and serves. Each test leaves it so."""
    folder = tmp_path_factory.mktemp("rollout")
    shutil.copytree(_tables._folder / "home", folder / "home")
    project = Project(folder, shops.FILES)
    project.write(f"{KEY}/defs.yaml", shops.FILES[f"{KEY}/defs.yaml"].replace(shops.PARITY, ROLLOUT))
    try:
        assert project.run('key:"training_sets/returns"').success
        promote(project, 0.25)
        ran = project.run(f'key:"{KEY}"')
        assert ran.success, ran.failures
        yield project
    finally:
        project.service("endpoint_host").retire(NAME)


def promote(project: Project, rate: float, **tags: str) -> int:
    """A new version that answers that rate is the champion, moved by hand."""
    registry, snapshot = (
        project.service("model_registry"),
        delta.existing(project.lakehouse.table("training_sets/returns")),
    )
    package = project._folder / f"package-{rate}"
    package.mkdir()
    versions = {name: metadata.version(name) for name in packages._NEEDED}
    write_card(package, ModelCard("binary", "baseline", "returned", FEATURES, {}, seed=1, versions=versions))
    BaselineEstimator(rate).save(package)
    (package / packages.PLOTS).mkdir()
    (package / packages.METRICS).write_text("{}")
    example = {"amount": [1.0], "store": ["north"], "recent_amount": [2.0]}
    (package / packages.INPUT_EXAMPLE).write_text(json.dumps(example))
    pin = {"key": "training_sets/returns", "version": snapshot.version, "fingerprint": delta.fingerprint(snapshot)}
    version = registry.register(NAME, package, {"training_set": json.dumps(pin), **tags})
    registry.move_alias(NAME, "champion", version.number)
    return int(version.number)


def champion(project: Project) -> int:
    return int(project.service("model_registry").version(NAME, "champion").number)


def run(project: Project, **config: Any) -> Ran:
    if not config:
        return project.run(f'key:"{KEY}"')
    job = project.definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=project.instance,
        asset_selection=[dg.AssetKey(KEY.split("/"))],
        run_config={"ops": {KEY.replace("/", "__"): {"config": config}}},
    )
    assert result.success
    return Ran(True, {}, {}, {}, {}, {})


def serving(project: Project) -> dict[int, float]:
    return dict(project.service("endpoint_host").describe(NAME).split.shares)


def asked(project: Project) -> list[Any]:
    """The runs that the sensor asks for."""
    repository = project.definitions.get_repository_def()
    with dg.build_sensor_context(project.instance, repository_def=repository) as context:
        return list(repository.get_sensor_def("rollouts").evaluate_tick(context).run_requests or [])


def log(project: Project, version: int, count: int, **more: Any) -> None:
    """So many answers of a version stand in the prediction log, by now."""
    one = ServedPrediction("r", NAME, 1, version, NOW, NOW, {}, {}, {}, 0.5, 1.0, **more)
    project.service("prediction_log").append([replace(one, request_id=f"r-{number}") for number in range(count)])


def test_first_version_serves_in_one_run_after_parity(served: Project) -> None:
    said = run(served)
    (check,) = (each for each in said.checks[KEY] if each.check_name == "rollout")
    assert (check.check_name, check.passed) == ("rollout", True)
    assert said.said[KEY]["outcome"] == "unchanged"
    assert said.said[KEY]["stage"] == "served"
    stages = [record.data["stage"] for record in said.said[KEY]["rollout"].records]
    assert stages == ["served", "served", "loaded", "loaded"]
    assert len(served.rows(f"{KEY}__rollout")) == 4


def test_promotion_goes_by_steps_that_the_sensor_asks_for_to_all_of_the_traffic(
    served: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = champion(served), promote(served, 0.5)
    monkeypatch.setenv("ML_PLATFORM_NOW", NOW.isoformat())
    # when the endpoint is made, the new version is compared and takes the first step
    ran = run(served)
    assert ran.success, ran.failures
    assert serving(served) == {old: 0.5, new: 0.5}
    assert ran.said[KEY]["outcome"].endswith(f": version {new} has 50 %")
    assert ran.said[KEY]["traffic"] == {str(old): 0.5, str(new): 0.5}
    (check,) = (each for each in ran.checks[KEY] if each.check_name == "rollout")
    assert (check.passed, check.severity) == (True, dg.AssetCheckSeverity.WARN)
    assert {record.data["guard"]: record.data["verdict"] for record in check.metadata["guards"].records} == {
        "parity": "kept",
        "error_share": "waits",
    }
    # then the sensor asks when it is time, once, and again only if nobody looked
    assert asked(served) == []
    monkeypatch.setenv("ML_PLATFORM_NOW", (NOW + timedelta(minutes=30)).isoformat())
    (request,), (same,) = asked(served), asked(served)
    assert [key.to_user_string() for key in request.asset_selection] == [KEY]
    assert request.run_key == same.run_key
    # while that run is on its way, nobody is asked
    on_its_way = dg.DagsterRun(job_name="rollout", run_id="r", tags=request.tags, status=dg.DagsterRunStatus.STARTED)
    served.instance.add_run(on_its_way)
    assert asked(served) == []
    served.instance.delete_run("r")
    monkeypatch.setenv("ML_PLATFORM_NOW", (NOW + timedelta(minutes=45)).isoformat())
    assert asked(served)[0].run_key != request.run_key
    # too few requests hold it, enough take it on
    assert run(served).checks[KEY][0].description.startswith("error_share waits for 5 answers, and has 0")
    for minutes, share in ((50, {old: 0.0, new: 1.0}), (80, {new: 1.0})):
        log(served, new, 5)
        monkeypatch.setenv("ML_PLATFORM_NOW", (NOW + timedelta(minutes=minutes)).isoformat())
        last = run(served)
        assert serving(served) == share
    assert last.said[KEY]["stage"] == "served"
    assert run(served).said[KEY]["outcome"] == "unchanged"
    monkeypatch.setenv("ML_PLATFORM_NOW", (NOW + timedelta(days=9)).isoformat())
    assert asked(served) == []


def test_failed_guard_goes_back_says_why_and_is_remembered_until_it_is_tried_again(served: Project) -> None:
    old, new = champion(served), promote(served, 0.75)
    run(served)
    assert serving(served) == {old: 0.5, new: 0.5}
    log(served, new, 5, error="ServiceError: boom")
    back = run(served)
    (check,) = (each for each in back.checks[KEY] if each.check_name == "rollout")
    why = f"Version {new} went back. Broken: error_share is 1 of 5 requests, and 0.01 is allowed."
    assert (back.success, check.passed, check.description) == (True, False, why)
    assert serving(served) == {old: 1.0}
    assert back.said[KEY]["outcome"].endswith(f": version {new} went back")
    again = run(served)
    assert (again.checks[KEY][0].passed, again.said[KEY]["outcome"], serving(served)) == (
        False,
        "unchanged",
        {old: 1.0},
    )
    run(served, retry=True)
    assert serving(served) == {old: 0.5, new: 0.5}
    served.service("model_registry").move_alias(NAME, "champion", old)
    run(served)
    assert serving(served) == {old: 1.0}


def test_champion_that_an_endpoint_went_back_from_is_told_and_gives_way_to_the_old_one_by_the_command(
    served: Project,
) -> None:
    # given a champion that an endpoint went back from
    old, new = champion(served), promote(served, 0.7)
    run(served)
    log(served, new, 5, error="ServiceError: boom")
    assert run(served).checks[KEY][0].passed is False
    registry = served.service("model_registry")
    (told,) = rolled_out.went_back(registry.version(NAME, str(new)))
    assert told.startswith(f"{KEY} went back from version {new}, at 20")
    assert "error_share is 1 of 5" in told
    # so that whoever looks at its gate reads it first
    registry.move_alias(NAME, "challenger", new)
    examined = served.run(f'key:"models/{NAME}__champion"').checks[f"models/{NAME}__champion"]
    assert next(check for check in examined if check.check_name == "gate").description.startswith(told)
    # when the old one is made champion again, by the command that the README names
    command = ["promote", f"{NAME}@{old}", "--why", f"{KEY} went back"]
    home = {"ML_PLATFORM_HOME": str(served._folder / "home"), "ML_PLATFORM_ENV": "test"}
    assert CliRunner(env=home).invoke(main, command).exit_code == 0
    # then it serves, nothing is on its way, and that it was a person's doing is told
    ran = run(served)
    assert (ran.checks[KEY][0].passed, serving(served), champion(served)) == (True, {old: 1.0}, old)
    last = alias_log.moves(registry.versions(NAME))[-1]
    assert (last.was, last.number, last.by, last.why) == (new, old, "command", f"{KEY} went back")


def test_alias_that_was_moved_by_hand_is_told_before_the_version_serves(served: Project) -> None:
    old, new = champion(served), promote(served, 0.6)
    registry = served.service("model_registry")
    assert run(served).success
    registry.move_alias(NAME, "champion", old)
    assert run(served).success
    told = [(move.was, move.number, move.by) for move in alias_log.moves(registry.versions(NAME))]
    assert told[-2:] == [(old, new, "hand"), (new, old, "hand")]


def test_run_that_is_killed_behind_a_step_is_taken_up_where_it_was(
    served: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = champion(served), promote(served, 0.8)
    write, lives = RolloutLog.write, iter([True] * 3)

    def mortal(log: RolloutLog, entry: Entry, at: datetime) -> Entry:
        if not next(lives, False):
            raise RuntimeError("killed")
        return write(log, entry, at)

    with monkeypatch.context() as patched:
        patched.setattr(RolloutLog, "write", mortal)
        assert not run(served).success
    # the step serves, and nobody could write down that it does
    assert serving(served) == {old: 0.5, new: 0.5}
    assert run(served).success
    assert serving(served) == {old: 0.5, new: 0.5}
    served.service("model_registry").move_alias(NAME, "champion", old)
    assert run(served).success
    assert serving(served) == {old: 1.0}


def test_server_that_is_gone_comes_back_where_what_is_wanted_meanwhile_cannot_be_compared(served: Project) -> None:
    host, standing = served.service("endpoint_host"), champion(served)
    host.retire(NAME)
    promote(served, 0.9, training_set="null")
    ran = run(served)
    (check,) = (each for each in ran.checks[KEY] if each.check_name == "rollout")
    assert (ran.success, check.passed) == (True, False)
    assert "parity has no row to compare by" in check.description
    assert serving(served) == {standing: 1.0}
    served.service("model_registry").move_alias(NAME, "champion", standing)
    assert run(served).success


@pytest.mark.parametrize(
    ("rollout", "message"),
    [
        (
            "{steps: [0.5, 0.1, 1.0]}",
            r":7: rollout\.steps is \[0\.5, 0\.1, 1\.0\], but traffic only ever grows",
        ),
        ("{steps: [0.05, 0.5]}", r"rollout\.steps is .*ascend to 1\.0"),
        ("{steps: []}", "steps"),
        ("{soak_minutes: -1}", "soak_minutes is -1"),
        ("{guards: {error_share: 2}}", "error_share is 2"),
        ("{guards: {parity: {tolerance: 0}}}", "tolerance is 0"),
        ("{guards: {latency: 5}}", "latency is set, but"),
    ],
)
def test_rollout_that_cannot_be_is_refused_by_file(shop: Project, rollout: str, message: str) -> None:
    text = shops.FILES[f"{KEY}/defs.yaml"]
    shop.write(f"{KEY}/defs.yaml", text.replace(shops.PARITY, f"  rollout: {rollout}\n"))
    with pytest.raises(DeclarationError, match=rf"{KEY}/defs\.yaml.*?{message}"):
        _ = shop.definitions
