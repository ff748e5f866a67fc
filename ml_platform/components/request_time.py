"""Request-time features: computed of a request by one function, behind every look-up, alike offline and online."""

# Dagster reads the annotations of an asset's function as they stand, so this module does not postpone them.
import ast
import sys
from pathlib import Path
from typing import Any, NoReturn

import dagster as dg
from pydantic import Field

from ml_platform import metadata
from ml_platform.components.asset import asset
from ml_platform.components.declaration import Declaration
from ml_platform.errors import DeclarationError
from ml_platform.records import feature
from ml_platform.records.model import FeatureType

TYPES = ("datetime", "str", "int", "float", "bool")
_OR_NONE = " | None"
_IMPORTED = {*sys.stdlib_module_names, "numpy"}
_WRITTEN = f"A parameter is written as name: type, or name: type{_OR_NONE}, the type one of {', '.join(TYPES)}"


class RequestTimeFeatures(Declaration):
    """Features that only the moment of a request can tell: the function named as the folder, in the file beside it.

    Its parameters are named as columns of the request, as features of views, or `event_time`; it is pure.
    """

    description: str = Field(description="What the features say, for people.")
    features: dict[str, FeatureType] = Field(
        min_length=1, description="Every feature that the function gives with its type."
    )

    @property
    def feature_types(self) -> dict[str, FeatureType]:
        """Feature → type, in order."""
        return self.features

    def record(self, folder: Path) -> feature.RequestTimeFeatures:
        """The features as they travel. folder: of the declaration, whose name is theirs, its version included.

        Raises DeclarationError, by file and line, for a function that cannot be called alike everywhere.
        """
        name = folder.name
        path = folder / f"{name}.py"
        at = "/".join(path.parts[-4:])
        if not name.rpartition("_v")[2].isdigit() or not name.rpartition("_v")[0]:
            raise DeclarationError(
                f"{'/'.join(path.parts[-4:-1])}/defs.yaml: the folder is {name!r}, but features have their version in "
                "their name",
                allowed="It ends in _v and a number, for instance order_moment_v1",
                remedy="Rename the folder and the function",
            )
        if not path.exists():
            raise DeclarationError(f"{at}: there is no such file, but the function {name} is in it", remedy="Write it")
        source = path.read_text(encoding="utf-8")
        return feature.RequestTimeFeatures(name, _inputs(source, name, at), dict(self.features), source)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset that shows what is computed, and that it can be called."""
        from ml_platform.engine.request_time import version_of

        record = self.record(context.path)

        @asset(
            context,
            description=self.description,
            deps=[],
            code=version_of(record),
            kinds={"python", "features"},
            follows=False,
        )
        def request_time(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
            from ml_platform.engine.request_time import function_of

            function_of(record)
            last = context.instance.get_latest_materialization_event(context.asset_key)
            before = last.asset_materialization.tags if last and last.asset_materialization else None
            same = (before or {}).get("dagster/data_version") == version_of(record)
            return dg.MaterializeResult(
                data_version=dg.DataVersion(version_of(record)),
                metadata={
                    metadata.OUTCOME: metadata.UNCHANGED if same else "can be computed",
                    "takes": ", ".join(f"{name}: {kind}" for name, kind in record.inputs.items()),
                    "function": dg.MetadataValue.md(f"```python\n{record.source}\n```"),
                },
            )

        return dg.Definitions(assets=[request_time])


def _inputs(source: str, name: str, at: str) -> dict[str, str]:
    """Parameter → type, of the function of that name. at: the file, for errors."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise DeclarationError(f"{at}:{error.lineno}: it is no Python ({error.msg})", remedy="Mend it") from error
    _require_light(tree, at)
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    if not found:
        raise DeclarationError(f"{at}: it has no function {name}, but that is what computes the features")
    given = found[-1].args
    line = f"{at}:{found[-1].lineno}"
    if given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs or given.defaults:
        _refuse(line, f"{name} has parameters with a default, or of no fixed number or name")
    if not given.args:
        _refuse(line, f"{name} has no parameter")
    return {parameter.arg: _type(parameter, line) for parameter in given.args}


def _type(parameter: ast.arg, line: str) -> str:
    written = ast.unparse(parameter.annotation) if parameter.annotation else "nothing"
    kind = written.removesuffix(_OR_NONE).rpartition(".")[2]
    optional = _OR_NONE if written.endswith(_OR_NONE) else ""
    if kind not in TYPES:
        _refuse(line, f"{parameter.arg} is annotated with {written}")
    if (kind == "datetime") != (parameter.arg == "event_time") or (kind == "datetime" and optional):
        _refuse(line, f"{parameter.arg} is a {written}, but event_time, which is always there, is the one datetime")
    return f"{kind}{optional}"


def _refuse(line: str, fault: str) -> NoReturn:
    why = "" if ", but " in fault else ", but it is called with a row's values by name and type"
    raise DeclarationError(f"{line}: {fault}{why}", allowed=_WRITTEN)


def _require_light(tree: ast.Module, at: str) -> None:
    """Returns where the text imports only what every server has."""
    for node in ast.walk(tree):
        named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        named += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
        for module in named:
            if module.partition(".")[0] not in _IMPORTED:
                raise DeclarationError(
                    f"{at}:{node.lineno}: it imports {module}, but it runs wherever a request is answered",  # type: ignore[attr-defined]
                    allowed="The standard library and NumPy are there",
                )
