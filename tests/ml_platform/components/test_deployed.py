from __future__ import annotations

from ml_platform.testing.project import Project
from ml_platform.testing.shop import Made


def test_endpoint_says_what_it_serves_and_what_it_looks_up(made: Made) -> None:
    said = made.first.said["endpoints/returns"]
    assert (said["outcome"], said["revision"]) == ("revision 1 serves", 1)
    assert said["traffic"] == {"1": 1.0}
    assert said["url"].endswith("/v2/models/returns/infer")
    assert [record.data["view"] for record in said["looks_up"].records] == ["order_v1", "store_recent_v1"]
    assert made.first.data_versions["models/returns__champion"] in made.first.data_versions["endpoints/returns"]


def test_second_run_adopts_the_running_revision(made: Made) -> None:
    again, first = made.again.said["endpoints/returns"], made.first.said["endpoints/returns"]
    assert again["outcome"] == "unchanged"
    assert (again["revision"], again["url"]) == (first["revision"], first["url"])


def test_endpoint_without_a_champion_fails_the_run(tables: Project) -> None:
    failures = tables.run('key:"endpoints/returns"').failures
    assert "models/returns has no champion, but something serves" in failures["endpoints/returns"]
    assert "Materialize models/returns and models/returns__champion" in failures["endpoints/returns"]
