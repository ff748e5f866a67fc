"""Lines: where in its `defs.yaml` something is written, for errors."""

from __future__ import annotations

import dagster as dg
import yaml

from ml_platform.components.asset import place


def line_of(context: dg.ComponentLoadContext, *path: str | int) -> str:
    """The file and the line of what stands at a path below `attributes`; of the nearest that is there above it.

    path: names of fields, and positions in lists, from 0.
    """
    node = yaml.compose((context.path / "defs.yaml").read_text())
    line = 1
    for step in ("attributes", *path):
        found = _inside(node, step)
        if found is None:
            break
        line, node = found
    return f"{place(context)}:{line}"


def _inside(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    """The line of a field or an entry, and its value."""
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark.line + 1, value) for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line + 1, node.value[step]
    return None
