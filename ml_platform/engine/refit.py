"""A refit: a fit of then done again here, by the code of then, and how far its answers are from those of then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import ml_platform
from ml_platform.engine import delta, kept_code
from ml_platform.engine.package import read_card
from ml_platform.engine.scorer import Scorer
from ml_platform.errors import NotFoundError, ServiceError
from ml_platform.jobs import openmp
from ml_platform.jobs.tables import as_columns
from ml_platform.records.model import ModelVersion
from ml_platform.records.table import TableSnapshot
from ml_platform.roles.lakehouse import Lakehouse


def refitted(
    order: Mapping[str, Any],
    rows: TableSnapshot,
    version: ModelVersion,
    lakehouse: Lakehouse,
    scratch: Path,
    say: Callable[[str], None],
) -> tuple[Path, list[str]]:
    """The package that the order gives on these rows, and a sentence where it is not the kept code that made it.

    order: what the fit was told, without its rows. Raises ServiceError with the program's own reason where it fails.
    """
    digest = version.tags.get(kept_code.TAG, "")
    try:
        code, told = kept_code.fetch(lakehouse, digest, scratch), []
        say(f"fitting {order['estimator']} by the code {digest[:16]}")
    except NotFoundError as error:
        code, told = Path(ml_platform.__file__).parent.parent, [f"It was fitted by the code that runs here: {error}"]
    spec, output = scratch / "order.json", scratch / "again"
    arguments = {**order, "training_set": delta.pinned(rows.location, rows.version)}
    spec.write_text(json.dumps({"arguments": arguments}), encoding="utf-8")
    command = [sys.executable, "-P", "-m", "ml_platform.jobs.fit", "--spec", str(spec), "--output", str(output)]
    done = subprocess.run(
        command, env=_environment(code, order, scratch), cwd=scratch, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ServiceError(f"the refit of {version.name} version {version.number} failed: {reason}")
    return output, told


def difference(package: Path, again: Path, rows: TableSnapshot) -> float:
    """The largest difference between the answers of two packages on these rows; NaN where one has none."""
    table = delta.read_rows(rows)
    answers = []
    for scorer in (Scorer.load(package), Scorer.load(again)):
        columns = as_columns(table, {feature.name: feature.type for feature in scorer.features})
        answers.append(scorer.predict(columns))
    return float(np.max(np.abs(answers[0] - answers[1]), initial=0.0))


def code_moved(package: Path, again: Path, image: str) -> list[str]:
    """A sentence where other code of ours did the fit then. image: that it ran in; empty without one."""
    then, now = read_card(package).code, read_card(again).code
    where = f" in the image {image}" if image else ""
    return [f"The code of the platform was {then[:16]}{where} and is {now[:16]}."] if then not in ("", now) else []


def libraries_moved(package: Path, again: Path) -> list[str]:
    """A sentence for each library that was another version then."""
    then, now = read_card(package).versions, read_card(again).versions
    return [
        f"{name} was {then.get(name, 'absent')} and is {now.get(name, 'absent')}."
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]


def _environment(code: Path, order: Mapping[str, Any], scratch: Path) -> dict[str, str]:
    """The process's environment, in which the code comes before any other of that name."""
    path = os.pathsep.join(part for part in (str(code), os.environ.get("PYTHONPATH", "")) if part)
    threads = str(order.get("threads", 1))
    threading = {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}
    return {**os.environ, "PYTHONPATH": path, **threading, **openmp.environment(scratch / "lib")}
