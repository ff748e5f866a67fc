from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from ml_platform.cli import main
from ml_platform.engine import delta
from ml_platform.errors import DeclarationError
from ml_platform.testing import shop as shops
from ml_platform.testing.project import Project, Ran
from ml_platform.testing.shop import EVERYTHING, Made

DECLARED = "models/returns/defs.yaml"
CHAMPION = "models/returns__champion"
LACKING = "preprocessing: [{ordinal: {features: [store], order: [north, south]}}]"
SIZES = "preprocessing: [{impute: {features: [recent_amount], by: mean}}, {scale: {features: [amount]}}]"
COSTS = '''\
"""What an order costs, by least squares."""

import numpy as np


def fit(train, validate, question):
    """The coefficients of the amount, of each store but the last, and of all."""
    return {"coefficients": np.linalg.lstsq(_columns(train.x), train.y)[0]}


def predict(state, x):
    """The cost of each order."""
    return _columns(x) @ state["coefficients"]


def _columns(x):
    return np.column_stack([x[:, 0], x[:, 1] == 0, x[:, 1] == 1, np.ones(len(x))])
'''
FLOORS = "{roc_auc: 0.5, log_loss: 0.75}"
METRIC = "metric: log_loss"
MANUAL = f"{METRIC}\n    promote: manual"


