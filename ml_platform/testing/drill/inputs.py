"""Drills about what is scored: values that are missing, values that are others than they were."""

from __future__ import annotations

import re

from ml_platform.testing import shop
from ml_platform.testing.drill.outcome import Outcome
from ml_platform.testing.drill.world import CHAMPION, DECIDED, MODEL, MONITOR, NEW_MONTHS, World

_AMOUNT = re.compile(r"(?<=\d\d-\d\d,)\d+\.0(?=,)")


def flood_of_nulls(world: World) -> Outcome:
    """May's orders have no amount."""
    month, champion = NEW_MONTHS[0], world.champion
    before = world.count("predictions/returns")
    ran = world.make_month(month, _AMOUNT.sub("", shop.orders(month)))
    flooded, incident = world.check(MONITOR, "input"), world.check(DECIDED, "incident")
    decision = ran.said[DECIDED]["decision"]
    return Outcome(
        "checks input and incident of the monitor",
        not flooded.passed and not incident.passed and decision == "incident",
        f"{MONITOR}: input; {DECIDED}: incident",
        f"{incident.description}",
        {
            f"no retrain, version {champion} serves": world.champion == champion and world.answers(),
            "all 60 scored": world.count("predictions/returns") == before + shop.ORDERS_A_MONTH,
        },
    )


def shifted(world: World) -> Outcome:
    """June's orders are a thousand dearer."""
    month, champion = NEW_MONTHS[1], world.champion
    before = world.count("predictions/returns")
    dearer = _AMOUNT.sub(lambda found: str(float(found[0]) + 1000), shop.orders(month))
    ran = world.make_month(month, dearer)
    drift, decision = world.check(MONITOR, "drift"), ran.said[DECIDED]["decision"]
    return Outcome(
        "check drift of the monitor",
        not drift.passed and "amount" in str(drift.metadata["failing"].value),
        f"{MONITOR}: drift; {DECIDED}: decision",
        f"{drift.description}; the decision is {decision}",
        {
            f"version {champion} serves": world.champion == champion and world.answers(),
            "all 60 scored": world.count("predictions/returns") == before + shop.ORDERS_A_MONTH,
        },
    )


def worse_model(world: World) -> Outcome:
    """The model is learned anew, by an estimator that looks at nothing."""
    champion = world.champion
    world.project.change(f"{MODEL}/defs.yaml", "estimator: linear", "estimator: baseline\n  seed: 1")
    try:
        ran = world.run(f'key:"{MODEL}" or key:"{CHAMPION}" or key:"endpoints/returns"')
    finally:
        world.restore(f"{MODEL}/defs.yaml")
    gate = world.check(CHAMPION, "gate")
    return Outcome(
        "gate, against the champion on the same rows",
        not gate.passed and "refused" in str(ran.said[CHAMPION]["outcome"]),
        f"{CHAMPION}: gate",
        f"{ran.said[CHAMPION]['outcome']}",
        {f"version {champion} is champion and serves": world.serving == {champion: 1.0} and world.answers()},
    )
