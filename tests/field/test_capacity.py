"""The capacity page: what a rate needs, from what a job was measured to cost."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.field.bench import Case
from benchmarks.field.capacity import Assumptions, Costs, measured, need, page
from benchmarks.field.results import Results

COSTS = Costs(
    submit_cpu=20e-6,
    worker_cpu=60e-6,
    broker_cpu=30e-6,
    lane_bytes=150,
    partition_rate=10_000,
    process_rate=15_000,
)
ASSUMED = Assumptions(load=0.5, core_hour=1.0, gigabyte_month=0.0, broker_cores=8)


def test_cores_follow_from_rate_cost_and_load() -> None:
    found = need(100_000, COSTS, ASSUMED)
    assert (found.worker_cores, found.client_cores) == (12, 4)
    assert found.partitions == 20
    assert found.brokers == 3
    assert found.dollars == (12 + 4 + 3 * 8) * 730


def test_there_are_never_fewer_brokers_than_replicas() -> None:
    assert need(10, COSTS, ASSUMED).brokers == 3


def test_bytes_ask_for_brokers_where_cores_do_not() -> None:
    large = replace(COSTS, lane_bytes=100_000)
    assert need(10_000, large, ASSUMED).brokers == 30


def test_the_page_is_made_from_results_and_says_what_is_missing(tmp_path: Path) -> None:
    results = Results(tmp_path)
    with pytest.raises(LookupError, match="--workload 1"):
        measured(results)
    figures = {
        "cpu_us_per_job": 20.0,
        "cpu_s_per_1000": 0.06,
        "service_cpu_s_per_1000": 0.03,
        "bytes_per_job": 150.0,
        "per_s": 10_000.0,
    }
    for workload, case in (
        ("1-submit", "pipelined"),
        ("2-drain", "one process"),
        ("9-scale", "1 partition"),
    ):
        content = {"cases": [Case(case, figures).document()], "seconds": 1.0}
        results.write(workload, "headrace", 1, content)
    assert asdict(measured(results)) == pytest.approx(asdict(replace(COSTS, process_rate=10_000)))
    assert "| 1,000,000 jobs/s |" in page(measured(results), ASSUMED)
