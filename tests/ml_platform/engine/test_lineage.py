from __future__ import annotations

from functools import cache
from pathlib import Path

import duckdb
import pytest
from sqlglot import exp
from sqlglot.lineage import lineage as slow_lineage
from sqlglot.optimizer.qualify import qualify

import assets
from ml_platform.engine.history_plan import MADE
from ml_platform.engine.lineage import UNKNOWN, Columns, lineage
from ml_platform.engine.scope import ITS_OWN
from ml_platform.engine.sql import parsed, tables_read
from ml_platform.errors import DeclarationError

HERE = Path(__file__).parent
ASSETS = Path(str(assets.__file__)).parent
TABLES = {
    "s/x": {
        "id": "INT",
        "a": "INT",
        "b": "INT",
        "g": "VARCHAR",
        "l": "INT[]",
        "st": "STRUCT(f INT, g STRUCT(h INT))",
        "t": "TIMESTAMP",
        "m": "MAP(VARCHAR, INT)",
    },
    "s/y": {"id": "INT", "a": "INT", "c": "VARCHAR", "t": "TIMESTAMP", "d": "DATE"},
    "s/z": {"id": "INT", "e": "DOUBLE", "Mixed": "INT"},
}
KNOWN = {key: Columns(dict.fromkeys(columns, ())) for key, columns in TABLES.items()}
SCHEMA = {"s": {key[2:]: columns for key, columns in TABLES.items()}}


def listed(file: str) -> list[str]:
    return [line.rstrip(";") for line in (HERE / file).read_text().splitlines()]


RUN, DO_NOT_RUN = listed("queries_that_run.sql"), listed("queries_that_do_not.sql")


