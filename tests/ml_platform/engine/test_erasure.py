from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from ml_platform.engine import changes, delta
from ml_platform.engine.declared import Declared
from ml_platform.engine.erasure import among, erase_rows, has, served, sweep
from ml_platform.engine.erasure_plan import Plan
from ml_platform.engine.redaction import VARIABLE, Redaction
from ml_platform.engine.staging import present, stage
from ml_platform.engine.table_log import read_log
from ml_platform.errors import BindingError
from resources.embedded.lakehouse import EmbeddedLakehouse

ROWS = {"id": ["a", "b", "c"], "month": ["1", "1", "2"], "n": [1, 2, 3]}


def test_a_row_goes_by_its_columns_or_by_json_that_has_them() -> None:
    frame = pl.DataFrame({"id": ["a", "b", None], "row": ['{"id": "b"}', None, '{"id": "a", "n": 1}']})
    assert among(frame, [{"id": "a"}]).to_list() == [True, False, True]
    assert among(frame, [{"id": None}]).to_list() == [False, False, True]
    assert among(frame, []).to_list() == [False] * 3


def test_only_all_columns_of_a_key_are_the_key() -> None:
    assert has({"day": "2013-01-01", "seat": 7}, [{"day": "2013-01-01", "seat": "7"}])
    assert not has({"day": "2013-01-01"}, [{"day": "2013-01-01", "seat": "7"}])
    assert not has({"day": "2013-01-01"}, [{}])


def test_rows_go_and_whoever_appends_what_comes_sees_nothing_come(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    before = put("silver/a", ROWS, "month")
    assert erase_rows("silver/a", [{"id": "a"}], lakehouse) == 1
    assert erase_rows("silver/a", [{"id": "a"}], lakehouse) == 0
    after = delta.existing(lakehouse.table("silver/a"))
    assert sorted(delta.read_rows(after)["id"].to_pylist()) == ["b", "c"]
    between = changes.between(after.location, before.version, after.version)
    assert between is not None
    assert (between.came, between.went) == ((), ())
    # and the file of the other partition is the one that was there
    assert len({file.path for file in before.files} & {file.path for file in after.files}) == 1
    assert delta.fingerprint(after) != delta.fingerprint(before)


def test_a_table_without_a_row_left_stands(put: Any, lakehouse: EmbeddedLakehouse) -> None:
    put("silver/a", {"id": ["a"]})
    assert erase_rows("silver/a", [{"id": "a"}], lakehouse) == 1
    sweep(lakehouse.table("silver/a"))
    assert delta.existing(lakehouse.table("silver/a")).rows == 0


@pytest.mark.parametrize("times", [1, 2])
def test_after_a_sweep_one_version_is_left_and_can_be_built_on(
    put: Any, lakehouse: EmbeddedLakehouse, times: int
) -> None:
    # given a table with an older version, whose numbers stand, and a file that somebody staged and never committed
    put("silver/a", ROWS, "month")
    snap = put("silver/a", {"id": ["d"], "month": ["1"], "n": [4]}, "month")
    nothing = stage([], snap.schema, snap.location, ("month",))
    delta.commit(nothing, read=snap, replaced=(), transactions={"made:1": 77}, evidence={})
    stage(delta.read_rows(snap).slice(1).to_batches(), snap.schema, snap.location, ("month",))
    # when it is swept
    for _ in range(times):
        sweep(snap.location)
    # then what stood stands
    after = delta.existing(snap.location)
    assert sorted(delta.read_rows(after)["id"].to_pylist()) == ["c", "d"]
    assert delta.transaction(snap.location, "made:1") == 77
    held = {path for path in present(snap.location) if "_delta_log" not in path}
    assert held == {file.path for file in after.files}
    log = read_log(snap.location)
    assert (log.first, sorted(log.entries), log.faults) == (after.version - 1, [after.version], [])
    put("silver/a", {"id": ["e"], "month": ["2"], "n": [5]}, "month")
    assert sorted(delta.read_rows(delta.existing(snap.location))["id"].to_pylist()) == ["d", "e"]


def test_a_log_that_hides_the_key_is_searched_for_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan("silver/a", {"id": "N1"}, {"silver/a": [{"id": "N1"}], "training_sets/late": [{"id": "N1"}]})
    hanging = {"reads": {"models/late": ["training_sets/late"]}, "entities": {"training_sets/late": ["id"]}}
    declared = Declared((), models={"endpoints/late": "models/late"}, **hanging, redacted={"late": ["id"]})
    # without the secret nobody can tell which records are the key's, and nothing is claimed of them
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(BindingError, match="id may be logged only hashed"):
        served(plan, declared)
    monkeypatch.setenv(VARIABLE, "a secret of this test")
    clear, hashed = served(plan, declared)["late"]
    assert clear == {"id": "N1"}
    hidden = Redaction(frozenset({"id"}), b"a secret of this test")
    assert has(hidden.row({"id": "N1"}), [hashed])
    assert not has(hidden.row({"id": "N2"}), [clear, hashed])
