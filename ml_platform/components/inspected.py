"""What a table's asset gives when its rows are held against rules: its materialization, and a check for each rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform import metadata
from ml_platform.records.expectation import Outcome

if TYPE_CHECKING:
    from ml_platform.engine.tables import Made


def inspected(make: Callable[[], Made], told: Callable[[Made], dg.MaterializeResult[Any]]) -> Iterator[Any]:
    """The materialization and the checks; where a rule fails the run the checks alone, and then its error.

    make: makes the table. told: what is said of it.
    """
    from ml_platform.engine.assessment import BrokenRulesError

    try:
        made = make()
    except BrokenRulesError as error:
        yield from check_results(error.outcomes)
        raise
    yield told(made)
    yield from check_results(made.inspected.outcomes)


def check_results(outcomes: Sequence[Outcome]) -> Iterator[dg.AssetCheckResult]:
    """A check for each rule; one that is broken and does not fail the run is a warning."""
    for outcome in outcomes:
        fails = outcome.rule.severity == "fail"
        yield dg.AssetCheckResult(
            check_name=outcome.rule.name,
            passed=not outcome.broken,
            severity=dg.AssetCheckSeverity.ERROR if fails else dg.AssetCheckSeverity.WARN,
            description=f"Broken {outcome.broken:,} times: {outcome.said}." if outcome.broken else "Kept.",
            metadata={
                "broken": outcome.broken,
                "severity": outcome.rule.severity,
                "examples": metadata.as_json(list(outcome.examples)),
            },
        )


def sifted(made: Made) -> dict[str, Any]:
    """What a table's materialization says of its quarantine: rows in, out and quarantined, and by which rule."""
    found = made.inspected
    if found.quarantine is None:
        return {}
    by_rule = {it.rule.name: it.broken for it in found.outcomes if it.rule.severity == "quarantine"}
    return {
        "rows_in": found.rows_in,
        "rows_out": found.rows_out,
        "rows_quarantined": found.rows_in - found.rows_out,
        "quarantine_rows": found.quarantine.rows,
        "quarantine_by_rule": metadata.as_json(by_rule),
    }
