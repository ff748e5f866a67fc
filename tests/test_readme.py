"""The README, executed: its files are written and its commands run as they stand, in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from flights import BIN, ROOT, Flights

from ml_platform.binding import service
from ml_platform.definitions import defs
from ml_platform.engine import delta

README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^(?:#|--) ((?:assets|resources|tests)/\S+)\n")


@dataclass(frozen=True)
class Copy:
    """A copy of the project on the flights graph's home."""

    folder: Path
    environment: dict[str, str]

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        """What a person gets who types the line."""
        done = subprocess.run(
            ["/bin/sh", "-c", line], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done


def section(title: str) -> str:
    """The README's text below a heading, up to the next one of its rank or a higher one."""
    rank = len(title.split(" ")[0])
    return re.split(rf"\n#{{2,{rank}}} ", README.split(f"\n{title}\n")[1])[0]


@pytest.fixture(scope="module")
def copy(flights: Flights, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    folder = tmp_path_factory.mktemp("copy") / "project"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(lambda name: (ROOT / name).exists(), listed.stdout.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(BIN.parent)
    path = os.pathsep.join([str(folder), flights.environment["PYTHONPATH"]])
    return Copy(folder, {**flights.environment, "PYTHONPATH": path})


@pytest.fixture(autouse=True)
def bound(flights: Flights, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ML_PLATFORM_HOME", "ML_PLATFORM_ENV"):
        monkeypatch.setenv(name, flights.environment[name])


def follow(copy: Copy, text: str) -> None:
    """Does what the text shows: writes its files, types its commands."""
    for language, content in BLOCK.findall(text):
        file = FILE.match(content)
        if file:
            (copy.folder / file[1]).parent.mkdir(parents=True, exist_ok=True)
            (copy.folder / file[1]).write_text(content.removeprefix(file[0]))
        elif language == "bash":
            for line in content.strip().splitlines():
                copy.type(line)


def test_bringing_data_works_as_shown(copy: Copy) -> None:
    follow(copy, section("### Data"))

    stands, apart = (
        delta.existing(service("lakehouse").table(f"bronze/runways{suffix}")) for suffix in ("", "__quarantine")
    )
    assert delta.read_rows(stands)["metres"].to_pylist() == [3460]
    assert delta.read_rows(apart)["source_offset"].to_pylist() == [1]


def test_adding_a_table_works_as_shown(copy: Copy) -> None:
    follow(copy, section("### A table"))

    made = delta.existing(service("lakehouse").table("gold/route_month"))
    assert made.rows > 2_000
    assert made.schema.names == ["month", "origin", "dest", "flights", "mean_arrival_delay_minutes"]
    apart = delta.existing(service("lakehouse").table("gold/route_month__quarantine"))
    assert set(delta.read_rows(apart)["rule"].to_pylist()) == {"mean_arrival_delay_minutes_not_null"}


def test_adding_a_feature_view_works_as_shown(copy: Copy) -> None:
    follow(copy, section("### A feature view"))

    rows = delta.read_rows(delta.existing(service("lakehouse").table("features/plane_departures_v1")))
    assert rows.schema.names[:5] == [
        "tailnum",
        "event_time",
        "known_at",
        "plane_departures_count",
        "plane_departures_max_delay_minutes",
    ]
    # every departure of a plane comes into the window and goes out of it again, some two in one minute
    assert 600_000 < len(rows) < 660_000
    assert min(rows["plane_departures_count"].to_pylist()) == 0


def test_adding_a_model_and_an_endpoint_works_as_shown(copy: Copy) -> None:
    follow(copy, section("### A model"))
    follow(copy, section("### An endpoint"))

    champion = service("model_registry").version("arrival_delay_linear", "champion")
    revision = service("endpoint_host").describe("arrival_delay_linear")
    assert dict(revision.digests) == {1: champion.digest}
    declared = (copy.folder / "tests" / "declarations.txt").read_text()
    assert "endpoints/arrival_delay_linear" in declared
    # as the section on feature views has written it
    assert "features/flight_notice_v1" in declared


def test_every_make_target_that_is_named_exists(copy: Copy) -> None:
    for target in sorted(set(re.findall(r"`make (\w+)", README))):
        copy.type(f"make --dry-run {target}")


def test_the_picture_and_every_path_that_is_named_are_there() -> None:
    named = re.findall(r"\]\((\w[^)]*)\)|`((?:resources|tests|ml_platform|docs)/[\w/.]+)`", README)

    for path in {first or second for first, second in named}:
        assert (ROOT / path).exists(), path


def test_tables_are_kept_in_shape_and_examined_as_shown(copy: Copy) -> None:
    follow(copy, section("## Operate"))


def test_a_trace_prints_what_is_shown(copy: Copy) -> None:
    printed_out = (text for kind, text in BLOCK.findall(section("## Operate")) if kind == "console")
    (shown,) = (text for text in printed_out if "ml-platform trace" in text)
    command, *lines = shown.splitlines()
    printed = copy.type(command.replace("$ ", ".venv/bin/")).stdout.splitlines()
    for line in lines:
        pattern = ".*".join(map(re.escape, line.split("…")))
        assert any(re.fullmatch(pattern, each) for each in printed), (line, printed)


@pytest.mark.parametrize(
    "word",
    [
        "everything",
        "refresh",
        "ingest",
        "retrain",
        "landed_files",
        "following",
        "telling",
        "retraining",
        "daily",
        "maintenance",
        "audit",
        "rollouts",
        "rollout",
    ],
)
def test_what_the_operate_section_names_is_declared(word: str) -> None:
    assert f"`{word}`" in section("## Operate")
    assert re.search(
        rf"^(job|sensor|schedule) {word}\b", (ROOT / "tests" / "declarations.txt").read_text(), re.MULTILINE
    )


def test_every_selection_of_the_operate_section_finds_something() -> None:
    graph = defs().resolve_asset_graph()
    shown = re.findall(r"SELECT='([^']+)'", section("## Operate"))
    assert len(shown) > 12
    for select in shown:
        assert dg.AssetSelection.from_string(select).resolve(graph), select


def test_adding_a_service_works_as_shown(copy: Copy) -> None:
    follow(copy, section("## Add a service"))


def test_every_cloud_of_the_readme_runs_before_a_change_lands() -> None:
    shown = re.findall(r"^make (run-\w+)$", section("## Go to a cloud"), re.MULTILINE)
    landing = (ROOT / ".ci" / "run").read_text()
    named = re.search(r'^clouds="(.+)"$', landing, re.MULTILINE)
    assert named is not None
    assert shown == [f"run-{cloud}" for cloud in named[1].split()]
    # Each is made, beside the fire drill, and what each made is compared.
    assert "printf '%s\\n' first $clouds drill | xargs" in landing
    assert "for cloud in $clouds; do" in landing


def test_every_profile_of_the_readme_is_there_and_the_other_way_round() -> None:
    shown = re.findall(r"^\| `(\w+)` \|", section("## Go to a cloud"), re.MULTILINE)
    profiles = {path.stem for path in (ROOT / "resources" / "profiles").glob("*.yaml")}
    assert {*shown, "local"} == profiles
