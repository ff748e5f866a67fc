from __future__ import annotations

import os

import pytest

from ml_platform.errors import ServiceError, TransientServiceError
from resources.mlflow.sdk import import_mlflow, translated


def test_mlflow_sends_and_prints_nothing_of_its_own() -> None:
    import_mlflow()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] == "true"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("REQUEST_LIMIT_EXCEEDED", TransientServiceError),
        ("INTERNAL_ERROR", TransientServiceError),
        ("INVALID_PARAMETER_VALUE", ServiceError),
    ],
)
def test_what_a_server_says_passes_or_does_not(code: str, kind: type[ServiceError]) -> None:
    import_mlflow()
    from mlflow.exceptions import RestException

    with (
        pytest.raises(ServiceError, match=r"model late is asked of MLflow, but it answered: .*no") as told,
        translated("model late"),
    ):
        raise RestException({"error_code": code, "message": "no"})
    assert type(told.value) is kind


def test_a_refusal_names_what_it_takes() -> None:
    import_mlflow()
    from mlflow.exceptions import RestException

    with pytest.raises(ServiceError, match="Ask for the grant"), translated("model late", "Ask for the grant"):
        raise RestException({"error_code": "PERMISSION_DENIED", "message": "no"})
