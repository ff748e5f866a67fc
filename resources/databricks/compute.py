"""Compute by Spark Connect: a Databricks cluster, or any other Spark Connect server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from ml_platform.errors import BindingError, ServiceError, missing_extra
from ml_platform.records.table import Location, StagedFiles, View
from resources.databricks.spark_sql import spark_sql, view_name
from resources.databricks.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame
    from pyspark.sql.connect.session import SparkSession

    from ml_platform.roles.compute import Compute

# What makes Spark answer as DuckDB does: moments are UTC, and a cast that fails is an error and not NULL.
_SETTINGS = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}
_RETRIES = 5


class DatabricksCompute:
    """Runs queries on Spark; their rows come back in batches and are staged from here, as those of every compute.

    cluster_id: of a running cluster in the workspace that the environment names, for instance `0123-456789-abcdefgh`.
    remote: a plain server instead, `sc://<host>:<port>`. One of the two is set.
    """

    @staticmethod
    def reaches(cluster_id: str, remote: str) -> frozenset[str]:
        """A server on this machine sees its folders too; none has the credentials that a workspace lends to us."""
        _require_one(cluster_id, remote)
        if cluster_id:
            return frozenset({"aws", "databricks"})
        return frozenset({"aws", "gcp", "embedded"} if _on_this_machine(remote) else {"aws", "gcp"})

    def __init__(self, cluster_id: str = "", remote: str = "") -> None:
        _require_one(cluster_id, remote)
        self._cluster_id = cluster_id
        self._remote = remote

    def stage(
        self, query: str, inputs: Mapping[str, StagedFiles | View], target: Location, partition_by: tuple[str, ...]
    ) -> StagedFiles:
        """As the role promises."""
        from ml_platform.engine.staging import stage

        with self._answering(query, inputs, target.key) as rows:
            batches = _batches(rows)
            return stage(batches, _schema(rows), target, partition_by)

    def fetch(self, query: str, inputs: Mapping[str, StagedFiles | View]) -> pa.Table:
        """As the role promises."""
        import pyarrow as pa

        with self._answering(query, inputs, ", ".join(inputs)) as rows:
            return pa.Table.from_batches(_batches(rows), schema=_schema(rows))

    @contextmanager
    def _answering(self, query: str, inputs: Mapping[str, StagedFiles | View], subject: str) -> Iterator[DataFrame]:
        """The query's rows, not yet computed; what Spark finds wrong with them inside is told as the platform does."""
        session, mark = self._session, f"__{uuid4().hex}"
        made: list[str] = []
        from pyspark.errors import PySparkException

        try:
            for name, rows in _in_order(inputs):
                _frame(session, rows, mark).createOrReplaceTempView(view_name(name, mark))
                made.append(view_name(name, mark))
            yield session.sql(_text(query, inputs, mark))
        except (PySparkException, ServiceError) as error:
            raise ServiceError(
                f"the query of {subject} does not run, but it has to be made from it: {error}"
            ) from error
        finally:
            for view in made:
                session.catalog.dropTempView(view)

    @cached_property
    def _session(self) -> SparkSession:
        try:
            from pyspark.sql.connect.client.retries import DefaultPolicy
            from pyspark.sql.connect.session import SparkSession
        except ImportError as error:
            raise missing_extra("databricks", error) from error
        session = SparkSession.builder.remote(self._remote or self._workspace_url()).create()
        # By default a server that has gone is asked for ten minutes, on leaving the interpreter too.
        session.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES)])
        for name, value in _SETTINGS.items():
            session.conf.set(name, value)
        return session

    def _workspace_url(self) -> str:
        """The cluster's address, with a token that the SDK has found or made."""
        config = Workspace().client.config
        token = config.authenticate()["Authorization"].removeprefix("Bearer ")
        host = str(config.host).removeprefix("https://").rstrip("/")
        return f"sc://{host}:443/;token={token};x-databricks-cluster-id={self._cluster_id}"


def _require_one(cluster_id: str, remote: str) -> None:
    if bool(cluster_id) == bool(remote):
        raise BindingError(
            "compute.cluster_id and compute.remote are both set or both empty, but one of them says where Spark is"
        )


def _on_this_machine(remote: str) -> bool:
    """Whether the address is one of loopback, as it is written: nothing is looked up."""
    host = urlsplit(remote).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _in_order(inputs: Mapping[str, StagedFiles | View]) -> list[tuple[str, StagedFiles | View]]:
    """The inputs, what a view reads before the view."""
    views = {name: view for name, view in inputs.items() if isinstance(view, View)}
    read = [(name, files) for view in views.values() for name, files in view.inputs.items()]
    return [*read, *((name, rows) for name, rows in inputs.items() if name not in views), *views.items()]


def _text(query: str, inputs: Mapping[str, StagedFiles | View], mark: str) -> str:
    return spark_sql(query, {name: rows.schema.names for name, rows in inputs.items()}, mark)


def _frame(session: SparkSession, of: StagedFiles | View, mark: str) -> DataFrame:
    return session.sql(_text(of.query, of.inputs, mark)) if isinstance(of, View) else _rows(session, of)


def _rows(session: SparkSession, of: StagedFiles) -> DataFrame:
    """The rows of exactly these files; the values of partitions come from the log, not from the folders' names."""
    from pyspark.sql.connect.functions import lit
    from pyspark.sql.pandas.types import from_arrow_schema

    if not of.files:
        return session.createDataFrame([], from_arrow_schema(of.schema))
    inside = from_arrow_schema(_without(of.schema, of.partition_by))
    parts: dict[tuple[str, ...], list[str]] = {}
    for file in of.files:
        values = tuple(file.partition[column] for column in of.partition_by)
        parts.setdefault(values, []).append(f"{of.location.uri}/{file.path}")
    frames = []
    for values, paths in parts.items():
        frame: DataFrame = session.read.schema(inside).parquet(*paths)
        for column, value in zip(of.partition_by, values, strict=True):
            frame = frame.withColumn(column, lit(value))
        frames.append(frame.select(*of.schema.names))
    return _union(frames)


def _union(frames: Sequence[DataFrame]) -> DataFrame:
    whole, *others = frames
    for other in others:
        whole = whole.unionAll(other)
    return whole


def _without(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([field for field in schema if field.name not in columns])


def _schema(rows: DataFrame) -> pa.Schema:
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(rows.schema)


def _batches(rows: DataFrame) -> Iterator[pa.RecordBatch]:
    """The rows as they arrive. Spark Connect's client has no public iterator that gives Arrow."""
    connected: Any = rows
    client, schema = connected.sparkSession.client, _schema(rows)
    for answer in client.to_table_as_iterator(connected._plan.to_proto(client), connected._plan.observations):
        if hasattr(answer, "to_batches"):
            yield from answer.cast(schema).to_batches()


if TYPE_CHECKING:
    _: type[Compute] = DatabricksCompute
