from __future__ import annotations

from pathlib import Path

import pytest

from ml_platform.components.domain import domain_of, partition_keys, partitions
from ml_platform.errors import DeclarationError

WHOLE = """\
timezone: America/New_York
owners: ["team:flights", ann@example.org]
clock: replay
partitions: {column: month, start: "2023-11", end: "2024-02"}
"""


def domain(folder: Path, text: str = WHOLE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "domain.yaml").write_text(text)
    return folder


def test_domain_is_the_nearest_one_above(tmp_path: Path) -> None:
    domain(tmp_path / "lake")
    inner = domain(tmp_path / "lake" / "silver", WHOLE.replace("America/New_York", "UTC"))
    assert domain_of(tmp_path / "lake" / "gold" / "totals").timezone == "America/New_York"
    assert domain_of(inner / "orders").timezone == "UTC"


def test_what_a_domain_says_twice_is_refused_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(
        DeclarationError, match=r"domain\.yaml:5: clock is said twice, but one of the two would be lost"
    ):
        domain_of(domain(tmp_path, f"{WHOLE}clock: real\n"))


def test_partitions_are_every_month_from_first_to_last(tmp_path: Path) -> None:
    assert list(partition_keys(domain(tmp_path))) == ["2023-11", "2023-12", "2024-01", "2024-02"]


def test_partitions_are_months_of_the_domains_zone(tmp_path: Path) -> None:
    window = partitions(domain(tmp_path)).time_window_for_partition_key("2023-12")
    assert window.start.isoformat() == "2023-12-01T00:00:00-05:00"


def test_partitions_without_an_end_go_on_with_the_calendar(tmp_path: Path) -> None:
    keys = list(partition_keys(domain(tmp_path, WHOLE.replace(', end: "2024-02"', ""))))
    assert keys[:2] == ["2023-11", "2023-12"]
    assert len(keys) > 24


def test_two_folders_of_a_domain_share_one_definition(tmp_path: Path) -> None:
    domain(tmp_path)
    assert partitions(tmp_path / "silver" / "a") is partitions(tmp_path / "gold" / "b")


def test_missing_domain_says_where_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"is in no domain.* Write a domain.yaml"):
        domain_of(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("clock: replay", "clock: sundial", "clock is 'sundial', but that cannot be"),
        ("America/New_York", "America/Gotham", "timezone is 'America/Gotham', but that cannot be: no time zone"),
        ("team:flights", "ann", "owners is .* but that cannot be: an owner is an e-mail address or team:name"),
        ("2023-11", "2023-13", "partitions.start is '2023-13', but that cannot be"),
        ("2024-02", "2023-10", "but that cannot be: the last month comes before the first"),
        ("clock: replay", "colour: red", "colour is 'red', but that cannot be: Extra inputs"),
        ("timezone: America/New_York\n", "", "timezone is missing, but that cannot be: Field required"),
        ("{column", "[column", "domain.yaml:4: the file is not YAML"),
        (WHOLE, "", "the whole of it is None, but that cannot be"),
    ],
)
def test_wrong_domain_is_named_with_its_file(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as raised:
        domain_of(domain(tmp_path, WHOLE.replace(old, new)))
    assert str(tmp_path / "domain.yaml") in str(raised.value)
