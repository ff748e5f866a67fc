"""The loader by which Model Serving opens a bundle: a V2 request is one string column, its answer one string.

It needs no MLflow itself; validation, features, split and log are those of every server of the platform.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ml_platform.jobs.serving import bundle
from ml_platform.jobs.serving.served import Served

BODY = "body"


class ServedModel:
    """A bundle's endpoint behind the one method that MLflow calls."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> list[str]:
        """An answer per row: JSON with the `status` that HTTP has for it, and the `answer`.

        model_input: a pandas frame with the column `body`. params: not used.
        """
        return [self._answered(str(body)) for body in model_input[BODY]]

    def _answered(self, body: str) -> str:
        status, answer = bundle.answered(self._served, body.encode())
        return json.dumps({"status": status, "answer": json.loads(answer)})


def _load_pyfunc(path: str) -> ServedModel:
    """The endpoint of the bundle at `path`; the name is MLflow's."""
    return ServedModel(bundle.load(Path(path)))
