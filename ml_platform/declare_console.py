"""The declaration of a source, written from a sample of its files for a person to go on with."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ml_platform.components.source import OPEN
from ml_platform.engine.files import filesystem
from ml_platform.engine.pattern import matches
from ml_platform.engine.sampling import Sample, sample
from ml_platform.engine.source_files import COMPRESSIONS
from ml_platform.errors import DeclarationError, SourceError
from ml_platform.records.table import Location

_MOMENTS = ("timestamp", "date")


def declaration(
    paths: Iterable[Path], *, landing: str | None = None, folder: Path | None = None, declared: str | None = None
) -> str:
    """The text of a `defs.yaml` with which a source takes every row of the files.

    landing: asset key of the landing that brings them. folder: the one that it brings them from; without it, the one
    that they are all in. declared: their format, where their names do not say it. Raises SourceError for files that no
    source takes.
    """
    found = [Path(os.path.abspath(path)) for path in paths]
    for path in found:
        if not path.is_file():
            raise SourceError(f"{path} is to be sampled, but there is no such file", remedy="Name files, not folders")
    root = Path(os.path.abspath(folder)) if folder else Path(os.path.commonpath([path.parent for path in found]))
    outside = [path for path in found if not path.is_relative_to(root)]
    if outside:
        raise SourceError(f"{outside[0]} is to be sampled, but it is not in {root}", remedy="Mend --folder")
    names = [path.relative_to(root).as_posix() for path in found]
    pattern = _pattern(names)
    for name in names:
        if not matches(name, pattern):
            raise SourceError(
                f"{name} is to be sampled, but it is hidden: {pattern} does not match it", remedy="Rename it"
            )
    sampled = sample(filesystem(Location(landing or "", str(root))), names, declared)
    return _text(pattern, landing, declared, sampled)


def write(text: str, into: Path) -> Path:
    """The file `defs.yaml` of the folder holds the text. Raises DeclarationError where there is one already."""
    path = into / "defs.yaml"
    into.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError as error:
        raise DeclarationError(
            f"{path} is to be written, but it stands already and is not overwritten",
            remedy="Name another folder, or remove it first",
        ) from error
    return path


def _pattern(names: list[str]) -> str:
    """What matches the files and those that come to lie beside them.

    >>> _pattern(["orders/a.csv.gz", "orders/b.csv.gz"]), _pattern(["a/x.csv", "b/y.csv.gz"])
    ('orders/*.csv.gz', '**/*.csv*')
    """
    parents = {Path(name).parent.as_posix() for name in names}
    folder = "**/" if len(parents) > 1 else f"{glob.escape(parents.pop())}/" if parents != {"."} else ""
    endings = {tuple(map(glob.escape, _ending(name))) for name in names}
    if len(endings) == 1:
        return f"{folder}*{''.join(*endings)}"
    formats = {ending[:1] for ending in endings}
    return f"{folder}*{''.join(*formats)}*" if len(formats) == 1 else f"{folder}*"


def _ending(name: str) -> tuple[str, ...]:
    """What says the format, and the compression where there is one."""
    suffixes = Path(name).suffixes
    return tuple(suffixes[-2:] if suffixes[-1:] and suffixes[-1] in COMPRESSIONS else suffixes[-1:])


def _text(pattern: str, landing: str | None, declared: str | None, found: Sample) -> str:
    kinds = {name: column.kind for name, column in found.columns.items()}
    event_time, known_at = _event_time(kinds), "known_at" if kinds.get("known_at") in _MOMENTS else OPEN
    moments = ", ".join(map(_yaml, [name for name, kind in kinds.items() if kind in _MOMENTS] or kinds))
    lines = [
        "type: ml_platform.components.Source",
        "",
        "attributes:",
        f"  description: {_yaml(f'A row of {pattern}, as it landed.')}",
        _open("landing", landing or OPEN, "the asset key of the landing that brings the files"),
        f"  files: {_yaml(pattern)}",
        *([f"  format: {declared}"] if declared else []),
        "  columns:",
        *(_noted(f"    {_yaml(name)}: {it.kind}", it.note) for name, it in found.columns.items()),
        _open("event_time", event_time, f"when a row is about: {moments}"),
        _open("known_at", known_at, f"when a row could be known, which no file says by itself: {moments}"),
        *(["  misfits: quarantine"] if found.quarantines else []),
    ]
    return "\n".join([*lines, ""])


def _event_time(kinds: Mapping[str, str]) -> str:
    """The column of that name, or else the only one that is a moment, where it is not the one of `known_at`."""
    moments = [name for name, kind in kinds.items() if kind in _MOMENTS and name != "known_at"]
    if "event_time" in moments:
        return "event_time"
    return moments[0] if len(moments) == 1 else OPEN


def _open(field: str, value: str, what: str) -> str:
    return _noted(f"  {field}: {_yaml(value)}", what if value == OPEN else "")


def _noted(line: str, note: str) -> str:
    return f"{line}  # {note}" if note else line


def _yaml(value: Any) -> str:
    """A text as YAML reads it back, on one line."""
    import yaml

    # Only in double quotes does a line break stay on the line.
    style = None if str(value).isprintable() else '"'
    written = yaml.safe_dump(value, default_style=style, width=float("inf"), allow_unicode=True)
    return written.removesuffix("\n").removesuffix("\n...")
