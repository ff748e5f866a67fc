from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from copied import Copied, copied

from ml_platform.engine import delta, erasure
from ml_platform.engine.files import filesystem
from ml_platform.engine.files import put as write
from ml_platform.engine.reproduction import reproduce
from ml_platform.engine.staging import present
from ml_platform.errors import NotFoundError
from ml_platform.testing import shop as shops

# It is the last of April, so that it is the greatest of its file: statistics of logs name it.
KEY = "2024-04-059"
ERASE = ("erase", "silver/orders", "--key", f"order_id={KEY}")
HOLDING = ("bronze/orders", "silver/orders", "features/order_v1", "training_sets/returns", "predictions/returns")
NAMELESS = ("features/store_recent_v1", "gold/store_month", "gold/totals", "monitors/returns")


@pytest.fixture(scope="module")
def copy(made: shops.Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copied]:
    with copied(made.project._folder, tmp_path_factory.mktemp("erased")) as copy:
        asked = made.first.said["endpoints/returns"]["example_request"]
        assert KEY in str(asked)
        # As if the server had logged it here.
        answer = made.project.service("endpoint_host").invoke("returns", asked)
        records, _ = made.project.service("prediction_log").since("returns", 0, 1_000)
        copy.project.service("prediction_log").append([it for it in records if it.request_id.startswith(answer["id"])])
        assert made.project.run('key:"endpoints/returns__log"').success
        lakehouse, example = copy.project.lakehouse, {"seen": KEY}
        verdict = {"requests": 1, "through": 10**9, "differing": {}, "example": example}
        for folder, name, content in (
            ("platform/skew/models.returns", "endpoints.returns.json", json.dumps(verdict)),
            ("platform/data_cards", "old.json", json.dumps(example)),
            ("monitors/returns", "report.html", f"<p>{KEY}</p>"),
        ):
            write(filesystem(lakehouse.files(folder)), name, content.encode())
        assert KEY.encode() in contents(copy.home)
        yield copy


@pytest.fixture(scope="module")
def story(copy: Copied) -> dict[str, str]:
    """What was said of an erasure that was killed, of one that found what it must not touch, and of the last."""
    said = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(erasure, "break_pins", killed)
        result = copy.type(*ERASE)
        assert isinstance(result.exception, KeyboardInterrupt | SystemExit)
        said["killed"] = result.stdout
    note = copy.project.land(shops.LANDING, "notes.txt", f"the customer of {KEY} has called\n")
    result = copy.type(*ERASE)
    assert result.exit_code == 1
    said["left"] = result.stderr
    note.unlink()
    result = copy.type(*ERASE)
    assert result.exit_code == 0, result.output
    said["done"] = result.stdout
    return said


def killed(*_: object) -> list[str]:
    raise KeyboardInterrupt


def contents(home: Path) -> bytes:
    """Everything that the services keep, as it lies."""
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("erase", "silver/order", "--key", "a=b"), "the table is 'silver/order', but none of that name is declared."),
        (("erase", "silver/orders", "--key", "order=b"), "the key is order, but silver/orders has no such column."),
        (("erase", "silver/orders", "--key", "order_id=x"), "the key is order_id=x, but no row of silver/orders, or"),
        (("erase", "silver/orders", "--key", "amount=x"), "the key's amount is no double, but that is what"),
        (
            ("erase", "silver/orders", "--key", "order_id=a", "--key", "order_id=b"),
            "--key names order_id twice, but a key",
        ),
        (("erase", "silver/orders", "--key", "order_id"), "order_id is no key, which is written as column=value"),
    ],
)
def test_wrong_input_is_one_sentence_and_nothing_goes(copy: Copied, command: tuple[str, ...], told: str) -> None:
    result = copy.type(*command)
    assert result.exit_code in (1, 2)
    assert told in result.stderr
    assert len(copy.project.rows("silver/orders")) == 240


def test_nothing_is_erased_while_a_run_is_going_on(copy: Copied) -> None:
    with dg.DagsterInstance.get() as instance:
        job = copy.project.definitions.resolve_job_def("ingest")
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        result = copy.type(*ERASE)
        instance.delete_run(run.run_id)
    assert result.exit_code == 1
    assert f"the run {run.run_id} is going on, but an erasure sweeps away" in result.stderr


def test_the_key_is_gone_from_every_table_and_every_file(copy: Copied, story: dict[str, str]) -> None:
    for key in HOLDING:
        assert f"{key}: 1 row erased" in story["killed"]
        assert not [row for row in copy.project.rows(key) if row["order_id"] == KEY]
        location = copy.project.lakehouse.table(key)
        stands = {file.path for file in delta.existing(location).files}
        assert {path for path in present(location) if path.endswith(".parquet") and "_delta_log" not in path} == stands
    assert len(copy.project.rows("silver/orders")) == 239
    assert KEY.encode() not in contents(copy.home)


def test_what_is_left_is_named_and_the_same_command_ends_it(story: dict[str, str]) -> None:
    assert story["left"].splitlines() == [
        "left: landing/shop holds it in notes.txt",
        "error: it is not proven that nothing is left; mend what is named and give the command again",
    ]
    lines = story["done"].splitlines()
    assert (
        "nothing is left in tables, their logs, landed files, the online store, prediction logs, data cards"
        in lines[-3]
    )
    assert f"made again by the next run, for their rows name nobody: {', '.join(NAMELESS)}" in lines


def test_models_are_tainted_and_cannot_be_made_again(copy: Copied, story: dict[str, str]) -> None:
    for key in ("models/returns", "models/returns__champion", "endpoints/returns"):
        check = copy.untainted(key)
        assert not check.passed
        assert check.description is not None
        assert check.description.startswith("returns version 1: erasure:silver/orders by order_id ")
        assert KEY not in check.description
    registry, lakehouse, compute = (copy.project.service(it) for it in ("model_registry", "lakehouse", "compute"))
    version = registry.version("returns", "1")
    with pytest.raises(NotFoundError, match="it learned from erased rows: of features/order_v1, silver/orders, tr"):
        reproduce(version, registry, lakehouse, compute, print)


def test_the_next_run_brings_nothing_back(copy: Copied, story: dict[str, str]) -> None:
    ran = copy.project.run('group:bronze or key:"silver/orders" or key:"gold/totals"', shops.EVERYTHING)
    assert ran.success, ran.failures
    assert ran.said["bronze/orders"]["outcome"] == "unchanged"
    assert len(copy.project.rows("silver/orders")) == 239
    assert copy.project.rows("gold/totals")[0]["orders"] == 239


def test_what_can_be_no_text_is_said_not_to_have_been_looked_for(copy: Copied, story: dict[str, str]) -> None:
    row = copy.project.rows("silver/orders")[0]
    result = copy.type(
        "erase", "silver/orders", "--key", f"order_id={row['order_id']}", "--key", f"store={row['store']}"
    )
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "nothing is left in tables, their logs, landed files, the online store, prediction logs" in lines
    assert any(line.startswith("not looked for as a text, for it is no single one of 4 letters: in") for line in lines)


def test_a_second_key_of_the_same_file_goes_as_well(copy: Copied, story: dict[str, str]) -> None:
    result = copy.type("erase", "bronze/orders", "--key", "order_id=2024-04-012")
    assert result.exit_code == 0, result.output
    assert "landing/shop: orders/2024-04.csv is written again without it" in result.stdout
    landed = (Path(copy.project.lakehouse.files(shops.LANDING).uri) / "orders" / "2024-04.csv").read_text()
    assert "2024-04-012" not in landed
    assert "2024-04-013" in landed
    assert len(landed.splitlines()) == 1 + 58
