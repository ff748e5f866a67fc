"""The integrity of a table: whether every file of its latest and its pinned versions holds what it held when written.

Files are named by the digest of their content, so that one byte is enough to be found out. A file of another writer
cannot be verified, and is told as such: nothing passes in silence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ml_platform.engine import delta
from ml_platform.engine.agreement import disputed, mislaid
from ml_platform.engine.file_name import digest_in
from ml_platform.engine.files import DAMAGED, filesystem
from ml_platform.engine.table_log import TableLog, read_log, stands
from ml_platform.errors import NotFoundError, PlatformError, ServiceError
from ml_platform.records.table import DataFile, Location, TableSnapshot

_CHUNK_BYTES = 2**20


Kind = Literal["missing", "altered", "unverifiable", "log"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    path: of the data file; empty where it is the log or a version that is at fault. told: the rest of the sentence.
    versions: those that hold the file, or that cannot be opened, in order.
    """

    kind: Kind
    path: str
    told: str
    versions: tuple[int, ...] = ()


@dataclass(frozen=True)
class Audited:
    """What became of a table's audit. files, size_bytes: what was read; findings: nothing where it is intact."""

    key: str
    files: int
    size_bytes: int
    findings: tuple[Finding, ...]


def audit(location: Location, pinned: Collection[int], recorded: int = -1) -> Audited:
    """What is wrong with the table's log, and with the files of its latest version and of those that models pin.

    recorded: the latest version that is known from elsewhere, which a log that lost its end does not reach.
    Nothing is raised for what is damaged; raises NotFoundError where there is no table, and no model that pins it.
    """
    try:
        if not stands(location) and not pinned:
            raise NotFoundError(f"the table {location.key} is not there, but it is to be audited")
        log = read_log(location)
    except ServiceError as error:
        return Audited(location.key, 0, 0, (Finding("log", "", str(error).rstrip("."), tuple(sorted(pinned))),))
    return _audited(log, pinned, recorded)


def _audited(log: TableLog, pinned: Collection[int], recorded: int) -> Audited:
    findings = [Finding("log", "", fault) for fault in log.faults]
    if log.latest < recorded:
        findings.append(Finding("log", "", f"commits behind {log.latest} are missing: version {recorded} was made"))
    findings += [Finding("log", "", fault) for fault in disputed(log)]
    files: dict[str, tuple[TableSnapshot, DataFile]] = {}
    for version in sorted({log.latest, *pinned} - {-1}):
        try:
            found = delta.snapshot(log.location, version)
        except (PlatformError, *DAMAGED) as error:
            findings.append(Finding("log", "", f"version {version} cannot be opened: {error}", (version,)))
            continue
        files.update({file.path: (found, file) for file in found.files} if found else {})
    if not any(log.latest in finding.versions for finding in findings):
        findings += [Finding("log", "", told) for told in _misled(log)]
    holders = versions_of(log)
    size = 0
    for path, (table, file) in sorted(files.items()):
        told = _wrong_with(table, file)
        size += file.size_bytes
        if told is not None:
            kind, why = told
            findings.append(Finding(kind, path, why, tuple(sorted(holders.get(path, {log.latest})))))
    return Audited(log.location.key, len(files), size, tuple(findings))


def _misled(log: TableLog) -> Iterator[str]:
    """Whether readers get to the latest version, who begin where the log says: that checkpoint may not be there."""
    try:
        found = delta.snapshot(log.location)
    except (PlatformError, *DAMAGED) as error:
        yield f"the latest version cannot be opened: {error}"
        return
    if found is not None and found.version != log.latest:
        yield f"version {log.latest} is the latest, but readers are led to {found.version}"


def versions_of(log: TableLog) -> Mapping[str, Collection[int]]:
    """Data file → the versions that hold it, of all that can be opened; empty where the log has a gap."""
    if log.first is None or log.faults:
        return {}
    try:
        first = delta.snapshot(log.location, log.first)
    except (PlatformError, *DAMAGED):
        return {}
    standing = {file.path for file in first.files} if first else set()
    holders: dict[str, list[int]] = {path: [log.first] for path in standing}
    for version in range(log.first + 1, log.latest + 1):
        entry = log.entries[version]
        standing = (standing - entry.removes) | entry.adds
        for path in standing:
            holders.setdefault(path, []).append(version)
    return holders


def _wrong_with(table: TableSnapshot, file: DataFile) -> tuple[Kind, str] | None:
    expected = digest_in(file.path)
    digest = hashlib.sha256()
    try:
        with filesystem(table.location).open_input_stream(file.path) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    except FileNotFoundError:
        return "missing", "is missing"
    except OSError as error:
        return "unverifiable", f"cannot be read: {str(error).partition(chr(10))[0]}"
    if expected is None:
        return "unverifiable", "is of another writer, which left no digest: it cannot be verified"
    if digest.hexdigest() != expected:
        return "altered", "does not hold what was written"
    told = mislaid(table, file)
    return ("log", told) if told else None
