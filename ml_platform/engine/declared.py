"""What is declared, as far as it has to be known to follow rows: what reads what, which partitions, which query."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_platform.engine.ingest import Source
    from ml_platform.records.feature import FeatureView

Origins = Mapping[str, Sequence[tuple[str, str]]]


@dataclass(frozen=True)
class Query:
    """The query that makes a table. code: digest that stands in the table's commits; row_wise: whether it may be."""

    text: str
    code: str


def _no_query(_: str) -> Query | None:
    return None


def _no_origins(_: str) -> Origins:
    return {}


@dataclass(frozen=True)
class Declared:
    """Asset keys and how they hang together.

    tables: asset keys of the tables. reads: table → what it reads, models aside.
    partitioned: those divided by the domain's partitions, which are `partitions`, in order.
    windows: reader and read → how many partitions before and after its own a partition is made from.
    models: endpoint or batch predictions → the model whose champion answers.
    entities: table of events, of features or of predictions → the columns that name what a row is about.
    sources: bronze table → what lands and how it is read. views: feature view → as it travels.
    query: of a table; None where a function makes it, or something that is no plain query.
    origins: column of a table → the columns of others that its values are made from.
    redacted: endpoint's name → what its log has as keyed hashes; without those that hide nothing.
    """

    tables: Collection[str]
    reads: Mapping[str, Sequence[str]] = field(default_factory=dict)
    partitioned: Collection[str] = ()
    partitions: Sequence[str] = ()
    windows: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    entities: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    views: Mapping[str, FeatureView] = field(default_factory=dict)
    query: Callable[[str], Query | None] = _no_query
    origins: Callable[[str], Origins] = _no_origins
    redacted: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def endpoints(self) -> Mapping[str, str]:
        """Endpoint's name → asset key of its model."""
        return {key.partition("/")[2]: of for key, of in self.models.items() if key.startswith("endpoints/")}

    def made_from(self, reader: str, read: str, partitions: Collection[str]) -> Collection[str] | None:
        """The partitions of what is read that these partitions of the reader are made from; None where it may be any.

        >>> months = Declared((), {}, {"a", "b"}, ("1", "2", "3", "4"), {("b", "a"): (1, 0)})
        >>> sorted(months.made_from("b", "a", {"3"}))
        ['2', '3']
        """
        before, after = self.windows.get((reader, read), (0, 0))
        return self._around(reader, read, partitions, before, after)

    def makes(self, reader: str, read: str, partitions: Collection[str]) -> Collection[str] | None:
        """The partitions of the reader that are made from these of what it reads; None where it may be any.

        >>> months = Declared((), {}, {"a", "b"}, ("1", "2", "3", "4"), {("b", "a"): (1, 0)})
        >>> sorted(months.makes("b", "a", {"3"}))
        ['3', '4']
        """
        before, after = self.windows.get((reader, read), (0, 0))
        return self._around(reader, read, partitions, after, before)

    def _around(
        self, reader: str, read: str, partitions: Collection[str], before: int, after: int
    ) -> Collection[str] | None:
        if not {reader, read} <= set(self.partitioned) or not set(partitions) <= set(self.partitions):
            return None
        places = [self.partitions.index(name) for name in partitions]
        return {name for at in places for name in self.partitions[max(0, at - before) : at + after + 1]}
