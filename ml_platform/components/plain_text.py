"""Plain text: what every value of a declaration is, for dagster would evaluate a template, and show what it gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dagster_shared.yaml_utils.source_position import SourcePositionTree, ValueAndSourcePositionTree

from ml_platform.errors import DeclarationError

_MARKS = ("{{", "{%", "{#")


def require_plain(documents: Sequence[ValueAndSourcePositionTree], at: str) -> None:
    """Returns where no value and no name is a template of Jinja's; else raises DeclarationError, by file and line.

    documents: of one file. at: the file. What stands in the environment is no secret of a declaration's to tell.
    """
    for document in documents:
        for text, line in _texts(document.value, document.source_position_tree):
            for mark in (mark for mark in _MARKS if mark in text):
                raise DeclarationError(
                    f"{at}:{line}: a text holds {mark!r}, but a declaration is no template: nothing in it is evaluated",
                    remedy="Write what it is to say; what an environment decides is a setting of its profile",
                )


def _texts(value: Any, tree: SourcePositionTree) -> Iterator[tuple[str, int]]:
    """Every text in the value, names included, with the line where it stands."""
    line = tree.position.start.line
    if isinstance(value, str):
        yield value, line
    elif isinstance(value, dict):
        for name, of in value.items():
            yield str(name), line
            yield from _texts(of, tree.children.get(name, tree))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _texts(each, tree.children.get(number, tree))
