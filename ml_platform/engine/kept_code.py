"""Kept code: the platform's own package as an archive in the lakehouse, by which a model can be fitted again as it was.

An archive is a wheel's content: Python imports from it where it stands. The same code gives the same archive, which
goes by its digest.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ml_platform.engine.files import filesystem, put
from ml_platform.errors import AuditError, NotFoundError
from ml_platform.roles.lakehouse import Lakehouse

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

KEY = "code/ml_platform"
# The tag of a model version that names the archive of the code which fitted it.
TAG = "kept_code"
_PACKAGE = Path(__file__).parent.parent
_LEFT_OUT = ("testing",)
_MOMENT = (1980, 1, 1, 0, 0, 0)  # the earliest that an archive can say


def keep(lakehouse: Lakehouse) -> str:
    """The digest by which the archive of this process's code stands in the lakehouse; it is written once."""
    content = _archive()
    digest = hashlib.sha256(content).hexdigest()
    files = filesystem(lakehouse.files(KEY))
    if not _stands(files, digest):
        put(files, _name(digest), content)
    return digest


def own_digest() -> str:
    """The digest of the code that this process runs, whether it lies in a folder or is imported from an archive."""
    archive = _PACKAGE.parent
    return hashlib.sha256(archive.read_bytes() if archive.is_file() else _archive()).hexdigest()


def fetch(lakehouse: Lakehouse, digest: str, into: Path) -> Path:
    """The archive as a file in the folder. Raises NotFoundError where it is not there, AuditError for another."""
    files = filesystem(lakehouse.files(KEY))
    if not _stands(files, digest):
        raise NotFoundError(f"the code {digest[:16]} is asked for, but {KEY} does not hold it")
    with files.open_input_stream(_name(digest)) as stream:
        content = stream.read()
    if hashlib.sha256(content).hexdigest() != digest:
        raise AuditError(f"the code {digest[:16]} in {KEY} was altered, but it goes by its digest")
    path = into / _name(digest)
    path.write_bytes(content)
    return path


@lru_cache(maxsize=1)
def _archive() -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        for path in sorted(_PACKAGE.rglob("*.py")):
            inside = path.relative_to(_PACKAGE)
            if inside.parts[0] not in _LEFT_OUT:
                entry = zipfile.ZipInfo(f"{_PACKAGE.name}/{inside.as_posix()}", _MOMENT)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes(), compresslevel=9)
    return found.getvalue()


def _stands(files: FileSystem, digest: str) -> bool:
    from pyarrow.fs import FileType

    return bool(files.get_file_info(_name(digest)).type == FileType.File)


def _name(digest: str) -> str:
    return f"{digest}.zip"
