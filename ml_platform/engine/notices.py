"""Notices as they are kept: a line of JSON for each that was told, with what became of it on every channel."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml_platform.records.notice import Delivery, Notice

FILE = "notices.jsonl"
_REMEMBERED_BYTES = 1 << 20

Send = Callable[[Notice], Any]


def tell(folder: Path, notice: Notice, channels: Mapping[str, Send]) -> Sequence[Delivery]:
    """What became of the notice on each channel, tried once where it has not arrived, and of the line in the folder.

    What cannot be written down is told on the channels all the same. folder: made by the first notice.
    channels: name → what sends a notice, or raises; why is said by kind, status and the service's own code alone.
    """
    arrived = _arrived(folder, notice.id)
    done = [
        Delivery(name, delivered=True) if name in arrived else _tried(name, send, notice)
        for name, send in channels.items()
    ]
    written = Delivery("log", delivered=True)
    if "log" not in arrived or {one.channel for one in done} - arrived:
        written = _tried("log", lambda it: _write(folder, it, done), notice)
    return [written, *done]


def _arrived(folder: Path, notice_id: str) -> set[str]:
    """The channels on which a notice of that id was delivered, as far as the end of the file remembers."""
    path = folder / FILE
    if not path.exists():
        return set()
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _REMEMBERED_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    found: set[str] = set()
    for line in lines:
        if notice_id in line:
            found |= _delivered(line, notice_id)
    return found


def _write(folder: Path, notice: Notice, done: Sequence[Delivery]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    channels = {"log": "delivered", **{one.channel: one.fault or "delivered" for one in done}}
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "id": notice.id,
        "severity": notice.severity,
        "subject": notice.subject,
        "text": notice.text,
        "channels": channels,
    }
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _tried(channel: str, send: Send, notice: Notice) -> Delivery:
    try:
        send(notice)
    except Exception as error:  # whatever a channel raises: the others, and the caller, go on
        return Delivery(channel, delivered=False, fault=_fault(error))
    return Delivery(channel, delivered=True)


def _fault(error: Exception) -> str:
    """Why a channel did not deliver, by kind, status and code alone: messages of libraries quote addresses."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None) or getattr(error, "smtp_code", None)
    code = getattr(error, "code", None)
    return " ".join(str(each) for each in (type(error).__name__, status, code) if each)


def _delivered(line: str, notice_id: str) -> set[str]:
    try:
        told = json.loads(line)
    except ValueError:  # torn, or cut by where we began to read
        return set()
    if told.get("id") != notice_id:
        return set()
    return {name for name, became in told["channels"].items() if became == "delivered"}
