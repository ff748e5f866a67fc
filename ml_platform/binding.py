"""The binding of roles to services: a profile and an environment, resolved without dagster.

A profile (`resources/profiles/<name>.yaml`) names a service for each role, with its settings. What wins, first to last:
`ML_PLATFORM_<ROLE>__<SETTING>` for one setting, `ML_PLATFORM_<ROLE>` for one role's service, the profile that
`ML_PLATFORM_PROFILE` names (`local` when it is unset). A service `s` plays role `r` when `resources/s/r.py` exists.
"""

from __future__ import annotations

import getpass
import importlib
import importlib.util
import inspect
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import yaml

import ml_platform.roles
import resources
from ml_platform.engine.prices import Prices
from ml_platform.engine.prices import prices as read_prices
from ml_platform.errors import BindingError, missing_extra, nearest
from ml_platform.records.endpoint import ServiceBinding
from ml_platform.yaml_text import excess, said_twice

# What no asset needs, and a profile may leave out: whoever asks for it is then told so.
OPTIONAL = frozenset({"inventory"})
# What a profile may say beside its roles.
PRICES = "prices"
ROLES = tuple(sorted(path.stem for path in Path(ml_platform.roles.__file__).parent.glob("[a-z]*.py")))
_FOLDER = Path(resources.__file__).parent
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_FORCED: ContextVar[Mapping[str, str]] = ContextVar("forced", default=_NOTHING)
_BUILT: WeakKeyDictionary[object, ServiceBinding] = WeakKeyDictionary()


@dataclass(frozen=True)
class Binding:
    """A role, the service that plays it today, and the service's settings.

    settings: constructor arguments; a value may still hold `${NAME}`, an environment variable that is read last.
    """

    role: str
    service: str
    settings: Mapping[str, Any]

    @property
    def importable(self) -> ServiceBinding:
        """The same, as another process can build it again."""
        return ServiceBinding(
            f"resources.{self.service}.{self.role}", class_name(self.service, self.role), self.settings
        )


@contextmanager
def in_force(environment: str | None = None, profile: str | None = None) -> Iterator[None]:
    """Whatever is bound inside is bound for that environment and by that profile, and not the process's own."""
    named = {"ML_PLATFORM_ENV": environment, "ML_PLATFORM_PROFILE": profile}
    token = _FORCED.set({**_FORCED.get(), **{name: value for name, value in named.items() if value is not None}})
    try:
        yield
    finally:
        _FORCED.reset(token)


def _named(variable: str) -> str | None:
    return _FORCED.get().get(variable) or os.environ.get(variable)


def profile_name() -> str:
    """The profile in force."""
    return _named("ML_PLATFORM_PROFILE") or "local"


def profile_path() -> Path:
    """Where the profile in force stands, or would."""
    return _FOLDER / "profiles" / f"{profile_name()}.yaml"


def environment() -> str:
    """The environment in force, `dev-<user>` when none is named; it prefixes every path, name and tag."""
    name = _named("ML_PLATFORM_ENV") or f"dev-{re.sub('[^a-z0-9]+', '-', getpass.getuser().lower())}"
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise BindingError(
            f"ML_PLATFORM_ENV is {name!r}, but it becomes part of paths and names",
            allowed="It is up to 31 lower-case letters, digits and dashes and opens with a letter",
            remedy="Name it, for instance, dev-ann, staging or prod",
        )
    return name


def home() -> Path:
    """The folder of everything that embedded services keep; `.ml_platform` here unless `ML_PLATFORM_HOME` says else."""
    return Path(os.environ.get("ML_PLATFORM_HOME", ".ml_platform")).absolute()


def bindings() -> dict[str, Binding]:
    """Role → binding, for every role but an optional one that is unbound, by the profile in force and its overrides.

    Raises BindingError where one is unbound, or the environment's name cannot be one.
    """
    environment()
    bound = _profile()
    return {role: binding(role) for role in ROLES if role not in OPTIONAL or role in bound or _overridden(role)}


def _overridden(role: str) -> bool:
    return f"ML_PLATFORM_{role.upper()}" in os.environ


def prices() -> Prices:
    """What the profile in force says that things cost; nothing has a price where it says nothing."""
    return read_prices(_profile().get(PRICES, {}), f"{profile_name()}.yaml")


def binding(role: str) -> Binding:
    """The service that plays the role, by the profile in force and its overrides."""
    return _bind(role, _profile().get(role, {}), f"{profile_name()}.yaml")


def _profile() -> Mapping[str, Mapping[str, Any]]:
    path = profile_path()
    if not path.exists():
        raise BindingError(
            f"ML_PLATFORM_PROFILE is {profile_name()!r}, but there is no such profile",
            allowed=nearest(profile_name(), (p.stem for p in path.parent.glob("*.yaml"))),
            remedy=f"Pick one, or write resources/profiles/{path.name}",
        )
    text = path.read_text()
    if told := excess(text):
        raise BindingError(f"{path.name} is no profile, for {told}", remedy="Write out what it means")
    if told := said_twice(text):
        raise BindingError(f"{path.name}:{told}", remedy="Say it once")
    declared: Mapping[str, Mapping[str, Any]] = _parsed(text)
    for role in declared:
        if role not in ROLES and role != PRICES:
            raise BindingError(f"{path.name} binds {role!r}, but that is no role", allowed=nearest(role, ROLES))
    return declared


