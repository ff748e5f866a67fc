from __future__ import annotations

import hashlib
from pathlib import Path

from ml_platform.planning import Asked, Step, plan
from ml_platform.testing.project import Project
from ml_platform.testing.shop import EVERYTHING, LANDING, MONTHS, Made, declaration, orders
from ml_platform.testing.shop import project as unmade


def _plan(project: Project, partitions: tuple[str, ...] = MONTHS) -> dict[str, Step]:
    graph = project.definitions.resolve_asset_graph()
    services = {role: project.service(role) for role in project.services}
    asked = Asked(graph, frozenset(graph.get_all_asset_keys()), partitions, services, project.instance)
    return {step.key: step for step in plan(asked)}


def _files(folder: Path) -> dict[str, str]:
    """Every file and folder of the home, with the digest of what is in it."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for path in folder.rglob("*")
    }


def test_a_plan_of_what_was_made_leaves_all_of_it_and_touches_no_file(made: Made) -> None:
    # given: what other tests asked of the endpoint, or did to the graph, is taken in
    assert made.project.run("*", EVERYTHING).success
    home = made.project.root.parent / "home"
    before = _files(home)
    steps = _plan(made.project)
    assert {step.effect for step in steps.values()} == {"leave"}, steps
    assert len(steps) == 15
    assert _files(home) == before


def test_a_plan_for_an_empty_home_creates_all_of_it_and_no_file_appears(shop: Project) -> None:
    home = shop.root.parent / "home"
    assert shop.definitions  # loading them keeps what was worked out, as it does for whoever only looks
    before = _files(home)
    steps = _plan(shop)
    assert {key: step.effect for key, step in steps.items() if step.effect != "create"} == {
        "features/order_moment_v1": "leave"  # a function, of which nothing is kept
    }
    assert steps["bronze/stores"].why == "1 of 1 landed files are to be read: stores/stores.csv"
    assert steps["gold/store_month"].why == "after bronze/stores, silver/orders"
    assert _files(home) == before


def test_a_plan_knows_what_a_run_makes_beside_a_champion_that_is_promoted_by_hand(shop: Project) -> None:
    shop.change("models/returns/defs.yaml", "metric: log_loss", "metric: log_loss\n    promote: manual")
    step = _plan(shop)["models/returns__champion"]
    assert (step.effect, step.why) == ("create", "after models/returns")


def test_a_run_does_what_was_planned(shop: Project) -> None:
    # given: tables that were made, then a late file, and a query that was written otherwise
    select = "group:bronze or group:silver or group:gold"
    assert shop.run(select, EVERYTHING).success
    shop.land(LANDING, "orders/late.csv", orders("2024-02", count=5, first=80))
    shop.change("gold/totals/totals.sql", "count(*) AS orders", "count(*) + 0 AS orders")
    # when
    steps = _plan(shop)
    ran = shop.run(select, EVERYTHING)
    # then
    assert {key: steps[key].effect for key in ran.said} == {
        "bronze/orders": "change",
        "bronze/stores": "leave",
        "silver/orders": "follow",
        "gold/store_month": "follow",
        "gold/totals": "change",
    }
    assert steps["bronze/orders"].why == "1 of 5 landed files are to be read: orders/late.csv"
    assert steps["gold/totals"].why == "its declaration or its code has changed; after silver/orders"
    assert steps["silver/orders"].seconds is not None
    assert ran.said["bronze/stores"]["outcome"] == "unchanged"
    assert ran.said["bronze/orders"]["outcome"] == "5 rows added, 0 removed"


def test_what_has_moved_is_said_with_its_versions(tmp_path: Path) -> None:
    shop = unmade(tmp_path)
    assert shop.run('key:"bronze/orders" or key:"silver/orders"', EVERYTHING).success
    shop.land(LANDING, "orders/late.csv", orders("2024-02", count=5, first=80))
    assert shop.run('key:"bronze/orders"', EVERYTHING).success
    step = _plan(shop)["silver/orders"]
    assert (step.effect, step.why.partition(";")[0]) == (
        "change",
        "2024-02: bronze/orders was read at version 0, and stands at 1",
    )


def test_what_lacks_something_that_no_run_of_the_selection_makes_says_so(shop: Project) -> None:
    graph = shop.definitions.resolve_asset_graph()
    keys = frozenset(key for key in graph.get_all_asset_keys() if key.path == ["gold", "totals"])
    services = {role: shop.service(role) for role in shop.services}
    (step,) = plan(Asked(graph, keys, MONTHS, services, shop.instance))
    assert step.effect == "lack"
    assert "silver/orders" in step.why


def test_what_fails_as_things_stand_is_looked_at_again_after_what_it_reads(shop: Project, tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "stores.csv").write_text("store,size,event_time,known_at\n")
    shop.write("landing/more/defs.yaml", declaration("Landing", f"description: Files.\nfolder: {tmp_path / 'inbox'}"))
    shop.change("bronze/stores/defs.yaml", "landing/shop", "landing/more")
    steps = _plan(shop)
    assert (steps["landing/more"].effect, steps["landing/more"].why) == ("change", "stores.csv is to be brought")
    assert steps["bronze/stores"].effect == "follow"
    assert steps["bronze/stores"].why.startswith(
        "looked at again after landing/more; as it stands, bronze/stores reads"
    )
