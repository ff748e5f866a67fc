"""A program confined to the files that a container of the platform's image has: `python -m … FOLDER MODULE ARGUMENT…`.

The kernel refuses everything else (Landlock, Linux 5.13 and later). Where there is no Landlock, Python's own file
accesses are refused by an audit hook, which libraries in other languages pass by; the program's output says so.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import ml_platform

# System call numbers are the same on every architecture for calls of this age.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH, _SET_NO_NEW_PRIVS = 1, 38
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_EVERYTHING = (1 << 13) - 1  # all that the first version of Landlock knows
_LOOK = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/opt")
_DEVICES = "/dev"


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def readable() -> list[str]:
    """What a container sees of this machine: the interpreter, its libraries, the system's, and the platform's code."""
    root = Path(ml_platform.__file__).parent.parent
    code = [str(root / name) for name in ("ml_platform", "resources")]
    python = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()]
    guards = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(root)]
    return [path for path in dict.fromkeys([*_SYSTEM, *python, *code, *guards]) if Path(path).exists()]


def confine(folder: Path) -> bool:
    """This process and its children see the folder and what is `readable`; False where the kernel cannot see to it."""
    libc = ctypes.CDLL(None, use_errno=True)
    handled = ctypes.c_uint64(_EVERYTHING)
    rules = libc.syscall(_CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0)
    if rules < 0:
        return False
    for path in readable():
        _allow(libc, rules, path, _LOOK)
    for path in (str(folder), _DEVICES):
        _allow(libc, rules, path, _EVERYTHING)
    if libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(_RESTRICT_SELF, rules, 0):
        raise OSError(ctypes.get_errno(), "the process could not be confined")
    os.close(rules)
    return True


def _allow(libc: ctypes.CDLL, rules: int, path: str, access: int) -> None:
    opened = os.open(path, os.O_PATH)
    rule = _PathBeneath(access if Path(path).is_dir() else access & _OF_FILES, opened)
    if libc.syscall(_ADD_RULE, rules, _RULE_PATH_BENEATH, ctypes.byref(rule), 0):
        raise OSError(ctypes.get_errno(), "a rule of the confinement was refused", path)
    os.close(opened)


def _watch(allowed: Iterable[str]) -> None:
    inside = tuple(os.path.realpath(path) for path in allowed)

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str | os.PathLike):
            path = os.path.realpath(arguments[0])
            if not any(path == root or path.startswith(f"{root}{os.sep}") for root in inside):
                raise PermissionError(13, "outside of the container", path)

    sys.addaudithook(refuse)


def main(folder: str, module: str, *arguments: str) -> None:
    """The module has run as a program, confined."""
    if sys.platform != "linux" or not confine(Path(folder)):
        print("confined by an audit hook only: this kernel has no Landlock", file=sys.stderr)
        _watch([*readable(), folder, _DEVICES])
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
