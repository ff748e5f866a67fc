"""An erasure as a person on a terminal sees it: what went from where, and what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import dagster as dg

from ml_platform.errors import ConflictError, NotFoundError
from ml_platform.taint_console import marked, require_dagster_home

if TYPE_CHECKING:
    from ml_platform.engine.declared import Declared
    from ml_platform.engine.erasure_plan import Plan, Row
    from ml_platform.roles.compute import Compute
    from ml_platform.roles.feature_store import FeatureStore
    from ml_platform.roles.lakehouse import Lakehouse
    from ml_platform.roles.model_registry import ModelRegistry
    from ml_platform.roles.prediction_log import PredictionLog

Say = Callable[[str], None]
_GOING = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_PROVEN = "tables, their logs, landed files, the online store, prediction logs"
_AS_TEXT = ", data cards, reports, and models"


@dataclass(frozen=True)
class Services:
    """Who holds what may have to go."""

    lakehouse: Lakehouse
    compute: Compute
    model_registry: ModelRegistry
    feature_store: FeatureStore
    prediction_log: PredictionLog


def erase_key(table: str, keys: Sequence[str], why: str, definitions: dg.Definitions, say: Say) -> bool:
    """Whether it is proven that nothing is left of a key, which is column=value, or several of them.

    Raises NotFoundError for a table or column that is not there, and for a key that no row has; ConflictError while a
    run is going on.
    """
    from ml_platform import binding
    from ml_platform.declared_graph import declared_graph
    from ml_platform.engine import absence, erasure
    from ml_platform.engine.erasure_plan import plan
    from ml_platform.engine.pins import pins

    require_dagster_home()
    _require_quiet()
    services = Services(**{role: binding.service(role) for role in Services.__annotations__})
    declared, lakehouse = declared_graph(definitions), services.lakehouse
    planned = plan(table, _pairs(keys), declared, lakehouse, services.compute)
    of = erasure.begun(planned, lakehouse)
    going = erasure.tables(of, declared, lakehouse)
    seeds = erasure.seeds(going, pins(services.model_registry, broken=True), lakehouse)
    if not seeds.files and not erasure.resumed(of, planned):
        erasure.ended(of, lakehouse)
        raise NotFoundError(
            f"the key is {', '.join(keys)}, but no row of {table}, or of what it was made of or is made into, has it"
        )
    subject = f"erasure:{table} by {', '.join(of.key)} {of.name}"
    for line in marked(subject, why, lambda _: seeds, definitions):
        say(line)
    _go(of, going, declared, services, say)
    left = list(_left(of, going, declared, services))
    for sentence in left:
        click.echo(f"left: {sentence}", err=True)
    if left:
        click.echo(
            "error: it is not proven that nothing is left; mend what is named and give the command again", err=True
        )
        return False
    erasure.ended(of, lakehouse)
    say(f"nothing is left in {_PROVEN}{_AS_TEXT if absence.texts(of) else ''}")
    for line in _beyond(of, declared):
        say(line)
    return True


def _go(of: Plan, going: Mapping[str, Sequence[Row]], declared: Declared, services: Services, say: Say) -> None:
    """Everything goes; landed files first, for tables say where in them rows stand."""
    from ml_platform.engine import erasure
    from ml_platform.engine.landed_erasure import erase_landed

    lakehouse = services.lakehouse
    for source in (declared.sources[key] for key in of.rows if key in declared.sources):
        for path in erase_landed(source, erasure.places(source, of, lakehouse), declared.partitions, lakehouse):
            say(f"{source.landing}: {path} is written again without it")
    for key, rows in going.items():
        gone = erasure.erase_rows(key, rows, lakehouse)
        if gone:
            say(f"{key}: {_count(gone, 'row')} erased")
    _forget(of, declared, services, say)
    _publish(of, declared, services, say)
    for model in erasure.break_pins(set(of.rows), services.model_registry, lakehouse):
        say(f"{model} cannot be made again any more")
    for key in [*going, *(f"{it}__manifest" for it in of.rows if it in declared.sources)]:
        erasure.sweep(lakehouse.table(key))
    if of.again:
        say(f"made again by the next run, for their rows name nobody: {', '.join(of.again)}")


def _forget(of: Plan, declared: Declared, services: Services, say: Say) -> None:
    """Records of requests for the key, where the log can forget, and what was measured say nothing of it."""
    from ml_platform.engine import derived, erasure

    forget: Any = getattr(services.prediction_log, "forget", None)
    for endpoint, rows in _logs(of, declared).items() if forget else ():
        count = forget(endpoint, lambda record, rows=rows: erasure.has(record.inputs, rows))
        if count:
            say(f"prediction log of {endpoint}: {_count(count, 'record')} emptied")
    for line in derived.forget(of, erasure.served(of, declared).keys(), declared, services.lakehouse):
        say(line)


def _logs(of: Plan, declared: Declared) -> dict[str, Sequence[Row]]:
    """Name in the prediction log → the rows that name the key there: of endpoints, and of rehearsals for them."""
    from ml_platform.engine import erasure
    from ml_platform.engine.rollout_serving import REHEARSAL

    served = erasure.served(of, declared)
    return {f"{endpoint}{suffix}": rows for endpoint, rows in served.items() for suffix in ("", REHEARSAL)}


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _publish(of: Plan, declared: Declared, services: Services, say: Say) -> None:
    """The online store has the views as they are now, and nothing of what was there before."""
    from ml_platform.engine.publication import publish

    store: Any = services.feature_store
    for key in [key for key in declared.views if key in of.rows]:
        view = declared.views[key]
        stands = store.published(view)
        if stands is not None:
            since = datetime.fromisoformat(stands.version.rpartition(" from ")[2])
            done = publish(view, services.lakehouse.table(key), since, store)
            if done.changed:
                say(f"{key}: published again, {done.rows:,} rows")
    if hasattr(store, "scrub"):
        store.scrub()


def _left(of: Plan, going: Mapping[str, Sequence[Row]], declared: Declared, services: Services) -> Iterator[str]:
    """What is left of the key, a sentence each."""
    from ml_platform.engine import absence, derived, erasure

    texts, lakehouse = absence.texts(of), services.lakehouse
    every = [f"{key}{suffix}" for key in declared.tables for suffix in erasure.BESIDE]
    landings = {source.landing for key, source in declared.sources.items() if key in of.rows}
    yield from absence.in_tables(going, every, texts, lakehouse)
    yield from absence.in_files({*landings, *derived.folders(declared)}, texts, lakehouse)
    yield from absence.online(declared.views, of, services.feature_store, lakehouse)
    yield from absence.in_log(_logs(of, declared), services.prediction_log)
    yield from absence.in_models(texts, services.model_registry)


def _beyond(of: Plan, declared: Declared) -> Iterator[str]:
    """What is beyond the platform's reach."""
    from ml_platform.engine import absence

    landings = sorted({source.landing for key, source in declared.sources.items() if key in of.rows})
    for landing in landings:
        yield f"not ours: where {landing} brings its files from may hold it on; it is not landed again"
    if not absence.texts(of):
        why = f"for it is no single one of {absence.TELLING} letters"
        yield f"not looked for as a text, {why}: in other files{_AS_TEXT}"
    yield "not looked through: Dagster's event log, MLflow's runs, backups"


def _require_quiet() -> None:
    """Returns while no run is going on: what it is about to commit would bring rows back, or be swept away."""
    with dg.DagsterInstance.get() as instance:
        going = instance.get_runs(dg.RunsFilter(statuses=list(_GOING)), limit=5)
    if going:
        raise ConflictError(
            f"the run {going[0].run_id} is going on, but an erasure sweeps away what is not committed yet",
            remedy="Wait for it, or end it, and give the command again",
        )


def _pairs(keys: Sequence[str]) -> dict[str, str]:
    pairs = [key.partition("=") for key in keys]
    for name, equals, value in pairs:
        if not name or not equals or not value:
            raise click.UsageError(f"{name or equals} is no key, which is written as column=value")
        if sum(other == name for other, _, _ in pairs) > 1:
            raise click.UsageError(f"--key names {name} twice, but a key has one value a column; erase them one by one")
    return {name: value for name, _, value in pairs}
