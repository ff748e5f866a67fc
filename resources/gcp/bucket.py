"""A bucket of Google Cloud Storage, as far as the adapters need one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from ml_platform.errors import NotFoundError
from resources.gcp import sdk

_PAGE = 1000


class Bucket:
    """Objects by their names; a client is made with the first call.

    name: of the bucket, which has to exist. client: makes the client of it.
    """

    def __init__(self, name: str, client: Callable[[], Any] = sdk.storage) -> None:
        self.name, self._made = name, client

    def uri(self, name: str) -> str:
        """Where the object, or what is below the name, is for a service of Google's."""
        return f"gs://{self.name}/{name}"

    def put_new(self, name: str, content: bytes) -> bool:
        """Whether the object is there now by this call; False where it stood already, and is as it was."""
        from google.api_core.exceptions import PreconditionFailed

        with sdk.told("storage.objects.create"):
            try:
                self._bucket.blob(name).upload_from_string(content, if_generation_match=0)
            except PreconditionFailed:
                return False
        return True

    def get(self, name: str) -> bytes:
        """The object's content. Raises NotFoundError."""
        with sdk.told("storage.objects.get"):
            content: bytes = self._bucket.blob(name).download_as_bytes()
        return content

    def find(self, name: str) -> bytes | None:
        """The object's content; None where there is none."""
        try:
            return self.get(name)
        except NotFoundError:
            return None

    def page(self, prefix: str, after: str = "") -> Sequence[str]:
        """At most a thousand names below the prefix that sort after that one, in order."""
        with sdk.told("storage.objects.list"):
            # The service begins with the name that is given.
            found = self._client.list_blobs(self.name, prefix=prefix, start_offset=after or None)
            return list(islice((blob.name for blob in found if blob.name > after), _PAGE))

    def folders(self, prefix: str) -> Sequence[str]:
        """Names of the folders directly below the prefix, which ends with a slash."""
        with sdk.told("storage.objects.list"):
            found = self._client.list_blobs(self.name, prefix=prefix, delimiter="/")
            paths = {path for page in found.pages for path in page.prefixes}
        return sorted(path.removeprefix(prefix).rstrip("/") for path in paths)

    def upload(self, folder: Path, prefix: str) -> None:
        """Every file of the folder stands below the prefix."""
        with sdk.told("storage.objects.create"):
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                self._bucket.blob(f"{prefix}/{path.relative_to(folder).as_posix()}").upload_from_filename(str(path))

    def download(self, prefix: str, into: Path) -> None:
        """Every object below the prefix is a file in the folder, which is made where it is missing."""
        into.mkdir(parents=True, exist_ok=True)
        for name in self._all(f"{prefix}/"):
            target = into / name.removeprefix(f"{prefix}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(self.get(name))

    def delete(self, prefix: str) -> None:
        """Nothing is below the prefix."""
        for name in self._all(f"{prefix}/"):
            self.drop(name)

    def drop(self, name: str) -> None:
        """The object, which stood, is gone."""
        with sdk.told("storage.objects.delete"):
            self._bucket.blob(name).delete()

    def _all(self, prefix: str) -> Iterator[str]:
        after = ""
        while names := self.page(prefix, after):
            yield from names
            after = names[-1]

    @cached_property
    def _client(self) -> Any:
        with sdk.told("storage"):
            return self._made()

    @property
    def _bucket(self) -> Any:
        return self._client.bucket(self.name)
