"""The division of tests over processes: a module's functions stay together, so do a class and all of the flights."""

from __future__ import annotations

from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

FLIGHTS = "the flights graph"
_TESTS = Path(__file__).parent.parent


class Scopes(LoadScopeScheduling):
    """What is made once for many tests is made by one process."""

    def _split_scope(self, nodeid: str) -> str:
        scope = nodeid.rpartition("::")[0]
        return FLIGHTS if on_flights(scope) else scope


def on_flights(scope: str) -> bool:
    """Whether the tests of a module or class stand on the flights graph, which takes minutes to make."""
    return (_TESTS.parent / scope.partition("::")[0]) in _MODULES


_MODULES = frozenset(path for path in _TESTS.glob("test_*.py") if "from flights import" in path.read_text())
