"""Parity: the same rows scored offline and through an endpoint, before any traffic moves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_platform.engine import delta
from ml_platform.engine.encoding import Column
from ml_platform.engine.examination import EXAMINED_ON
from ml_platform.engine.example import request_of
from ml_platform.engine.online import Columns, enrich
from ml_platform.engine.publication import online_since
from ml_platform.engine.rollout import Finding, Guards
from ml_platform.engine.scorer import Scorer
from ml_platform.engine.terms import Terms
from ml_platform.errors import NotFoundError, RefusedError, ServiceError, TransientServiceError
from ml_platform.records.feature import FeatureRow, FeatureView, LookUp
from ml_platform.records.model import ModelVersion
from ml_platform.records.prediction import ServedPrediction
from ml_platform.records.table import TableSnapshot
from ml_platform.roles.feature_store import FeatureStore
from ml_platform.roles.lakehouse import Lakehouse

EVENT_TIME = "event_time"
OFFERED = 4  # as many as are wanted, for the store may have forgotten what some need
Invoke = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class Rows:
    """Rows to compare by.

    asked: what a request carries of each, with its `event_time`. features: feature → its value of each, as the offline
    path has it. source: where they are from, for people.
    """

    asked: Sequence[Mapping[str, Any]]
    features: Mapping[str, Column]
    source: str

    def last(self, count: int) -> Rows:
        """At most the last so many."""
        return Rows(self.asked[-count:], {name: values[-count:] for name, values in self.features.items()}, self.source)


def logged_rows(records: Sequence[ServedPrediction], features: Sequence[str], request: Sequence[str]) -> Rows:
    """The logged requests that hold every feature, with the features as they were seen."""
    whole = [
        record
        for record in records
        if not (record.error or record.shadow or record.named)
        and all(name in record.features for name in features)
        and all(name in record.inputs for name in request)
    ]
    asked = [{**{name: one.inputs[name] for name in request}, EVENT_TIME: one.event_time} for one in whole]
    return Rows(asked, {name: [one.features[name] for one in whole] for name in features}, "logged requests")


def still_answered(
    records: Sequence[ServedPrediction],
    request: Sequence[str],
    views: Sequence[FeatureView],
    look_up: Callable[[LookUp], Sequence[FeatureRow]],
) -> list[ServedPrediction]:
    """The logged requests whose look-ups the store answers as it did then.

    What has left the store since, or came late, differs for every version, and so says nothing of a new one.
    """
    whole = [record for record in records if all(name in record.inputs for name in request)]
    asked: Columns = {name: [record.inputs[name] for record in whole] for name in request}
    now, _ = enrich(asked, [record.event_time for record in whole], views, look_up)
    looked_up = [feature for view in views for feature in view.features]
    return [
        record
        for row, record in enumerate(whole)
        if all(now[name][row] == record.features[name] for name in looked_up if name in record.features)
    ]


@dataclass(frozen=True)
class Evaluation:
    """The evaluation snapshot of a version, and what the online store can still answer of it.

    champion: whose pinned training set it is. split, event_time: of that set. terms: on which it is to be served.
    """

    champion: ModelVersion
    split: str
    event_time: str
    terms: Terms
    lakehouse: Lakehouse
    store: FeatureStore

    def rows(self, features: Mapping[str, Any], count: int) -> Rows:
        """The latest rows that the store can answer as of, at most `count`; none where nothing is pinned.

        features: feature → its type.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        from ml_platform.jobs.tables import as_columns

        snapshot = self._snapshot()
        if snapshot is None:
            return Rows((), {}, "no snapshot")
        own = list(dict.fromkeys([*self.terms.request, self.event_time]))
        table = delta.read_rows(snapshot, list(dict.fromkeys([*own, "split", *features])))
        since = self._since()
        wanted = pc.equal(table["split"], self.split)
        for moment in since.values():
            wanted = pc.and_(wanted, pc.greater_equal(table[self.event_time], moment))
        rows = table.filter(wanted).sort_by([(self.event_time, "descending")]).slice(0, OFFERED * count)
        answerable = self._answerable(rows.select(own).to_pylist(), since)
        rows = rows.filter(pa.array(answerable, pa.bool_())).slice(0, count)
        asked = [{**row, EVENT_TIME: row[self.event_time]} for row in rows.select(own).to_pylist()]
        return Rows(
            asked, as_columns(rows, features), f"{snapshot.location.key} version {snapshot.version}, split {self.split}"
        )

    def answered(self, records: Sequence[ServedPrediction]) -> Sequence[ServedPrediction]:
        """As `still_answered`, by the terms and the store."""
        return still_answered(records, tuple(self.terms.request), self.terms.views, self.store.look_up)

    def _snapshot(self) -> TableSnapshot | None:
        """The version's pinned snapshot; the latest of that table where this environment does not have it as it was."""
        tags = self.champion.tags
        pin = json.loads(tags.get(EXAMINED_ON) or tags.get("training_set") or "null")
        if not pin:
            return None
        location = self.lakehouse.table(pin["key"])
        try:
            found = delta.snapshot(location, pin["version"])
        except NotFoundError:
            found = None
        alike = found is not None and delta.fingerprint(found) == pin["fingerprint"]
        return found if alike else delta.snapshot(location)

    def _since(self) -> dict[str, datetime]:
        """View → from when on the store has its rows."""
        published = {view.name: self.store.published(view) for view in self.terms.views}
        since = {name: online_since(found.version) for name, found in published.items() if found}
        return {name: moment for name, moment in since.items() if moment}

    def _answerable(self, rows: Sequence[Mapping[str, Any]], since: Mapping[str, datetime]) -> list[bool]:
        """Of each row, whether what the store says of it is all that may be used: nothing of it has left the store.

        A row that is found is the latest, for those that have left are older; that none is found says something only
        where even the oldest that may be used would still be there.
        """
        columns = {name: [row[name] for row in rows] for name in self.terms.request}
        at = [row[self.event_time] for row in rows]
        _, times = enrich(columns, at, self.terms.views, self.store.look_up)
        whole = {
            view.name: since[view.name] + timedelta(hours=view.ttl_hours)
            for view in self.terms.views
            if view.name in since
        }
        return [all(times[name][row] or at[row] >= moment for name, moment in whole.items()) for row in range(len(at))]


