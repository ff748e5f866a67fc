from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from ml_platform.jobs.serving import bundle
from ml_platform.records.endpoint import ServiceBinding
from ml_platform.testing.endpoint_host import endpoint_spec, infer_request, publish_views, write_package
from resources.databricks import bundles, ml_platform_bundle
from resources.embedded.feature_store import EmbeddedFeatureStore

ASKED = """\
import json, sys
code, folder, body = sys.argv[1:]
sys.path.insert(0, code)
import ml_platform_bundle
import pandas
model = ml_platform_bundle._load_pyfunc(folder)
answer = model.predict(pandas.DataFrame({"body": [body]}))[0]
import ml_platform
print(json.dumps({"answer": json.loads(answer), "from": ml_platform.__file__}))
"""


def test_a_bundle_is_opened_by_the_code_of_its_archive_and_by_no_other(tmp_path: Path) -> None:
    store = {"path": str(tmp_path / "features.sqlite")}
    publish_views(EmbeddedFeatureStore(**store))
    spec = endpoint_spec(
        {1: write_package(tmp_path / "package", rate=0.25)},
        ServiceBinding("resources.embedded.feature_store", "EmbeddedFeatureStore", store),
        ServiceBinding("resources.embedded.prediction_log", "EmbeddedPredictionLog", {"folder": str(tmp_path / "log")}),
    )
    bundle.write(spec, 7, tmp_path / "bundle")
    (tmp_path / "code").mkdir()
    shutil.copy(str(ml_platform_bundle.__file__), tmp_path / "code")
    archive = bundles._archive(tmp_path / "code" / ml_platform_bundle.ARCHIVE)

    # when a process opens it that stands elsewhere, as a server of the service does
    asked = [ASKED, str(tmp_path / "code"), str(tmp_path / "bundle"), json.dumps(infer_request("UA1"))]
    done = subprocess.run(
        [sys.executable, "-P", "-c", *asked], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    told = json.loads(done.stdout.splitlines()[-1])
    assert told["answer"]["answer"]["outputs"][0]["data"] == [0.25]
    assert Path(told["from"]).parents[1].name.startswith("ml_platform-")
    names = zipfile.ZipFile(archive).namelist()
    assert {"ml_platform/jobs/serving/bundle.py", "resources/databricks/served_model.py"} <= set(names)
    assert not [name for name in names if "/testing/" in name or "__pycache__" in name or name.endswith(".md")]
