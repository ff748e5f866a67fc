"""A sensor's tick over several things, of which one that cannot be read does not hold up the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

_RUN_KEY = "dagster/run_key"  # the tag by which dagster knows a run of a key


class Tick:
    """One look: what it asks for, and the faults that it met.

    A tick that asks for runs cannot fail as well; its faults are warnings in its log then, and the next tick, which
    does not ask for the same ones again, fails by them, so that they show in the UI for as long as they last.
    """

    def __init__(self, context: dg.SensorEvaluationContext) -> None:
        self._log, self._instance = context.log, context.instance
        self._faults: list[Exception] = []

    @property
    def whole(self) -> bool:
        """Whether everything so far could be looked at."""
        return not self._faults

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What is done about the named thing; where it fails, the tick goes on with the next."""
        try:
            yield
        except Exception as fault:
            self._log.warning("%s is left out of this look: %s", name, fault)
            self._faults.append(fault)

    def ended(self, asked: Sequence[dg.RunRequest], skipped: str) -> dg.SensorResult | dg.SkipReason:
        """What the sensor returns. skipped: why nothing is asked for. Raises the first fault where nothing is.

        asked: each with a run key, of which dagster makes one run, ever.
        """
        new = [one for one in asked if not self._faults or not self._made(one)]
        if new:
            return dg.SensorResult(run_requests=new)
        for fault in self._faults:
            raise fault
        return dg.SkipReason(skipped)

    def _made(self, request: dg.RunRequest) -> bool:
        known = dg.RunsFilter(tags={_RUN_KEY: str(request.run_key)})
        return self._instance.get_runs_count(known) > 0
