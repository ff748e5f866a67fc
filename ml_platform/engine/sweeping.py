"""A sweep: what stands and nobody asks, waits for, or declares.

Listed is only what our services made for this environment; what lacks its tags is never seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ml_platform.engine import kept_code
from ml_platform.engine.files import filesystem
from ml_platform.engine.idle import last_request
from ml_platform.engine.pins import pins
from ml_platform.errors import DeclarationError, nearest
from ml_platform.records.inventory import Owned
from ml_platform.records.table import Location
from ml_platform.roles.inventory import Inventory
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry
from ml_platform.roles.prediction_log import PredictionLog

_LOOKED_FOR = "sweep/sweep"
# What the platform keeps for itself, such as what is tainted: nothing declares it, and all of it would be missed.
_OURS = "platform/"


@dataclass(frozen=True)
class Found:
    """Something that a sweep finds. name: as `--remove` takes it, for instance endpoints/late or jobs/….

    owned: where the inventory removes it. place, path: where it is a folder or a file. Without either it stays.
    """

    name: str
    why: str
    owned: Owned | None = None
    place: Location | None = None
    path: str = ""


@dataclass(frozen=True)
class House:
    """What is swept. declared: asset keys. waited: whether a run is going on, which may be waiting for any job."""

    declared: Collection[str]
    inventory: Inventory
    log: PredictionLog
    registry: ModelRegistry
    lakehouse: Lakehouse
    now: datetime
    idle_hours: float
    waited: bool


def sweep(house: House) -> Iterator[Found]:
    """Endpoints that nobody asks, jobs that nobody waits for, and what nothing declares, each with its reason."""
    endpoints = _named(house.declared, "endpoints")
    for owned in house.inventory.found(endpoints):
        why = _why(owned, endpoints, house)
        if why:
            yield Found(f"{owned.kind}s/{owned.name}", why, owned)
    pinned = pins(house.registry)
    declared = _named(house.declared, "models")
    for name in house.registry.names():
        if name not in declared:
            yield Found(f"models/{name}", "it is registered, but nothing declares it; its registry removes it")
    held = {pin.key for pin in pinned}
    root = _root(house.lakehouse)
    for key in _tables(root) if root else ():
        if key.partition("__")[0] in {it.partition("__")[0] for it in house.declared}:
            continue
        if key in held:
            yield Found(key, "nothing declares the table, but a registered model pins it")
        else:
            yield Found(key, "nothing declares the table", place=root, path=key)
    yield from _code(house)


def remove(names: Sequence[str], found: Sequence[Found], inventory: Inventory) -> Iterator[Found]:
    """Each of the named, gone. Raises DeclarationError, before anything is removed, for a name that was not found."""
    by_name = {one.name: one for one in found}
    for name in names:
        if name not in by_name:
            raise DeclarationError(
                f"{name} is to be removed, but the sweep does not find it", allowed=nearest(name, by_name)
            )
        if by_name[name].owned is None and by_name[name].place is None:
            raise DeclarationError(f"{name} is to be removed, but it stays: {by_name[name].why}")
    for name in names:
        one = by_name[name]
        if one.owned is not None:
            inventory.remove(one.owned)
        elif one.place is not None:
            _delete(one.place, one.path)
        yield one


def _why(owned: Owned, endpoints: Collection[str], house: House) -> str:
    """Why something would not be missed; empty where it would."""
    if owned.kind == "job":
        return "" if house.waited else f"it goes on{_since(owned)}, but no run is there that waits for it"
    if owned.kind == "view":
        return "" if owned.name in _named(house.declared, "features") else "it stands online, but nothing declares it"
    if owned.name not in endpoints:
        return f"it serves{_since(owned)}, but nothing declares it"
    last = last_request(owned.name, house.log)
    began = last or owned.since
    if began and house.now - began <= timedelta(hours=house.idle_hours):
        return ""
    return f"it serves, but was {f'asked last at {last:%Y-%m-%d %H:%M} UTC' if last else 'never asked'}"


def _since(owned: Owned) -> str:
    return f" since {owned.since:%Y-%m-%d %H:%M}" if owned.since else ""


def _named(declared: Collection[str], group: str) -> set[str]:
    return {key.partition("/")[2] for key in declared if key.startswith(f"{group}/")}


def _root(lakehouse: Lakehouse) -> Location | None:
    """The folder of all tables of the environment; None where a catalog lends each of them its credentials."""
    some = lakehouse.table(_LOOKED_FOR)
    if some.access is not None:
        return None
    return Location("tables", some.uri.removesuffix(f"/{_LOOKED_FOR}"), some.storage_options)


def _tables(root: Location) -> list[str]:
    """The keys of all tables below the folder, but for the platform's own."""
    from pyarrow.fs import FileSelector

    files = filesystem(root)
    layers = files.get_file_info(FileSelector("", allow_not_found=True))
    inside = (files.get_file_info(FileSelector(it.path)) for it in layers if it.type.name == "Directory")
    found = (it.path for them in inside for it in them)
    keys = (key for key in found if not key.startswith(_OURS))
    return sorted(key for key in keys if files.get_file_info(f"{key}/_delta_log").type.name == "Directory")


def _code(house: House) -> Iterator[Found]:
    """Archives of code that no version was fitted by."""
    from pyarrow.fs import FileSelector

    used: Mapping[str, bool] = {
        version.tags.get(kept_code.TAG, ""): True
        for name in house.registry.names()
        for version in house.registry.versions(name)
    }
    place = house.lakehouse.files(kept_code.KEY)
    for info in filesystem(place).get_file_info(FileSelector("", allow_not_found=True)):
        digest = info.base_name.partition(".")[0]
        old = info.mtime is not None and house.now - info.mtime.astimezone(UTC) > timedelta(days=1)
        if digest not in used and old:
            yield Found(f"code/{digest[:16]}", "no version was fitted by this code", place=place, path=info.path)


def _delete(place: Location, path: str) -> None:
    """The folder of a table, or one file of kept code, is gone."""
    files = filesystem(place)
    if files.get_file_info(path).type.name == "File":
        files.delete_file(path)
    else:
        files.delete_dir(path)
