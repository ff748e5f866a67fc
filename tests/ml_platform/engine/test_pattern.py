from __future__ import annotations

import pytest

from ml_platform.engine.pattern import matches, reach


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("*", ["a.csv"], ["x/a.csv", ".a.csv"]),
        ("*.csv", ["a.csv", "a.b.csv"], ["a.csv.gz", "x/a.csv", ".a.csv", "A.CSV"]),
        ("x/*.csv", ["x/a.csv"], ["a.csv", "x/y/a.csv", "x/.a.csv", "X/a.csv", "x//a.csv"]),
        ("*/a.csv", ["x/a.csv"], ["a.csv", "x/y/a.csv", ".x/a.csv"]),
        ("x/?.csv", ["x/a.csv"], ["x/ab.csv", "x/..csv"]),
        ("x/[ab].csv", ["x/a.csv"], ["x/c.csv"]),
        ("x?a.csv", ["x-a.csv"], ["x/a.csv"]),
        ("**", ["a.csv", "x/y/a.csv"], [".a.csv", "x/.y/a.csv", "x/.a.csv"]),
        ("**/*", ["a.csv", "x/y/a.csv"], [".a.csv", ".x/a.csv"]),
        ("**/*.csv", ["a.csv", "x/a.csv", "x/y/a.csv"], ["a.txt", ".x/a.csv", "x/.a.csv"]),
        ("x/**/*.csv", ["x/a.csv", "x/y/z/a.csv"], ["a.csv", "y/x/a.csv", "x/.y/a.csv"]),
        ("x/**", ["x/a.csv", "x/y/a.csv"], ["x", "y/a.csv"]),
        ("**/y/**/a", ["y/a", "x/y/a", "x/y/z/y/a"], ["a", "x/a", "y/b"]),
        (".x/.*", [".x/.a"], [".x/a", ".y/.a"]),
    ],
)
def test_a_pattern_is_matched_as_a_shell_does(pattern: str, taken: list[str], left: list[str]) -> None:
    assert [path for path in (*taken, *left) if matches(path, pattern)] == taken
    # and whatever matches lies where the pattern reaches
    folder, below = reach(pattern)
    for path in taken:
        assert not folder or path.startswith(f"{folder}/")
        assert below or path.rpartition("/")[0] == folder


def test_folders_that_are_passed_over_again_and_again_take_no_time() -> None:
    deep = "a/" * 60
    assert matches(f"{deep}x", f"{'**/' * 30}x")
    assert not matches(f"{deep}x", f"{'**/' * 30}y")
