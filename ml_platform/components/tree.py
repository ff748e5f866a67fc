"""The tree of what a folder declares: dagster's component tree, in which every declaration is found once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg

# Dagster finds a declaration by walking all of them and parses YAML in Python, which takes most of the time of a load.
# These names, and the tracker's cache that `tree_of` fills, are not of its public API: `test_tree.py` compares the tree
# with the one that dagster builds by itself, and fails when an upgrade has changed what this builds on.
from dagster.components.core.component_tree import ComponentTree
from dagster.components.core.context import ComponentDeclLoadContext
from dagster.components.core.decl import (
    ComponentDecl,
    DefsFolderDecl,
    YamlFileDecl,
    build_component_decl_from_yaml_document,
    build_filesystem_component_decl_from_context,
)
from dagster.components.core.defs_module import ComponentPath

from ml_platform.components.plain_text import require_plain
from ml_platform.components.source_positions import documents
from ml_platform.errors import DeclarationError
from ml_platform.yaml_text import excess, said_twice


def tree_of(module: ModuleType) -> ComponentTree:
    """The tree of a package like `assets`: whatever is asked of it, no declaration is read or searched for again.

    Raises what dagster raises for a declaration that cannot be.
    """
    folder = Path(str(module.__file__)).parent
    tree = dg.ComponentTree.from_module(defs_module=module, project_root=folder.parent)
    root = _folder(tree.decl_load_context.for_component_loc(ComponentPath.from_path(folder)))
    if root is not None:
        for loc, declaration in root.iterate_loc_component_decl_pairs():
            tree.state_tracker.set_cache_data(loc, component_decl=declaration)
    return tree


def _declaration(context: ComponentDeclLoadContext) -> ComponentDecl[Any] | None:
    if (context.path / "defs.yaml").exists():
        return _file(context)
    if context.path.is_dir() and not any((context.path / other).exists() for other in ("defs.yml", "component.yaml")):
        return _folder(context)
    return build_filesystem_component_decl_from_context(context)


def _folder(context: ComponentDeclLoadContext) -> DefsFolderDecl | None:
    children = dict(_inside(context))
    if not children:
        return None
    return DefsFolderDecl(
        context=context, loc=context.component_loc, children=children, source_tree=None, component_file_model=None
    )


def _inside(context: ComponentDeclLoadContext) -> Iterator[tuple[Path, ComponentDecl[Any]]]:
    for path in sorted(context.path.iterdir()):
        if path.name == "__pycache__" or path.name.startswith("."):
            continue
        found = _declaration(context.for_component_loc(ComponentPath.from_path(path)))
        if found is not None:
            yield path, found


def _file(context: ComponentDeclLoadContext) -> ComponentDecl[Any]:
    """The declarations of one file."""
    path = context.path / "defs.yaml"
    at = path.relative_to(context.project_root).as_posix()
    text = path.read_text(encoding="utf-8")
    if told := excess(text):
        raise DeclarationError(f"{at}: the file is no declaration, for {told}", remedy="Write out what it means")
    if told := said_twice(text):
        raise DeclarationError(f"{at}:{told}", remedy="Say it once")
    trees = documents(text, str(path))
    require_plain(trees, at)
    if not trees:
        raise DeclarationError(f"{at}:1: the file is empty, but it has to declare")
    locs = [ComponentPath.from_path(context.path, number) for number in range(len(trees))]
    return YamlFileDecl(
        context=context,
        loc=context.component_loc,
        decls=[
            build_component_decl_from_yaml_document(context.for_component_loc(loc), tree, loc)  # type: ignore[misc]
            for loc, tree in zip(locs, trees, strict=True)
        ],
        source_positions=[tree.source_position_tree.position for tree in trees],
    )
