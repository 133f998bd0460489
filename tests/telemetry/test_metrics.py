import re
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from headrace.pipeline.telemetry.metric_list import ALL_METRICS, JobOutcome, Metric
from headrace.pipeline.telemetry.metric_specs import CounterSpec, HistogramSpec, MetricSpec
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.pipeline.telemetry.series import Histogram

LANE = "shop.default.high"
BASE_UNITS = {"seconds": "_seconds", "bytes": "_bytes", "ratio": "_ratio"}
FORBIDDEN_LABELS = {"job", "job_id", "id", "key", "tenant", "partition", "offset", "trace"}


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name, frozenset(labels.items())]


@pytest.mark.parametrize("spec", ALL_METRICS, ids=lambda spec: spec.name)
class TestEveryMetric:
    def test_has_a_name_of_ours_and_a_meaning(self, spec: MetricSpec) -> None:
        assert re.fullmatch(r"headrace(_[a-z]+)+", spec.name)
        assert spec.help.endswith(".")

    def test_ends_in_total_only_if_it_is_a_counter(self, spec: MetricSpec) -> None:
        assert spec.name.endswith("_total") == isinstance(spec, CounterSpec)

    def test_is_in_a_base_unit_that_its_name_tells(self, spec: MetricSpec) -> None:
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent)(_|$)", spec.name)
        for unit, suffix in BASE_UNITS.items():
            assert spec.name.endswith(suffix) == (spec.unit == unit)

    def test_has_no_label_that_takes_a_value_per_job(self, spec: MetricSpec) -> None:
        names = [label.name for label in spec.labels]
        assert len(set(names)) == len(names)
        assert not FORBIDDEN_LABELS & set(names)

    def test_has_ascending_buckets_if_it_is_a_histogram(self, spec: MetricSpec) -> None:
        if isinstance(spec, HistogramSpec):
            assert spec.buckets
            assert list(spec.buckets) == sorted(set(spec.buckets))

    def test_is_exposed_and_parsed_under_its_name(self, spec: Any) -> None:
        metrics = Metrics(role="worker")
        labels = {label.name: "x" for label in spec.labels}
        child = metrics.child(spec, **labels)
        child.observe(1) if isinstance(spec, HistogramSpec) else child.inc()
        name = f"{spec.name}_count" if isinstance(spec, HistogramSpec) else spec.name
        assert value(metrics, name, **labels) == 1


def test_names_are_unique() -> None:
    assert len({spec.name for spec in ALL_METRICS}) == len(ALL_METRICS)


def test_a_new_process_shows_itself_and_nothing_else_of_ours() -> None:
    metrics = Metrics(role="scheduler")
    found = samples(metrics)
    ((_, labels),) = [key for key in found if key[0].startswith("headrace_")]
    assert ("role", "scheduler") in labels
    assert found["process_resident_memory_bytes", frozenset()] > 1_000_000
    assert found["process_cpu_seconds_total", frozenset()] > 0


def test_two_processes_worth_of_metrics_do_not_share_anything() -> None:
    one, other = Metrics(CollectorRegistry(), role="a"), Metrics(role="b")
    one.child(Metric.LOST_THREADS).inc()
    assert value(one, "headrace_lost_threads_total") == 1
    assert ("headrace_lost_threads_total", frozenset()) not in samples(other)


def test_the_same_labels_give_the_same_series_in_any_order() -> None:
    metrics = Metrics(role="worker")
    one = metrics.child(Metric.COMMITS, lane=LANE, result="ok")
    assert metrics.child(Metric.COMMITS, result="ok", lane=LANE) is one
    assert metrics.child(Metric.COMMITS, result="failed", lane=LANE) is not one


@pytest.mark.parametrize("labels", [{}, {"lane": LANE}, {"lane": LANE, "job": "1"}])
def test_wrong_labels_are_refused_with_the_right_ones(labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="headrace_commits_total has the labels lane, result"):
        Metrics(role="worker").child(Metric.COMMITS, **labels)


