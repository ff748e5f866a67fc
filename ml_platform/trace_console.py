"""A trace as a person on a terminal reads it: a prediction back to landed rows, and a file on to what it reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ml_platform.engine.origins import LandedRows, Origin
from ml_platform.engine.trace import Seen, Trace

if TYPE_CHECKING:
    import dagster as dg

    from ml_platform.engine.consequences import Consequences
    from ml_platform.engine.reached import Predicted

_SHOWN = 8
_WIDTH = 14


def told(of: Trace, serving: Any) -> Iterator[str]:
    """The chain behind a prediction, a line a link. serving: the revision that serves now, None where none does."""
    answer = of.answer
    said = f"{answer.output:.6g}" if isinstance(answer.output, float) else str(answer.output)
    yield _line("prediction", f"{answer.name}: {said} for {answer.event_time.isoformat()}")
    yield _line("", f"in {answer.place}, {_pairs(answer.inputs)}")
    if answer.revision is not None:
        now = f"revision {serving.number} serves now" if serving is not None else "nothing serves now"
        yield _line("endpoint", f"{answer.asked} revision {answer.revision}; {now}")
    aliases = f", {', '.join(of.model.aliases)}" if of.model.aliases else ""
    yield _line("model", f"{answer.model} version {of.model.number}{aliases}, digest {of.model.digest[:16]}")
    yield from _gate(of.gate)
    if of.training_set is not None:
        yield _line("learned from", "{} version {}".format(*of.training_set))
    if of.inputs:
        yield _line("", f"made of {', '.join(f'{key} version {number}' for key, number in of.inputs.items())}")
    shown: set[tuple[Any, ...]] = set()
    for seen in of.seen:
        yield from _seen(seen, shown)


def _gate(gate: Mapping[str, Any]) -> Iterator[str]:
    if not gate:
        yield _line("gate", "no evidence is kept with this version")
        return
    yield _line("gate", "passed" if gate["promoted"] else "refused")
    for reason in gate["reasons"]:
        yield _line("", reason)


def _seen(seen: Seen, shown: set[tuple[Any, ...]]) -> Iterator[str]:
    if seen.origin is None:
        version = "" if seen.version is None else f" version {seen.version}"
        yield _line("feature view", f"{seen.key}{version}: {seen.told}")
        return
    yield from _origin(seen.origin, 0, shown, seen.told)


def _origin(of: Origin, depth: int, shown: set[tuple[Any, ...]], more: str = "") -> Iterator[str]:
    """A table version and what it was made of; what was shown as a whole before is only named again."""
    partitions = f" in {_range(of.partitions)}" if of.partitions else ""
    by = "by row" if not of.because else "by partition" if of.partitions else "by table"
    name = (of.key, of.version, of.partitions, of.named)
    again = bool(of.because) and name in shown
    why = f", {by}: {'as above' if again else of.because}" if of.because else f", {by}"
    partitions += f", {of.named}" if of.named else ""
    what = "  " * depth + ("table" if depth else "feature view")
    yield _line(what, f"{of.key} version {of.version}: {_rows(of.rows)}{partitions}{why}{f'; {more}' if more else ''}")
    if again:
        return
    if of.because:
        shown.add(name)
    for landed in sorted(of.landed, key=lambda it: not it.offsets)[:_SHOWN]:
        yield _line("  " * (depth + 1) + "file", file_told(landed))
    if len(of.landed) > _SHOWN:
        yield _line("", f"and {len(of.landed) - _SHOWN} more files")
    for each in of.of:
        yield from _origin(each, depth + 1, shown)


def file_told(landed: LandedRows) -> str:
    """A landed file with its rows, which are counted from 0 as their offsets are."""
    if not landed.offsets:
        return f"{landed.path} {landed.digest}: {_rows(landed.rows)}"
    places = ", ".join(map(str, landed.offsets[:_SHOWN])) + (" …" if len(landed.offsets) > _SHOWN else "")
    those = f"row{'s' if len(landed.offsets) > 1 else ''} {places}"
    every = "" if len(landed.offsets) == landed.rows else f"{_rows(landed.rows)}, of them "
    return f"{landed.path} {landed.digest}: {every}{those}"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _range(partitions: tuple[str, ...]) -> str:
    return partitions[0] if len(partitions) == 1 else f"{partitions[0]}...{partitions[-1]}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _line(what: str, text: str) -> str:
    return f"{what:<{max(_WIDTH, len(what) + 1)}}{text}"


def trace_prediction(name: str, definitions: dg.Definitions) -> Iterator[str]:
    """The chain behind a prediction, a line a link. Raises NotFoundError where nothing goes by the name."""
    from ml_platform import binding
    from ml_platform.declared_graph import declared_graph
    from ml_platform.engine.predictions import find
    from ml_platform.engine.trace import trace

    declared = declared_graph(definitions)
    log, lakehouse, compute, registry, host = (
        binding.service(role) for role in ("prediction_log", "lakehouse", "compute", "model_registry", "endpoint_host")
    )
    answer = find(name, declared, log, lakehouse, compute)
    serving = host.describe(answer.asked.rpartition("/")[2]) if answer.revision is not None else None
    return told(trace(answer, declared, registry, lakehouse, compute), serving)


def trace_file(name: str, definitions: dg.Definitions, *, every: bool = False) -> Iterator[str]:
    """What a landed file reached, a line each. every: whether each prediction is named. Raises NotFoundError."""
    from ml_platform import binding
    from ml_platform.declared_graph import declared_graph
    from ml_platform.engine.reached import holding, named, predicted
    from ml_platform.taint_checks import walked

    declared = declared_graph(definitions)
    lakehouse, compute, registry, host = (
        binding.service(role) for role in ("lakehouse", "compute", "model_registry", "endpoint_host")
    )
    found = named(name, declared, lakehouse)
    over = walked(declared, lakehouse, registry, host)
    for landed in found:
        rows = sum(landed.rows.values())
        if not rows:
            yield _line("file", f"{landed.path} {landed.digest}: {landed.source} takes no row of it")
            continue
        where = f" in {_range(tuple(sorted(landed.rows)))}" if any(landed.rows) else ""
        yield _line("file", f"{landed.path} {landed.digest}: {_rows(rows)}{where}, taken by {landed.source}")
        reached = over.reached(holding(landed, over.logs, lakehouse))
        lost = over.logs[landed.source].first if landed.source in over.logs else None
        if lost:
            yield _line("", f"what was made of {landed.source} before version {lost} is not known any more")
        yield from _reached(reached, predicted(reached, declared, over.logs, lakehouse, compute), every=every)


def _reached(found: Consequences, predictions: Sequence[Predicted], *, every: bool) -> Iterator[str]:
    for key, versions in sorted(found.versions.items()):
        yield _line("table", f"{key} version{'s' if len(versions) > 1 else ''} {', '.join(map(str, versions))}")
    models: dict[str, list[str]] = {}
    for pin in found.models:
        models.setdefault(f"models/{pin.model} version {pin.number}", []).append(f"{pin.key} version {pin.version}")
    for name, pinned in models.items():
        yield _line("model", f"{name}, by {', '.join(sorted(pinned))}")
    for name in found.endpoints:
        yield _line("endpoint", f"endpoints/{name} serves such a model")
    for one in predictions:
        shown = one.ids if every else one.ids[:_SHOWN]
        more = f" and {len(one.ids) - len(shown):,} more, which --ids names" if len(shown) < len(one.ids) else ""
        yield _line("predictions", f"{one.asked}: {len(one.ids):,}, {', '.join(shown)}{more}")
    if not (found.versions or models):
        yield _line("", "it reached nothing that can still be opened")
