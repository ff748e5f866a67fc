from __future__ import annotations

from ml_platform.jobs.serving.metrics import Metrics


def test_figures_are_told_as_prometheus_reads_them() -> None:
    metrics = Metrics()
    metrics.answered("delay", "1", 200, 0.0007)
    metrics.answered("delay", "1", 200, 0.003)
    metrics.answered("delay", "", 400, 9.0)
    metrics.batched("delay")
    metrics.in_flight = 2
    lines = metrics.written({"delay": 0.5}, {"delay": 3}).splitlines()
    # requests by version and code
    assert 'ml_platform_requests_total{model="delay",version="1",code="200"} 2' in lines
    assert 'ml_platform_requests_total{model="delay",version="",code="400"} 1' in lines
    # a histogram's buckets hold all that took no longer than their bound
    counts = {line.split('le="')[1].split('"')[0]: line.split()[-1] for line in lines if "_bucket" in line}
    assert (counts["0.0005"], counts["0.001"], counts["0.0025"], counts["0.005"]) == ("0", "1", "1", "2")
    assert (counts["5.0"], counts["+Inf"]) == ("2", "3")
    assert 'ml_platform_request_seconds_sum{model="delay"} 9.0037' in lines
    assert 'ml_platform_request_seconds_count{model="delay"} 3' in lines
    assert 'ml_platform_batches_total{model="delay"} 1' in lines
    # and what stands now
    assert "ml_platform_requests_in_flight 2" in lines
    assert 'ml_platform_log_lag_seconds{model="delay"} 0.5' in lines
    assert 'ml_platform_shadow_dropped_total{model="delay"} 3' in lines
    # every sample's family was announced before it
    announced = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    samples = {line.partition("{")[0].partition(" ")[0] for line in lines if not line.startswith("#")}
    assert {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in samples} == announced


def test_a_bound_is_in_its_own_bucket_and_a_name_may_hold_anything() -> None:
    metrics = Metrics()
    metrics.answered('a"b\\c\nd', "1", 200, 0.001)
    text = metrics.written({}, {})
    assert 'ml_platform_request_seconds_bucket{model="a\\"b\\\\c\\nd",le="0.001"} 1' in text
