"""The platform's clock: what "now" means, real or a replay of historic data."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from ml_platform.engine.files import filesystem, put
from ml_platform.errors import BindingError, NotFoundError
from ml_platform.roles.lakehouse import Lakehouse

_KEY = "platform"
_FILE = "clock.txt"


def now(lakehouse: Lakehouse, mode: str) -> datetime:
    """The current moment, UTC.

    mode: `real` is the machine's clock; `replay` is where `advance` last set it.
    `ML_PLATFORM_NOW`, an ISO 8601 time with an offset, overrides both.
    Raises NotFoundError for a replay that never advanced, BindingError for an override without an offset.
    """
    override = os.environ.get("ML_PLATFORM_NOW")
    if override:
        return _moment(override, remedy="Mend or unset ML_PLATFORM_NOW")
    if mode == "real":
        return datetime.now(UTC)
    stands = _read(lakehouse)
    if stands is None:
        raise NotFoundError(
            "the replay clock is not set, but something asked what time it is",
            remedy="Materialize the landing assets first, or set ML_PLATFORM_NOW",
        )
    return stands


def advance(lakehouse: Lakehouse, to: datetime) -> datetime:
    """Where the replay clock stands afterwards, UTC: at `to`, or where it stood if that is later.

    to: with an offset. Whoever reads meanwhile sees the one or the other.
    """
    stands = _read(lakehouse)
    if stands is not None and stands >= to:
        return stands
    files = filesystem(lakehouse.files(_KEY))
    put(files, _FILE, to.astimezone(UTC).isoformat().encode())
    return to.astimezone(UTC)


def _read(lakehouse: Lakehouse) -> datetime | None:
    files = filesystem(lakehouse.files(_KEY))
    try:
        with files.open_input_stream(_FILE) as stream:
            text = stream.read().decode()
    except FileNotFoundError:
        return None
    return _moment(text, remedy=f"Delete {_FILE} in {lakehouse.files(_KEY).uri} and materialize the landing assets")


def _moment(text: str, remedy: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BindingError(
            f"the clock is {text!r}, but that is no moment in time",
            allowed="An ISO 8601 time with an offset is, for instance 2013-12-31T23:00:00+00:00",
            remedy=remedy,
        )
    return moment.astimezone(UTC)
