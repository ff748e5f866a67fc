"""The stand-in's artifacts of runs and logged models: a corner of the Files API that is MLflow's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from resources.databricks.testing.protocol import ApiError, invalid
from resources.databricks.testing.state import State

_CORNER = "WorkspaceInternal/Mlflow/Artifacts"


def routes(state: State) -> list[Route]:
    """The calls that MLflow's client makes there; they have to stand before those of volumes."""
    root = state.folder / "artifacts"

    def route(kind: str, method: str, answer: Callable[[Path, str, bytes], Response]) -> Route:
        async def endpoint(request: Request) -> Response:
            path = request.path_params["path"]
            if ".." in PurePosixPath(path).parts:
                raise invalid(f"Invalid path: /{_CORNER}/{path}")
            return answer(root / path, path, await request.body())

        return Route(f"/api/2.0/fs/{kind}/{_CORNER}/{{path:path}}", endpoint, methods=[method])

    return [
        route("files", "PUT", _upload),
        route("files", "GET", _download),
        route("directories", "HEAD", _directory),
        route("directories", "GET", _contents),
    ]


def _upload(file: Path, _: str, content: bytes) -> Response:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return Response(status_code=204)


def _download(file: Path, path: str, _: bytes) -> Response:
    if not file.is_file():
        raise ApiError(404, "NOT_FOUND", f"The file being accessed is not found: /{_CORNER}/{path}")
    return FileResponse(file, media_type="application/octet-stream")


def _directory(folder: Path, path: str, _: bytes) -> Response:
    if not folder.is_dir():
        raise ApiError(404, "NOT_FOUND", f"The directory being accessed is not found: /{_CORNER}/{path}")
    return Response()


def _contents(folder: Path, path: str, _: bytes) -> Response:
    _directory(folder, path, b"")
    entries = [_entry(entry, f"/{_CORNER}/{path.rstrip('/')}/{entry.name}") for entry in sorted(folder.iterdir())]
    return JSONResponse({"contents": entries})


def _entry(entry: Path, path: str) -> dict[str, object]:
    size = {} if entry.is_dir() else {"file_size": entry.stat().st_size}
    return {"name": entry.name, "path": path, "is_directory": entry.is_dir(), **size}
