from __future__ import annotations

import json

import pyarrow as pa
import pytest

from ml_platform.engine.column_types import arrow_type
from ml_platform.engine.source_rows import COLUMNS, TYPE, Misfit, Part, divided, fitted, shown, strict
from ml_platform.errors import SourceError


def whole(column: pa.Array, kind: str) -> pa.Array:
    return column.cast(arrow_type(kind))


def test_values_that_do_not_convert_are_found_wherever_they_stand() -> None:
    texts = [str(n) for n in range(1000)]
    for at in (0, 499, 500, 999):
        texts[at] = "1.7"
    converted, faults = divided(pa.array(texts), lambda it: it.cast(pa.int32()))
    assert converted is None
    assert [at for at, _ in faults] == [0, 499, 500, 999]
    assert all("1.7" in why for _, why in faults)
    good, none = divided(pa.array(["1", None]), lambda it: it.cast(pa.int32()))
    assert (good, none) == (pa.array([1, None], pa.int32()), [])


@pytest.mark.parametrize("equal", [False, True], ids=["all differ", "all equal"])
def test_many_values_that_do_not_convert_take_few_tries(*, equal: bool) -> None:
    # given more misfits than anyone would try one by one
    tried = []

    def convert(column: pa.Array) -> pa.Array:
        tried.append(len(column))
        return column.cast(pa.int32())

    texts = [f"x{0 if equal else n}" if n % 2 else str(n) for n in range(10_000)]
    converted, faults = divided(pa.array(texts), convert, r"^-?[0-9]+$")
    # then each is found, in Arrow's words
    assert converted is None
    assert [at for at, _ in faults] == list(range(1, 10_000, 2))
    with pytest.raises(pa.ArrowInvalid) as told:
        pa.array([texts[-1]]).cast(pa.int32())
    assert faults[-1][1] == str(told.value)
    assert len(tried) < (5 if not equal else 32)


def test_a_form_only_saves_tries() -> None:
    # given a form that some values have which do not convert, words without the value, and bytes that are no text
    texts = ["1", "", "99999999999", *(f"y{n}" for n in range(20)), "7"]
    plainly = divided(pa.array(texts), lambda it: it.cast(pa.int32()))
    assert divided(pa.array(texts), lambda it: it.cast(pa.int32()), "^[0-9]*$") == plainly

    def silent(column: pa.Array) -> pa.Array:
        if any(text.startswith("y") for text in column.to_pylist()):
            raise pa.ArrowInvalid("no")
        return column

    _, found = divided(pa.array(texts), silent, "^[0-9]*$")
    assert found == [(at, "no") for at in range(3, 23)]
    _, found = divided(pa.array([b"\xff", *[b"z"] * 9]), lambda it: it.cast(pa.string()).cast(pa.int32()), "^[0-9]*$")
    assert len(found) == 10


def test_rows_keep_their_places_and_a_misfit_names_every_fault() -> None:
    raw = pa.record_batch({"n": ["1", "x", "3"], "m": ["4", "y", "z"]})
    part = fitted(raw, pa.array([7, 8, 11]), {"n": "int32", "m": "int64"}, whole)
    assert part.rows.to_pylist() == [{"n": 1, "m": 4}]
    assert part.rows.schema.types == [pa.int32(), pa.int64()]
    assert part.offsets.to_pylist() == [7]
    assert [(it.offset, it.rule, json.loads(it.row)) for it in part.misfits] == [
        (8, TYPE, {"n": "x", "m": "y"}),
        (11, TYPE, {"n": "3", "m": "z"}),
    ]
    assert part.misfits[0].reason.startswith("n: ")
    assert "; m: " in part.misfits[0].reason


def test_a_refused_rule_stops_at_its_first_row_and_another_does_not() -> None:
    rows = pa.record_batch({"n": pa.array([1], pa.int32())})
    part = Part(rows, pa.array([0]), (Misfit(1, COLUMNS, "more is strange", "{}"), Misfit(2, TYPE, "n is 1.7", "{}")))
    assert list(strict(iter([part]), "a.csv", {"n": "int32"}, [])) == [part]
    with pytest.raises(SourceError, match=r"a\.csv cannot be read as declared: Row #3: n is 1\.7.*columns are n int32"):
        list(strict(iter([part]), "a.csv", {"n": "int32"}, [TYPE]))


def test_a_row_is_shown_as_json_whatever_it_holds() -> None:
    row = pa.record_batch({"bytes": [b"\xe9"], "text": ["é"], "none": [None]})
    assert json.loads(shown(row)) == {"bytes": "\N{REPLACEMENT CHARACTER}", "text": "é", "none": None}
