"""What a monitor and its decisions show in the Dagster UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_platform import metadata
from ml_platform.records.monitor import FAMILIES, NOT_ENOUGH, Finding
from ml_platform.records.table import Commit, TableSnapshot, TableVersion
from ml_platform.watching import INCIDENT, TELL

if TYPE_CHECKING:
    from ml_platform.engine.monitoring import Monitored
    from ml_platform.engine.standing import Standing
    from ml_platform.records.retraining import Decision

ALARMING = ("freshness", "volume", "input")
"""The families whose failure is broken input, and an error; the others are warnings."""
_STATISTICS = ("psi", "ks", "jensen_shannon", "null_share", "new_categories")
_SHOWN = ("window", "family", "feature", "statistic", "state", "value", "lower", "upper", "threshold", "rows", "detail")
_SHOWN_DECISIONS = 20
_SHOWN_WINDOWS = 12


def result(context: dg.AssetExecutionContext, monitored: Monitored, report: str) -> dg.MaterializeResult:  # type: ignore[type-arg] # beside checks, dagster knows only the bare type
    """The result of a monitor: its table, the report, and a check a family."""
    from ml_platform.engine.standing import standing

    found = monitored.findings
    families = standing(found)
    made = metadata.result(context, monitored.made, column=None)
    # What a person looks for comes first.
    said = {**of_findings(found, report), **(made.metadata or {})}
    return made._replace(metadata=said, check_results=[check(family, families.get(family)) for family in FAMILIES])


def check(family: str, of: Standing | None) -> dg.AssetCheckResult:
    """Failed where the family's newest window with enough data is not steady; too few rows fail nothing."""
    return dg.AssetCheckResult(
        passed=of is None or of.passed,
        check_name=family,
        severity=dg.AssetCheckSeverity.ERROR if family in ALARMING else dg.AssetCheckSeverity.WARN,
        description=of.sentence if of else "Not asked.",
        metadata={
            "state": of.state if of else "not asked",
            "window": of.window if of else "",
            "failing": [f"{one.window} {one.feature} {one.statistic}".strip() for one in (of.failing if of else ())],
            NOT_ENOUGH.replace(" ", "_"): list(of.thin if of else ()),
        },
    )


def of_findings(found: Sequence[Finding], report: str) -> dict[str, Any]:
    """How each family stands, the report, drift as a picture and as a table, and quality, volume and the like."""
    from ml_platform.engine.drawings import heatmap
    from ml_platform.engine.standing import standing

    windows = sorted({one.window for one in found if one.family in ("drift", "prediction_drift")})
    rows = list(_by_feature(found).values())
    psi: dict[str, list[float | None]] = {row["feature"]: [None] * len(windows) for row in rows}
    for row in rows:
        psi[row["feature"]][windows.index(row["window"])] = row["psi"]
    last = {feature: values[-_SHOWN_WINDOWS:] for feature, values in psi.items()}
    others = [
        {name: getattr(one, name) for name in _SHOWN}
        for one in found
        if one.family not in ("drift", "prediction_drift", "input")
    ]
    broken = [{name: getattr(one, name) for name in _SHOWN} for one in found if one.family == "input" and _fails(one)]
    link = dg.MetadataValue.url(report) if "://" in report else dg.MetadataValue.path(report)
    return {
        "standing": dg.MetadataValue.md("\n".join(f"- **{f}** {of.sentence}" for f, of in standing(found).items())),
        "report": link,
        "drift": dg.MetadataValue.md(_picture(heatmap(windows[-_SHOWN_WINDOWS:], last, "population stability index"))),
        "windows": metadata.table(("window", "feature", "state", *_STATISTICS, "rows"), rows),
        "quality_volume_freshness_skew": metadata.table(_SHOWN, others),
        "broken_input": metadata.table(_SHOWN, broken),
        "failing": sum(_fails(one) for one in found),
    }


def _picture(svg: str) -> str:
    """A picture in Markdown, carried inside the text."""
    import base64

    return f"![drift](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _fails(one: Finding) -> bool:
    return one.state not in ("steady", NOT_ENOUGH)


def _by_feature(found: Sequence[Finding]) -> dict[tuple[str, str], dict[str, Any]]:
    """Window and feature → its statistics in one row; drifted where one of them is."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for one in found:
        if one.family not in ("drift", "prediction_drift"):
            continue
        empty: Mapping[str, Any] = dict.fromkeys(_STATISTICS)
        start = {"window": one.window, "feature": one.feature, "state": one.state, **empty, "rows": one.rows}
        row = rows.setdefault((one.window, one.feature), start)
        row[one.statistic] = one.value
        row["state"] = one.state if _fails(one) else row["state"]
    return rows


def of_decision(
    last: Decision,
    every: Sequence[Decision],
    snapshot: TableSnapshot,
    commit: Commit,
    read: TableVersion,
    seconds: float,
    key: str,
) -> dg.MaterializeResult:  # type: ignore[type-arg] # beside a check, dagster knows only the bare type
    """The last decision with its reasons, those before it, and a check that fails for an incident."""
    from ml_platform.engine import delta

    told = [
        {
            "number": one.number,
            "at": f"{one.at:%Y-%m-%d %H:%M}",
            "outcome": one.outcome,
            "champion": one.champion,
            "new_labels": one.new_labels,
            "reasons": " ".join(one.reasons),
        }
        for one in every[-_SHOWN_DECISIONS:][::-1]
    ]
    reasons = " ".join(last.reasons)
    asks = last.outcome == "retrain"
    # A retrain that is asked for is told; an incident is told by its check.
    telling = {TELL: f"Decision {last.number} of {key}: learn it anew. {reasons}"} if asks else {}
    return dg.MaterializeResult(
        data_version=dg.DataVersion(delta.fingerprint(snapshot)),
        metadata={
            "decision": last.outcome,
            "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in last.reasons)),
            "decisions": metadata.table(("number", "at", "outcome", "champion", "new_labels", "reasons"), told),
            **telling,
            **metadata.of_table(snapshot, commit, seconds),
            "read": metadata.versions([read]),
        },
        check_results=[
            dg.AssetCheckResult(
                passed=last.outcome != "incident",
                check_name=INCIDENT,
                severity=dg.AssetCheckSeverity.ERROR,
                description=reasons if last.outcome == "incident" else "No incident.",
            )
        ],
    )