@dataclass(frozen=True)
class Story:
    """What happened to one model, step by step; `commands` are what was done on the command line."""

    ran: Mapping[str, Ran]
    numbers: Mapping[str, int | None]
    commands: Mapping[str, Result]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A baseline that nobody promotes, then under floors that it misses, then under ones that it keeps; a better model;
    a worse one; a hand that moves the alias, a command that does; and a model that would pass, promoted by hand."""
    folder = tmp_path_factory.mktemp("story")
    shop = shops.project(folder)
    ran: dict[str, Ran] = {}
    numbers: dict[str, int | None] = {}
    commands: dict[str, Result] = {}
    registry = shop.service("model_registry")

    def ask(name: str, *arguments: str) -> None:
        commands[name] = on_the_command_line(shop, folder, *arguments)
        champion = registry.version("returns", "champion")
        numbers[name] = champion and champion.number

    def step(name: str, select: str = 'key:"models/returns"+') -> None:
        ran[name] = shop.run(select)
        champion = registry.version("returns", "champion")
        numbers[name] = champion and champion.number

    try:
        shop.run("group:bronze or group:silver or group:features or group:training_sets", EVERYTHING)
        shop.change(DECLARED, "estimator: linear", f"estimator: linear\n  {LACKING}")
        step("broken", 'key:"models/returns"')
        shop.change(DECLARED, f"estimator: linear\n  {LACKING}", "estimator: baseline")
        shop.change(DECLARED, METRIC, MANUAL)
        ask("nobody promotes", "run", "--select", 'key:"models/returns"+')
        shop.change(DECLARED, MANUAL, METRIC)
        shop.change(DECLARED, FLOORS, "{roc_auc: 0.7}")
        ask("floors missed", "run", "--select", 'key:"models/returns"+')
        step("floors missed")
        shop.change(DECLARED, "{roc_auc: 0.7}", FLOORS)
        step("promoted by hand", f'key:"{CHAMPION}"')
        step("served")
        shop.change(DECLARED, "estimator: baseline", "estimator: linear")
        step("better")
        shop.change(DECLARED, "estimator: linear", "estimator: baseline\n  seed: 1")
        step("worse")
        step("worse again")
        registry.move_alias("returns", "champion", 1)
        step("moved by a hand", f'key:"{CHAMPION}"')
        ask("told to", "promote", "returns@2", "--why", "the new one forgets")
        step("after the command", f'key:"{CHAMPION}" or key:"endpoints/returns"')
        registry.move_alias("returns", "champion", 1)
        shop.change(DECLARED, "estimator: baseline\n  seed: 1", "estimator: linear\n  seed: 1")
        shop.change(DECLARED, METRIC, MANUAL)
        ask("would pass", "run", "--select", 'key:"models/returns"+')
        step("beside its model", f'key:"models/returns" or key:"{CHAMPION}"')
        step("beside what serves", f'key:"{CHAMPION}" or key:"endpoints/returns"')
        step("named", f'key:"{CHAMPION}"')
        yield Story(ran, numbers, commands)
    finally:
        shop.service("endpoint_host").retire("returns")


def on_the_command_line(shop: Project, folder: Path, *arguments: str) -> Result:
    """What `ml-platform` says of the shop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(folder))
        patch.setenv("ML_PLATFORM_HOME", str(folder / "home"))
        patch.setenv("ML_PLATFORM_ENV", "test")
        patch.setitem(sys.modules, "shop_definitions", SimpleNamespace(defs=lambda: shop.definitions))
        (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        module = ["-m", "shop_definitions"] if arguments[0] == "run" else []
        return CliRunner().invoke(main, [*arguments, *module])


def gate(ran: Ran) -> dg.AssetCheckEvaluation:
    (check,) = (each for each in ran.checks[CHAMPION] if each.check_name == "gate")
    return check


def test_candidate_and_champion_stand_in_the_graph(made: Made) -> None:
    candidate, champion = made.project.node("models/returns"), made.project.node(CHAMPION)
    assert {key.to_user_string() for key in candidate.parent_keys} == {"training_sets/returns"}
    assert {key.to_user_string() for key in champion.parent_keys} == {"models/returns"}
    assert candidate.kinds == {"model", "linear"}
    assert champion.kinds == {"model", "gate"}
    assert sorted(key.name for key in champion.check_keys) == ["gate", "untainted"]


def test_candidate_says_its_version_metrics_and_plots(made: Made) -> None:
    said = made.first.said["models/returns"]
    assert (said["outcome"], said["model_version"]) == ("fitted as version 1", 1)
    assert made.first.data_versions["models/returns"] == said["model_digest"]
    assert said["read"].records[0].data["table"] == "training_sets/returns"
    # knowing the amount ranks six orders in seven rightly
    assert 0.7 < said["test_roc_auc"] < 1
    for plot in ("roc", "precision_recall", "calibration", "confusion", "importance", "learning_curve"):
        head, _, rest = said[plot].partition("base64,")
        assert head == f"![{plot}](data:image/png;"
        assert base64.b64decode(rest.rstrip(")")).startswith(b"\x89PNG")
    rows = {(record.data["model"], record.data["split"]) for record in said["metrics"].records}
    assert ("candidate", "test") in rows
    assert ("baseline", "test") in rows
    assert said["model_card"].startswith("# models/returns\n\nA binary model by the estimator linear.")


def test_first_candidate_is_promoted_with_its_reasons(made: Made) -> None:
    assert made.first.said[CHAMPION]["outcome"] == "version 1 promoted"
    check = gate(made.first)
    assert check.passed
    assert not check.blocking
    assert "roc_auc of the candidate" in check.metadata["reasons"].value
    assert made.first.data_versions[CHAMPION] == made.first.data_versions["models/returns"]


def test_second_run_fits_nothing_and_examines_nothing(made: Made) -> None:
    assert made.again.said["models/returns"]["outcome"] == "unchanged"
    assert made.again.said[CHAMPION]["outcome"] == "unchanged"
    assert gate(made.again).passed


def test_refused_with_no_champion_fails_the_run_with_the_reasons(story: Story) -> None:
    ran = story.ran["floors missed"]
    assert not ran.success
    assert "models/returns version 1 did not pass its gate, and no champion stands" in ran.failures[CHAMPION]
    assert "roc_auc" in ran.failures[CHAMPION]
    assert story.numbers["floors missed"] is None
    assert not {"endpoints/returns", "predictions/returns", "monitors/returns"} & set(ran.said)


def test_materializing_the_champion_is_promotion_by_hand(story: Story) -> None:
    ran = story.ran["promoted by hand"]
    assert ran.success
    assert set(ran.said) == {CHAMPION}
    assert ran.said[CHAMPION]["outcome"] == "version 1 promoted"
    assert story.numbers["promoted by hand"] == 1
    assert story.ran["served"].said["endpoints/returns"]["revision"] == 1


def test_better_candidate_is_promoted_and_downstream_follows(story: Story) -> None:
    ran = story.ran["better"]
    assert ran.success
    assert ran.said[CHAMPION]["outcome"] == "version 2 promoted"
    # loaded beside the first, then with all of the traffic, then alone
    assert ran.said["endpoints/returns"]["outcome"] == "revision 4 serves"
    assert ran.said["predictions/returns"]["outcome"] == "60 rows added, 0 removed"
    assert ran.said["monitors/returns"]["outcome"] != "unchanged"
    assert story.numbers["better"] == 2


def test_worse_candidate_is_refused_and_the_champion_goes_on(story: Story) -> None:
    ran, before = story.ran["worse"], story.ran["better"]
    assert ran.success
    assert ran.said["models/returns"]["outcome"] == "fitted as version 3"
    assert ran.said[CHAMPION]["outcome"] == "version 3 refused, version 2 stays"
    assert ran.data_versions[CHAMPION] == before.data_versions[CHAMPION]
    for key in ("endpoints/returns", "predictions/returns", "monitors/returns"):
        assert ran.said[key]["outcome"] == "unchanged"
        assert ran.data_versions[key] == before.data_versions[key]
    assert story.numbers["worse"] == 2


@pytest.mark.parametrize("step", ["worse", "worse again"])
def test_refusal_is_a_failed_check_that_blocks_nothing_and_says_why(story: Story, step: str) -> None:
    check = gate(story.ran[step])
    assert not check.passed
    assert not check.blocking
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert "log_loss" in check.metadata["reasons"].value
    measured = {record.data["metric"]: record.data for record in check.metadata["metrics"].value.records}
    assert measured["log_loss"]["candidate"] > measured["log_loss"]["champion"]


def test_refused_candidate_is_not_examined_again(story: Story) -> None:
    assert story.ran["worse again"].said[CHAMPION]["outcome"] == "unchanged"


def test_first_run_with_promotion_by_hand_makes_a_candidate_and_says_what_is_left_to_do(story: Story) -> None:
    command = story.commands["nobody promotes"]
    assert command.exit_code == 1
    assert (
        'models/returns__champion is left out: it is promoted by hand, by who selects nothing but key:"'
        in command.stdout
    )
    assert "fitted as version 1" in command.stdout
    assert "models/returns has no champion, but something serves or scores with it" in command.stderr
    assert story.numbers["nobody promotes"] is None


def test_a_run_of_more_promotes_nothing_by_itself_where_promotion_is_by_hand(story: Story) -> None:
    command = story.commands["would pass"]
    assert command.exit_code == 0, command.output
    assert "fitted as version 4" in command.stdout
    assert story.numbers["would pass"] == 1
    for beside in ("beside its model", "beside what serves"):
        ran = story.ran[beside]
        assert (ran.success, gate(ran).passed, story.numbers[beside]) == (True, False, 1)
        told = gate(ran).metadata["reasons"].value
        assert told.startswith(
            "- Withheld: it is promoted by hand, and this run makes more than champions. Materialize"
        )
        assert f"Materialize {CHAMPION} and nothing beside it" in told
        # What the rules make of it is told all the same.
        assert "Kept: log_loss" in told
    assert story.ran["named"].said[CHAMPION]["outcome"] == "version 4 promoted"
    assert story.numbers["named"] == 4


def test_champion_that_is_promoted_by_hand_is_in_no_job_and_follows_nothing(shop: Project) -> None:
    assert shop.node(CHAMPION).automation_condition is not None
    shop.change(DECLARED, METRIC, MANUAL)
    champion = shop.node(CHAMPION)
    assert champion.automation_condition is None
    assert champion.tags["ml_platform/promote"] == "manual"
    for name in ("everything", "refresh"):
        made = shop.definitions.resolve_job_def(name).asset_layer.executable_asset_keys
        assert champion.key not in made
        assert dg.AssetKey(["endpoints", "returns"]) in made


def test_an_alias_moved_by_a_hand_is_told_in_the_check_and_not_undone(story: Story) -> None:
    ran = story.ran["moved by a hand"]
    assert ran.success
    assert ran.said[CHAMPION]["outcome"] == "version 3 refused, version 1 stays"
    latest = gate(ran).metadata["moves"].value.records[0].data
    assert (latest["number"], latest["was"], latest["by"]) == (1, 2, "hand")
    assert story.numbers["moved by a hand"] == 1


def test_promotion_by_command_keeps_its_reason_and_downstream_follows(story: Story) -> None:
    command = story.commands["told to"]
    assert command.exit_code == 0, command.output
    assert "from version 1 to version 2 by ml-platform promote, for: the new one forgets" in command.stdout
    ran = story.ran["after the command"]
    latest = gate(ran).metadata["moves"].value.records[0].data
    assert (latest["number"], latest["by"], latest["why"]) == (2, "command", "the new one forgets")
    assert ran.data_versions[CHAMPION] == story.ran["better"].data_versions[CHAMPION]
    assert story.numbers["after the command"] == 2


def test_check_shows_the_interval_and_what_was_compared_on_what(story: Story) -> None:
    told = gate(story.ran["better"]).metadata
    (interval,) = told["improvement"].value.records
    assert 0 < interval.data["low"] < interval.data["estimate"] < interval.data["high"]
    assert (told["candidate"].value, told["compared_with"].value) == (2, "1")
    assert told["evaluated_on"].value.records[0].data["table"] == "training_sets/returns"
    measured = {record.data["metric"]: record.data for record in told["metrics"].value.records}
    assert measured["latency_p99_ms"]["candidate"] > 0
    assert measured["size_mib"]["champion"] > 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("training_sets/returns", "training_sets/return", "it reads 'training_sets/return', but .*Did you mean"),
        (
            "training_sets/returns",
            "silver/orders",
            "silver/orders is a Table, but what is needed there is a TrainingSet",
        ),
        ("estimator: linear", "estimator: oracle", "estimator is 'oracle', but that cannot be"),
        ("task: binary", "task: binary\n  seed: -1", "seed is -1, but that cannot be"),
        ("task: binary", "task: binary\n  needs: {cpus: 2}", "needs.cpus is set, but a Model has no such field"),
    ],
)
def test_wrong_declaration_is_refused_by_its_own_file(shop: Project, old: str, new: str, message: str) -> None:
    shop.change(DECLARED, old, new)
    with pytest.raises(DeclarationError, match=rf"{DECLARED}.*{message}"):
        _ = shop.definitions


