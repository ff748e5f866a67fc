"""Objects as Google Cloud Storage keeps them: whole, numbered by generation, each change subject to a precondition."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime


class GcsError(Exception):
    """A refusal. status: of HTTP; code: as the service spells it, for instance `NoSuchKey`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class StoredObject:
    """One generation of one object. updated: UTC."""

    name: str
    content: bytes
    generation: int
    updated: datetime

    @property
    def etag(self) -> str:
        """A digest of the content and its generation."""
        return hashlib.md5(f"{self.generation}".encode() + self.content, usedforsecurity=False).hexdigest()

    @property
    def md5(self) -> str:
        """The MD5 of the content, in base 64, by which clients see that nothing was damaged on the way."""
        return b64encode(hashlib.md5(self.content, usedforsecurity=False).digest()).decode()

    @property
    def crc32c(self) -> str:
        """The CRC-32C of the content, big-endian, in base 64: the other of the two."""
        from google_crc32c import value

        return b64encode(value(self.content).to_bytes(4, "big")).decode()


@dataclass(frozen=True)
class Listing:
    """One page. prefixes: what the delimiter cut names off to; token: where the next page begins, None for the last."""

    objects: tuple[StoredObject, ...]
    prefixes: tuple[str, ...]
    token: str | None


@dataclass
class ResumableUpload:
    """An upload that goes on where it stopped. generation: what has to stand before, as for `Objects.put`."""

    name: str
    generation: int | None
    content: bytes = b""


@dataclass
class Objects:
    """Every bucket's objects and unfinished uploads. Nothing here waits, so that each call is atomic in an event loop.

    buckets: bucket → name → object. uploads: id → part number → bytes. resumable: id → upload.
    """

    buckets: dict[str, dict[str, StoredObject]]
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    resumable: dict[str, ResumableUpload] = field(default_factory=dict)
    _generation: int = 0

    def get(self, bucket: str, name: str) -> StoredObject:
        """The object as it stands."""
        found = self._bucket(bucket).get(name)
        if found is None:
            raise GcsError(404, "NoSuchKey", f"The object {name} does not exist")
        return found

    def put(self, bucket: str, name: str, content: bytes, generation: int | None = None) -> StoredObject:
        """The object in a new generation. generation: what has to stand before, 0 for nothing, None for anything."""
        self._require(bucket, name, generation)
        self._generation += 1
        self._bucket(bucket)[name] = StoredObject(name, content, self._generation, datetime.now(UTC))
        return self._bucket(bucket)[name]

    def delete(self, bucket: str, name: str, generation: int | None = None) -> None:
        """The object is gone. generation: as for `put`."""
        self.get(bucket, name)
        self._require(bucket, name, generation)
        del self._bucket(bucket)[name]

    def list(self, bucket: str, prefix: str, delimiter: str, after: str, limit: int, start: str = "") -> Listing:
        """At most `limit` names and prefixes behind `after` and not before `start`, in the order of their bytes."""
        names = sorted(name for name in self._bucket(bucket) if name >= start)
        entries = _entries(names, prefix, delimiter)
        page = [entry for entry in entries if entry > after][: limit + 1]
        objects = tuple(self.get(bucket, name) for name in page[:limit] if name in self._bucket(bucket))
        prefixes = tuple(name for name in page[:limit] if name not in self._bucket(bucket))
        return Listing(objects, prefixes, page[limit - 1] if len(page) > limit else None)

    def start(self, bucket: str) -> str:
        """The id of a new upload in parts."""
        self._bucket(bucket)
        self._generation += 1
        self.uploads[f"upload-{self._generation}"] = {}
        return f"upload-{self._generation}"

    def parts(self, upload: str) -> dict[int, bytes]:
        """What of an upload has come."""
        if upload not in self.uploads:
            raise GcsError(404, "NoSuchUpload", f"The upload {upload} does not exist")
        return self.uploads[upload]

    def resume(self, bucket: str, upload: ResumableUpload) -> str:
        """The id of a new upload that can be resumed."""
        self._bucket(bucket)
        self._generation += 1
        self.resumable[f"upload-{self._generation}"] = upload
        return f"upload-{self._generation}"

    def _bucket(self, bucket: str) -> dict[str, StoredObject]:
        if bucket not in self.buckets:
            raise GcsError(404, "NoSuchBucket", f"The bucket {bucket} does not exist")
        return self.buckets[bucket]

    def _require(self, bucket: str, name: str, generation: int | None) -> None:
        stands = self._bucket(bucket).get(name)
        if generation is not None and generation != (stands.generation if stands else 0):
            raise GcsError(412, "PreconditionFailed", f"The object {name} is not at generation {generation}")


def _entries(names: Iterable[str], prefix: str, delimiter: str) -> list[str]:
    found: dict[str, None] = {}
    for name in names:
        if name.startswith(prefix):
            head, cut, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
            found[f"{prefix}{head}{cut}" if cut else name] = None
    return list(found)
