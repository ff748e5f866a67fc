"""Instance types of SageMaker that what a job or an endpoint needs is mapped to, unless a profile lists others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DEFAULT: Sequence[Mapping[str, Any]] = (
    {"type": "ml.m5.large", "cpu": 2, "memory_gib": 8},
    {"type": "ml.m5.xlarge", "cpu": 4, "memory_gib": 16},
    {"type": "ml.m5.2xlarge", "cpu": 8, "memory_gib": 32},
    {"type": "ml.m5.4xlarge", "cpu": 16, "memory_gib": 64},
    {"type": "ml.m5.12xlarge", "cpu": 48, "memory_gib": 192},
    {"type": "ml.m5.24xlarge", "cpu": 96, "memory_gib": 384},
)
