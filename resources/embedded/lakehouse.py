"""A lakehouse in a local folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ml_platform.records.table import Location

if TYPE_CHECKING:
    from ml_platform.roles.lakehouse import Lakehouse


class EmbeddedLakehouse:
    """Tables and files side by side under one folder.

    root: the folder, already the environment's own; it is made when the first table is.
    """

    def __init__(self, root: str) -> None:
        self._root = Path(root).absolute()

    def table(self, key: str) -> Location:
        """As the role promises."""
        return Location(key, str(self._root / "tables" / key))

    def files(self, key: str) -> Location:
        """As the role promises."""
        return Location(key, str(self._root / "files" / key))


if TYPE_CHECKING:
    _: type[Lakehouse] = EmbeddedLakehouse
