"""A domain: what all assets below one folder share, written in its `domain.yaml`."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dagster as dg
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ml_platform.errors import DeclarationError
from ml_platform.yaml_text import excess, said_twice

FILE = "domain.yaml"
_MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"
# What dagster takes as an owner.
_OWNER = re.compile(r"(team:[\w-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")


class MonthlyPartitions(BaseModel):
    """The partitions of a domain: calendar months, one value of one column each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str = Field(description="The column that holds a row's partition in every partitioned table.")
    start: str = Field(pattern=_MONTH, description="The first month, for instance 2013-01.")
    end: str | None = Field(
        default=None, pattern=_MONTH, description="The last month; months go on with the calendar without it."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.end is not None and self.end < self.start:
            raise ValueError("the last month comes before the first")
        return self


class Domain(BaseModel):
    """Time, ownership and partitions, shared by every asset below the folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timezone: str = Field(description="The zone whose months and days the domain counts in; times are stored in UTC.")
    owners: tuple[str, ...] = Field(
        min_length=1, description="Who answers for the assets: e-mail addresses or team:names."
    )
    clock: Literal["real", "replay"] = Field(
        default="real",
        description="Whether now is the machine's time or the last moment that historic data landed for.",
    )
    partitions: MonthlyPartitions = Field(description="How its partitioned tables are divided.")
    retention_days: float = Field(
        default=30,
        ge=0,
        description="How long a table's version stays readable after another took its place; tables may differ.",
    )

    @field_validator("owners")
    @classmethod
    def _can_be_asked(cls, owners: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_OWNER.match(owner) for owner in owners):
            raise ValueError("an owner is an e-mail address or team:name")
        return owners

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("no time zone has that name; one is, for instance, America/New_York") from error
        return name


def domain_of(path: Path) -> Domain:
    """The domain of a folder: the nearest `domain.yaml` in it or above it.

    Raises DeclarationError where there is none, or where what it says cannot be.
    """
    # As texts: a load asks thousands of times, and most of what that takes would be to make paths.
    folder, above = "", str(path)
    while folder != above:
        folder, above = above, os.path.dirname(above)
        with suppress(FileNotFoundError, NotADirectoryError), open(os.path.join(folder, FILE)) as file:
            return _read(file.name, file.read())
    raise DeclarationError(
        f"{path} is in no domain, but its assets need one's time zone and partitions",
        remedy=f"Write a {FILE} into the folder that holds the domain's assets",
    )


@lru_cache
def _read(path: str, text: str) -> Domain:
    if told := excess(text):
        raise DeclarationError(f"{path}: the file is no domain, for {told}", remedy="Write out what it means")
    if told := said_twice(text):
        raise DeclarationError(f"{path}:{told}", remedy="Say it once")
    try:
        return Domain.model_validate(yaml.safe_load(text))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DeclarationError(
            f"{path}:{line}: the file is not YAML, but a domain has to be: {error.problem}"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "the whole of it"
        value = "missing" if first["type"] == "missing" else repr(first["input"])
        raise DeclarationError(
            f"{path}: {name} is {value}, but that cannot be: {first['msg'].removeprefix('Value error, ')}",
            allowed=f"A domain has {', '.join(Domain.model_fields)}",
        ) from error


@lru_cache
def _definition(timezone: str, partitions: MonthlyPartitions) -> dg.MonthlyPartitionsDefinition:
    return dg.MonthlyPartitionsDefinition(
        start_date=partitions.start,
        end_date=_month_after(partitions.end) if partitions.end else None,
        fmt="%Y-%m",
        timezone=timezone,
    )


def partitions(path: Path) -> dg.MonthlyPartitionsDefinition:
    """The one partitions definition of the domain that a folder is in."""
    domain = domain_of(path)
    return _definition(domain.timezone, domain.partitions)


def partition_keys(path: Path) -> Sequence[str]:
    """Every partition of the domain that a folder is in, in order."""
    return _keys(partitions(path), int(time.time()) // 60)


@lru_cache
def _keys(partitions: dg.MonthlyPartitionsDefinition, minute: int) -> Sequence[str]:
    """minute: the one in which it is asked; without a last month, there is another one when the calendar goes on."""
    return tuple(partitions.get_partition_keys())


def _month_after(month: str) -> str:
    """
    >>> _month_after("2013-12")
    '2014-01'
    """
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12:04d}-{number % 12 + 1:02d}"
