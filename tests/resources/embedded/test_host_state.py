from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

from ml_platform.engine.package import digest
from ml_platform.jobs.serving.process import ServerProcess
from ml_platform.records.endpoint import EndpointSpec, ServiceBinding, TrafficSplit
from ml_platform.testing.endpoint_host import endpoint_spec, write_package
from resources.embedded.host_state import State, keep_only, keep_packages, read_state, write_state

NONE = ServiceBinding("", "")


def spec_of(packages: dict[int, Path]) -> EndpointSpec:
    return replace(endpoint_spec(packages, NONE, NONE), split=TrafficSplit({1: 1.0}))


def test_state_comes_back_and_is_its_owners(tmp_path: Path) -> None:
    assert read_state(tmp_path) == State()
    state = State(3, "abc", ServerProcess(1, 2.0, 3, "token"), "flights")
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert stat.S_IMODE((tmp_path / "state.json").stat().st_mode) == 0o600


def test_state_of_before_groups_and_addresses_is_read(tmp_path: Path) -> None:
    process = {"pid": 1, "started_at": 2.0, "port": 3, "token": "token"}
    (tmp_path / "state.json").write_text(json.dumps({"number": 3, "fingerprint": "abc", "process": process}))
    assert read_state(tmp_path) == State(3, "abc", ServerProcess(1, 2.0, 3, "token", "127.0.0.1"))


def test_packages_are_kept_by_their_digests_until_others_take_their_place(tmp_path: Path) -> None:
    one, two = (write_package(tmp_path / name, rate) for name, rate in (("one", 0.25), ("two", 0.75)))
    digests, kept = keep_packages(spec_of({1: one, 2: two}), tmp_path / "home")
    assert digests == {1: digest(one), 2: digest(two)}
    assert {version: Path(folder).name for version, folder in kept.packages.items()} == digests
    # a copy that was damaged is made again
    (Path(kept.packages[1]) / "rate.json").write_text("{")
    keep_packages(spec_of({1: one, 2: two}), tmp_path / "home")
    assert digest(Path(kept.packages[1])) == digests[1]
    keep_only(tmp_path / "home", [digests[2]])
    assert [path.name for path in (tmp_path / "home" / "packages").iterdir()] == [digests[2]]
