"""Drills about what is learned from and by whom: a feature that knows the future, a registry that is down."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from ml_platform.engine import delta
from ml_platform.testing.drill.outcome import Outcome
from ml_platform.testing.drill.world import CHAMPION, TRAINING_SET, World

_VIEW = "features/order_moment_v1"
_LEAKY = '''\
"""What the moment of an order says of it, and what other orders, later ones too, say of it."""

from datetime import datetime

SEEN: dict[datetime, float] = {}


def order_moment_v1(event_time: datetime, amount: float, recent_amount: float | None) -> dict[str, float | None]:
    """The hour of the day in UTC, and by how much the amount is above the mean of all that was ever seen."""
    SEEN[event_time] = amount
    return {"hour": event_time.hour, "above_recent": amount - sum(SEEN.values()) / len(SEEN)}
'''


def leaky_feature(world: World) -> Outcome:
    """A feature remembers what it was asked of other orders."""
    location = world.project.lakehouse.table(TRAINING_SET)
    before = delta.existing(location)
    world.project.write(f"{_VIEW}/order_moment_v1.py", _LEAKY)
    try:
        ran = world.attempt(f'key:"{_VIEW}" or key:"{TRAINING_SET}"')
    finally:
        world.restore(f"{_VIEW}/order_moment_v1.py")
    leakage = world.check(TRAINING_SET, "leakage")
    return Outcome(
        "audit of leakage",
        not leakage.passed and "above_recent" in ran.failures.get(TRAINING_SET, ""),
        f"{TRAINING_SET}: leakage",
        ran.failures.get(TRAINING_SET, str(leakage.description)),
        {f"the set stands at version {before.version}": delta.existing(location).version == before.version},
    )


def registry_down(world: World) -> Outcome:
    """Nobody listens where the registry was."""
    champion = world.champion
    wanted = f'key:"{CHAMPION}" or key:"endpoints/returns"'
    with _down(world):
        ran = world.attempt(wanted)
        served = world.answers()
    again = world.run(wanted)
    said = ran.failures.get(CHAMPION, "")
    return Outcome(
        "registry, by refusing the run",
        "asked of MLflow" in said and "endpoints/returns" not in ran.said,
        f"{CHAMPION}: the run's failure",
        said,
        {
            "the endpoint answered meanwhile": served,
            f"version {champion} stayed, nothing was made twice": world.champion == champion
            and again.said["endpoints/returns"]["outcome"] == "unchanged",
        },
    )


@contextmanager
def _down(world: World) -> Iterator[None]:
    """The registry is behind a port of this machine that nobody listens at. Clients give up at once."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    services = world.project.services
    registry = services["model_registry"]
    elsewhere = {**registry.settings, "tracking_uri": f"http://127.0.0.1:{port}"}
    services["model_registry"] = replace(registry, settings=elsewhere)
    world.project.__dict__.pop("definitions", None)
    try:
        with patch.dict(os.environ, {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}):
            yield
    finally:
        services["model_registry"] = registry
        world.project.__dict__.pop("definitions", None)
