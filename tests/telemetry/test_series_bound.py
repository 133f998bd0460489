"""However many names come, a process shows a bounded number of series, and loses no count."""

from types import SimpleNamespace
from typing import Any

import pytest

from headrace.consumers.figures import LaneFigures
from headrace.pipeline.telemetry import metrics as metrics_module
from headrace.pipeline.telemetry.metric_list import ALL_METRICS, RUN_BUCKETS, Metric
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.pipeline.telemetry.series import Histogram
from headrace.pipeline.telemetry.series_bound import OTHER, SeriesBound
from tests.telemetry.test_metrics import samples

DECLARED = {"lane", "job_type", "topic", "group", "tier", "schedule", "metric"}
DECLARED |= {"version", "python", "role"}
"""Labels without a closed list of values: they take them from declarations, and from operators."""


def test_every_label_has_a_closed_list_of_values_or_takes_them_from_declarations() -> None:
    labels = {label for spec in ALL_METRICS for label in spec.labels}
    assert {label.name for label in labels if not label.values} <= DECLARED


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    monkeypatch.setattr(metrics_module, "SeriesBound", lambda: SeriesBound(3))
    return Metrics(role="scheduler")


def fires(metrics: Metrics) -> dict[str, float]:
    name = "headrace_schedule_fires_total"
    found = samples(metrics)
    return {dict(labels)["schedule"]: value for (n, labels), value in found.items() if n == name}


def test_what_is_beyond_the_bound_is_added_up_in_one_series(small: Metrics) -> None:
    counts: dict[tuple[str, ...], float] = {(f"s{n}",): n for n in range(10_000)}
    small.register_collector(Metric.SCHEDULE_FIRES, lambda: counts)
    shown = fires(small)
    assert shown.keys() == {"s0", "s1", "s2", OTHER}
    assert sum(shown.values()) == sum(counts.values())


def test_no_counter_goes_down_when_others_come_before_it(small: Metrics) -> None:
    counts: dict[tuple[str, ...], float] = {(name,): 5 for name in "wxyz"}
    small.register_collector(Metric.SCHEDULE_FIRES, lambda: counts)
    before = fires(small)
    counts = {(name,): 6 for name in "abcdzyxw"}
    after = fires(small)
    assert after.keys() == before.keys() == {"w", "x", "y", OTHER}
    assert all(after[name] >= before[name] for name in before)


def test_histograms_beyond_the_bound_are_added_up_bucket_by_bucket(small: Metrics) -> None:
    series: dict[tuple[str, ...], Histogram] = {}
    for number in range(10):
        series["shop.default.high", f"t{number}"] = made = Histogram(RUN_BUCKETS)
        made.observe(0.02)
        made.observe(40)
    small.register_histograms(Metric.JOB_DURATION, lambda: series)
    name = "headrace_job_duration_seconds"
    found = samples(small)
    assert sum(value for (n, _), value in found.items() if n == f"{name}_count") == 20
    other = {"lane": OTHER, "job_type": OTHER}
    assert found[f"{name}_count", frozenset(other.items())] == 14
    assert found[f"{name}_bucket", frozenset({**other, "le": "0.025"}.items())] == 7
    again = samples(small)  # what is added up is not added to what it was made from
    assert {key: again[key] for key in found if key[0].startswith(name)} == {
        key: value for key, value in found.items() if key[0].startswith(name)
    }


def test_records_that_name_any_number_of_job_types_make_no_series_of_their_own() -> None:
    figures = LaneFigures(job_types=frozenset({"known"}))
    for number in range(5_000):
        transition: Any = SimpleNamespace(
            job_type=f"foreign-{number}",
            state="dead",
            reason="unknown-type",
            error_type=None,
            started=1,
        )
        settled: Any = SimpleNamespace(transition=transition, seconds=0.1, ready=0)
        figures.settled(settled)
    assert len(figures.outcomes) == len(figures.dead) == len(figures.durations) == 1
