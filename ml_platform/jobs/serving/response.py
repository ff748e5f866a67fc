"""The V2 body of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from ml_platform.jobs.serving.protocol import OUTPUTS
from ml_platform.jobs.serving.record import Answer, Taken
from ml_platform.records.metric import Task


def written_response(taken: Taken, answer: Answer, task: Task, classes: Sequence[str]) -> bytes:
    """The body; it names the version and the record of each row. task, classes: of the models."""
    given = taken.request.id
    body: dict[str, Any] = {
        "model_name": taken.endpoint,
        "model_version": ",".join(str(version) for version in sorted(set(answer.versions))),
        "id": taken.ids[0].partition("-")[0] if given is None else given,
        "outputs": _tensors(task, classes, answer.outputs),
        "parameters": {
            "revision": taken.revision,
            "request_ids": taken.ids,
            "model_versions": answer.versions,
            **({"classes": list(classes)} if classes else {}),
        },
    }
    return orjson.dumps(body)


def _tensors(task: Task, classes: Sequence[str], outputs: Sequence[Any]) -> list[dict[str, Any]]:
    """The answer's tensors: one value a row, or the likeliest class and the probabilities of all, row by row."""
    rows = len(outputs)
    if not classes:
        (name,) = OUTPUTS[task]
        return [{"name": name, "shape": [rows], "datatype": "FP64", "data": outputs}]
    likeliest = [max(classes, key=output.__getitem__) for output in outputs]
    flat = [output[name] for output in outputs for name in classes]
    return [
        {"name": "class", "shape": [rows], "datatype": "BYTES", "data": likeliest},
        {"name": "probability", "shape": [rows, len(classes)], "datatype": "FP64", "data": flat},
    ]
