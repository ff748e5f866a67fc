from __future__ import annotations

import json
from pathlib import Path

from ml_platform.engine import derived, kept_card, skew
from ml_platform.engine.declared import Declared
from ml_platform.engine.erasure_plan import Plan
from ml_platform.engine.files import filesystem, put
from resources.embedded.lakehouse import EmbeddedLakehouse

DECLARED = Declared(
    ("silver/a", "monitors/batch", "monitors/served", "monitors/other"),
    {"monitors/batch": ("predictions/late",), "monitors/served": ("endpoints/late__log",)},
    models={"endpoints/late": "models/late", "endpoints/other": "models/other"},
)
PLAN = Plan("silver/a", {"id": "N10156"}, {"silver/a": [{"id": "N10156"}]}, ["monitors/batch"])


def _keep(lakehouse: EmbeddedLakehouse, key: str, path: str, content: str) -> None:
    put(filesystem(lakehouse.files(key)), path, content.encode())


def _forgotten(lakehouse: EmbeddedLakehouse) -> list[str]:
    return list(derived.forget(PLAN, ["late"], DECLARED, lakehouse))


def test_cards_and_reports_of_what_goes_are_gone_and_others_stay(lakehouse: EmbeddedLakehouse) -> None:
    _keep(lakehouse, kept_card.FOLDER, "1.json", "{}")
    for monitor in ("batch", "served", "other"):
        _keep(lakehouse, f"monitors/{monitor}", "report.html", "<p>N10156</p>")
    assert _forgotten(lakehouse) == [
        "1 data card gone, to be measured again",
        "monitors/batch: its report is gone, to be drawn again",
        "monitors/served: its report is gone, to be drawn again",
    ]
    kept = [path for path in Path(lakehouse.files("").uri).rglob("*") if path.is_file()]
    assert [path.parent.name for path in kept] == ["other"]
    assert _forgotten(lakehouse) == []


def test_a_verdict_about_skew_stands_without_its_example(lakehouse: EmbeddedLakehouse) -> None:
    example = {"request_id": "r", "feature": "tail", "seen": "N10156", "offline": None}
    for name in ("late", "other"):
        verdict = {"requests": 9, "through": 9, "differing": {"tail": 1}, "example": example}
        _keep(lakehouse, f"{skew.FOLDER}/models.{name}", f"endpoints.{name}.json", json.dumps(verdict))
    assert _forgotten(lakehouse) == ["endpoints/late: the example of its skew check is gone"]
    assert skew.verdicts("models/late", lakehouse) == {"endpoints.late": skew.Skew(9, 9, {"tail": 1})}
    assert skew.objections("models/late", lakehouse)  # and keeps versions from being promoted
    assert skew.verdicts("models/other", lakehouse)["endpoints.other"].example == example
    assert _forgotten(lakehouse) == []


def test_whoever_looks_through_it_finds_all_of_it() -> None:
    every = {kept_card.FOLDER, skew.FOLDER, "monitors/batch", "monitors/other", "monitors/served"}
    assert set(derived.folders(DECLARED)) == every
