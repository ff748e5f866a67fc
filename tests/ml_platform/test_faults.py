from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from ml_platform.errors import DeclarationError, NotFoundError
from ml_platform.faults import fault_in
from ml_platform.testing.project import Project


def raised(cause: BaseException) -> BaseException:
    """The cause as dagster would raise it, wrapped twice."""
    try:
        try:
            raise RuntimeError("inner") from cause
        except RuntimeError as inner:
            raise RuntimeError("outer") from inner
    except RuntimeError as outer:
        return outer


def test_our_own_error_is_found_below_whatever_wraps_it(tmp_path: Path) -> None:
    ours = NotFoundError("a is gone, but b needs it")
    assert fault_in(raised(ours), tmp_path) is ours


def test_error_of_a_program_is_no_fault_of_a_declaration(tmp_path: Path) -> None:
    assert fault_in(raised(ZeroDivisionError()), tmp_path) is None


def test_broken_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "package" / "defs.yaml"
    file.parent.mkdir()
    file.write_text("a: 1\nb: [\n")
    try:
        with file.open() as stream:
            yaml.safe_load(stream)
    except yaml.MarkedYAMLError as error:
        fault = fault_in(raised(error), file.parent)
    assert str(fault).startswith("package/defs.yaml:3: the file is not YAML")


def test_field_is_named_without_the_unions_that_were_tried(tmp_path: Path) -> None:
    class Inner(BaseModel):
        size: int | bool

    class Outer(BaseModel):
        inner: Inner

    with pytest.raises(ValidationError) as wrong:
        Outer.model_validate({"inner": {"size": "large"}})
    assert "inner.size is 'large', but that cannot be" in str(fault_in(raised(wrong.value), tmp_path))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("seed: abc", "7: seed is 'abc', but that cannot be: Input should be a valid integer"),
        ("needs: {cpu: lots}", "7: needs.cpu is 'lots', but that cannot be: Input should be a valid number"),
        (
            "tune: {trials: many, space: {}}",
            "7: tune.trials is 'many', but that cannot be: Input should be a valid int",
        ),
    ],
)
def test_text_in_the_place_of_a_bounded_number_is_told_by_its_line(shop: Project, more: str, message: str) -> None:
    shop.change("models/returns/defs.yaml", "task: binary", f"task: binary\n  {more}")
    with pytest.raises(DeclarationError, match=f"models/returns/defs.yaml:{message}"):
        _ = shop.definitions


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("description: One", "description: [One", "gold/totals/defs.yaml:5: the file is not YAML"),
        (
            "components.Table",
            "components.Tables",
            "gold/totals/defs.yaml: type is .*Tables, but .*Did you mean ml_platform.components.Table",
        ),
        (
            "ml_platform.components",
            "ml_platform.words",
            "gold/totals/defs.yaml: type is ml_platform.words, but there is no such",
        ),
        ("type: ", "kind: ", "gold/totals/defs.yaml:1: type is missing"),
    ],
)
def test_file_that_is_no_declaration_is_named(shop: Project, old: str, new: str, message: str) -> None:
    shop.change("gold/totals/defs.yaml", old, new)
    with pytest.raises(DeclarationError, match=message):
        _ = shop.definitions
