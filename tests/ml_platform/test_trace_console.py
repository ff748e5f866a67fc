from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ml_platform.cli import main
from ml_platform.testing import shop as shops
from ml_platform.testing.project import Project

Invoke = Callable[..., Result]
LOG = 'key:"endpoints/returns__log"'


@pytest.fixture
def invoke(made: shops.Made, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    project = made.project
    monkeypatch.setitem(sys.modules, "shop_definitions", SimpleNamespace(defs=lambda: project.definitions))
    monkeypatch.setattr("ml_platform.binding.service", project.service)
    return lambda *command: CliRunner().invoke(main, [*command, "-m", "shop_definitions"])


@pytest.fixture(scope="module")
def request_id(made: shops.Made) -> Iterator[str]:
    """A request that was answered, and is not collected yet."""
    asked: Any = made.first.said["endpoints/returns"]["example_request"]
    answer = made.project.service("endpoint_host").invoke("returns", asked)
    yield str(answer["id"])
    assert made.project.run(LOG).success  # as whoever reads the log next expects it


def words(text: str) -> list[str]:
    """The lines without how they are laid out."""
    return [" ".join(line.split()) for line in text.splitlines()]


def digest(project: Project, path: str) -> str:
    from ml_platform.engine.files import filesystem
    from ml_platform.engine.landed_file import identified

    return identified(path, filesystem(project.lakehouse.files(shops.LANDING))).digest


def test_a_served_prediction_is_followed_to_the_row_of_a_file(
    invoke: Invoke, made: shops.Made, request_id: str
) -> None:
    result = invoke("trace", "prediction", request_id)
    assert result.exit_code == 0, result.output
    lines = words(result.stdout)
    order = made.first.said["endpoints/returns"]["example_request"]["inputs"]
    (order_id,) = next(it["data"] for it in order if it["name"] == "order_id")
    april, march = (digest(made.project, f"orders/2024-{month}.csv") for month in ("04", "03"))
    assert lines[0].startswith(f"prediction {request_id}-0: 0.")
    assert lines[1] == f"in the prediction log of returns, not collected yet, order_id {order_id}"
    assert "endpoint endpoints/returns revision 1; revision 1 serves now" in lines
    assert any(line.startswith("model models/returns version 1, ") for line in lines)
    assert "gate passed" in lines
    assert "learned from training_sets/returns version 0" in lines
    at = lines.index("feature view features/order_v1 version 0: 1 row in 2024-04, by row")
    assert lines[at + 1 : at + 4] == [
        "table silver/orders version 0: 1 row in 2024-04, by row",
        "table bronze/orders version 0: 1 row in 2024-04, by row",
        f"file orders/2024-04.csv {april}: row {int(order_id[-3:])}",
    ]
    # what looks at many rows is followed by partition, those around its own included
    why = "40 with store west, by partition: features/store_recent_v1 is not made row by row"
    west = "60 rows, of them rows 2, 5, 8, 11, 14, 17, 20, 23 …"
    assert lines[at + 4 :] == [
        "feature view features/store_recent_v1 version 0: 1 row in 2024-04, by row",
        f"table silver/orders version 0: 120 rows in 2024-03...2024-04, {why}",
        f"table bronze/orders version 0: 120 rows in 2024-03...2024-04, {why}",
        f"file orders/2024-03.csv {march}: {west}",
        f"file orders/2024-04.csv {april}: {west}",
    ]


def test_a_prediction_of_a_batch_goes_by_its_event(invoke: Invoke) -> None:
    result = invoke("trace", "prediction", "predictions/returns:2024-04-012")
    assert result.exit_code == 0, result.output
    lines = words(result.stdout)
    assert lines[1] == "in predictions/returns version 0, order_id 2024-04-012"
    assert any(line.startswith("file orders/2024-04.csv ") and line.endswith(": row 12") for line in lines)


def test_a_file_is_followed_to_all_that_it_reached(invoke: Invoke, made: shops.Made) -> None:
    result = invoke("trace", "file", "2024-02.csv")
    assert result.exit_code == 0, result.output
    february = digest(made.project, "orders/2024-02.csv")
    lines = words(result.stdout)
    assert lines[0] == f"file orders/2024-02.csv {february}: 60 rows in 2024-02, taken by bronze/orders"
    assert {
        "table bronze/orders version 0",
        "table silver/orders version 0",
        "table features/order_v1 version 0",
        "table training_sets/returns version 0",
        "endpoint endpoints/returns serves such a model",
    } <= set(lines)
    assert any(line.startswith("model models/returns version 1, by features/order_v1 version 0, ") for line in lines)
    (predicted,) = (line for line in lines if line.startswith("predictions predictions/returns: 60, "))
    assert predicted.endswith("and 52 more, which --ids names")


@pytest.mark.parametrize("how", ["path", "digest", "a copy"])
def test_a_file_goes_by_its_path_its_digest_and_its_bytes(
    invoke: Invoke, made: shops.Made, tmp_path: Path, how: str
) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_text(shops.orders("2024-03"))
    names = {"path": "orders/2024-03.csv", "digest": digest(made.project, "orders/2024-03.csv"), "a copy": str(copy)}
    result = invoke("trace", "file", names[how], "--ids")
    assert result.exit_code == 0, result.output
    assert words(result.stdout)[0].startswith("file orders/2024-03.csv ")
    assert "predictions/returns:2024-04-059" in result.stdout


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("prediction", "nobody"), "the prediction is 'nobody', but no request goes by it."),
        (("prediction", "predictions/return:1"), "predictions/return is asked for, but no such predictions are"),
        (("prediction", "predictions/returns:x"), "predictions/returns:x is asked for, but predictions/returns has no"),
        (("prediction", "predictions/returns"), "an event of predictions/returns goes by order_id"),
        (("prediction", "predictions/returns:2024-04-012@noon"), "the event time is 'noon', but it is no moment"),
        (
            ("file", "orders/2024-20.csv"),
            "no landed file goes by it, and none holds the same. Did you mean orders/2024-0",
        ),
    ],
)
def test_what_is_not_there_is_one_sentence(invoke: Invoke, command: tuple[str, ...], told: str) -> None:
    result = invoke("trace", *command)
    assert result.exit_code == 1
    assert told in result.stderr, json.dumps(result.stderr)
    assert len(result.stderr.splitlines()) == 1


def test_a_prediction_is_found_once_its_log_is_collected(invoke: Invoke, made: shops.Made, request_id: str) -> None:
    assert made.project.run(LOG).success
    result = invoke("trace", "prediction", f"{request_id}-0")
    assert result.exit_code == 0, result.output
    assert words(result.stdout)[1].startswith("in endpoints/returns__log version ")
