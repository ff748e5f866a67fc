"""A program's digest: of everything of ours that it imports, so that what it made is made again when that changes."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from ml_platform.engine.kept import Kept

_PACKAGE = Path(__file__).parent.parent


@lru_cache
def digest(*modules: str, kept: Path | None = None) -> str:
    """A digest of the code of these modules and of all modules of ours that they import, themselves or through others.

    modules: names below `ml_platform`, for instance `jobs.fit`; of a package, every file counts.
    Comments, docstrings and layout do not count.
    kept: a folder that keeps it between processes, so that nothing is parsed while no file of ours changes.
    """
    if kept is None:
        return _worked_out(modules)
    found: str = Kept(kept / "programs.txt").answer([modules, sys.version, _everything()], lambda: _worked_out(modules))
    return found


def _everything() -> str:
    """A digest of every file of ours as it stands."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        text = path.read_bytes()
        digest.update(f"{path.relative_to(_PACKAGE)} {len(text)}\n".encode() + text)
    return digest.hexdigest()


def _worked_out(modules: Sequence[str]) -> str:
    found: dict[str, str] = {}
    waiting = [path for module in modules for path in _files(module)]
    while waiting:
        path = waiting.pop()
        name = path.relative_to(_PACKAGE).as_posix()
        if name in found:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        waiting += [file for module in _imported(tree) for file in _files(module)]
        found[name] = ast.dump(_without_docstrings(tree))
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:16]


def _files(module: str) -> list[Path]:
    """The files of a module; none for a name that is no module of ours."""
    path = _PACKAGE.joinpath(*module.split("."))
    if path.is_dir() and path != _PACKAGE:
        return sorted(path.glob("*.py"))
    file = path.with_suffix(".py")
    return [file] if file.exists() else []


def _imported(tree: ast.Module) -> Iterator[str]:
    """The names below `ml_platform` that are imported anywhere in the code; some may name no module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{_PACKAGE.name}."):
            module = str(node.module).removeprefix(f"{_PACKAGE.name}.")
            names = [f"{module}.{alias.name}" for alias in node.names]
            # `from package import module` means the module, not all of the package.
            yield from [name for name in names if _files(name)] or [module]
        elif isinstance(node, ast.Import):
            yield from (alias.name.removeprefix(f"{_PACKAGE.name}.") for alias in node.names)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return tree
