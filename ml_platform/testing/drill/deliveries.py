"""Drills about what is delivered: the same file again, rows of a month that is over, a schema that nobody told of."""

from __future__ import annotations

from typing import Any

import dagster as dg

from ml_platform.testing import shop
from ml_platform.testing.drill.outcome import Outcome
from ml_platform.testing.drill.world import World, at_once

SOURCE = "bronze/orders"
_REFRESHED = 'key:"bronze/orders" or key:"silver/orders"'


def sent_twice(world: World) -> Outcome:
    """April comes again, under another name."""
    before = world.count(SOURCE)
    world.land("2024-04-again.csv", shop.orders("2024-04"))
    said = world.run(_REFRESHED, "2024-04...2024-04").said[SOURCE]
    return Outcome(
        "ingest, by the digest of what a file holds",
        said["files_ingested"] == 0 and said["outcome"] == "unchanged",
        f"{SOURCE}: files_ingested, files_offered",
        f"{said['files_ingested']} of {said['files_offered']} files ingested, {said['outcome']}",
        {f"{before} rows, each once": world.count(SOURCE) == before and world.orders_once(SOURCE)},
    )


def late(world: World) -> Outcome:
    """An order of February lands in the end."""
    before = world.count()
    line = "2024-02-late,north,2024-02-10,20.0,false,2024-02-10T06:00:00Z,2024-02-10T07:00:00Z"
    world.land("late.csv", at_once([line]))
    asked = _asked(world)
    for month in asked:
        world.run(_REFRESHED, f"{month}...{month}")
    (row,) = [row for row in world.project.rows("silver/orders") if row["order_id"] == "2024-02-late"]
    return Outcome(
        "sensor landed_files",
        asked == ["2024-02"],
        "sensor landed_files: the run that it asks for",
        f"asks for {', '.join(asked) or 'nothing'}",
        {f"{before + 1} rows, the late one in 2024-02": world.count() == before + 1 and row["month"] == "2024-02"},
    )


def _asked(world: World) -> list[str]:
    """The months of orders that the sensor on landed files asks for."""
    repository = world.project.definitions.get_repository_def()
    with dg.build_sensor_context(world.project.instance, repository_def=repository) as context:
        tick: Any = repository.get_sensor_def("landed_files").evaluate_tick(context)
    return sorted(request.partition_key for request in tick.run_requests or [] if request.partition_key)


def schema_changed(world: World) -> Outcome:
    """A file's column has another name; then it is taken away, and a proper one comes."""
    before = (world.project.version(SOURCE), world.project.version("silver/orders"))
    renamed = at_once(["2024-03-new,west,2024-03-30,70.0,true,2024-03-30T06:00:00Z,2024-03-30T07:00:00Z"])
    landed = world.land("renamed.csv", renamed.replace("returned", "came_back"))
    ran = world.attempt(_REFRESHED, "2024-03...2024-03")
    stands = (world.project.version(SOURCE), world.project.version("silver/orders")) == before
    landed.unlink()
    said = ran.failures.get(SOURCE, "")
    rows = world.count()
    world.land("mended.csv", renamed)
    world.run(_REFRESHED, "2024-03...2024-03")
    return Outcome(
        "source, by its declared columns",
        "has no column returned" in said and "silver/orders" not in ran.said,
        f"{SOURCE}: the run's failure",
        said,
        {
            "every table stood at its version": stands,
            "the mended file's row came": world.count() == rows + 1,
        },
    )
