"""The benchmark of loading definitions: the flights graph against importing dagster, and a thousand SQL tables beyond.

CPU seconds of fresh processes, side by side, printed against the goals and kept in docs/bench.json. Beside them stands
the floor: as many plain `@dg.asset`s over the same dependencies, which declare nothing else. Bytecode is kept, as it is
for whoever loads definitions a second time. A process costs its exit too, which walks all that it imported; so that one
who leaves that out sees it, `flights_loaded_to_dagster` is of the seconds until the graph is there.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from kept import keep

ROOT = Path(__file__).parent.parent.parent
TABLES, SOURCES, COLUMNS, RUNS = 1000, 40, 12, 5
GOALS = {"flights_to_dagster": 1.5, "thousand_tables_warm": 3.0, "thousand_tables_cold": 12.0}
DAGSTER = "import dagster"
FLIGHTS = "from ml_platform.definitions import defs; defs().resolve_asset_graph()"
THOUSAND = (
    "import dagster, thousand; from ml_platform.binding import bindings; "
    "from ml_platform.definitions import build_definitions; "
    "build_definitions(thousand, bindings()).resolve_asset_graph()"
)
PLAIN = (
    "import dagster as dg, pathlib, re, sys, warnings; warnings.simplefilter('ignore'); made = []\n"
    "for path in pathlib.Path(sys.argv[1]).glob('*/*/defs.yaml'):\n"
    "    query = path.with_name(path.parent.name + '.sql')\n"
    "    text = query.read_text() if query.exists() else ''\n"
    "    reads = set(re.findall(r'(\\w+)\\.(t\\d+)', text)) or [('landing', 'files')]\n"
    "    @dg.asset(key=path.parts[-3:-1], deps=[dg.AssetKey(list(key)) for key in reads], group_name=path.parts[-3],\n"
    "        owners=['team:bench'], kinds={'deltalake'}, code_version='1', metadata={'retention_days': 30},\n"
    "        backfill_policy=dg.BackfillPolicy.single_run(), description='One row a thing.')\n"
    "    def table(context: dg.AssetExecutionContext) -> dg.MaterializeResult: pass\n"
    "    made.append(table)\n"
    "dg.Definitions(made, executor=dg.in_process_executor).resolve_asset_graph()\n"
)


def main() -> None:
    """Keeps each figure and its goal."""
    with tempfile.TemporaryDirectory() as scratch:
        found = measured(Path(scratch))
    keep("definitions", {"goals": GOALS, **found})


def measured(scratch: Path) -> dict[str, float]:
    """The figures; the median of several processes each, in turn."""
    project(scratch / "thousand")
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    kept["PYTHONPYCACHEPREFIX"] = str(scratch / "bytecode")
    environment = {**kept, "PYTHONPATH": os.pathsep.join([str(ROOT), str(scratch)]), "ML_PLATFORM_ENV": "bench"}
    homes = {name: {**environment, "ML_PLATFORM_HOME": str(scratch / name)} for name in ("flights", "tables")}
    for warming in ((DAGSTER, environment), (FLIGHTS, homes["flights"]), (THOUSAND, homes["tables"])):
        cpu_seconds(*warming)
    taken: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(RUNS):
        for name, program, where in (("dagster", DAGSTER, environment), ("flights", FLIGHTS, homes["flights"])):
            taken[name].append(cpu_seconds(program, where))
            taken[f"{name}_loaded"].append(loaded_seconds(program, where))
        taken["warm"].append(cpu_seconds(THOUSAND, homes["tables"]))
        taken["plain"].append(cpu_seconds(PLAIN, environment, str(scratch / "thousand")))
        shutil.rmtree(scratch / "cold", ignore_errors=True)
        taken["cold"].append(cpu_seconds(THOUSAND, {**environment, "ML_PLATFORM_HOME": str(scratch / "cold")}))
    median = {name: statistics.median(values) for name, values in taken.items()}
    return {
        "dagster_cpu_seconds": round(median["dagster"], 2),
        "flights_cpu_seconds": round(median["flights"], 2),
        "flights_to_dagster": round(median["flights"] / median["dagster"], 2),
        "flights_loaded_to_dagster": round(median["flights_loaded"] / median["dagster_loaded"], 2),
        "thousand_tables_warm": round(median["warm"] - median["dagster"], 2),
        "thousand_plain_assets": round(median["plain"] - median["dagster"], 2),
        "thousand_tables_cold": round(median["cold"] - median["dagster"], 2),
    }


def cpu_seconds(program: str, environment: Mapping[str, str], *arguments: str) -> float:
    """User and system seconds of one fresh process that runs the program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program, *arguments], env=environment, check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def loaded_seconds(program: str, environment: Mapping[str, str]) -> float:
    """User and system seconds of one fresh process until it has run the program, its exit left out."""
    asked = [sys.executable, "-c", f"{program}\nimport time; print(time.process_time())"]
    return float(subprocess.run(asked, env=environment, check=True, cwd=ROOT, capture_output=True, text=True).stdout)


