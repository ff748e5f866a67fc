from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from dagster_shared.yaml_utils import parse_yamls_with_source_position

import assets
from ml_platform.components.source_positions import documents

FILES = sorted(Path(str(assets.__file__)).parent.rglob("defs.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.parent.name}/{path.parent.name}")
def test_what_is_declared_is_read_as_dagster_reads_it(path: Path) -> None:
    text = path.read_text()
    assert documents(text, str(path)) == parse_yamls_with_source_position(text, str(path))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "a",
        "---\na: 1\n---\nb: [x, {c: 2.5, d: ~}]\n",
        "a: 2013-01-01\nb: 2013-01-01T00:00:00Z\nc: 0o7\nd: 1_000\ne: yes\nf: '2013'\n",
        "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n",
        'a: |\n  one\n  two\nb: >\n  three\n  four\nc: "\\u00e4"\nd: é\n',
    ],
)
def test_whatever_yaml_says_is_read_as_dagster_reads_it(text: str) -> None:
    assert documents(text, "defs.yaml") == parse_yamls_with_source_position(text, "defs.yaml")


@pytest.mark.parametrize("text", ["a: b: c", "a: [1", "\ta: 1", "a: *x", "a: !!python/object:os.x {}", "{a: 1}: 2"])
def test_what_is_no_yaml_is_told_as_dagster_tells_it(text: str) -> None:
    with pytest.raises((yaml.YAMLError, TypeError)) as theirs:
        parse_yamls_with_source_position(text, "silver/a/defs.yaml")
    with pytest.raises(type(theirs.value)) as ours:
        documents(text, "silver/a/defs.yaml")
    assert str(ours.value) == str(theirs.value)
