"""A folder of a Unity Catalog volume, by the Files API: whole files, put, got and listed by name."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ml_platform.errors import NotFoundError
from resources.databricks.workspace import Workspace

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

_READ, _WRITE = "READ VOLUME on the volume", "WRITE VOLUME on the volume"


class Volume:
    """Names are `/`-separated and below the root. root: `/Volumes/<catalog>/<schema>/<volume>/…`; the volume stands."""

    def __init__(self, workspace: Workspace, root: str) -> None:
        self._workspace = workspace
        self.root = root.rstrip("/")

    def put(self, name: str, content: bytes) -> None:
        """The file holds the content, in place of what it held."""
        self._upload(name, lambda: io.BytesIO(content), overwrite=True)

    def put_new(self, name: str, content: bytes) -> bool:
        """Whether the file is there now by this call; False where it stood already, and is as it was."""
        return self._upload(name, lambda: io.BytesIO(content), overwrite=False)

    def get(self, name: str) -> bytes:
        """The file's content. Raises NotFoundError."""
        path = f"{self.root}/{name}"

        def read(client: WorkspaceClient) -> bytes:
            contents = client.files.download(path).contents
            return b"" if contents is None else contents.read()

        return self._workspace.ask(f"the file {path}", _READ, read)

    def drop(self, name: str) -> None:
        """The file, which stood, is gone."""
        path = f"{self.root}/{name}"
        self._workspace.ask(f"the file {path}", _WRITE, lambda client: client.files.delete(path))

    def holds(self, name: str) -> bool:
        """Whether the file is there."""
        path = f"{self.root}/{name}"
        try:
            self._workspace.ask(f"the file {path}", _READ, lambda client: client.files.get_metadata(path))
        except NotFoundError:
            return False
        return True

    def entries(self, folder: str = "") -> dict[str, bool]:
        """Name → whether it is a directory, of everything in the folder, by name; empty where there is no folder."""
        path = f"{self.root}/{folder}".rstrip("/")
        try:
            found = self._workspace.ask(
                f"the directory {path}", _READ, lambda client: list(client.files.list_directory_contents(path))
            )
        except NotFoundError:
            return {}
        return {str(entry.name): bool(entry.is_directory) for entry in sorted(found, key=lambda entry: str(entry.name))}

    def upload(self, folder: Path, name: str) -> None:
        """Every file of the local folder stands in the volume's."""
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            self._upload(f"{name}/{path.relative_to(folder).as_posix()}", partial(_opened, path), overwrite=True)

    def download(self, name: str, into: Path) -> Path:
        """The local folder `into`, made where it is missing, holding every file of the volume's."""
        into.mkdir(parents=True, exist_ok=True)
        for entry, is_directory in self.entries(name).items():
            if is_directory:
                self.download(f"{name}/{entry}", into / entry)
            else:
                (into / entry).write_bytes(self.get(f"{name}/{entry}"))
        return into

    def _upload(self, name: str, opened: Callable[[], BinaryIO], *, overwrite: bool) -> bool:
        path = f"{self.root}/{name}"

        def write(client: WorkspaceClient) -> bool:
            from databricks.sdk.errors import AlreadyExists

            with opened() as content:
                try:
                    client.files.upload(path, content, overwrite=overwrite)
                except AlreadyExists:
                    return False
            return True

        try:
            return self._workspace.ask(f"the file {path}", _WRITE, write)
        except NotFoundError:
            parent = path.rpartition("/")[0]
            # Like `mkdir -p`; where the volume itself is missing, this says so.
            self._workspace.ask(f"the directory {parent}", _WRITE, lambda client: client.files.create_directory(parent))
            return self._workspace.ask(f"the file {path}", _WRITE, write)


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")
