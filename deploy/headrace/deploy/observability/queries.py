"""Expressions of PromQL, written with the metrics' own specifications so that no name is misspelt."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from headrace.pipeline.durations import format_duration
from headrace.pipeline.telemetry.metric_specs import (
    CounterSpec,
    GaugeSpec,
    HistogramSpec,
    MetricSpec,
)

STEP: Final = "$__rate_interval"
"""The window of a board's rates: Grafana makes it fit the time between two scrapes."""
OF_PIPELINE: Final = 'lane=~"$pipeline[.].*"'
OF_LANE: Final = 'lane="$lane"'


def select(spec: MetricSpec, *matchers: str) -> str:
    """Name the series of a metric: `headrace_jobs_total{outcome="dead"}`."""
    given = [matcher for matcher in matchers if matcher]
    return f"{spec.name}{{{','.join(given)}}}" if given else spec.name


def total(expression: str, *by: str) -> str:
    """Add up, by labels."""
    return f"sum by ({', '.join(by)}) ({expression})" if by else f"sum({expression})"


def rate(spec: CounterSpec, *matchers: str, by: tuple[str, ...] = (), step: str = STEP) -> str:
    """How much a counter grows in a second, added up by labels."""
    return total(f"rate({select(spec, *matchers)}[{step}])", *by)


def gauge(spec: GaugeSpec, *matchers: str, by: tuple[str, ...] = ()) -> str:
    """A gauge, added up by labels."""
    return total(select(spec, *matchers), *by)


def quantile(
    share: float, spec: HistogramSpec, *matchers: str, by: tuple[str, ...] = (), step: str = STEP
) -> str:
    """What a share of the sizes does not exceed."""
    buckets = select(replace(spec, name=f"{spec.name}_bucket"), *matchers)
    return f"histogram_quantile({share:g}, {total(f'rate({buckets}[{step}])', 'le', *by)})"


def grew(
    spec: CounterSpec, window: timedelta, *matchers: str, by: tuple[str, ...], more_than: float = 0
) -> str:
    """By how much a counter grew within a window, where that is more than so much.

    A series that did not exist before the window began counts from 0: `increase` alone passes over
    the first value of a new series, and that is what the first dead letter of a job type makes.
    """
    series, span = select(spec, *matchers), format_duration(window)
    new = f"({series} unless {series} offset {span})"
    return f"{total(f'{new} or increase({series}[{span}])', *by)} > {more_than:g}"
