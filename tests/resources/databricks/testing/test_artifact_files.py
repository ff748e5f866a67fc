from __future__ import annotations

import httpx

from ml_platform.testing.stand_in import Cloud

CORNER = "WorkspaceInternal/Mlflow/Artifacts/1/Runs"


def asked(cloud: Cloud, method: str, path: str, content: bytes = b"") -> httpx.Response:
    headers = {"Authorization": f"Bearer {cloud.environment['DATABRICKS_TOKEN']}"}
    url = f"{cloud.environment['DATABRICKS_HOST']}/api/2.0/fs/{path}"
    return httpx.request(method, url, headers=headers, content=content, trust_env=False)


def test_what_was_put_is_got_and_listed(workspace: Cloud, prefix: str) -> None:
    assert asked(workspace, "PUT", f"files/{CORNER}/{prefix}/plots/roc.png", b"roc").status_code == 204
    assert asked(workspace, "GET", f"files/{CORNER}/{prefix}/plots/roc.png").content == b"roc"
    (entry,) = asked(workspace, "GET", f"directories/{CORNER}/{prefix}/plots").json()["contents"]
    assert entry == {
        "name": "roc.png",
        "path": f"/{CORNER}/{prefix}/plots/roc.png",
        "is_directory": False,
        "file_size": 3,
    }


def test_what_is_not_there_is_not_found(workspace: Cloud, prefix: str) -> None:
    assert asked(workspace, "GET", f"files/{CORNER}/{prefix}/none").status_code == 404
    assert asked(workspace, "HEAD", f"directories/{CORNER}/{prefix}").status_code == 404