def compare(
    package: Path, version: int, rows: Rows, request: Mapping[str, str], guards: Guards, ask: Invoke
) -> Finding:
    """Whether a version says through the endpoint what its package says offline, to the tolerance.

    request: column → its type. ask: the endpoint. With fewer rows to compare by than are declared, it has not passed,
    nor where the endpoint has no answer. Raises TransientServiceError where it may have one in a moment, and
    RefusedError where it is not for us to ask.
    """
    there = len(rows.asked)
    if there < guards.parity_rows:
        found = f"{there:,} of {guards.parity_rows:,} rows" if there else "no row"
        return Finding(
            "parity",
            False,
            f"Broken: parity has {found} to compare by: fewer are logged, and the online store goes back to no more of "
            "the evaluation split. Raise online_history_hours of the feature views, or set rollout.guards.parity.rows "
            f"to {there}, and materialize the endpoint with retry: true.",
        )
    offline = np.asarray(Scorer.load(package).predict(rows.features), dtype=np.float64).reshape(-1)
    body = request_of(rows.asked, EVENT_TIME, request)
    try:
        online = _said(ask({**body, "parameters": {"model_version": str(version)}}))
    except (TransientServiceError, RefusedError):
        raise
    except ServiceError as error:
        told = f"Broken: {there:,} rows of {rows.source} have no answer by the endpoint: {error}"
        return Finding("parity", False, told)
    if online.shape != offline.shape:
        return Finding("parity", False, f"Broken: {len(offline)} answers offline, and {len(online)} by the endpoint.")
    apart = np.abs(online - offline)
    # NaN is no agreement.
    agree = apart <= guards.parity_tolerance
    rows_of = f"{len(rows.asked):,} rows of {rows.source}"
    if agree.all():
        return Finding("parity", True, f"Kept: {rows_of} agree to {guards.parity_tolerance:g}.")
    first = int(np.argmin(agree)) * len(rows.asked) // len(offline)
    return Finding(
        "parity",
        False,
        f"Broken: of {rows_of}, scored offline and through the endpoint, {int((~agree).sum()):,} answers differ by up "
        f"to {float(np.nanmax(apart)) if not np.isnan(apart).all() else float('nan'):.3g}; "
        f"{guards.parity_tolerance:g} is allowed. The first: {_shown(rows.asked[first])}.",
    )


def _said(answer: Mapping[str, Any]) -> NDArray[np.float64]:
    """The numbers of an answer, row by row."""
    outputs = [output for output in answer["outputs"] if output["datatype"] != "BYTES"]
    return np.asarray(outputs[0]["data"], dtype=np.float64).reshape(-1)


def _shown(asked: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in asked.items())
