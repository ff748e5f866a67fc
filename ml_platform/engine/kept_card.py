"""A data card that is kept beside the tables, so that a training set that did not change is not measured again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pyarrow.fs import FileType

from ml_platform.engine import delta
from ml_platform.engine.data_card import Contents, markdown, measured
from ml_platform.engine.files import filesystem, put
from ml_platform.engine.program import digest
from ml_platform.engine.recipe import Fetch
from ml_platform.roles.lakehouse import Lakehouse

if TYPE_CHECKING:
    from ml_platform.engine.tables import Made

FOLDER = "platform/data_cards"
_MEASURES = "engine.data_card"


@dataclass(frozen=True)
class Card:
    """What was measured, as JSON can say it, and the page."""

    said: Mapping[str, Any]
    text: str


def card_of(made: Made, contents: Contents, description: str, lakehouse: Lakehouse, fetch: Fetch) -> Card:
    """The card of a training set as it stands, measured once for the same rows by the same code.

    fetch: asks queries over the set, as `engine.data_card` does.
    """
    key = made.snapshot.location.key
    of = json.dumps([key, delta.fingerprint(made.snapshot), asdict(contents), digest(_MEASURES)], sort_keys=True)
    path = f"{hashlib.sha256(of.encode()).hexdigest()[:32]}.json"
    files = filesystem(lakehouse.files(FOLDER))
    if files.get_file_info(path).type == FileType.File:
        with files.open_input_stream(path) as stream:
            said = json.loads(stream.read())
    else:
        said = measured(contents, fetch)
        put(files, path, json.dumps(said).encode())
    read = [{"table": it.key, "version": it.version, "fingerprint": it.fingerprint} for it in made.read]
    return Card(said, markdown(key, description, said, read))
