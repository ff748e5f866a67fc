from __future__ import annotations

import importlib
import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from ml_platform.binding import (
    ROLES,
    Binding,
    binding,
    bindings,
    build,
    class_name,
    environment,
    in_force,
    players,
    profile_name,
    resolved,
    service,
)
from ml_platform.errors import BindingError
from ml_platform.records.endpoint import ServiceBinding


def test_roles_are_the_files_of_the_roles_folder() -> None:
    assert ROLES == (
        "compute",
        "endpoint_host",
        "feature_store",
        "inventory",
        "job_runner",
        "lakehouse",
        "model_registry",
        "notifier",
        "prediction_log",
    )


def test_local_profile_binds_every_role_to_an_embedded_service() -> None:
    bound = bindings()
    assert set(bound) == set(ROLES)
    assert {it.service for it in bound.values()} == {"embedded"}
    for role, it in bound.items():
        assert type(build(it)).__name__ == class_name("embedded", role)


def test_two_environments_in_one_home_share_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    places = []
    for name in ("dev-a", "dev-b"):
        monkeypatch.setenv("ML_PLATFORM_ENV", name)
        settings = {role: dict(resolved(build(it)).settings) for role, it in bindings().items()}
        # memory is no place, and one registry and one folder of endpoints hold every environment under its prefix
        settings["model_registry"] = {"prefix": settings["model_registry"]["prefix"]}
        settings["endpoint_host"] = {"prefix": settings["endpoint_host"]["prefix"]}
        del settings["inventory"]["endpoints"]
        places.append({(role, value) for role, it in settings.items() for value in it.values() if role != "compute"})
    assert places[0]
    assert not places[0] & places[1]


def test_environment_is_the_users_own_when_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ML_PLATFORM_ENV")
    monkeypatch.setattr("getpass.getuser", lambda: "Ann.Smith")
    assert environment() == "dev-ann-smith"


def test_another_environment_and_profile_are_in_force_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_PLATFORM_ENV", "dev-ann")

    with in_force("prod", "aws"):
        assert (environment(), profile_name()) == ("prod", "aws")
        with in_force(environment="staging"):
            assert (environment(), profile_name()) == ("staging", "aws")

    assert (environment(), profile_name()) == ("dev-ann", "local")


@pytest.mark.parametrize("name", ["Prod", "1st", "a/b", "a_b", "x" * 32, "-a"])
def test_name_that_cannot_be_a_prefix_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("ML_PLATFORM_ENV", name)
    with pytest.raises(BindingError, match=r"ML_PLATFORM_ENV is .*, but it becomes part of paths and names"):
        bindings()


def test_one_setting_is_overridden_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_PLATFORM_COMPUTE__MEMORY_LIMIT_GIB", "3.5")
    assert resolved(service("compute")).settings["memory_limit_gib"] == 3.5
    assert binding("lakehouse").settings["root"] == "${ML_PLATFORM_HOME}/${ML_PLATFORM_ENV}/lakehouse"


def test_one_role_is_overridden_by_its_variable_and_drops_the_other_services_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ML_PLATFORM_COMPUTE", "spark")
    monkeypatch.setenv("ML_PLATFORM_COMPUTE__MASTER", "here")
    monkeypatch.setattr("ml_platform.binding.players", lambda role: ["embedded", "spark"])
    monkeypatch.setitem(sys.modules, "resources.spark", ModuleType("resources.spark"))
    # what a variable gives stands by the variable's name, for bindings are shown
    settings = {"master": "${ML_PLATFORM_COMPUTE__MASTER}"}
    assert binding("compute") == Binding("compute", "spark", settings)
    assert binding("compute").importable == ServiceBinding("resources.spark.compute", "SparkCompute", settings)


def test_naming_the_service_that_plays_already_keeps_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    before = binding("compute")
    monkeypatch.setenv("ML_PLATFORM_COMPUTE", "embedded")
    assert binding("compute") == before


def test_role_that_no_service_plays_is_refused_with_who_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_PLATFORM_JOB_RUNNER", "embeded")
    with pytest.raises(BindingError, match=r"job_runner is bound to 'embeded', but no resources/embeded/job_runner.py"):
        binding("job_runner")
    assert players("job_runner") == ["aws", "databricks", "embedded", "gcp"]


def test_unknown_profile_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_PLATFORM_PROFILE", "locale")
    assert profile_name() == "locale"
    with pytest.raises(BindingError, match=r"ML_PLATFORM_PROFILE is 'locale', but .*Did you mean local\?"):
        bindings()


def test_unknown_setting_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_PLATFORM_COMPUTE__MEMORY_LIMIT_GB", "2")
    with pytest.raises(BindingError, match=r"compute.memory_limit_gb is set, but .*Did you mean memory_limit_gib\?"):
        service("compute")


def test_unbound_setting_lists_every_place_that_was_looked_in_and_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "s3cret-canary")
    monkeypatch.setenv("ML_PLATFORM_LAKEHOUSE__ROOT", "${CANARY}/${NO_SUCH_VARIABLE}")
    with pytest.raises(BindingError) as raised:
        service("lakehouse")
    message = str(raised.value)
    assert "lakehouse.root is unbound" in message
    for place in ("ML_PLATFORM_LAKEHOUSE__ROOT", "local.yaml under lakehouse.root", "NO_SUCH_VARIABLE"):
        assert place in message
    assert "s3cret-canary" not in message


def test_required_settings_that_nobody_gives_are_one_error() -> None:
    with pytest.raises(BindingError, match=r"endpoint_host.home, endpoint_host.prefix is unbound"):
        build(Binding("endpoint_host", "embedded", {}))


def test_variable_is_read_when_the_service_is_built_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_PLATFORM_LAKEHOUSE__ROOT", "${LATER}")
    bound = binding("lakehouse")
    assert bound.settings["root"] == "${ML_PLATFORM_LAKEHOUSE__ROOT}"
    monkeypatch.setenv("LATER", "/somewhere")
    built = build(bound)
    assert built.table("silver/orders").uri.startswith("/somewhere")
    assert resolved(built).settings == {"root": "/somewhere"}


@pytest.mark.parametrize("cloud", ["aws", "gcp", "databricks"])
def test_a_profile_without_its_sdk_says_how_to_install_it(cloud: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert cloud in extras["optional-dependencies"]
    there = importlib.util.find_spec
    monkeypatch.setenv("ML_PLATFORM_PROFILE", cloud)
    bindings()
    for module in importlib.import_module(f"resources.{cloud}").SDK:
        monkeypatch.setattr("importlib.util.find_spec", lambda name, gone=module: None if name == gone else there(name))
        with pytest.raises(BindingError) as told:
            bindings()
        assert module in str(told.value)
        assert str(told.value).endswith(f"Install it, in the project's folder: pip install -e '.[{cloud}]'.")


def test_what_a_profile_may_leave_out_is_said_by_whoever_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_platform.binding._profile", dict)
    monkeypatch.setattr("ml_platform.binding.ROLES", ("inventory",))
    assert bindings() == {}
    with pytest.raises(
        BindingError, match=r"the role inventory is unbound.*Name one of: aws, databricks, embedded, gcp"
    ):
        binding("inventory")


def test_what_a_profile_says_twice_is_refused_by_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.yaml").write_text("compute: {service: embedded}\n\ncompute: {service: embedded}\n")
    monkeypatch.setattr("ml_platform.binding._FOLDER", tmp_path)
    monkeypatch.setenv("ML_PLATFORM_PROFILE", "mine")
    with pytest.raises(BindingError, match=r"mine\.yaml:3: compute is said twice"):
        bindings()
