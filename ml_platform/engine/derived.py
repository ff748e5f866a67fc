"""What was measured of rows and is kept beside the tables: data cards, monitors' reports, the examples of skew checks.

An erasure takes it away. A card and a report are measured again by the next run; a verdict about skew stands, for it
keeps versions from being promoted, and loses its example only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from pyarrow.fs import FileSelector, FileType

from ml_platform.engine import kept_card, kept_report, skew
from ml_platform.engine.declared import Declared
from ml_platform.engine.erasure_plan import Plan
from ml_platform.engine.files import filesystem
from ml_platform.roles.lakehouse import Lakehouse


def forget(of: Plan, served: Collection[str], declared: Declared, lakehouse: Lakehouse) -> Iterator[str]:
    """Everything that was measured of rows that go is gone; what went, a sentence each. Idempotent.

    served: the names of the endpoints that were asked for the key.
    """
    if cards := _emptied(lakehouse, kept_card.FOLDER):
        yield f"{cards} data card{'' if cards == 1 else 's'} gone, to be measured again"
    for key in _reporting(declared):
        if _touched(key, of, served, declared) and _emptied(lakehouse, key, kept_report.FILE):
            yield f"{key}: its report is gone, to be drawn again"
    for endpoint in sorted(served):
        model = declared.endpoints[endpoint]
        if skew.without_example(f"endpoints/{endpoint}", model, lakehouse):
            yield f"endpoints/{endpoint}: the example of its skew check is gone"


def folders(declared: Declared) -> Sequence[str]:
    """Where what was measured of rows is kept, for whoever looks through it."""
    return (kept_card.FOLDER, skew.FOLDER, *_reporting(declared))


def _reporting(declared: Declared) -> Sequence[str]:
    """The monitors, which may keep a report each."""
    return sorted(key for key in declared.tables if key.startswith("monitors/"))


def _touched(monitor: str, of: Plan, served: Collection[str], declared: Declared) -> bool:
    """Whether a monitor reads what rows go from."""
    logs = {f"endpoints/{endpoint}__log" for endpoint in served}
    return monitor in {*of.rows, *of.again} or not logs.isdisjoint(declared.reads.get(monitor, ()))


def _emptied(lakehouse: Lakehouse, key: str, name: str = "") -> int:
    """How many files went: the one of that name, or all."""
    files = filesystem(lakehouse.files(key))
    found = files.get_file_info(FileSelector("", recursive=True, allow_not_found=True))
    going = [info.path for info in found if info.type == FileType.File and info.path == (name or info.path)]
    for path in going:
        files.delete_file(path)
    return len(going)
