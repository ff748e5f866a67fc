"""The journal of a search: its trials, kept in one file of lines, so that a killed search knows what it has tried."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_NAME = "search"
_FILE = "trials.journal"
# The note on a trial that came to an end without a value, by which it is told from one that was killed.
_NO_VALUE = "no_value"


class Journal:
    """An Optuna study, asked for one trial after another.

    Which trial comes next follows from those that are finished and from nothing else: a search that was killed and
    goes on tries what it would have tried.
    """

    def __init__(self, study: Any, prunes: bool, warm_up: int) -> None:
        import optuna

        self._optuna = optuna
        self._study = study
        self._states = optuna.trial.TrialState
        self.pruned = optuna.TrialPruned
        if prunes:
            study.pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=warm_up)
        for trial in study.get_trials(deepcopy=False, states=(self._states.RUNNING,)):
            # Of a process that was killed.
            study.tell(trial.number, state=self._states.FAIL)

    @property
    def trials(self) -> Sequence[Any]:
        """Every trial, in order of their numbers."""
        return list(self._study.get_trials(deepcopy=False))

    @property
    def finished(self) -> int:
        """Trials that have come to an end, given up ones included; those of a process that was killed have not."""
        # A process may be killed when it has told all of a trial but its end.
        ends = (self._states.COMPLETE, self._states.PRUNED)
        return sum(trial.state in ends or _NO_VALUE in trial.user_attrs for trial in self.trials)

    @property
    def completed(self) -> int:
        """Trials that have a value."""
        return sum(trial.state == self._states.COMPLETE for trial in self.trials)

    @property
    def best_number(self) -> int | None:
        """The number of the best trial; None where none has a value."""
        return int(self._study.best_trial.number) if self.completed else None

    def ask(self, seed: int, start: Mapping[str, Any] | None) -> Any:
        """A trial that has begun. start: what it is to try, as far as that is given."""
        waiting = self._study.get_trials(deepcopy=False, states=(self._states.WAITING,))
        if start is not None and not waiting:
            self._study.enqueue_trial(dict(start))
        # Seeded for each: the state of a generator would be lost with the process.
        self._study.sampler = self._optuna.samplers.TPESampler(seed=seed + self.finished)
        return self._study.ask()

    def check(self, trial: Any, step: int, value: float) -> None:
        """Raises `pruned` where the trial stands worse than the median of the others did at that step."""
        trial.report(value, step)
        if trial.should_prune():
            raise self.pruned

    def tell(self, trial: Any, value: float | None, notes: Mapping[str, Any]) -> None:
        """The trial has ended: with a value, given up (None), or with one that does not count (NaN)."""
        nothing = value is not None and math.isnan(value)
        for name, note in {**notes, **({_NO_VALUE: True} if nothing else {})}.items():
            trial.set_user_attr(name, note)
        if value is None:
            self._study.tell(trial, state=self._states.PRUNED)
        elif nothing:
            self._study.tell(trial, state=self._states.FAIL)
        else:
            self._study.tell(trial, value)

    def longest(self, note: str, parameter: str) -> dict[str, float]:
        """The largest of a note, by the values of a parameter."""
        found: dict[str, float] = {}
        for trial in self.trials:
            if note in trial.user_attrs and parameter in trial.params:
                name = trial.params[parameter]
                found[name] = max(found.get(name, 0.0), trial.user_attrs[note])
        return found

    def table(self, estimator: str) -> list[dict[str, Any]]:
        """The trials that have come to an end, in order. estimator: the parameter that names it."""
        done = [trial for trial in self.trials if trial.state in (self._states.COMPLETE, self._states.PRUNED)]
        return [
            {
                "trial": number,
                "estimator": trial.params[estimator],
                "parameters": {
                    name.partition(".")[2]: value for name, value in trial.params.items() if name != estimator
                },
                "value": trial.value if trial.state == self._states.COMPLETE else None,
            }
            for number, trial in enumerate(done)
        ]


def study_in(state: Path | None, *, maximize: bool, prunes: bool, warm_up: int = 20) -> Journal:
    """The journal in a folder, gone on with where there is one; in memory where there is no folder.

    warm_up: the step before which no trial is given up.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = None
    if state is not None:
        state.mkdir(parents=True, exist_ok=True)
        _mend(state / _FILE)
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(state / _FILE)))
    study = optuna.create_study(
        storage=storage,
        study_name=_NAME,
        direction="maximize" if maximize else "minimize",
        pruner=optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    return Journal(study, prunes, warm_up)


def _mend(journal: Path) -> None:
    """The journal ends with a whole line, and nobody holds its lock: its process may have been killed in between."""
    for lock in journal.parent.glob(f"{journal.name}.lock*"):
        lock.unlink(missing_ok=True)
    if journal.exists():
        lines = journal.read_bytes()
        journal.write_bytes(lines[: lines.rfind(b"\n") + 1])
