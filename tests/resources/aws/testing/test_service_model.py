from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from resources.aws.testing.service_model import Refusal, check_answer, check_request, operation, service

MODEL = {"ModelName": "dev-late-1", "ExecutionRoleArn": "arn:aws:iam::123456789012:role/ml-platform"}


def refusal(name: str, request: Any) -> Refusal:
    with pytest.raises(Refusal) as found:
        check_request(operation("sagemaker", name), request)
    return found.value


def test_request_that_keeps_every_constraint_passes() -> None:
    check_request(operation("sagemaker", "CreateModel"), {**MODEL, "Tags": [{"Key": "a:b", "Value": "größe 1"}]})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ModelName": "dev_late"}, "'modelName' failed to satisfy constraint: Member must satisfy regular expression"),
        ({"ModelName": "a" * 64}, "'modelName' failed to satisfy constraint: Member must have length less than or equ"),
        ({"Tags": [{"Key": "", "Value": ""}]}, "'tags.1.member.key' failed to satisfy constraint: Member must have le"),
        ({"Tags": [{"Key": "a"}]}, "Value 'null' at 'tags.1.member.value' failed to satisfy constraint: Member must n"),
        (
            {"PrimaryContainer": {"Environment": {"1 a": "b"}}},
            "Value '1 a' at 'primaryContainer.environment.key' failed to satisfy constraint: Member must satisfy regul",
        ),
        (
            {"PrimaryContainer": {"Mode": "Treble"}},
            "'primaryContainer.mode' failed to satisfy constraint: Member must satisfy enum value set: [SingleMo",
        ),
    ],
)
def test_value_that_breaks_a_constraint_is_refused_as_sagemaker_does(change: dict[str, Any], said: str) -> None:
    found = refusal("CreateModel", {**MODEL, **change})
    assert (found.code, found.status) == ("ValidationException", 400)
    assert said in found.message
    assert found.message.startswith("1 validation error detected: Value '") or "2 validation errors" in found.message


def test_number_below_its_least_is_refused() -> None:
    jobs = {"MaxResults": 0}
    assert "Member must have value greater than or equal to 1" in refusal("ListTrainingJobs", jobs).message
    assert "less than or equal to 100" in refusal("ListTrainingJobs", {"MaxResults": 101}).message


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({**MODEL, "Colour": "red"}, "has no field Colour"),
        ({**MODEL, "ModelName": 3}, ".ModelName is a int, but it is a string"),
        ({**MODEL, "Tags": {}}, ".Tags is a dict, but it is a list"),
        ([], "the request is a list"),
    ],
)
def test_request_of_another_form_is_unreadable(request_: Any, said: str) -> None:
    found = refusal("CreateModel", request_)
    assert found.code == "SerializationException"
    assert said in found.message


def test_truth_is_no_number() -> None:
    assert refusal("ListTrainingJobs", {"MaxResults": True}).code == "SerializationException"


def test_operation_that_the_service_does_not_have_is_unknown() -> None:
    with pytest.raises(Refusal, match="The operation CreateUnicorn is unknown to sagemaker") as found:
        operation("sagemaker", "CreateUnicorn")
    assert found.value.code == "UnknownOperationException"


def test_answer_that_the_service_could_not_give_is_the_stand_ins_fault() -> None:
    model = operation("sagemaker", "DescribeModel")
    answer = {"ModelName": "dev", "ModelArn": "arn:aws:sagemaker:us-east-1:123456789012:model/dev"}
    check_answer(model, {**answer, "CreationTime": datetime.now(UTC)})
    with pytest.raises(AssertionError, match="DescribeModel answered what it cannot"):
        check_answer(model, answer)


@pytest.mark.parametrize(
    "name", ["CreateTrainingJob", "CreateProcessingJob", "CreateEndpointConfig", "DescribeEndpoint"]
)
def test_every_pattern_of_what_is_played_can_be_read(name: str) -> None:
    from resources.aws.testing.service_model import _compiled

    waiting, seen = [operation("sagemaker", name).input_shape], set()
    while waiting:
        shape = waiting.pop()
        if shape.name in seen:
            continue
        seen.add(shape.name)
        if pattern := shape.metadata.get("pattern"):
            _compiled(pattern)
        inner = [getattr(shape, part, None) for part in ("member", "key", "value")]
        waiting += [*getattr(shape, "members", {}).values(), *filter(None, inner)]
    assert seen <= set(service("sagemaker").shape_names)
