"""YAML as people write it: small, flat, and no larger once its aliases are followed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml

_BYTES = 2**20
_NODES = 20_000
_DEPTH = 50
_NAME = re.compile(r"([^\s{,:'\"]+)['\"]?\s*:(?:\s|$)")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def excess(text: str) -> str:
    """Why the text is nothing that anybody wrote as a declaration; empty where it may be read.

    It is found out from the text's events, of which each is looked at once: nothing is built of it.

    >>> excess("a: &x [1, 2]\\nb: [*x, *x]")
    ''
    >>> excess("[" * 100)
    'it is nested more than 50 levels deep'
    """
    if len(text) > _BYTES:
        return f"it is longer than {_BYTES:,} characters"
    aliased = "&" in text and "*" in text
    if not aliased and text.count("[") + text.count("{") + text.count("- ") + text.count("? ") <= _DEPTH:
        return ""
    return _of_events(text)


def said_twice(text: str) -> str:
    """By its line, what a mapping says again, of which YAML would keep the last without a word; empty for nothing.

    >>> said_twice("rows: 20\\nsteps: [1]\\nrows: 0")
    '3: rows is said twice, but one of the two would be lost'
    """
    names = _NAME.findall(text)
    # Most texts have no name twice, wherever it stands, and are not parsed for it.
    if len(set(names)) == len(names):
        return ""
    try:
        nodes = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.YAMLError:
        return ""  # whoever reads it says what is wrong with it
    return next(filter(None, map(_repeated, nodes)), "")


def _repeated(node: yaml.Node | None) -> str:
    if isinstance(node, yaml.MappingNode):
        said: set[str] = set()
        for name, value in node.value:
            if isinstance(name, yaml.ScalarNode):
                if name.value in said:
                    return f"{name.start_mark.line + 1}: {name.value} is said twice, but one of the two would be lost"
                said.add(name.value)
            if found := _repeated(value):
                return found
    elif isinstance(node, yaml.SequenceNode):
        return next(filter(None, map(_repeated, node.value)), "")
    return ""


def _of_events(text: str) -> str:
    """The same, by how deep and how many its nodes are, each alias counted as all that it stands for."""
    seen = _Seen()
    try:
        for event in yaml.parse(text, Loader=_Loader):
            seen.take(event)
            if len(seen.open) > _DEPTH:
                return f"it is nested more than {_DEPTH} levels deep"
            if seen.nodes > _NODES:
                return f"it holds more than {_NODES:,} values once its aliases are followed"
    except yaml.YAMLError:
        return ""  # whoever reads it says what is wrong with it
    return ""


@dataclass
class _Seen:
    """What has been looked at. open: anchor of each collection that has not ended, and the nodes before it."""

    open: list[tuple[str | None, int]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    nodes: int = 0

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.CollectionStartEvent):
            self.open.append((event.anchor, self.nodes))
        elif isinstance(event, yaml.AliasEvent):
            # of what has not ended: it holds itself
            self.nodes += self.sizes.get(event.anchor or "", _NODES + 1)
        elif isinstance(event, yaml.ScalarEvent):
            self._ended(event.anchor, self.nodes)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._ended(*self.open.pop())

    def _ended(self, anchor: str | None, before: int) -> None:
        self.nodes += 1
        if anchor:
            self.sizes[anchor] = self.nodes - before
