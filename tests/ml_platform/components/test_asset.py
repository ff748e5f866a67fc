# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from ml_platform.components import asset as asset_module
from ml_platform.components.asset import digest, source_digest
from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project
from ml_platform.testing.shop import FILES, Made, declaration


def test_every_asset_has_its_folder_as_key_and_layer_as_group(made: Made) -> None:
    folders = {str(Path(path).parent) for path in FILES if path.endswith("defs.yaml")}
    assert set(made.first.said) - folders == {"models/returns__champion", "endpoints/returns__log"}
    assert folders <= set(made.first.said)
    for key in made.first.said:
        assert made.project.node(key).group_name == key.partition("/")[0]


def test_every_asset_has_the_domains_owners_a_code_version_and_one_run_for_a_range(made: Made) -> None:
    for key in made.first.said:
        node = made.project.node(key)
        assert node.owners == ["team:shop"]
        assert node.code_version
        assert node.backfill_policy is not None
        assert node.backfill_policy.max_partitions_per_run is None


def test_everything_follows_what_it_reads_but_sources_and_fits(made: Made) -> None:
    waits = {key for key in made.first.said if made.project.node(key).automation_condition is None}
    assert waits == {"bronze/orders", "bronze/stores", "features/order_moment_v1", "models/returns"}


def test_second_run_reports_unchanged_everywhere_and_changes_no_data_version(made: Made) -> None:
    assert made.first.success, made.first.failures
    assert made.again.success, made.again.failures
    assert {said["outcome"] for said in made.again.said.values()} == {"unchanged"}
    assert made.again.data_versions == made.first.data_versions
    assert len(made.project.service("model_registry").versions("returns")) == 1


def test_code_version_changes_with_what_makes_the_rows_and_not_with_its_description(shop: Project) -> None:
    before = shop.node("gold/totals").code_version
    shop.change("gold/totals/defs.yaml", "One row", "A row")
    assert shop.node("gold/totals").code_version == before
    shop.change("gold/totals/totals.sql", "sum(amount)", "max(amount)")
    assert shop.node("gold/totals").code_version != before


@pytest.mark.parametrize("folder", ["lone", "gold/too/deep"])
def test_folder_that_is_no_key_is_refused(shop: Project, folder: str) -> None:
    shop.write(f"{folder}/defs.yaml", declaration("Table", "description: Misplaced."))
    with pytest.raises(DeclarationError, match=rf"{folder}/defs.yaml: the folder {folder} is not <layer>/<name>"):
        _ = shop.definitions


def test_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text("a")
    other.write_text("a")
    assert source_digest(one) != source_digest(other)
    assert source_digest(one, other) == source_digest(other, one)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_asset_is_what_dagsters_decorator_would_make_of_the_function() -> None:
    # given a function as components write it
    def table(
        context: dg.AssetExecutionContext, lakehouse: dg.ResourceParam[object], compute: dg.ResourceParam[object]
    ) -> Iterator[object]:
        yield dg.MaterializeResult(metadata={"by": str(lakehouse), "of": context.asset_key.to_user_string()})
        yield dg.AssetCheckResult(check_name="sound", passed=compute == "duckdb")

    key, read = dg.AssetKey(["silver", "x"]), dg.AssetKey(["bronze", "a-b"])
    window = dg.TimeWindowPartitionMapping(start_offset=-1)
    about = {
        "deps": [dg.AssetDep(read, partition_mapping=window)],
        "group_name": "silver",
        "description": "One row a thing.",
        "owners": ["team:shop"],
        "kinds": {"sql"},
        "code_version": "1",
        "metadata": {"upkeep": {"retention_days": 1}},
        "partitions_def": dg.MonthlyPartitionsDefinition("2024-01-01"),
    }
    check = dg.AssetCheckSpec("sound", asset=key)
    # when it is made by both
    ours = asset_module._made_by(table, dg.AssetSpec(key, **about), [check])
    single = dg.BackfillPolicy.single_run()
    theirs = dg.asset(key=key, check_specs=[check], backfill_policy=single, **about)(table)
    # then they are one to whoever asks
    assert list(ours.specs) == list(theirs.specs)
    assert list(ours.check_specs) == list(theirs.check_specs)
    assert ours.backfill_policy == theirs.backfill_policy
    assert ours.required_resource_keys == theirs.required_resource_keys
    assert ours.get_partition_mapping(read) == theirs.get_partition_mapping(read) == window
    assert ours.op.name == theirs.op.name
    # and when they run
    resources = {"lakehouse": "a folder", "compute": "duckdb"}
    runs = [dg.materialize([made], partition_key="2024-01-01", resources=resources) for made in (ours, theirs)]
    told = [[(e.event_type_value, e.step_key) for e in run.all_events if "ASSET" in e.event_type_value] for run in runs]
    assert told[0] == told[1]
    said = [run.asset_materializations_for_node("silver__x")[0].metadata for run in runs]
    assert {name: said[0][name].value for name in ("by", "of")} == {"by": "a folder", "of": "silver/x"}
    stamp = {"environment": dg.MetadataValue.text("test")}  # ours says where it was made, for costs
    assert said[0] == {**said[1], **stamp}
    assert runs[0].get_asset_check_evaluations()[0].passed


class Attempt(dg.Config):
    retry: bool = False


@pytest.mark.parametrize(("told", "retry"), [({}, False), ({"retry": True}, True)])
def test_config_of_a_run_is_given_to_whoever_asks_for_it(told: dict[str, bool], retry: bool) -> None:
    def endpoint(config) -> dg.MaterializeResult:  # type: ignore[no-untyped-def, type-arg] # annotated below
        return dg.MaterializeResult(metadata={"retry": config.retry})

    # as in a module that does not postpone its annotations
    endpoint.__annotations__["config"] = Attempt
    made = asset_module._made_by(endpoint, dg.AssetSpec(["endpoints", "x"]), [])
    run = dg.materialize([made], run_config={"ops": {"endpoints__x": {"config": told}}})
    (said,) = run.asset_materializations_for_node("endpoints__x")
    assert said.metadata["retry"].value is retry
