"""Drills about what serves: a version that fails its users during a rollout, a server that is killed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import psutil

from ml_platform.engine.alias_log import promoted_by_command
from ml_platform.errors import PlatformError
from ml_platform.testing.drill.outcome import Outcome
from ml_platform.testing.drill.world import ENDPOINT, LOG, MODEL, World

_REQUESTS = 40
_FAILING = '''\
"""A model that answers what it was tried with, and fails for an amount that it has never seen."""


def fit(train, validate, question):
    """The share of returned orders."""
    return {"rate": train.y.mean()}


def predict(state, x):
    """That share, whatever is asked."""
    if (x[:, 0] > 500).any():
        raise ValueError("the amount is beyond the table")
    return x[:, 0] * 0 + state["rate"]
'''


def failing_rollout(world: World) -> Outcome:
    """A version that passes parity and then raises on what June's users ask is promoted past its gate."""
    old = world.champion
    world.project.write(f"{MODEL}/returns.py", _FAILING)
    world.project.change(f"{MODEL}/defs.yaml", "estimator: linear", "estimator: python")
    version = int(world.run(f'key:"{MODEL}"').said[MODEL]["model_version"])
    registry = world.project.service("model_registry")
    promoted_by_command(f"returns@{version}", "a drill", registry)
    try:
        world.run(f'key:"{ENDPOINT}"')
        shares = world.serving
        for number in range(_REQUESTS):
            with suppress(PlatformError):
                world.ask(f"2024-06-{number:03d}")
        world.run(f'key:"{ENDPOINT}"')
        rollout, after = world.check(ENDPOINT, "rollout"), world.serving
        good = all(world.answers() for _ in range(5))
    finally:
        registry.move_alias("returns", "champion", old)
        world.restore(f"{MODEL}/defs.yaml")
        (world.project.root / MODEL / "returns.py").unlink()
    world.run(f'key:"{ENDPOINT}"')
    return Outcome(
        "guard error_share of the rollout",
        not rollout.passed and "error_share" in str(rollout.description),
        f"{ENDPOINT}: rollout",
        str(rollout.description),
        {
            f"it had {shares.get(version, 0):.0%} of the traffic": shares == {old: 0.5, version: 0.5},
            f"version {old} serves all of it again": after == {old: 1.0} and good,
        },
    )


def killed_server(world: World) -> Outcome:
    """SIGKILL right behind the last answer."""
    asked = [str(world.ask()["parameters"]["request_ids"][0]) for _ in range(_REQUESTS)]
    server = world.server()
    os.killpg(server, signal.SIGKILL)
    with suppress(psutil.NoSuchProcess):
        psutil.wait_procs([psutil.Process(server)], timeout=10)
    silent = not world.answers()
    ran = world.run(f'key:"{ENDPOINT}" or key:"{LOG}"')
    logged = [row["request_id"] for row in world.project.rows(LOG)]
    return Outcome(
        "endpoint, by asking the host what serves",
        silent and world.server() != server and world.answers(),
        f"{ENDPOINT}: outcome",
        str(ran.said[ENDPOINT]["outcome"]),
        {
            f"all {_REQUESTS} acknowledged answers are in the log, once": all(logged.count(one) == 1 for one in asked),
            "it answers again": world.answers(),
        },
    )
