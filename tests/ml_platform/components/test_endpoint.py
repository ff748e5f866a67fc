from __future__ import annotations

import json
import shlex
import subprocess

import pytest

from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import Made


def ask(command: str) -> dict[str, object]:
    """The answer to a printed curl command, run as it stands."""
    finished = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=30, check=True)
    return json.loads(finished.stdout)


def test_endpoint_depends_on_the_champion_and_on_what_it_looks_up(made: Made) -> None:
    node = made.project.node("endpoints/returns")
    read = {key.to_user_string() for key in node.parent_keys}
    assert read == {"models/returns__champion", "features/order_v1", "features/store_recent_v1"}
    assert node.kinds == {"endpoint"}
    log = made.project.node("endpoints/returns__log")
    assert {key.to_user_string() for key in log.parent_keys} == {"endpoints/returns"}


def test_printed_curl_is_answered_and_collected_into_the_log_exactly_once(made: Made) -> None:
    before = len(made.project.rows("endpoints/returns__log"))
    answer = ask(made.again.said["endpoints/returns"]["ask"])
    (probability,) = answer["outputs"][0]["data"]
    assert 0 < probability < 1
    assert made.project.run('key:"endpoints/returns__log"').success
    rows = made.project.rows("endpoints/returns__log")
    assert len(rows) == before + 1
    last = max(rows, key=lambda row: row["sequence"])
    assert (last["output"], last["model_version"]) == (probability, 1)
    assert json.loads(rows[-1]["inputs"])["order_id"].startswith("2024-04-")
    assert made.project.run('key:"endpoints/returns__log"').said["endpoints/returns__log"]["outcome"] == "unchanged"


def test_endpoint_answers_as_the_model_scored_in_batch(made: Made) -> None:
    answer = ask(made.again.said["endpoints/returns"]["ask"])
    asked = shlex.split(made.again.said["endpoints/returns"]["ask"])[-1]
    (order,) = json.loads(asked)["inputs"][0]["data"]
    scored = next(row for row in made.project.rows("predictions/returns") if row["order_id"] == order)
    assert answer["outputs"][0]["data"] == pytest.approx([scored["prediction"]])


def test_served_features_are_those_of_the_offline_path(made: Made) -> None:
    ask(made.again.said["endpoints/returns"]["ask"])
    (check,) = made.project.run('key:"endpoints/returns__log"').checks["endpoints/returns__log"]
    assert (check.check_name, check.passed) == ("skew", True)
    assert check.metadata["requests"].value >= 1


def test_what_is_too_old_goes_from_the_log_though_its_audit_fails(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []

    def fails(*_: object) -> None:
        raise OverflowError

    with monkeypatch.context() as patched:
        patched.setattr("ml_platform.engine.skew.audit", fails)
        patched.setattr("ml_platform.components.endpoint_log.DeclaredLog.keep", lambda _, name, *__: kept.append(name))
        assert not made.project.run('key:"endpoints/returns__log"').success
    assert kept == ["returns"]
    assert made.project.run('key:"endpoints/returns__log"').success


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("models/returns", "models/retruns", "it reads 'models/retruns', but .*Did you mean models/returns"),
        ("models/returns", "gold/totals", "gold/totals is a Table, but what is needed there is a Model"),
        ("order_id: string", "order_id: text", "request.order_id is 'text', but that cannot be"),
        ("{order_id: string}", "{order: string}", "request is to carry 'order', but nothing was learned by that"),
        ("{order_id: string}", "{}", "features/order_v1 is looked up by order_id, but neither the request nor"),
    ],
)
def test_wrong_declaration_is_refused_by_file(shop: Project, old: str, new: str, message: str) -> None:
    shop.change("endpoints/returns/defs.yaml", old, new)
    with pytest.raises(DeclarationError, match=rf"endpoints/returns/defs.yaml.*{message}"):
        _ = shop.definitions
