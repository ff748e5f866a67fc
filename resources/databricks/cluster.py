"""The cluster of a job: one machine, started for it, that runs the platform's image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from databricks.sdk.service.compute import ClusterSpec

# Types with a disk of their own: the others need volumes that have to be sized.
INSTANCES: Sequence[Mapping[str, Any]] = (
    {"type": "m5d.large", "cpu": 2, "memory_gib": 8},
    {"type": "m5d.xlarge", "cpu": 4, "memory_gib": 16},
    {"type": "m5d.2xlarge", "cpu": 8, "memory_gib": 32},
    {"type": "m5d.4xlarge", "cpu": 16, "memory_gib": 64},
    {"type": "m5d.8xlarge", "cpu": 32, "memory_gib": 128},
    {"type": "m5d.16xlarge", "cpu": 64, "memory_gib": 256},
)


def cluster(
    machine: str, spark_version: str, image: str, environment: Mapping[str, str], tags: Mapping[str, str]
) -> ClusterSpec:
    """A driver without workers. environment: of its processes; a secret in it is a reference, never a value."""
    from databricks.sdk.service.compute import ClusterSpec, DataSecurityMode, DockerImage

    return ClusterSpec(
        spark_version=spark_version,
        node_type_id=machine,
        num_workers=0,
        docker_image=DockerImage(url=image),
        # Volumes are mounted only where the catalog knows who runs here.
        data_security_mode=DataSecurityMode.SINGLE_USER,
        spark_conf={
            "spark.master": "local[*]",
            "spark.databricks.cluster.profile": "singleNode",
            # In containers of one's own, volumes have to be asked for.
            "spark.databricks.unityCatalog.volumes.enabled": "true",
        },
        spark_env_vars=dict(environment),
        custom_tags={"ResourceClass": "SingleNode", **tags},
    )
