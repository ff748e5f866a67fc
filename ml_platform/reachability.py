"""Reachability: whether the stores that a service's jobs and servers need are where these can see them.

It follows from the services and their settings, without I/O, so that a pairing which cannot work is refused when
definitions load. A service's class names in `REACHES` the services whose stores its jobs and servers see; where that
depends on settings, its static method `reaches` says it, given those settings that are its parameters. A service
without either runs on this machine and sees what we see; a store whose class says `LENDS` is opened with credentials
that its own cloud gives to each process anew.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from ml_platform.binding import Binding, players, profile_path, service_class, value
from ml_platform.errors import BindingError


@dataclass(frozen=True)
class _Path:
    """Who has to see which store. way_out: a setting and its value by which it need not."""

    role: str
    who: str
    store: str
    way_out: tuple[str, object] | None = None
    what_then: str = ""


_PATHS = (
    _Path("compute", "queries", "lakehouse"),
    _Path("job_runner", "jobs", "lakehouse", ("stages", True), "so that tables are sent along as files"),
    _Path("endpoint_host", "servers", "feature_store", ("lookup", "caller"), "so that callers look features up"),
    _Path("endpoint_host", "servers", "prediction_log"),
)


def require_reachable(services: Mapping[str, Binding]) -> None:
    """Returns where every store is seen by whoever needs it. Raises BindingError, by file and line, for the first."""
    for path in _PATHS:
        here, there = services[path.role], services[path.store]
        reaches = _reaches(here)
        if reaches is None:
            # Credentials that are lent to this process go with no job, wherever that runs.
            lent = path.role == "job_runner" and getattr(service_class(there), "LENDS", False)
            reaches = frozenset(player for player in players(path.store) if not (lent and player == there.service))
        if there.service in reaches or (path.way_out and _taken(here, *path.way_out)):
            continue
        raise _unreachable(path, here, there, sorted(reaches & set(players(path.store))))


def _reaches(binding: Binding) -> frozenset[str] | None:
    """The services whose stores this one sees by its settings; None for those of this machine too."""
    by_settings = getattr(service_class(binding), "reaches", None)
    if by_settings is None:
        named: frozenset[str] | None = getattr(service_class(binding), "REACHES", None)
        return named
    found: frozenset[str] = by_settings(
        **{name: value(binding, name) for name in inspect.signature(by_settings).parameters}
    )
    return found


def _taken(binding: Binding, setting: str, wanted: object) -> bool:
    return bool(value(binding, setting) == wanted)


def _unreachable(path: _Path, here: Binding, there: Binding, would_do: list[str]) -> BindingError:
    ways = [f"{path.store}.service: {service}" for service in would_do]
    if path.way_out:
        setting, wanted = path.way_out
        spelled = yaml.safe_dump(wanted).split("\n")[0]
        ways.append(f"{path.role}.{setting}: {spelled}, {path.what_then}")
    return BindingError(
        f"{_place(path.store)}: the {path.store} is {there.service}, but the {path.who} of the {path.role} run in "
        f"{here.service} ({_place(path.role)}) and cannot see it",
        allowed=f"What would work: {'; or '.join(ways)}",
    )


def _place(role: str) -> str:
    """Where the role's service was named: a variable, or a line of the profile."""
    variable = f"ML_PLATFORM_{role.upper()}"
    if variable in os.environ:
        return variable
    path = profile_path()
    lines = path.read_text(encoding="utf-8").splitlines()
    number = next((number for number, line in enumerate(lines, 1) if line.startswith(f"{role}:")), 0)
    return f"resources/profiles/{path.name}:{number}"
