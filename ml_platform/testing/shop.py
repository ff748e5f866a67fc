"""A small project with a known signal: four months of a shop's orders, from files to a monitored endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.testing.project import Project, Ran

LANDING = "landing/shop"
MONTHS = ("2024-01", "2024-02", "2024-03", "2024-04")
EVERYTHING = f"{MONTHS[0]}...{MONTHS[-1]}"
ORDERS_A_MONTH = 60
STORES = ("north", "south", "west")
_HEADER = "order_id,store,day,amount,returned,event_time,known_at"


@dataclass(frozen=True)
class Made:
    """The shop after two runs of everything."""

    project: Project
    first: Ran
    again: Ran


def orders(month: str, count: int = ORDERS_A_MONTH, first: int = 0) -> str:
    """A month's orders as a file, every eight hours one, each known an hour later.

    An order of 50 or more is returned and a smaller one is not, but for each seventh, of which it is the other way
    round: whoever knows the amount ranks well, and not perfectly.
    """
    start = datetime.fromisoformat(f"{month}-01T06:00:00+00:00")
    return "\n".join([_HEADER, *(_order(start, month, number) for number in range(first, first + count)), ""])


def _order(start: datetime, month: str, number: int) -> str:
    at = start + timedelta(hours=8 * number)
    amount = number * 37 % 100
    returned = (amount >= 50) != (number % 7 == 0)
    known = at + timedelta(hours=1)
    fields = [f"{month}-{number:03d}", STORES[number % 3], at.date(), float(amount), str(returned).lower()]
    return ",".join(str(field) for field in [*fields, f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{known:%Y-%m-%dT%H:%M:%SZ}"])


def stores() -> str:
    """The stores as a file, known since the year before."""
    known = "2023-01-01T00:00:00Z"
    return "\n".join(["store,size,event_time,known_at", *(f"{s},{len(s)},{known},{known}" for s in STORES), ""])


def project(folder: Path, environment: str = "test") -> Project:
    """The project with its files landed and the replay clock set behind the last of them; nothing is made yet."""
    made = Project(folder, FILES, environment)
    land(made.lakehouse)
    return made


def land(lakehouse: Lakehouse) -> None:
    """The files stand in the lakehouse, wherever it is, and the replay clock behind the last of them."""
    from ml_platform.engine import clock
    from ml_platform.engine.files import filesystem, put

    landed = filesystem(lakehouse.files(LANDING))
    landed.create_dir("orders")
    landed.create_dir("stores")
    for month in MONTHS:
        put(landed, f"orders/{month}.csv", orders(month).encode())
    put(landed, "stores/stores.csv", stores().encode())
    clock.advance(lakehouse, datetime(2024, 4, 30, tzinfo=UTC))


def declaration(kind: str, attributes: str) -> str:
    """A `defs.yaml` of a component with its attributes."""
    body = "\n".join(f"  {line}" for line in dedent(attributes).strip().splitlines())
    return f"type: ml_platform.components.{kind}\n\nattributes:\n{body}\n"


PARITY = "  rollout: {guards: {parity: {rows: 20}}}\n"
"""What the endpoint declares of its rollout, for its evaluation split has few rows; a test puts more in its place."""

FILES = {
    "domain.yaml": dedent(
        """\
        timezone: UTC
        owners: ["team:shop"]
        clock: replay
        partitions: {column: month, start: "2024-01", end: "2024-04"}
        """
    ),
    "bronze/orders/defs.yaml": declaration(
        "Source",
        """
        description: Every order, as landed.
        landing: landing/shop
        files: orders/*.csv
        columns: {order_id: string, store: string, day: date, amount: float64, returned: boolean,
                  event_time: timestamp, known_at: timestamp}
        event_time: event_time
        known_at: known_at
        partition_of: day
        """,
    ),
    "bronze/stores/defs.yaml": declaration(
        "Source",
        """
        description: The stores, as landed.
        landing: landing/shop
        files: stores/*.csv
        columns: {store: string, size: int32, event_time: timestamp, known_at: timestamp}
        event_time: event_time
        known_at: known_at
        """,
    ),
    "silver/orders/defs.yaml": declaration(
        "Table",
        """
        description: One row per order; the latest report wins.
        partitioned: true
        key: [order_id]
        write: merge
        newest: known_at
        """,
    ),
    "silver/orders/orders.sql": (
        "SELECT order_id, store, amount, returned, event_time, known_at, month FROM bronze.orders\n"
    ),
    "gold/store_month/defs.yaml": declaration(
        "Table",
        """
        description: What each store sold in each month.
        partitioned: true
        key: [store, month]
        inputs: [silver/orders, bronze/stores]
        """,
    ),
    "gold/store_month/store_month.py": dedent(
        '''\
        """What each store sold in each month."""

        import polars as pl


        def store_month(orders: pl.DataFrame, stores: pl.DataFrame) -> pl.DataFrame:
            """One row per store and month."""
            sold = orders.group_by("store", "month").agg(pl.len().alias("orders"), pl.sum("amount"))
            return sold.join(stores.select("store", "size"), on="store")
        '''
    ),
    "gold/totals/defs.yaml": declaration("Table", "description: One row, all months together."),
    "gold/totals/totals.sql": "SELECT count(*) AS orders, sum(amount) AS amount FROM silver.orders\n",
    "features/order_v1/defs.yaml": declaration(
        "FeatureView",
        """
        description: What an order says of itself.
        entity: [order_id]
        features: {amount: number, store: category}
        ttl_hours: 24
        online_history_hours: 480
        """,
    ),
    "features/order_v1/order_v1.sql": (
        "SELECT order_id, event_time, event_time AS known_at, amount, store, month FROM silver.orders\n"
    ),
    "features/store_recent_v1/defs.yaml": declaration(
        "FeatureView",
        """
        description: What the store sold of late, by its last ten orders.
        entity: [store]
        features: {recent_amount: number}
        ttl_hours: 240
        reads_partitions: {before: 1}
        """,
    ),
    "features/store_recent_v1/store_recent_v1.sql": dedent(
        """\
        SELECT
            store,
            event_time,
            known_at,
            avg(amount) OVER (PARTITION BY store ORDER BY event_time ROWS 9 PRECEDING) AS recent_amount,
            month
        FROM silver.orders
        """
    ),
    "features/order_moment_v1/defs.yaml": declaration(
        "RequestTimeFeatures",
        """
        description: What the moment of an order says of it.
        features: {hour: number, above_recent: number}
        """,
    ),
    "features/order_moment_v1/order_moment_v1.py": dedent(
        '''\
        """What the moment of an order says of it."""

        from datetime import datetime


        def order_moment_v1(
            event_time: datetime, amount: float, recent_amount: float | None
        ) -> dict[str, float | None]:
            """The hour of the day in UTC, and by how much the amount is above what the store sold of late."""
            above = None if recent_amount is None else amount - recent_amount
            return {"hour": event_time.hour, "above_recent": above}
        '''
    ),
    "training_sets/returns/defs.yaml": declaration(
        "TrainingSet",
        """
        description: Every order, with what was known of it at its moment.
        events: silver/orders
        entity: [order_id]
        label: returned
        features: [features/order_v1, features/store_recent_v1, features/order_moment_v1]
        split:
          by: month
          train: ["2024-01", "2024-02"]
          validate: ["2024-03", "2024-03"]
          test: ["2024-04", "2024-04"]
        """,
    ),
    "models/returns/defs.yaml": declaration(
        "Model",
        """
        description: Will this order be returned?
        training_set: training_sets/returns
        task: binary
        estimator: linear
        gate:
          metric: log_loss
          floors: {roc_auc: 0.5, log_loss: 0.75}
        """,
    ),
    "endpoints/returns/defs.yaml": declaration(
        "Endpoint",
        """
        description: How likely an order is to be returned.
        champion_of: models/returns
        request: {order_id: string}
        """,
    )
    + PARITY,
    "predictions/returns/defs.yaml": declaration(
        "Predictions",
        """
        description: The champion's answers for April.
        champion_of: models/returns
        events: silver/orders
        partitions: ["2024-04", "2024-04"]
        """,
    ),
    "monitors/returns/defs.yaml": declaration(
        "Monitor",
        """
        description: How far April has moved from what the champion learned from.
        predictions: predictions/returns
        champion_of: models/returns
        window: month
        minimum_rows: 20
        """,
    ),
}
