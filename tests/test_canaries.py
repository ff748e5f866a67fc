"""Canaries: secrets of the environment, of addresses and of errors, which stand nowhere after runs, good and bad."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster_shared.serdes import serialize_value

from ml_platform.records.table import Location
from ml_platform.testing import shop
from ml_platform.testing.cloud_slice import contents, holding
from ml_platform.testing.project import Project, Ran

CANARIES = ("canary-access", "canary-password", "canary-token", "canary-option", "canary-query")
_FAILS = """\
import os

import polars as pl


def fails(orders: pl.DataFrame) -> pl.DataFrame:
    \"\"\"An error as libraries raise them, with all that they were told.\"\"\"
    address, token = os.environ["SHOP_DATABASE"], os.environ["SHOP_TOKEN"]
    try:
        raise ConnectionError(f"cannot reach {address}")
    except ConnectionError as error:
        raise RuntimeError(f"request failed, headers were Authorization: {token}") from error
"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The shop, whose instance keeps what happens in files; one of its tables fails, and so does a landing."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-access")
    monkeypatch.setenv("SHOP_DATABASE", "postgresql://ann:canary-password@127.0.0.1:1/shop?sslpassword=canary-query")
    monkeypatch.setenv("SHOP_TOKEN", "canary-token")
    monkeypatch.setenv("SHOP_ACCOUNT_KEY", "canary-option")
    failing = {
        "gold/fails/defs.yaml": shop.declaration(
            "Table", "description: It never is.\\ninputs: [silver/orders]".replace("\\n", "\n")
        ),
        "gold/fails/fails.py": f'"""A table that is never made."""\n\n{_FAILS}',
        "landing/tills/defs.yaml": shop.declaration(
            "Landing",
            "description: Tills.\ndatabase: {connection: SHOP_DATABASE, table: tills, watermark: id, by: key}",
        ),
    }
    project = Project(tmp_path, {**shop.FILES, **failing}, keeps=True)
    shop.land(project.lakehouse)
    yield project
    project.service("endpoint_host").retire("returns")


def test_no_canary_is_in_what_is_kept_or_shown(kept: Project, capfd: pytest.CaptureFixture[str]) -> None:
    ran = kept.run("*", shop.EVERYTHING)
    assert set(ran.failures) == {"gold/fails", "landing/tills"}
    assert "report" in ran.said["monitors/returns"]
    kept.service("endpoint_host").invoke("returns", ran.said["endpoints/returns"]["example_request"])
    assert kept.run('key:"endpoints/returns__log"').success
    assert ran.failures["gold/fails"].endswith("headers were Authorization: [hidden].")
    assert "models/returns__champion" in ran.said
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        shown = serialize_value(RepositorySnap.from_def(kept.definitions.get_repository_def()))
    told = capfd.readouterr()
    everything = [("UI", shown.encode()), ("out", told.out.encode()), ("err", told.err.encode()), *_failures(ran)]
    everything += list(contents(Location("", str(kept.root.parent))))
    # tables, logs, model files, jobs and dagster's databases are all there
    assert {".parquet", ".json", ".db", ".sqlite", ".log", ".jsonl", ".html"} <= {
        Path(where).suffix for where, _ in everything
    }
    assert holding([canary.encode() for canary in CANARIES], everything) == []
    # one that had got there would be found
    (kept.root.parent / "home" / "planted.txt").write_text(CANARIES[0])
    assert len(holding([CANARIES[0].encode()], list(contents(Location("", str(kept.root.parent)))))) == 1


def _failures(ran: Ran) -> list[tuple[str, bytes]]:
    return [(key, text.encode()) for key, text in ran.failures.items()]
