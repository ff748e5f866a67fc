"""Fitting: a candidate version for the latest training set, or the one that stands for it already."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ml_platform.engine import delta, intent, kept_code, model_card
from ml_platform.engine.package import METRICS, PLOTS, SLICES, read_card, read_json
from ml_platform.engine.recipe import READ
from ml_platform.engine.request_time import version_of
from ml_platform.engine.running import run
from ml_platform.engine.sending import sent
from ml_platform.engine.training import Question
from ml_platform.engine.written_question import written
from ml_platform.records.job import JobSpec, Needs
from ml_platform.records.model import FeatureType, ModelVersion
from ml_platform.records.table import TableSnapshot, TableVersion
from ml_platform.roles.job_runner import JobRunner
from ml_platform.roles.lakehouse import Lakehouse
from ml_platform.roles.model_registry import ModelRegistry

CHALLENGER = "challenger"
# The tag of a version that holds the versions of what its training set was made from.
INPUTS = "inputs"
# The tag of a version that names the container image which fitted it.
IMAGE = "image"


@dataclass(frozen=True)
class Fitting:
    """What is fitted on what.

    model, training_set: asset keys. features: name → type, in order.
    code: digest of the declaration and of the programs that fit. question: what the training set's rows are.
    settings: what else the job is told, by argument.
    """

    model: str
    training_set: str
    label: str
    features: Mapping[str, FeatureType]
    task: str
    estimator: str
    baseline: str
    parameters: Mapping[str, Any]
    seed: int
    needs: Needs
    code: str
    question: Question
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fitted:
    """What became of a fit.

    refitted: False where the version stood already. metrics: split → metric → value; `baseline` beside the splits.
    slices: as Evidence has them. card: the model card, in Markdown. plots: name → PNG.
    """

    version: ModelVersion
    refitted: bool
    training_set: TableVersion
    metrics: Mapping[str, Any]
    plots: Mapping[str, bytes] = field(repr=False)
    seconds: float
    slices: Sequence[Mapping[str, Any]] = ()
    card: str = ""


def registered_name(model: str) -> str:
    """The registry's name for the model of an asset key.

    >>> registered_name("models/arrival_delay")
    'arrival_delay'
    """
    return model.rpartition("/")[2]


def fit(
    fitting: Fitting,
    lakehouse: Lakehouse,
    runner: JobRunner,
    registry: ModelRegistry,
    say: Callable[[str], None],
) -> Fitted:
    """The challenger is fitted on the latest training set, by this declaration and this code.

    Raises NotFoundError without a training set, ServiceError where the job fails; the challenger is then what it was.
    """
    started = time.monotonic()
    snapshot = delta.existing(lakehouse.table(fitting.training_set))
    pin = TableVersion(fitting.training_set, snapshot.version, delta.fingerprint(snapshot))
    name = registered_name(fitting.model)
    # What computes features travels with the model, even where these rows do not tell it apart.
    computed = "".join(f"\n{version_of(it)}" for it in fitting.question.request_time.values())
    fingerprint = hashlib.sha256(f"{pin.fingerprint}\n{fitting.code}{computed}".encode()).hexdigest()[:32]
    stands = next((v for v in registry.versions(name) if v.tags.get("fingerprint") == fingerprint), None)
    with TemporaryDirectory() as folder:
        package = Path(folder) / "package"
        if stands is None:
            intent.about_to("create", f"a version is to be fitted on version {pin.version} of {pin.key}")
            table, folders = sent(snapshot.location, pin.version, runner, Path(folder))
            inputs, kept = _inputs(fitting, snapshot), kept_code.keep(lakehouse)
            spec = replace(_spec(fitting, table, pin, fingerprint), folders=folders)
            run(runner, spec, say, package)
            ran = read_card(package).code
            if ran != kept:
                say(f"the job ran the code {ran[:16]}, and not {kept[:16]}, which asks for it and is kept")
            tags = {**_tags(fitting, pin, fingerprint), INPUTS: json.dumps(inputs), kept_code.TAG: kept}
            tags |= {IMAGE: runner.image} if runner.image else {}
            version = registry.register(name, package, tags)
        else:
            registry.fetch(name, stands.number, package)
            version = stands
        if CHALLENGER not in version.aliases:
            registry.move_alias(name, CHALLENGER, version.number)
        return fitted(package, version, pin, refitted=stands is None, started=started)


def fitted(package: Path, version: ModelVersion, pin: TableVersion, *, refitted: bool, started: float) -> Fitted:
    """What a version's package says of it. pin: what it learned from, or is examined on. started: by `monotonic`."""
    plots = {path.stem: path.read_bytes() for path in sorted((package / PLOTS).glob("*.png"))}
    metrics: Mapping[str, Any] = read_json(package / METRICS)
    slices, card = read_json(package / SLICES), (package / model_card.FILE).read_text(encoding="utf-8")
    return Fitted(version, refitted, pin, metrics, plots, time.monotonic() - started, slices, card)


def _spec(fitting: Fitting, table: Mapping[str, Any], pin: TableVersion, fingerprint: str) -> JobSpec:
    return JobSpec(
        name=f"fit-{registered_name(fitting.model)}-{fingerprint}",
        program="fit",
        arguments={
            "training_set": table,
            "label": fitting.label,
            "features": dict(fitting.features),
            "task": fitting.task,
            "estimator": fitting.estimator,
            "baseline": fitting.baseline,
            "parameters": dict(fitting.parameters),
            **fitting.settings,
            **_request_time(fitting.question),
            "seed": fitting.seed,
            "threads": max(1, int(fitting.needs.cpu)),
            "context": {
                "model": fitting.model,
                "training_set": pin.key,
                "training_set_fingerprint": pin.fingerprint,
                "question": written(fitting.question),
            },
        },
        needs=fitting.needs,
    )


def _request_time(question: Question) -> dict[str, Any]:
    found = [asdict(it) for it in question.request_time.values()]
    return {"request_time": found} if found else {}


def _inputs(fitting: Fitting, training_set: TableSnapshot) -> dict[str, int]:
    """Asset key → version of everything that the training set was made from."""
    names = {f"{READ}{key}": key for key in (fitting.question.events, *fitting.question.views)}
    found = delta.transactions(training_set.location, names, training_set.version)
    return {names[name]: version for name, version in found.items() if version is not None}


def _tags(fitting: Fitting, pin: TableVersion, fingerprint: str) -> dict[str, str]:
    return {
        "fingerprint": fingerprint,
        "asset": fitting.model,
        "code": fitting.code,
        "training_set": json.dumps({"key": pin.key, "version": pin.version, "fingerprint": pin.fingerprint}),
    }
