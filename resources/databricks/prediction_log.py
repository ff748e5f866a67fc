"""A prediction log in a Unity Catalog volume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from ml_platform.engine.object_log import ObjectLog
from ml_platform.records.prediction import ServedPrediction
from resources.databricks.volume import Volume
from resources.databricks.workspace import Workspace

if TYPE_CHECKING:
    from ml_platform.roles.prediction_log import PredictionLog

# The Files API lists a directory only whole, so that objects stand in directories of a thousand: 000000012345/678/901.
_LEVELS = (-6, -3)


class DatabricksPredictionLog:
    """Records in files of a volume, each written where its name was free.

    catalog, schema, volume: of the volume, which has to exist. prefix: inside it, already the environment's own.
    """

    def __init__(self, catalog: str, prefix: str, schema: str = "ml_platform", volume: str = "ml_platform") -> None:
        root = f"/Volumes/{catalog}/{schema}/{volume}/{prefix}/predictions"
        self._log = ObjectLog(_VolumeObjects(Volume(Workspace(), root)))

    def append(self, records: Sequence[ServedPrediction]) -> None:
        """As the role promises."""
        self._log.append(records)

    def since(self, endpoint: str, cursor: int, limit: int) -> tuple[Sequence[ServedPrediction], int]:
        """As the role promises."""
        return self._log.since(endpoint, cursor, limit)

    def expire(self, endpoint: str, cursor: int, before: datetime) -> int:
        """As the role promises."""
        return self._log.expire(endpoint, cursor, before)


class _VolumeObjects:
    """The log's objects, `<endpoint>/<number>.jsonl`, as files of the volume."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def put_new(self, name: str, content: bytes) -> bool:
        return self._volume.put_new(_path(name), content)

    def get(self, name: str) -> bytes:
        return self._volume.get(_path(name))

    def delete(self, name: str) -> None:
        self._volume.drop(_path(name))

    def names(self, folder: str, after: str) -> Sequence[str]:
        """The objects of the first directory that holds one after that name."""
        return next(self._pages(folder, f"{folder}/", after), [])

    def _pages(self, path: str, within: str, after: str) -> Iterator[list[str]]:
        """Names are `within` and what the directory holds; only what may sort after `after` is looked into."""
        page = []
        for entry, is_directory in self._volume.entries(path).items():
            name = f"{within}{entry}"
            if is_directory and name >= after[: len(name)]:
                yield from self._pages(f"{path}/{entry}", name, after)
            elif not is_directory and name > after:
                page.append(name)
        if page:
            yield page


def _path(name: str) -> str:
    """Where an object stands.

    >>> _path("delay/000000012345678901.jsonl")
    'delay/000000012345/678/901.jsonl'
    """
    folder, _, file = name.rpartition("/")
    number, dot, kind = file.partition(".")
    first, second = _LEVELS
    return f"{folder}/{number[:first]}/{number[first:second]}/{number[second:]}{dot}{kind}"


if TYPE_CHECKING:
    _: type[PredictionLog] = DatabricksPredictionLog
