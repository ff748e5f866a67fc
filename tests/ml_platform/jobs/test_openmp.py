from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ml_platform.jobs import openmp

FIT = """
import lightgbm, numpy
rows = numpy.random.default_rng(1).random((500, 2))
lightgbm.train({"verbosity": -1, "objective": "binary", "num_threads": 2}, lightgbm.Dataset(rows, rows[:, 0] > 0.5), 3)
print({line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line})
"""


def test_lightgbm_fits_with_the_copy_that_scikit_learn_brings(tmp_path: Path) -> None:
    environment = {**os.environ, **openmp.borrowed(tmp_path / "lib")}

    done = subprocess.run([sys.executable, "-c", FIT], env=environment, capture_output=True, text=True, check=True)

    assert "scikit_learn.libs/libgomp" in done.stdout


def test_a_machine_without_openmp_borrows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", absent)

    assert openmp.environment(tmp_path / "lib") == {"LD_LIBRARY_PATH": str(tmp_path / "lib")}
    assert (tmp_path / "lib" / "libgomp.so.1").exists()


def test_a_search_path_that_stands_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/own")

    assert openmp.borrowed(tmp_path / "lib")["LD_LIBRARY_PATH"] == f"{tmp_path / 'lib'}:/opt/own"
