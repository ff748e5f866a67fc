from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import pytest
from copied import Copied, copied

from ml_platform.engine import delta
from ml_platform.engine.taints import taints
from ml_platform.records.table import StagedFiles
from ml_platform.testing import shop as shops

WHY = ("--why", "the price list was wrong")


@pytest.fixture(scope="module")
def copy(made: shops.Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copied]:
    with copied(made.project._folder, tmp_path_factory.mktemp("tainted")) as copy:
        yield copy


def test_what_learned_from_a_version_is_tainted_in_the_ui_at_once(copy: Copied) -> None:
    result = copy.type("taint", "features/order_v1@0", *WHY)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "features/order_v1@0 is tainted: the price list was wrong",
        "models/returns version 1 is tainted, by way of training_sets/returns version 0 ← features/order_v1 version 0",
        "endpoints/returns serves a tainted version",
    ]
    for key in ("models/returns", "models/returns__champion", "endpoints/returns"):
        check = copy.untainted(key)
        assert not check.passed
        assert check.description == (
            "returns version 1: features/order_v1@0 is wrong (the price list was wrong), and was read by way of "
            "training_sets/returns version 0 ← features/order_v1 version 0."
        )
    tags = copy.project.service("model_registry").version("returns", "1").tags
    assert list(json.loads(tags["tainted"])) == ["features/order_v1@0"]


def test_a_second_taint_of_the_same_changes_nothing(copy: Copied) -> None:
    copy.type("taint", "features/order_v1@0", *WHY)
    result = copy.type("taint", "features/order_v1@0", "--why", "it was the discount")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].endswith(" UTC already: the price list was wrong")
    assert [it.subject for it in taints(copy.project.lakehouse)].count("features/order_v1@0") == 1


def test_a_file_is_tainted_with_what_it_reached(copy: Copied) -> None:
    result = copy.type("taint", "file:2024-01.csv", *WHY)
    assert result.exit_code == 0, result.output
    first, second, _ = result.stdout.splitlines()
    assert first.startswith("file:orders/2024-01.csv ")
    assert second.startswith("models/returns version 1 is tainted, by way of ")
    assert second.endswith("bronze/orders version 0")


def test_what_no_model_learned_from_taints_none(copy: Copied) -> None:
    result = copy.type("taint", "gold/totals@0", *WHY)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1] == "no registered model learned from it"


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        (
            "silver/order@0",
            "the table is 'silver/order', but none of that name is declared. Did you mean silver/orders?",
        ),
        ("silver/orders@9", "version 9 of silver/orders is to be tainted, but there never was one. Versions go from 0"),
        ("silver/orders", "silver/orders is no table and version, which are written as silver/flights@3"),
        ("file:2024-09.csv", "the file is '2024-09.csv', but no landed file goes by it"),
    ],
)
def test_what_is_not_there_is_one_sentence(copy: Copied, subject: str, told: str) -> None:
    result = copy.type("taint", subject, *WHY)
    assert result.exit_code in (1, 2)
    assert told in result.stderr


def test_a_taint_says_why(copy: Copied) -> None:
    result = copy.type("taint", "silver/orders@0", "--why", " ")
    assert result.stderr == "error: the reason is empty, but a taint says why. Say it with --why.\n"


def test_a_restore_taints_what_learned_from_what_it_took_back(copy: Copied) -> None:
    # given what the model learned from, undone by a person
    lakehouse = copy.project.lakehouse
    location = lakehouse.table("features/order_v1")
    (first, *others) = delta.existing(location).files
    before = delta.existing(location)
    fewer = StagedFiles(location, before.schema, before.partition_by, ())
    delta.commit(fewer, read=before, replaced=[first, *others], transactions={}, evidence={})
    after = delta.existing(location)
    delta.commit(replace(fewer, files=(first,)), read=after, replaced=(), transactions={}, evidence={})
    result = copy.type("restore", "features/order_v1@1", "--why", "the first file is wrong")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1:] == [
        "models/returns version 1 is tainted, by way of training_sets/returns version 0 ← features/order_v1 version 0",
        "endpoints/returns serves a tainted version",
    ]


def test_a_correction_taints_what_learned_from_the_file_before(copy: Copied) -> None:
    # given a source that takes a file again, with other numbers
    project = copy.project
    project.change("bronze/orders/defs.yaml", "files: orders", "on_change: ingest\n  files: orders")
    project.land(shops.LANDING, "orders/2024-02.csv", shops.orders("2024-02").replace(",37.0,", ",38.0,"))
    # when it is ingested
    ran = project.run('key:"bronze/orders"', shops.EVERYTHING)
    assert ran.success, ran.failures
    # then the source's check says what learned from it as it was, and the model's own says so at once
    (check,) = ran.checks["bronze/orders"]
    assert not check.passed
    assert check.description == "Learned from a file before it was corrected: models/returns version 1."
    assert any(it.subject.startswith("file:orders/2024-02.csv ") for it in taints(project.lakehouse))
    of = dg.AssetCheckKey(dg.AssetKey(["models", "returns"]), "untainted")
    found = project.instance.event_log_storage.get_latest_asset_check_execution_by_key([of])[of]
    assert "orders/2024-02.csv was corrected by " in str(found.event)


def test_a_refit_on_the_same_rows_is_tainted_before_its_gate_looks(copy: Copied) -> None:
    # given a champion that is tainted, and a candidate of other code that learns from the very same rows
    copy.type("taint", "features/order_v1@0", *WHY)
    copy.project.change("models/returns/defs.yaml", "estimator: linear", "estimator: linear\n  seed: 7")
    # when both steps are one run
    ran = copy.project.run('key:"models/returns" or key:"models/returns__champion"')
    # then the gate holds it to what any candidate is held to
    assert ran.success, ran.failures
    tags = copy.project.service("model_registry").version("returns", "2").tags
    assert "features/order_v1@0" in json.loads(tags["tainted"])
    (gate,) = (it for it in ran.checks["models/returns__champion"] if it.check_name == "gate")
    assert "the champion is tainted" not in str(gate.description)
