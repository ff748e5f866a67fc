from __future__ import annotations

import re

from resources.aws.instances import DEFAULT


def test_types_are_sagemakers_own_and_come_in_ascending_order() -> None:
    import botocore.session

    shapes = botocore.session.get_session().get_service_model("sagemaker")
    for shape in ("TrainingInstanceType", "ProcessingInstanceType", "ProductionVariantInstanceType"):
        assert {one["type"] for one in DEFAULT} <= set(shapes.shape_for(shape).enum)
    sizes = [(one["cpu"], one["memory_gib"]) for one in DEFAULT]
    assert sizes == sorted(sizes)
    assert all(re.fullmatch(r"ml\.[a-z0-9.]+", one["type"]) for one in DEFAULT)