def test_fit_that_fails_fails_the_run_with_the_jobs_reason(story: Story) -> None:
    ran = story.ran["broken"]
    assert not ran.success
    assert "in the order north, south, but west is a value of it too" in ran.failures["models/returns"]
    assert CHAMPION not in ran.said


def test_gate_that_refuses_with_no_champion_exits_with_1(story: Story) -> None:
    command = story.commands["floors missed"]
    assert command.exit_code == 1
    error = command.stderr
    assert error.startswith("error: models/returns__champion: models/returns version 1 did not pass its gate")
    assert "Broken: roc_auc of the candidate" in error
    assert "skipped: endpoints/returns, endpoints/returns__log, monitors/returns, predictions/returns" in (
        command.stdout
    )


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Ran]]:
    """A shop that asks of each order which size it has, by a Python model and by classes, and what it costs."""
    shop = shops.project(tmp_path_factory.mktemp("kinds"))
    shop.change(
        "silver/orders/orders.sql",
        "SELECT order_id,",
        "SELECT CASE WHEN amount < 30 THEN 'small' WHEN amount < 70 THEN 'medium' ELSE 'large' END AS size,\n"
        "    2 * amount + CASE store WHEN 'west' THEN 10 ELSE 0 END AS cost,\n    order_id,",
    )
    for name, label, task, estimator, floors in (
        ("sizes", "size", "multiclass", "linear", "{accuracy: 0.7}"),
        ("costs", "cost", "regression", "python", "{r2: 0.8}"),
    ):
        for kind in ("training_sets", "models", "endpoints", "predictions", "monitors"):
            text = shops.FILES[f"{kind}/returns/defs.yaml"].replace("/returns", f"/{name}")
            text = text.replace("label: returned", f"label: {label}").replace("task: binary", f"task: {task}")
            text = text.replace("estimator: linear", f"estimator: {estimator}").replace(
                "metric: log_loss\n", "split: test\n"
            )
            shop.write(f"{kind}/{name}/defs.yaml", text.replace(FLOORS, floors))
    shop.write("models/costs/costs.py", COSTS)
    shop.change("models/sizes/defs.yaml", "estimator: linear", f"estimator: linear\n  {SIZES}")
    try:
        yield (
            shop,
            shop.run(
                '+key:"monitors/sizes" or +key:"monitors/costs" or key:"endpoints/sizes" or key:"endpoints/costs"',
                EVERYTHING,
            ),
        )
    finally:
        for name in ("sizes", "costs"):
            shop.service("endpoint_host").retire(name)


