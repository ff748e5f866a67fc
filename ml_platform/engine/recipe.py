"""A recipe: how a table is made, apart from where it lives and who makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml_platform.engine.expectations import Expectations
from ml_platform.engine.plan import Shape

if TYPE_CHECKING:
    import pyarrow as pa

# What opens the name under which a table keeps the version of an input that its last commit read.
READ = "read:"
Fetch = Callable[[str], "pa.Table"]


@dataclass(frozen=True)
class Recipe:
    """How a table is made.

    inputs: asset keys of the tables that it reads.
    code: digest of everything in its declaration that can change its rows.
    query: what makes it, over the inputs; or None, and `transform` does, from tables named by the last part of a key.
    reads: how many partitions before and after its own a partition is made from. Partitions that are made together see
    each other's inputs, so what makes a row may not look further than that by itself.
    stream: makes it instead, a part at a time, from whatever queries over the inputs it asks for; its rows stand in the
    order in which they come, and the table has no key and no partition.
    proof: raises where staged rows are not what they have to be; it may ask queries over them, as `staged.rows`.
    where: input → SQL predicate on the rows that `transform` gets of it.
    lineage: column → asset key and column of everything that its values are made from, as far as that is known; as
    `Columns` has it.
    expects: what its rows have to keep.
    """

    key: str
    inputs: tuple[str, ...]
    shape: Shape
    code: str
    query: str | None = None
    transform: Callable[[Mapping[str, pa.Table]], pa.Table] | None = None
    stream: Callable[[Fetch], Iterator[pa.Table]] | None = None
    proof: Callable[[Fetch], None] | None = None
    reads: tuple[int, int] = (0, 0)
    where: Mapping[str, str] = field(default_factory=dict)
    lineage: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    expects: Expectations = field(default_factory=Expectations)
