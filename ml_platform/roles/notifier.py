"""The notifier: who tells people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ml_platform.records.notice import Delivery, Notice


class Notifier(Protocol):
    """Tells people on its channels; a channel that fails fails nobody else."""

    def tell(self, notice: Notice) -> Sequence[Delivery]:
        """What became of the notice on each channel, tried once; never raises for a channel that does not deliver.

        A channel on which a notice of that id was delivered is not used for it again, so whoever tells may tell again
        until everything is delivered. A fault names neither address nor secret.
        """
        ...
