"""A monitor's report as it is kept: one page beside the tables, drawn once for the same findings."""

from __future__ import annotations

from pyarrow.fs import FileType

from ml_platform.engine import delta
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.monitor_report import page
from ml_platform.engine.monitoring import Monitored
from ml_platform.engine.program import digest
from ml_platform.roles.lakehouse import Lakehouse

FILE = "report.html"
_FIRST_BYTES = 300


def report_of(monitored: Monitored, description: str, lakehouse: Lakehouse) -> str:
    """Where the page stands that shows the findings; it is drawn where none of these very findings is there."""
    location = monitored.made.snapshot.location
    of = f"{delta.fingerprint(monitored.made.snapshot)} {digest('engine.monitor_report')}"
    kept = lakehouse.files(location.key)
    files = filesystem(kept)
    if files.get_file_info(FILE).type == FileType.File:
        with files.open_input_stream(FILE) as stream:
            if of.encode() in stream.read(_FIRST_BYTES):
                return f"{kept.uri}/{FILE}"
    measured = monitored.measure()
    put(files, FILE, page(location.key, description, of, measured, monitored.rules).encode())
    return f"{kept.uri}/{FILE}"
