from __future__ import annotations

import math
from pathlib import Path

import pytest

from ml_platform.engine.journal import Journal, study_in


def attempt(journal: Journal, start: dict[str, object] | None = None, seed: int = 1) -> float:
    """A trial of one number whose value is its distance from 0.3, and the number."""
    trial = journal.ask(seed, start)
    tried = trial.suggest_float("a.x", 0, 1)
    journal.tell(trial, abs(tried - 0.3), {"seconds": 2.0})
    return tried


def opened(folder: Path | None) -> Journal:
    return study_in(folder, maximize=False, prunes=False)


def test_a_journal_that_is_opened_again_goes_on_as_if_it_had_not_been_closed(tmp_path):
    whole = opened(None)
    wanted = [attempt(whole) for _ in range(14)]
    found = [attempt(opened(tmp_path / "state")) for _ in range(14)]
    assert found == wanted
    assert opened(tmp_path / "state").best_number == whole.best_number


def test_a_trial_of_a_process_that_was_killed_is_tried_again(tmp_path):
    journal = opened(tmp_path)
    first = attempt(journal)
    trial = journal.ask(1, None)
    killed = trial.suggest_float("a.x", 0, 1)
    # told already, but for its end
    trial.set_user_attr("seconds", 2.0)
    again = opened(tmp_path)
    assert again.finished == 1
    assert attempt(again) == killed != first


def test_a_line_that_was_cut_off_and_a_lock_that_was_left_do_not_stop_it(tmp_path):
    attempt(opened(tmp_path))
    (journal,) = tmp_path.iterdir()
    with journal.open("ab") as file:
        file.write(b'{"op_code":')
    (tmp_path / f"{journal.name}.lock").symlink_to(journal)
    again = opened(tmp_path)
    attempt(again)
    assert again.finished == 2


def test_what_is_to_be_tried_first_is():
    assert attempt(opened(None), {"a.x": 0.25}) == 0.25


def test_ends_are_told_apart():
    journal = opened(None)
    for value in (0.5, None, math.nan):
        trial = journal.ask(1, None)
        trial.suggest_categorical("estimator", ["linear"])
        journal.tell(trial, value, {"seconds": 3.0})
    assert (journal.finished, journal.completed, journal.best_number) == (3, 1, 0)
    assert [row["value"] for row in journal.table("estimator")] == [0.5, None]
    assert journal.longest("seconds", "estimator") == {"linear": 3.0}


def test_a_trial_that_stands_worse_than_most_is_given_up():
    journal = study_in(None, maximize=False, prunes=True)
    for value in (0.1, 0.2, 0.3, 0.4):
        trial = journal.ask(1, None)
        for step in (10, 20, 30):
            journal.check(trial, step, value)
        journal.tell(trial, value, {})
    trial = journal.ask(1, None)
    journal.check(trial, 10, 0.9)
    with pytest.raises(journal.pruned):
        journal.check(trial, 30, 0.9)