def project(folder: Path) -> None:
    """A package that declares sources and a thousand SQL tables over them, each over up to three before it."""
    layers = [("bronze", SOURCES), ("silver", TABLES // 2), ("gold", TABLES - TABLES // 2)]
    keys: list[str] = []
    for layer, count in layers:
        for number in range(count):
            key = f"{layer}/t{number:03d}"
            made = folder / key
            made.mkdir(parents=True)
            (made / "defs.yaml").write_text(_source() if layer == "bronze" else _table())
            if layer != "bronze":
                (made / f"{made.name}.sql").write_text(_query(_inputs(keys, len(keys))))
            keys.append(key)
    (folder / "__init__.py").write_text("")
    (folder / "domain.yaml").write_text(
        'timezone: UTC\nowners: ["team:bench"]\npartitions: {column: month, start: "2024-01", end: "2024-12"}\n'
    )
    landing = folder / "landing" / "files"
    landing.mkdir(parents=True)
    (landing / "files.py").write_text(
        'import dagster as dg\n\n\n@dg.asset(key=["landing", "files"])\ndef files() -> None:\n    pass\n'
    )


def _inputs(keys: list[str], number: int) -> list[str]:
    """One to three tables before the numbered one: its neighbour a row of forty before, and two further away."""
    far = [keys[number * step % SOURCES + number // SOURCES * SOURCES - SOURCES] for step in (1, 7, 13)]
    return list(dict.fromkeys(far))[: number % 3 + 1]


def _source() -> str:
    columns = "".join(f"    c{n}: {'string' if n % 2 else 'float64'}\n" for n in range(COLUMNS - 3))
    times = "    event_time: timestamp\n    known_at: timestamp\n"
    return (
        "type: ml_platform.components.Source\n\nattributes:\n  description: Rows as landed.\n  landing: landing/files\n"
        f"  files: rows/*.csv\n  columns:\n    id: string\n{columns}{times}"
        "  event_time: event_time\n  known_at: known_at\n"
    )


def _table() -> str:
    return "type: ml_platform.components.Table\n\nattributes:\n  description: One row a thing.\n  key: [id]\n"


def _query(inputs: list[str]) -> str:
    names = [f"i{n}" for n in range(len(inputs))]
    kept = [f"    {names[n % len(names)]}.c{n}" for n in range(6)]
    made = [
        f"    coalesce({names[-1]}.c{n}, i0.c{n}, CASE WHEN i0.c0 > {n} THEN i0.c{n} END) AS c{n}"
        for n in range(6, COLUMNS - 3)
    ]
    newest = ", ".join(f"{name}.known_at" for name in names)
    joins = "".join(
        f"LEFT JOIN {key.replace('/', '.')} AS {name} ON {name}.id = i0.id AND {name}.event_time <= i0.event_time\n"
        for key, name in list(zip(inputs, names, strict=True))[1:]
    )
    columns = ",\n".join(["    i0.id", *kept, *made, "    i0.event_time", f"    greatest({newest}) AS known_at"])
    return (
        f"WITH base AS (\n    SELECT * FROM {inputs[0].replace('/', '.')} WHERE id IS NOT NULL\n)\n\n"
        f"SELECT\n{columns}\nFROM base AS i0\n{joins}WHERE i0.c0 IS NOT NULL\n"
    )


if __name__ == "__main__":
    main()
