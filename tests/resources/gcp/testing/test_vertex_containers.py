from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ml_platform.testing.told import Told
from resources.gcp.testing.vertex_containers import Containers
from resources.gcp.testing.vertex_error import VertexError


def test_a_container_has_what_it_was_given_and_its_identity(tmp_path: Path) -> None:
    containers = Containers(tmp_path, "http://127.0.0.1:9", Told(tmp_path / "told"))
    looks = "import os; print(*(os.environ[name] for name in ('MINE', 'AIP_HTTP_PORT', 'STORAGE_EMULATOR_HOST')))"
    variables = [SimpleNamespace(name="MINE", value="1")]
    words = ["python", "-m", "timeit", "-n1", "-r1", looks]
    container = containers.start("a", words, variables, {"AIP_HTTP_PORT": "8080"})
    assert container.process.wait(60) == 0
    assert container.output().splitlines()[0] == "1 8080 http://127.0.0.1:9"
    assert (tmp_path / "a" / "service_account.json").exists()


def test_no_container_outlives_the_stand_in(tmp_path: Path) -> None:
    containers = Containers(tmp_path, "http://127.0.0.1:9", Told(tmp_path / "told"))
    container = containers.start("a", ["python", "-m", "http.server", "0"], [], {})
    containers.end()
    assert container.poll() is not None


def test_programs_that_a_container_starts_find_the_platform(tmp_path: Path) -> None:
    containers = Containers(tmp_path, "http://127.0.0.1:9", Told(tmp_path / "told"))
    words = ["python", "-m", "timeit", "-n1", "-r1", "import subprocess, sys"]
    child = "subprocess.run([sys.executable, '-P', '-c', 'import ml_platform.errors'], check=True)"
    container = containers.start("a", [*words, child], [], {})
    assert container.process.wait(60) == 0, container.output()


def test_a_command_that_the_image_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VertexError, match="is not found in the image"):
        Containers(tmp_path, "", Told(tmp_path / "told")).start("a", ["java"], [], {})