def test_a_counter_cannot_go_down() -> None:
    counter = Metrics(role="worker").child(Metric.LOST_THREADS)
    with pytest.raises(ValueError, match="amount=-1; use a gauge"):
        counter.inc(-1)


def test_a_gauge_goes_both_ways() -> None:
    metrics = Metrics(role="worker")
    gauge = metrics.child(Metric.SLOTS_USED, pool="thread")
    gauge.set(5)
    gauge.inc()
    gauge.dec(2)
    assert value(metrics, "headrace_slots_used", pool="thread") == 4


def test_counting_from_many_threads_loses_nothing() -> None:
    metrics = Metrics(role="worker")
    counter = metrics.child(Metric.LOST_THREADS)
    histogram = metrics.child(Metric.LATENESS)

    def count() -> None:
        for _ in range(10_000):
            counter.inc()
            histogram.observe(0.003)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.value == 40_000
    assert value(metrics, "headrace_scheduler_lateness_seconds_count") == 40_000


@given(st.lists(st.floats(0, 1e6)))
def test_a_bucket_counts_every_value_up_to_its_bound(values: list[float]) -> None:
    bounds = (0.0, 0.5, 1.0, 100.0)
    histogram = Histogram(bounds)
    for one in values:
        histogram.observe(one)
    buckets, total = histogram.snapshot()
    assert buckets == [
        *((bound, sum(one <= bound for one in values)) for bound in bounds),
        (float("inf"), len(values)),
    ]
    assert total == pytest.approx(sum(values))


def test_plain_ints_of_a_lane_are_read_at_the_scrape_and_added_up() -> None:
    metrics = Metrics(role="worker")
    counts: dict[tuple[str, ...], float] = {(LANE, "email.send", JobOutcome.SUCCEEDED.value): 0}
    metrics.register_collector(Metric.JOBS, lambda: counts)
    metrics.register_collector(Metric.JOBS, lambda: {(LANE, "email.send", "succeeded"): 5})
    metrics.child(Metric.JOBS, lane=LANE, job_type="email.send", outcome="succeeded").inc(100)
    counts[LANE, "email.send", "succeeded"] += 1_000
    labels = {"lane": LANE, "job_type": "email.send", "outcome": "succeeded"}
    assert value(metrics, "headrace_jobs_total", **labels) == 1_105


def test_a_forgotten_source_ends_its_series() -> None:
    metrics = Metrics(role="worker")

    def read() -> Mapping[tuple[str, ...], float]:
        return {(LANE,): 7}

    metrics.register_collector(Metric.BUFFERED_RECORDS, read)
    assert value(metrics, "headrace_buffered_records", lane=LANE) == 7
    metrics.unregister_collector(Metric.BUFFERED_RECORDS, read)
    assert ("headrace_buffered_records", frozenset({("lane", LANE)})) not in samples(metrics)


@pytest.mark.parametrize("broken", [lambda: next(iter(())), lambda: {("a", "b"): 1.0}])
def test_a_source_that_fails_leaves_the_others_and_is_counted(
    broken: Any, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics(role="worker")
    metrics.register_collector(Metric.POLL_AGE, broken)
    metrics.register_collector(Metric.POLL_AGE, lambda: {(LANE,): 0.5})
    samples(metrics)
    assert value(metrics, "headrace_poll_age_seconds", lane=LANE) == 0.5
    failures = value(
        metrics, "headrace_metric_source_failures_total", metric="headrace_poll_age_seconds"
    )
    assert failures >= 1
    assert "headrace_poll_age_seconds cannot be read" in caplog.text


def test_label_values_of_any_text_survive_the_exposition() -> None:
    metrics = Metrics(role="worker")
    odd = 'quote " backslash \\ newline \n é'
    metrics.child(Metric.POLL_AGE, lane=odd).set(1)
    assert value(metrics, "headrace_poll_age_seconds", lane=odd) == 1
