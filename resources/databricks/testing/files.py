"""The stand-in's Files API: the files and directories of volumes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path, PurePosixPath
from uuid import uuid4

from databricks.sdk.service.files import DirectoryEntry, ListDirectoryResponse
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from resources.databricks.testing.protocol import ApiError, invalid
from resources.databricks.testing.state import State

_PAGE = 1000


@dataclass(frozen=True)
class Asked:
    """What is asked for. path: where the file or directory lies, or would."""

    path: Path
    query: Mapping[str, str]
    content: bytes


def routes(state: State) -> list[Route]:
    """Every route of the Files API."""
    files = _Files(state)

    def route(kind: str, method: str, answer: Callable[[Asked], Response]) -> Route:
        async def endpoint(request: Request) -> Response:
            path = files.path(f"/{request.path_params['path']}")
            return answer(Asked(path, request.query_params, await request.body()))

        return Route(f"/api/2.0/fs/{kind}/{{path:path}}", endpoint, methods=[method])

    return [
        route("files", "HEAD", files.head),
        route("files", "GET", files.download),
        route("files", "PUT", files.upload),
        route("files", "DELETE", files.delete),
        route("directories", "HEAD", files.directory),
        route("directories", "GET", files.contents),
        route("directories", "PUT", files.create_directory),
        route("directories", "DELETE", files.delete_directory),
    ]


class _Files:
    def __init__(self, state: State) -> None:
        self._root, self._uploads = state.volumes, state.folder / "uploads"
        self._uploads.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where the file or directory lies. Raises ApiError where it is of no volume that stands."""
        parts = PurePosixPath(name).parts
        if len(parts) < 5 or parts[1] != "Volumes" or ".." in parts:
            raise invalid(f"Invalid path: {name}")
        if not self._root.joinpath(*parts[2:5]).is_dir():
            raise ApiError(404, "NOT_FOUND", f"Volume '{'.'.join(parts[2:5])}' does not exist.")
        return self._root.joinpath(*parts[2:])

    def head(self, asked: Asked) -> Response:
        """The file's size and time, as headers."""
        self._require_file(asked.path)
        return Response(headers={**_dated(asked.path), "Content-Length": str(asked.path.stat().st_size)})

    def download(self, asked: Asked) -> Response:
        """The file's content, or a range of it."""
        self._require_file(asked.path)
        return FileResponse(asked.path, headers=_dated(asked.path), media_type="application/octet-stream")

    def upload(self, asked: Asked) -> Response:
        """The file stands, whole; one that stood is replaced only where that was asked for."""
        if not asked.path.parent.is_dir():
            raise ApiError(
                404, "NOT_FOUND", f"The directory being accessed is not found: {self._shown(asked.path.parent)}"
            )
        written = self._uploads / uuid4().hex
        written.write_bytes(asked.content)
        if asked.query.get("overwrite", "true") == "true":
            written.replace(asked.path)
            return Response(status_code=204)
        try:
            os.link(written, asked.path)
        except FileExistsError as error:
            raise ApiError(409, "ALREADY_EXISTS", "The file being created already exists.") from error
        finally:
            written.unlink()
        return Response(status_code=204)

    def delete(self, asked: Asked) -> Response:
        """The file is gone."""
        self._require_file(asked.path)
        asked.path.unlink()
        return Response(status_code=204)

    def directory(self, asked: Asked) -> Response:
        """That the directory stands."""
        self._require_directory(asked.path)
        return Response()

    def contents(self, asked: Asked) -> Response:
        """One page of the directory, by name."""
        self._require_directory(asked.path)
        after = asked.query.get("page_token", "")
        size = min(_PAGE, int(asked.query.get("page_size", _PAGE)))
        inside = sorted((entry for entry in asked.path.iterdir() if entry.name > after), key=lambda entry: entry.name)
        token = inside[size - 1].name if len(inside) > size else None
        return JSONResponse(ListDirectoryResponse([self._entry(entry) for entry in inside[:size]], token).as_dict())

    def create_directory(self, asked: Asked) -> Response:
        """The directory stands, and those above it."""
        asked.path.mkdir(parents=True, exist_ok=True)
        return Response(status_code=204)

    def delete_directory(self, asked: Asked) -> Response:
        """The directory, which was empty, is gone."""
        self._require_directory(asked.path)
        if any(asked.path.iterdir()):
            raise ApiError(400, "DIRECTORY_NOT_EMPTY", "The directory is not empty.")
        asked.path.rmdir()
        return Response(status_code=204)

    def _entry(self, path: Path) -> DirectoryEntry:
        stat = path.stat()
        modified = int(stat.st_mtime * 1000)
        if path.is_dir():
            return DirectoryEntry(is_directory=True, name=path.name, path=self._shown(path), last_modified=modified)
        return DirectoryEntry(stat.st_size, False, modified, path.name, self._shown(path))

    def _require_file(self, path: Path) -> None:
        if not path.is_file():
            raise ApiError(404, "NOT_FOUND", f"The file being accessed is not found: {self._shown(path)}")

    def _require_directory(self, path: Path) -> None:
        if not path.is_dir():
            raise ApiError(404, "NOT_FOUND", f"The directory being accessed is not found: {self._shown(path)}")

    def _shown(self, path: Path) -> str:
        return f"/Volumes/{path.relative_to(self._root).as_posix()}"


def _dated(path: Path) -> dict[str, str]:
    return {"Last-Modified": formatdate(path.stat().st_mtime, usegmt=True)}