@cache
def database() -> duckdb.DuckDBPyConnection:
    """An engine that has the tables as the embedded compute has them: as views in the schema of their layer."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA s")
    for key, columns in TABLES.items():
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        connection.execute(f"CREATE TABLE rows_of_{key[2:]} ({listed})")
        connection.execute(f"CREATE VIEW s.{key[2:]} AS SELECT * FROM rows_of_{key[2:]}")
    return connection


def found(query: str, known: dict[str, Columns] | None = None) -> Columns:
    return lineage(parsed(query, "silver/a.sql"), KNOWN if known is None else known, "silver/a.sql")


@pytest.mark.parametrize("query", RUN)
def test_what_duckdb_runs_is_never_refused_and_has_the_columns_that_duckdb_gives(query: str) -> None:
    given = [name.lower() for name in database().sql(f"SELECT * FROM ({query}\n) AS made").columns]

    columns = found(query)

    names = [name.lower() for name in columns.origins]
    assert names == given if columns.complete else set(names) <= set(given)


@pytest.mark.parametrize("query", DO_NOT_RUN)
def test_a_name_that_duckdb_does_not_find_is_refused(query: str) -> None:
    with pytest.raises(duckdb.BinderException):
        database().sql(query)
    with pytest.raises(DeclarationError, match=r"^silver/a\.sql:1: it reads "):
        found(query)


# Where sqlglot takes a whole row, an outer column, a renamed, a pivoted or a positional one for none or for another.
ORACLE_IS_WRONG = (
    *("alias.", "unnest(l)", "range", "generate_series", "s.z AS q(p)", "BY NAME", "(SELECT b)", "(SELECT w)"),
    *("LATERAL", "OVER (w ", "count(x.*)", "current_", "s.x.st.g", "SELECT x.a AS k", "(x)", "SELECT x FROM"),
    *("EXCLUDE (x", "AS st", "AS y)", "st AS y", "count_star()", "PIVOT", "COLUMNS(", "* LIKE", "* ILIKE", "* NOT"),
    *("* SIMILAR", "#1", "EXCLUDE (z.", "q.f", "unnest(st), a"),
)
# Of these only the names are known: where the values come from is left out.
NOT_FOLLOWED = ("AS j", "id_1", "a_1")


@pytest.mark.parametrize(
    "query", [query for query in RUN if not any(part in query for part in (*ORACLE_IS_WRONG, *NOT_FOLLOWED))]
)
def test_lineage_is_that_of_sqlglot_column_by_column(query: str) -> None:
    for name, origins in found(query).origins.items():
        assert {(key, column.lower()) for key, column in origins} == oracle(name, query, SCHEMA), name


def oracle(column: str, query: str, schema: dict[str, dict[str, dict[str, str]]]) -> set[tuple[str, str]]:
    """The same by the slow way, which qualifies the query and walks it anew for each column."""
    leaves = set()
    for node in slow_lineage(column, query, schema=schema, dialect="duckdb").walk():
        table = node.expression if isinstance(node.expression, exp.Table) else node.source
        if isinstance(table, exp.Table) and not node.downstream:
            leaves.add((f"{table.db}/{table.name}", node.name.rpartition(".")[2].strip('"').lower()))
    return leaves


@pytest.mark.parametrize("path", sorted(ASSETS.glob("*/*/*.sql")), ids=lambda path: path.stem)
def test_lineage_of_the_flights_graph_is_that_of_sqlglot(path: Path) -> None:
    text = path.read_text()
    schema: dict[str, dict[str, dict[str, str]]] = {}
    known = {}
    for key in tables_read(text, path.name):
        known[key] = graph(key)
        layer, _, table = key.partition("/")
        schema.setdefault(layer, {})[table] = dict.fromkeys(known[key].origins, "VARCHAR")
    assert all(columns.complete for columns in known.values())

    columns = lineage(parsed(text, path.name), known, path.name)

    whole = qualify(parsed(text, path.name).copy(), schema=schema, dialect="duckdb")
    assert list(columns.origins) == whole.named_selects
    windows = whole.find(exp.Window) is not None
    for name, origins in columns.origins.items():
        expected = oracle(name, text, schema)
        # A named window belongs to what is counted over it; sqlglot leaves it out.
        assert set(origins) >= expected if windows else set(origins) == expected, name


@cache
def graph(key: str) -> Columns:
    """The columns of a table of the flights graph: declared ones as they are written, others by the engine."""
    import yaml

    folder = ASSETS / key
    declared = yaml.safe_load((folder / "defs.yaml").read_text())["attributes"]
    if "columns" in declared:
        return Columns(dict.fromkeys([*declared["columns"], *([] if "inputs" in declared else ["month"])], ()))
    query = parsed((folder / f"{folder.name}.sql").read_text(), key)
    found = lineage(query, {name: graph(name) for name in tables_read(query.sql("duckdb"), key)}, key)
    if declared.get("write") == "history":
        kept = {name: origins for name, origins in found.origins.items() if name != declared["newest"]}
        return Columns({**kept, **dict.fromkeys(MADE, found.origins[declared["newest"]])}, found.complete)
    return found


@pytest.mark.parametrize(
    ("query", "column", "origins"),
    [
        ("SELECT a + b AS n FROM s.x", "n", ["s/x.a", "s/x.b"]),
        ("SELECT count(*) AS n FROM s.x", "n", []),
        ("SELECT x AS n FROM s.z AS x", "n", ["s/z.Mixed", "s/z.e", "s/z.id"]),
        ("SELECT id FROM s.x FULL JOIN s.z USING (id)", "id", ["s/x.id", "s/z.id"]),
        ("SELECT id FROM s.x SEMI JOIN s.z USING (id)", "id", ["s/x.id"]),
        ("SELECT a AS n, n + b AS m FROM s.x", "m", ["s/x.a", "s/x.b"]),
        ("SELECT p FROM s.z AS q(p)", "p", ["s/z.id"]),
        ("WITH q(n) AS (SELECT max(a) FROM s.x) SELECT n FROM q", "n", ["s/x.a"]),
        ("SELECT a FROM s.x UNION ALL BY NAME SELECT id, a FROM s.y", "a", ["s/x.a", "s/y.a"]),
        ("SELECT q.c FROM s.x, LATERAL (SELECT c FROM s.y WHERE y.id = x.id) AS q", "c", ["s/y.c"]),
        ("SELECT (SELECT b) AS n FROM s.x", "n", ["s/x.b"]),
        ("SELECT n FROM s.x, unnest(l) AS u(n)", "n", ["s/x.l"]),
        ("SELECT st.g.h AS n FROM s.x", "n", ["s/x.st"]),
        ("SELECT sum(a) OVER w AS n FROM s.x WINDOW w AS (PARTITION BY g)", "n", ["s/x.a", "s/x.g"]),
        ("SELECT [v + b FOR v IN l] AS n FROM s.x", "n", ["s/x.b", "s/x.l"]),
        ("SELECT list_transform(l, lambda v: v + b) AS n FROM s.x", "n", ["s/x.b", "s/x.l"]),
        ("SELECT * REPLACE (a + b AS a) FROM s.x", "a", ["s/x.a", "s/x.b"]),
        ("SELECT * RENAME (a AS n) FROM s.x", "n", ["s/x.a"]),
        ("SELECT * RENAME (x.a AS n) FROM s.x JOIN s.y ON x.id = y.id", "n", ["s/x.a"]),
        ("SELECT * EXCLUDE (x.a, x.id, x.t) FROM s.x JOIN s.y ON x.id = y.id", "a", ["s/y.a"]),
        ("SELECT COLUMNS('a|b') + b FROM s.x", "a", ["s/x.a", "s/x.b"]),
        ("SELECT max(COLUMNS(* EXCLUDE (id))) FROM s.z", "Mixed", ["s/z.Mixed"]),
        ("SELECT greatest(*COLUMNS(['a', 'B'])) AS n FROM s.x", "n", ["s/x.a", "s/x.b"]),
        ("SELECT q.n FROM (SELECT COLUMNS(lambda c: c = 'n') FROM (SELECT a AS n FROM s.x)) AS q", "n", ["s/x.a"]),
        ("SELECT x.* LIKE 'a%' FROM s.x", "a", ["s/x.a"]),
        ("SELECT #2 AS n FROM s.z", "n", ["s/z.e"]),
        ("SELECT #2 AS n FROM (SELECT unnest(st), a FROM s.x)", "n", ["s/x.a", "s/x.st"]),
        ("SELECT f AS n FROM (SELECT unnest(st) FROM s.x)", "n", ["s/x.st"]),
        ("SELECT unnest(st), a AS n FROM s.x UNION ALL SELECT id, e, 1 FROM s.z", "n", ["s/x.a", "s/z.e", "s/z.id"]),
        (
            "WITH RECURSIVE r AS (SELECT id, a FROM s.x UNION ALL SELECT y.id, r.a FROM r JOIN s.y ON y.a = r.id) "
            "SELECT * FROM r",
            "id",
            ["s/x.id", "s/y.id"],
        ),
    ],
)
def test_a_column_comes_from_what_its_values_are_made_from(query: str, column: str, origins: list[str]) -> None:
    assert [f"{key}.{name}" for key, name in found(query).origins[column]] == origins


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (
            "SELECT\n  sum(e) AS n,\n  mixedd\nFROM s.z",
            "silver/a.sql:3: it reads mixedd, but nothing that it reads has such a column. "
            "Did you mean Mixed? Known are Mixed, e, id.",
        ),
        (
            "SELECT z.mixedd\nFROM s.z",
            "silver/a.sql:1: it reads z.mixedd, but z has no such column. Did you mean Mixed? Known are Mixed, e, id.",
        ),
        (
            "SELECT zz.e\nFROM s.z",
            "silver/a.sql:1: it reads zz.e, but it reads nothing that is called zz. Did you mean z? Known are z.",
        ),
        (
            "SELECT c\nFROM s.x JOIN s.y\n  ON x.id = y.id\n  WHERE\n  id > 1",
            "silver/a.sql:5: it reads id, but several of its tables have such a column. "
            "Name the table that is meant before it.",
        ),
        (
            "SELECT 1 AS n FROM s.z\nWHERE id IN (\n  SELECT q.f FROM (SELECT e AS f FROM s.z) AS q\n  WHERE g > 1\n)",
            "silver/a.sql:4: it reads g, but nothing that it reads has such a column. Known are Mixed, e, f, id.",
        ),
    ],
)
def test_a_wrong_name_is_told_with_its_line_and_the_nearest(query: str, said: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        found(query)
    assert str(raised.value) == said


def test_nothing_is_wrong_with_columns_of_a_table_of_which_nothing_is_known() -> None:
    columns = found("SELECT *, anything + 1 AS n, u.other FROM s.unknown AS u", {})
    assert columns.origins == {"n": (("s/unknown", "anything"),), "other": (("s/unknown", "other"),)}
    assert not columns.complete


def test_everything_of_an_unknown_table_hands_its_columns_on() -> None:
    columns = found("SELECT q.n FROM (SELECT * FROM s.unknown) AS q", {"s/unknown": UNKNOWN})
    assert columns == Columns({"n": (("s/unknown", "n"),)})


@pytest.mark.parametrize(
    ("query", "others"),
    [
        ("SELECT id, unnest(st) FROM s.x", (("s/x", "st"),)),
        ("SELECT g, sum(a), max(b) FROM s.x GROUP BY g", (("s/x", "a"), ("s/x", "b"))),
        ("SELECT COLUMNS('(a|b)') AS 'n_\\1' FROM s.x", (("s/x", "a"), ("s/x", "b"))),
        ("SELECT * FROM s.unknown", (("s/unknown", ITS_OWN),)),
        ("SELECT *, 1 AS n FROM s.unknown", (("s/unknown", ITS_OWN),)),
        ("SELECT * FROM s.unknown UNION ALL BY NAME SELECT * FROM s.z", (("s/unknown", ITS_OWN),)),
        ("SELECT id, a AS n FROM s.x", ()),
    ],
)
def test_a_column_whose_name_only_the_engine_knows_comes_from_somewhere_as_well(
    query: str, others: tuple[tuple[str, str], ...]
) -> None:
    columns = found(query)
    assert columns.others == others
    assert columns.lineage == {**columns.origins, **({"": others} if others else {})}


def test_what_is_known_of_half_a_table_is_used_and_the_rest_is_not_judged() -> None:
    half = {"s/x": Columns({"a": ()}, complete=False), "s/y": KNOWN["s/y"]}
    columns = found("SELECT x.a AS n, c, w FROM s.x JOIN s.y ON x.k = y.id", half)
    assert columns.origins == {"n": (("s/x", "a"),), "c": (("s/y", "c"),), "w": (("s/x", "w"),)}


def test_a_query_too_deep_to_walk_is_left_to_the_engine() -> None:
    query = parsed("SELECT a FROM s.x", "a.sql").copy()
    for _ in range(2_000):
        inner = exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier("q")))
        query = exp.select("a").from_(inner, copy=False)
    assert lineage(query, KNOWN, "a.sql") == UNKNOWN


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT a,\n  b AS a FROM s.x", r"a\.sql:2: it gives two columns a, but every column of a table has a name"),
        ('SELECT a,\n  b AS "A" FROM s.x', r"a\.sql:2: it gives the columns a and A, but"),
        ("SELECT *,\n  b AS A FROM s.x", r"a\.sql:2: it gives the columns a and A, but"),
        ("SELECT * FROM s.x JOIN s.y ON x.id = y.id", r"a\.sql:\d: it gives two columns id, but"),
        ("SELECT a, a FROM s.x UNION ALL SELECT a, c FROM s.y", "it gives two columns a, but"),
        ("SELECT a FROM s.x UNION ALL BY NAME (SELECT a, c AS A FROM s.y)", "it gives the columns a and A, but"),
        ("WITH q AS (SELECT a FROM s.x) SELECT q.a, a FROM q", "it gives two columns a, but"),
    ],
)
def test_two_columns_of_one_name_are_refused_of_a_query_that_makes_a_table(query: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        lineage(parsed(query, "a.sql"), KNOWN, "a.sql", made=True)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT q.a FROM (SELECT a, a FROM s.x) AS q",
        "SELECT * FROM s.x NATURAL JOIN s.z",
        "SELECT a FROM s.x UNION ALL SELECT b AS A FROM s.x",
        "SELECT 1 + 1, 1 + 1 FROM s.x",
        "SELECT * EXCLUDE (a), b + 1 AS a FROM s.x",
        "SELECT * REPLACE (b + 1 AS a) FROM s.x",
        "SELECT * EXCLUDE (y.id, y.a, y.t) FROM s.x JOIN s.y ON x.id = y.id",
    ],
)
def test_names_that_are_each_their_own_are_taken(query: str) -> None:
    lineage(parsed(query, "a.sql"), KNOWN, "a.sql", made=True)
