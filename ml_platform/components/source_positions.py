"""Source positions: what a YAML file says, each value with its place in the file, parsed by libyaml."""

from __future__ import annotations

from typing import Any

import yaml

# Dagster's own, which its errors and its UI read; `tests/…/test_source_positions.py` compares with what dagster makes.
from dagster_shared.yaml_utils import YAML_TIMESTAMP_TAG, parse_yamls_with_source_position
from dagster_shared.yaml_utils.source_position import (
    LineCol,
    SourcePosition,
    SourcePositionTree,
    ValueAndSourcePositionTree,
)

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def documents(text: str, file: str) -> list[ValueAndSourcePositionTree]:
    """The documents of a file, as dagster's `parse_yamls_with_source_position` gives them, in a fifth of its time.

    Raises yaml.MarkedYAMLError, with the file, for what is no YAML, as that does.
    """
    loader = _Positions(text)
    loader.file = file
    found = []
    try:
        while loader.check_data():
            found.append(loader.get_data())
    except yaml.YAMLError:  # in the words in which dagster says it
        return parse_yamls_with_source_position(text, file)
    finally:
        loader.dispose()
    return found


class _Positions(_Loader):  # type: ignore[misc] # either of two
    """Constructs, of each node, its value and the tree of its positions."""

    file = ""

    def construct_object(self, node: Any, deep: bool = False) -> ValueAndSourcePositionTree:
        value = super().construct_object(node, True)
        start, end = node.start_mark, node.end_mark
        place = SourcePosition(
            self.file, LineCol(start.line + 1, start.column + 1), LineCol(end.line + 1, end.column + 1)
        )
        if isinstance(value, dict):
            children = {
                name.value: SourcePositionTree(name.source_position_tree.position, of.source_position_tree.children)
                for name, of in value.items()
            }
            plain: Any = {name.value: of.value for name, of in value.items()}
            return ValueAndSourcePositionTree(plain, SourcePositionTree(place, children))
        if isinstance(value, list):
            listed: dict[str | int, SourcePositionTree] = {
                number: each.source_position_tree for number, each in enumerate(value)
            }
            return ValueAndSourcePositionTree([each.value for each in value], SourcePositionTree(place, listed))
        return ValueAndSourcePositionTree(value, SourcePositionTree(place, {}))


# As dagster has it, dates stay texts.
_Positions.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != YAML_TIMESTAMP_TAG]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
