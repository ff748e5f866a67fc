from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster.components.core.component_tree import ComponentTree
from dagster.components.core.decl import ComponentDecl, YamlDecl, YamlFileDecl

import assets
from ml_platform.components import Table
from ml_platform.components.tree import tree_of
from ml_platform.definitions import declared
from ml_platform.errors import DeclarationError
from ml_platform.testing.project import Project

ROOT = Path(str(assets.__file__)).parent


def said(declaration: ComponentDecl[Any]) -> object:
    """What a declaration says, of whatever tree it is."""
    if isinstance(declaration, YamlDecl):
        return declaration.component_type, declaration.component_file_model, declaration.source_tree
    return declaration.source_positions if isinstance(declaration, YamlFileDecl) else type(declaration)


def test_the_tree_is_the_one_that_dagster_builds() -> None:
    ours = tree_of(assets)
    theirs = dg.ComponentTree.from_module(defs_module=assets, project_root=ROOT.parent)
    pairs = [
        [(loc, said(declaration)) for loc, declaration in tree.find_root_decl().iterate_loc_component_decl_pairs()]
        for tree in (ours, theirs)
    ]
    assert pairs[0][1:] == pairs[1][1:]
    assert str(ours.to_string_representation()) == str(theirs.to_string_representation())


def test_no_declaration_is_searched_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def searched(_: ComponentTree) -> None:
        raise AssertionError("dagster walks over every declaration for each")

    tree = tree_of(assets)
    monkeypatch.setattr(ComponentTree, "_component_decl_tree", searched)
    assert len(list(tree.build_defs(ROOT).assets or ())) > 30


def test_a_component_of_the_tree_is_found_by_its_type_and_its_folder() -> None:
    tree = tree_of(assets)
    assert tree.load_component("silver/flights") in tree.get_all_components(Table)
    assert tree.find_decl_at_path("silver/flights").component_type.__name__ == "CompositeYamlComponent"


def test_a_file_that_declares_nothing_is_refused_by_name(shop: Project) -> None:
    shop.write("gold/totals/defs.yaml", "# nothing yet\n")
    with pytest.raises(DeclarationError, match=r"gold/totals/defs\.yaml:1: the file is empty"):
        declared(shop.module)
