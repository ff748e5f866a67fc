"""The containers that the Vertex AI stand-in runs: what they are given, and that none outlives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_platform.testing.container import Container
from ml_platform.testing.told import Told
from resources.gcp.testing.gcs import write_key
from resources.gcp.testing.vertex_error import VertexError


class Containers:
    """home: a folder for each. storage: address of the Cloud Storage that they reach by their service account.

    told: where they print to.
    """

    def __init__(self, home: Path, storage: str, told: Told) -> None:
        self._home = home
        self._told = told
        self._storage = storage
        self._all: list[Container] = []

    def start(self, name: str, words: Sequence[str], variables: Iterable[Any], own: Mapping[str, str]) -> Container:
        """The container runs. words: its command and arguments; variables: of its spec; own: what the service sets.

        Raises VertexError for a command other than `python -m …`: there is no image here but the platform's.
        """
        if list(words[:2]) != ["python", "-m"]:
            raise VertexError("INVALID_ARGUMENT", f"Container command {list(words)} is not found in the image.")
        folder = self._home / name
        folder.mkdir(parents=True)
        # What stands for the metadata server, by which a container has its service account's credentials.
        key = folder / "service_account.json"
        write_key(key, self._storage)
        identity = {"GOOGLE_SERVICE_ACCOUNT": str(key), "STORAGE_EMULATOR_HOST": self._storage}
        given = {variable.name: variable.value for variable in variables}
        container = Container.start(words[2:], folder, {**given, **own, **identity}, self._told.log())
        self._all.append(container)
        return container

    def end(self) -> None:
        """None runs."""
        for container in self._all:
            container.kill()