@cache
def _parsed(text: str) -> Mapping[str, Mapping[str, Any]]:
    return yaml.safe_load(text) or {}


def _bind(role: str, declared: Mapping[str, Any], profile: str) -> Binding:
    override = f"ML_PLATFORM_{role.upper()}"
    settings = dict(declared)
    service = settings.pop("service", None)
    if override in os.environ:
        if os.environ[override] != service:
            settings = {}
        service = os.environ[override]
    if service is None:
        raise BindingError(
            f"the role {role} is unbound, but something has to play it",
            allowed=f"Looked in {override} and in {profile} under {role}.service",
            remedy=f"Name one of: {', '.join(players(role))}",
        )
    if service not in players(role):
        raise BindingError(
            f"the role {role} is bound to {service!r}, but no resources/{service}/{role}.py plays it",
            allowed=nearest(str(service), players(role)),
            remedy=f"Change {role}.service in {profile}, or {override}",
        )
    _require_sdk(str(service))
    for name in os.environ:
        if name.startswith(f"{override}__"):
            # By name, not by value: bindings are shown in the UI.
            settings[name.removeprefix(f"{override}__").lower()] = f"${{{name}}}"
    return Binding(role, str(service), settings)


def _require_sdk(service: str) -> None:
    """Returns where everything that the service's folder says it needs (`SDK`) is installed; nothing is imported."""
    for module in getattr(importlib.import_module(f"resources.{service}"), "SDK", ()):
        try:
            found = importlib.util.find_spec(module) is not None
        except ModuleNotFoundError:  # not even the package that it is in
            found = False
        if not found:
            raise missing_extra(service, ModuleNotFoundError(f"No module named {module!r}"))


def players(role: str) -> list[str]:
    """The services that have a file for the role."""
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{role}.py"))


def class_name(service: str, role: str) -> str:
    """The class that plays a role, by its name.

    >>> class_name("embedded", "model_registry")
    'EmbeddedModelRegistry'
    """
    return "".join(part.title() for part in f"{service}_{role}".split("_"))


def service_class(binding: Binding) -> type[Any]:
    """The class that plays the role; importing it imports no SDK."""
    found: type[Any] = getattr(importlib.import_module(binding.importable.module), binding.importable.name)
    return found


def value(binding: Binding, setting: str) -> Any:
    """What a setting is today, by its default where nothing sets it; None where the service has no such setting."""
    parameter = inspect.signature(service_class(binding)).parameters.get(setting)
    if parameter is None:
        return None
    return _typed(binding, setting, parameter) if setting in binding.settings else parameter.default


def build(binding: Binding) -> Any:
    """The service itself, its `${NAME}` settings read from the environment now. No I/O beyond importing it."""
    importable = binding.importable
    service = service_class(binding)
    known = inspect.signature(service).parameters
    for name in binding.settings:
        if name not in known:
            raise BindingError(
                f"{binding.role}.{name} is set, but {importable.name} has no such setting",
                allowed=nearest(name, known),
                remedy=f"Look for it in {_places(binding.role, name)}",
            )
    missing = [name for name, p in known.items() if p.default is p.empty and name not in binding.settings]
    if missing:
        raise _unbound(binding, missing)
    settings = {name: _typed(binding, name, known[name]) for name in binding.settings}
    made = service(**settings)
    _BUILT[made] = ServiceBinding(importable.module, importable.name, settings)
    return made


def resolved(service: object) -> ServiceBinding:
    """How another process on this machine makes a service again that `build` made here; no `${NAME}` is left."""
    return _BUILT[service]


def service(role: str) -> Any:
    """The service that plays the role today, built."""
    return build(binding(role))


def _typed(binding: Binding, name: str, parameter: inspect.Parameter) -> Any:
    """The setting's value; one from its own environment variable is read as YAML unless the service takes text."""
    value = _resolve(binding.settings[name], binding, name)
    if binding.settings[name] != f"${{ML_PLATFORM_{binding.role.upper()}__{name.upper()}}}":
        return value
    given = _resolve(value, binding, name)
    return given if parameter.annotation in ("str", str) else yaml.safe_load(given)


def _resolve(value: Any, binding: Binding, setting: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _resolve(inner, binding, setting) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    given = {"ML_PLATFORM_HOME": str(home()), "ML_PLATFORM_ENV": environment()}

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        found = given.get(name, os.environ.get(name))
        if found is None:
            raise _unbound(binding, [setting], f", the variable {name} among them")
        return found

    return _VARIABLE.sub(replace, value)


def _unbound(binding: Binding, settings: list[str], also: str = "") -> BindingError:
    places = "; ".join(_places(binding.role, name) for name in settings)
    return BindingError(
        f"{', '.join(f'{binding.role}.{name}' for name in settings)} is unbound, but {binding.service} needs it",
        allowed=f"Looked in {places}{also}",
        remedy="Set it in one of these places",
    )


def _places(role: str, setting: str) -> str:
    return f"ML_PLATFORM_{role.upper()}__{setting.upper()} and {profile_name()}.yaml under {role}.{setting}"
