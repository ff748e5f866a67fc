"""The platform's image: what it installs is enough for jobs and servers, and it says nothing that it should not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from string import Template

import pytest

from ml_platform.engine.remote_jobs import write_order
from ml_platform.jobs.serving import bundle
from ml_platform.records.endpoint import ServiceBinding
from ml_platform.records.job import JobSpec
from ml_platform.testing import training_set
from ml_platform.testing.endpoint_host import endpoint_spec, infer_request, publish_views, write_package
from resources.embedded.feature_store import EmbeddedFeatureStore

ROOT = Path(__file__).parents[1]
# In a process that has only what the image installs, anything else is as absent as there.
BLOCK = """
import importlib.abc, json, sys
absent = set(json.loads(sys.argv[1]))
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in absent:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)
sys.meta_path.insert(0, Absent())
"""
JOB = """
from pathlib import Path
from ml_platform.jobs.contract import JobOrder
from ml_platform.jobs.fit import fit
from ml_platform.jobs.score import score
import ml_platform.jobs.container, ml_platform.engine.object_store
order = json.loads(Path(sys.argv[2], "order.json").read_text())
Path("package").mkdir()
fit(JobOrder(order["arguments"], {}), Path("package"))
Path("scores").mkdir()
rows = order["arguments"]["training_set"]
score(JobOrder({"rows": rows, "models": {"1": "model"}, "keep": []}, {"model": Path("package")}), Path("scores"))
"""
SERVE = """
from pathlib import Path
import starlette.applications, uvicorn
import resources.aws.prediction_log, resources.gcp.prediction_log, boto3, google.cloud.storage
from ml_platform.jobs.serving import bundle
status, answer = bundle.answered(bundle.load(Path(sys.argv[2])), sys.argv[3].encode())
assert status == 200, answer
print(answer.decode())
"""
EDGES = "import resources.aws.edge, resources.databricks.edge, resources.gcp.edge\n"


def distribution(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def absent() -> str:
    """The top-level modules of this environment that the image does not install, as JSON."""
    locked = re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "requirements-image.lock").read_text(), re.MULTILINE)
    there = {distribution(name) for name in (*locked, "ml_platform")}
    found = metadata.packages_distributions().items()
    return json.dumps([module for module, of in found if not there & {distribution(name) for name in of}])


def run(program: str, *arguments: str, cwd: Path) -> str:
    command = [sys.executable, "-c", BLOCK + program, *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_image_installs_is_enough_to_fit_and_to_score(absent: str, tmp_path: Path) -> None:
    pin = training_set.write(tmp_path / "table")
    budget = {"trials": 2, "seconds": None, "metric": None, "pruning": False}
    arguments = training_set.fit_arguments(pin, estimator="automl", automl=budget, calibration="isotonic")
    write_order(JobSpec("late@1", "fit", arguments), tmp_path / "order")
    run(JOB, absent, str(tmp_path / "order"), cwd=tmp_path)
    assert (tmp_path / "scores" / "scores.parquet").exists()
    assert (tmp_path / "package" / "plots" / "roc.png").exists()


def test_what_the_image_installs_is_enough_to_serve(absent: str, tmp_path: Path) -> None:
    publish_views(EmbeddedFeatureStore(str(tmp_path / "features.sqlite")))
    store = {"path": str(tmp_path / "features.sqlite")}
    spec = endpoint_spec(
        {1: write_package(tmp_path / "package", rate=0.25)},
        ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
        ServiceBinding("resources.embedded.prediction_log", "EmbeddedPredictionLog", {"folder": str(tmp_path)}),
    )
    bundle.write(spec, 1, tmp_path / "bundle")
    answer = run(SERVE, absent, str(tmp_path / "bundle"), json.dumps(infer_request("UA1")), cwd=tmp_path)
    assert json.loads(answer)["outputs"][0]["data"] == [0.25]


def test_every_edge_starts_with_what_the_image_installs(absent: str, tmp_path: Path) -> None:
    run(EDGES, absent, cwd=tmp_path)


def test_the_image_leaves_out_what_only_a_laptop_needs(absent: str) -> None:
    assert {"dagster", "mlflow", "duckdb", "pandas", "pyspark", "moto"} <= set(json.loads(absent))


def test_what_the_image_installs_stays_small() -> None:
    # but for what only another system installs
    lock = (ROOT / "requirements-image.lock").read_text()
    locked = re.findall(r"^([A-Za-z0-9_.-]+)==(?!.*win32)", lock, re.MULTILINE)
    files = {Path(str(file.locate())) for name in locked for file in metadata.files(name) or ()}
    size = sum(path.stat().st_size for path in files if path.is_file() and path.suffix != ".pyc")
    assert 300e6 < size < 700e6


def instructions(**given: str) -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their texts, with the build arguments in them that are in scope there.

    An argument before the first FROM is known to FROM, and in a stage that declares it again, as the builder has it.
    """
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    outer: dict[str, str] = {}
    scope, found = outer, []
    for line in text.splitlines():
        if not line.strip():
            continue
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            scope, rest = {}, Template(rest).substitute(outer)
        elif instruction == "ARG":
            name, _, default = rest.partition("=")
            scope[name] = given.get(name, default) if scope is outer else outer[name]
        else:
            # What is undeclared is empty to the builder; the variables of the base stand as they are.
            rest = Template(rest.replace("$PATH", "$$PATH")).substitute({"VENV": "", "RUNS_AS": "", **scope})
        found.append((instruction, rest))
    return found


def texts(instruction: str, **given: str) -> list[str]:
    return [rest for name, rest in instructions(**given) if name == instruction]


def test_the_image_is_not_run_by_root_unless_its_base_needs_that() -> None:
    assert texts("USER") == ["platform"]
    assert texts("USER", RUNS_AS="root") == ["root"]


@pytest.mark.parametrize("venv", ["/opt/venv", "/databricks/python3"])
def test_the_platform_is_installed_where_the_image_is_told_and_found_there(venv: str) -> None:
    told = instructions(VENV=venv)
    runs = " ".join(rest for name, rest in told if name == "RUN")
    assert set(re.findall(r"(\S+)/bin/python -m pip", runs)) == {venv}
    assert f"test -x {venv}/bin/python || python3 -m venv {venv}" in runs
    assert [rest for name, rest in told if name == "COPY" and "--from" in rest] == [f"--from=build {venv} {venv}"]
    (environment,) = (rest for name, rest in told if name == "ENV")
    assert environment.startswith(f"PATH={venv}/bin:$PATH ")
    # and no other place is named anywhere: /opt/ml is SageMaker's
    paths = re.findall(r"(?<![\w.-])/(?:opt|databricks)/\w+", " ".join(rest for name, rest in told if name != "ARG"))
    assert set(paths) == {venv, "/opt/ml"}


def test_make_tells_the_builder_what_another_base_needs() -> None:
    asked = ["BASE=base:1", "IMAGE_VENV=/databricks/python3", "IMAGE_USER=root", "ENGINE=engine"]
    for given, expected in (
        (asked, "engine build --build-arg BASE=base:1 --build-arg VENV=/databricks/python3 --build-arg RUNS_AS=root"),
        (asked[-1:], "engine build"),
    ):
        command = ["make", "-n", "image", *given]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert f"{expected} --tag ml_platform ." in " ".join(done.stdout.split())


def test_only_what_the_image_needs_is_sent_to_its_builder() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {name for line in copied for name in line.split()} == kept