def test_every_task_goes_the_whole_way(kinds: tuple[Project, Ran]) -> None:
    shop, ran = kinds
    assert ran.success, ran.failures
    assert ran.said["models/sizes"]["test_accuracy"] > 0.7
    assert ran.said["models/costs"]["test_r2"] > 0.99
    assert ran.said["models/sizes__champion"]["outcome"] == "version 1 promoted"
    rows = delta.read_rows(delta.existing(shop.lakehouse.table("predictions/sizes"))).to_pylist()
    assert {row["prediction"] for row in rows} == {"small", "medium", "large"}
    assert all(1 / 3 <= row["probability"] <= 1 for row in rows)
    watched = delta.read_rows(delta.existing(shop.lakehouse.table("monitors/sizes"))).to_pylist()
    assert {row["rows"] for row in watched if row["feature"] == "prediction"} == {60}


def test_what_endpoints_of_other_tasks_answer_is_logged(kinds: tuple[Project, Ran]) -> None:
    shop, ran = kinds
    host = shop.service("endpoint_host")
    answers = {name: host.invoke(name, ran.said[f"endpoints/{name}"]["example_request"]) for name in ("sizes", "costs")}
    size, shares = answers["sizes"]["outputs"]
    assert size["data"][0] in ("small", "medium", "large")
    assert shares["shape"] == [1, 3]
    (cost,) = answers["costs"]["outputs"]
    assert cost["name"] == "value"
    assert shop.run('key:"endpoints/sizes__log" or key:"endpoints/costs__log"').success
    # what was compared before the endpoint had traffic named its version
    logged = {
        name: [row for row in shop.rows(f"endpoints/{name}__log") if not row["named"]] for name in ("sizes", "costs")
    }
    assert json.loads(logged["sizes"][0]["output"]) == dict(
        zip(answers["sizes"]["parameters"]["classes"], shares["data"], strict=True)
    )
    assert logged["costs"][0]["output"] == cost["data"][0]
