from __future__ import annotations

from resources.databricks.cluster import INSTANCES, cluster


def test_a_cluster_is_one_machine_with_the_image_and_our_tags() -> None:
    made = cluster("m5d.large", "16.4.x-scala2.12", "registry/image:1", {"A": "b"}, {"mine": "yes"}).as_dict()
    assert (made["num_workers"], made["node_type_id"], made["docker_image"]) == (
        0,
        "m5d.large",
        {"url": "registry/image:1"},
    )
    assert made["custom_tags"] == {"ResourceClass": "SingleNode", "mine": "yes"}
    assert made["spark_env_vars"] == {"A": "b"}


def test_machines_are_listed_in_ascending_order() -> None:
    sizes = [(one["cpu"], one["memory_gib"]) for one in INSTANCES]
    assert sizes == sorted(sizes)
