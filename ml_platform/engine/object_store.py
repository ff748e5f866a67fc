"""Files of an object store, with the credentials and the spelling of URIs that Delta tables have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSystem, PyFileSystem


def object_store(uri: str, storage_options: Mapping[str, str]) -> FileSystem:
    """The file system whose root is the URI."""
    return PyFileSystem(_Handler(uri, dict(storage_options)))


class _Handler(DeltaStorageHandler):
    """deltalake's handler, which writes nothing but `bytes`, while pyarrow hands it buffers."""

    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.PythonFile:
        return pa.PythonFile(_Bytes(self._handler.open_output_stream(path, metadata)), mode="w")


class _Bytes:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        return int(self._stream.write(bytes(data)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
