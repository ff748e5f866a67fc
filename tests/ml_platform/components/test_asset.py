from __future__ import annotations

from pathlib import Path

import pytest

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
