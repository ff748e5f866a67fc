"""Queries in DuckDB's dialect as Spark's: the same columns, the same order, tables as views of a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ml_platform.errors import ServiceError

if TYPE_CHECKING:
    from sqlglot import exp


def spark_sql(query: str, columns: Mapping[str, Sequence[str]], mark: str = "") -> str:
    """The query for Spark, which reads each table `layer.name` as the view `layer__name` with a mark behind it.

    columns: table → the names of its columns, in order. Raises ServiceError for what cannot be said in Spark.

    >>> spark_sql("SELECT d.* FROM silver.delays AS d", {"silver.delays": ["flight"]})
    'SELECT `d`.`flight` AS `flight` FROM `silver__delays` AS `d`'
    """
    from sqlglot import errors, parse_one
    from sqlglot.optimizer.qualify import qualify

    try:
        tree = _over_views(parse_one(query, read="duckdb"), mark)
        schema: dict[str, object] = {
            view_name(table, mark): dict.fromkeys(names, "unknown") for table, names in columns.items()
        }
        qualified = qualify(tree, schema=schema, dialect="duckdb", validate_qualify_columns=False)
        return _sorted_last(_by_position(_ordered(cast("exp.Query", qualified)))).sql(
            dialect="spark", unsupported_level=errors.ErrorLevel.RAISE
        )
    except errors.SqlglotError as error:
        raise ServiceError(f"the query cannot be said in Spark's dialect, but Spark is to run it: {error}") from error


def view_name(table: str, mark: str = "") -> str:
    """The view that stands for a table, and for queries with this mark alone.

    >>> view_name("silver.flights")
    'silver__flights'
    """
    return table.replace(".", "__") + mark


def _over_views(tree: exp.Expr, mark: str) -> exp.Expr:
    """The query over views, each under the name that its columns are called by."""
    from sqlglot import exp

    for table in list(tree.find_all(exp.Table)):
        if table.db:
            view = exp.table_(view_name(f"{table.db}.{table.name}", mark), alias=table.alias or table.name)
            table.replace(view)
        elif isinstance(table.this, exp.GenerateSeries):
            table.replace(_numbers(table))
    for column in tree.find_all(exp.Column):
        column.set("db", None)
    return tree


def _numbers(table: exp.Table) -> exp.Subquery:
    """`range(…) AS t(i)`, whose column Spark always calls `id`."""
    from sqlglot import exp

    series = table.this
    alias = table.args["alias"]
    bounds = [bound.copy() for bound in (series.args["start"], series.args["end"])]
    numbers = exp.Table(this=exp.Anonymous(this="RANGE", expressions=bounds))
    return exp.select(exp.alias_(exp.column("id"), alias.columns[0].name)).from_(numbers).subquery(alias.name)


def _sorted_last(query: exp.Query) -> exp.Query:
    """A query whose QUALIFY becomes a subquery in Spark sorts around that, for nothing keeps the order inside."""
    from sqlglot import exp

    if not (query.args.get("qualify") and query.args.get("order")):
        return query
    order = query.args["order"].pop()
    names = [exp.column(name, quoted=True) for name in query.named_selects]
    return exp.select(*names).from_(query.subquery("kept")).order_by(*order.expressions)


def _ordered(query: exp.Query) -> exp.Query:
    """Rows ordered by columns of the result, under their names there: for Spark a DISTINCT has no others to order by.

    `ORDER BY ALL` is all of them; DuckDB puts NULL last.
    """
    from sqlglot import exp

    for select in query.find_all(exp.Select):
        order = select.args.get("order")
        if order and [one.this.name.upper() for one in order.expressions] == ["ALL"]:
            keys = [exp.Ordered(this=exp.column(name, quoted=True), nulls_first=False) for name in select.named_selects]
            select.set("order", exp.Order(expressions=keys))
        elif order:
            names = {projection.unalias(): projection.alias_or_name for projection in select.selects}
            for key in order.expressions:
                if key.this in names:
                    key.set("this", exp.column(names[key.this], quoted=True))
    return query


def _by_position(query: exp.Query) -> exp.Query:
    """`UNION … BY NAME` as a union by position, with NULL for a column that one side has not."""
    from sqlglot import exp

    for union in query.find_all(exp.SetOperation):
        if union.args.get("by_name"):
            sides = [union.left, union.right]
            names = list(dict.fromkeys(name for side in sides for name in side.named_selects))
            union.set("this", _listed(sides[0], names))
            union.set("expression", _listed(sides[1], names))
            union.set("by_name", False)
    return query


def _listed(side: exp.Query, names: Sequence[str]) -> exp.Select:
    from sqlglot import exp

    there = set(side.named_selects)
    columns = [
        exp.column(name, quoted=True) if name in there else exp.alias_(exp.null(), name, quoted=True) for name in names
    ]
    return exp.select(*columns).from_(side.subquery("side"))
