"""The scratch platform of the fire drill: the shop from landed files to a served, logged and monitored endpoint."""

from __future__ import annotations

import copy
import json
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from ml_platform.errors import PlatformError
from ml_platform.testing import shop
from ml_platform.testing.project import Project, Ran

ENDPOINT = "endpoints/returns"
MODEL = "models/returns"
CHAMPION = f"{MODEL}__champion"
MONITOR = "monitors/returns"
DECIDED = f"{MONITOR}__retraining"
LOG = f"{ENDPOINT}__log"
TRAINING_SET = "training_sets/returns"
NEW_MONTHS = ("2024-05", "2024-06")
# What the online store keeps, so that a version of the end of June can be compared by rows of April.
_KEPT_HOURS = 2400
_KEPT = "online_history_hours: 480\n"
TABLES = "group:bronze or group:silver or group:features"
ROLLOUT = """\
  rollout:
    steps: [0.5, 1.0]
    soak_minutes: 30
    guards: {error_share: 0.01, minimum_requests: 5, parity: {rows: 20}}
"""
RETRAIN = "  retrain: {when: [drift], minimum_new_labels: 20, cooldown_hours: 1}\n"


def declared() -> dict[str, str]:
    """The shop's declarations with two more months to come, a rollout, and a monitor that may ask for a retrain."""
    files = dict(shop.FILES)
    files["domain.yaml"] = files["domain.yaml"].replace('end: "2024-04"', f'end: "{NEW_MONTHS[-1]}"')
    files[f"{ENDPOINT}/defs.yaml"] = files[f"{ENDPOINT}/defs.yaml"].replace(shop.PARITY, ROLLOUT)
    files[f"{MONITOR}/defs.yaml"] += RETRAIN
    kept = f"online_history_hours: {_KEPT_HOURS}\n"
    files["features/order_v1/defs.yaml"] = files["features/order_v1/defs.yaml"].replace(_KEPT, kept)
    files["features/store_recent_v1/defs.yaml"] += f"  {kept}"
    scored = files["predictions/returns/defs.yaml"]
    files["predictions/returns/defs.yaml"] = scored.replace('"2024-04"]', f'"{NEW_MONTHS[-1]}"]')
    return files


class World:
    """A platform of its own below a folder, made once; each drill leaves it so that the next one finds it working.

    folder: an empty one. changes: path of a declaration → its text in place of the shop's, for a guard that is off.
    """

    def __init__(self, folder: Path, changes: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.files = {**declared(), **(changes or {})}
        self.project = Project(folder, self.files)
        self._began = 0.0
        shop.land(self.project.lakehouse)

    def make(self, select: str = "*") -> Ran:
        """The selected assets are made of the shop's four months. Raises RuntimeError with what failed."""
        return self.run(select, shop.EVERYTHING)

    def run(self, select: str, partitions: str = "") -> Ran:
        """A run that has to go well. Raises RuntimeError with what failed."""
        ran = self.attempt(select, partitions)
        if not ran.success:
            raise RuntimeError(f"{select} was to be made, but {dict(ran.failures)}")
        return ran

    def attempt(self, select: str, partitions: str = "") -> Ran:
        """A run that may fail; what checks show is from then on what they said in it."""
        self._began = time.time()
        return self.project.run(select, partitions)

    def make_month(self, month: str, text: str) -> Ran:
        """A month's file lands, the clock goes to its end, and it is ingested, scored and watched."""
        from ml_platform.engine import clock

        self.land(f"{month}.csv", text)
        clock.advance(self.project.lakehouse, datetime.fromisoformat(f"{month}-28").replace(tzinfo=UTC))
        watched = f'key:"predictions/returns" or key:"{MONITOR}" or key:"{DECIDED}"'
        return self.run(f"{TABLES} or {watched}", f"{month}...{month}")

    def land(self, name: str, text: str) -> Path:
        """A file of orders has landed."""
        return self.project.land(shop.LANDING, f"orders/{name}", text)

    def restore(self, path: str) -> None:
        """A declaration is what it was."""
        self.project.write(path, self.files[path])

    def count(self, key: str = "silver/orders") -> int:
        """Rows of a table."""
        return len(self.project.rows(key))

    def orders_once(self, key: str = "silver/orders") -> bool:
        """Whether no order stands twice."""
        orders = [row["order_id"] for row in self.project.rows(key)]
        return len(orders) == len(set(orders))

    @property
    def champion(self) -> int:
        """The number of the version that is champion."""
        return int(self.project.service("model_registry").version("returns", "champion").number)

    @property
    def serving(self) -> dict[int, float]:
        """Version → its share of the traffic; empty where nothing serves."""
        found = self.project.service("endpoint_host").describe("returns")
        return {number: share for number, share in found.split.shares.items() if share} if found else {}

    def ask(self, order: str = "2024-04-059") -> Mapping[str, Any]:
        """The endpoint's answer about an order. Raises PlatformError where there is none."""
        answer: Mapping[str, Any] = self.project.service("endpoint_host").invoke("returns", self._request(order))
        return answer

    def answers(self) -> bool:
        """Whether the endpoint answers with a probability."""
        try:
            (probability,) = self.ask()["outputs"][0]["data"]
        except PlatformError:
            return False
        return 0 < float(probability) < 1

    def _request(self, order: str) -> Mapping[str, Any]:
        (asked,) = [row for row in self.project.rows("silver/orders") if row["order_id"] == order]
        moment = asked["event_time"].isoformat()
        request = {**copy.deepcopy(self._example), "id": uuid.uuid4().hex}
        for column in request["inputs"]:
            column["data"] = [order if column["name"] == "order_id" else moment]
        return request

    @property
    def _example(self) -> dict[str, Any]:
        event = self.project.instance.get_latest_materialization_event(dg.AssetKey(ENDPOINT.split("/")))
        if event is None or event.asset_materialization is None:
            raise RuntimeError(f"{ENDPOINT} was not made, but its example is to be asked")
        example: Any = event.asset_materialization.metadata["example_request"].value
        return dict(example)

    def check(self, key: str, name: str) -> dg.AssetCheckEvaluation:
        """What the UI shows of an asset's check since the last run began. Raises LookupError where it shows nothing."""
        shown = dg.AssetCheckKey(dg.AssetKey(key.split("/")), name)
        record = self.project.instance.event_log_storage.get_latest_asset_check_execution_by_key([shown]).get(shown)
        event = record.event if record else None
        if event is None or event.dagster_event is None or event.timestamp < self._began:
            raise LookupError(f"the check {name} of {key} shows nothing of the last run")
        return event.dagster_event.asset_check_evaluation_data

    def server(self) -> int:
        """The process id of the endpoint's server."""
        state = self.folder / "home" / "endpoints" / "test-returns" / "state.json"
        return int(json.loads(state.read_text())["process"]["pid"])

    def close(self) -> None:
        """Its server is ended and its folder is gone."""
        self.project.service("endpoint_host").retire("returns")
        shutil.rmtree(self.folder, ignore_errors=True)


def at_once(lines: Sequence[str]) -> str:
    """Lines below the header of a file of orders."""
    return "\n".join([shop.orders("2024-01", 0).strip(), *lines, ""])
