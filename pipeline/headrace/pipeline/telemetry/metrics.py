"""The metrics of one process, written by any thread and read by `/metrics`.

Two ways in, both typed by the closed list in `metric_list`:

- `child(Metric.JOBS, lane=…, …)` gives a counter, gauge or histogram. Getting it costs 2 µs and
  using it 0.3 to 0.5 µs, so keep what the hot path needs.
- `register_collector(Metric.JOBS, read)` is for what somebody counts anyway, in plain ints of his
  own: `read` is called at each scrape, and the hot path pays nothing.

Values of one label set are added up, whichever way they came; of very many label sets, see
`series_bound`.
"""

import logging
import platform
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import cast, overload

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.utils import floatToGoString

from headrace.pipeline.release import own_version
from headrace.pipeline.telemetry.metric_list import ALL_METRICS, Metric
from headrace.pipeline.telemetry.metric_specs import (
    CounterSpec,
    GaugeSpec,
    HistogramSpec,
    MetricSpec,
)
from headrace.pipeline.telemetry.series import Counter, Gauge, Histogram
from headrace.pipeline.telemetry.series_bound import SeriesBound

LabelValues = tuple[str, ...]
Read = Callable[[], Mapping[LabelValues, float]]
ReadHistograms = Callable[[], Mapping[LabelValues, Histogram]]
"""Gives the value of each label set; label values in the order of the metric's labels."""

_LOG = logging.getLogger("headrace.metrics")


class Metrics:
    """All series of one process. Make one per process and pass it on.

    Args:
        registry: What `/metrics` exposes, such as a service's own `prometheus_client.REGISTRY`;
            a new one when not given, to which the process's memory, CPU time and open files
            (`process_*`) are added.
        role: What the process is, for `headrace_build_info`.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, role: str) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._lock = Lock()
        self._bound = SeriesBound()
        self._children: defaultdict[str, dict[LabelValues, Counter | Gauge | Histogram]]
        self._children = defaultdict(dict)
        self._sources: defaultdict[str, list[Read]] = defaultdict(list)
        self._histograms: defaultdict[str, list[ReadHistograms]] = defaultdict(list)
        self.child(
            Metric.BUILD_INFO, version=own_version(), python=platform.python_version(), role=role
        ).set(1)
        self.registry.register(self)
        if registry is None:
            ProcessCollector(registry=self.registry)

    @overload
    def child(self, spec: CounterSpec, **labels: str) -> Counter: ...
    @overload
    def child(self, spec: GaugeSpec, **labels: str) -> Gauge: ...
    @overload
    def child(self, spec: HistogramSpec, **labels: str) -> Histogram: ...
    def child(self, spec: MetricSpec, **labels: str) -> Counter | Gauge | Histogram:
        """Give the series of these labels; the same one each time.

        Raises:
            ValueError: The labels are not those of the metric.
        """
        values = _in_order(spec, labels)
        with self._lock:
            series = self._children[spec.name]
            if values not in series:
                series[values] = _new(spec)
            return series[values]

    def register_collector(self, spec: CounterSpec | GaugeSpec, read: Read) -> None:
        """Have `read` called at each scrape, on the scraping thread; it must not wait.

        A `read` that raises leaves its series out of that answer, and is counted and logged.
        """
        with self._lock:
            self._sources[spec.name].append(read)

    def register_histograms(self, spec: HistogramSpec, read: ReadHistograms) -> None:
        """Show histograms that a thread keeps for itself; `read` is called at each scrape."""
        with self._lock:
            self._histograms[spec.name].append(read)

    def unregister_collector(self, spec: CounterSpec | GaugeSpec, read: Read) -> None:
        """Forget a `read`, as when its lane has stopped. Its series end.

        Raises:
            ValueError: It is not registered for this metric.
        """
        with self._lock:
            self._sources[spec.name].remove(read)

    def describe(self) -> Iterator[Family]:
        """Give every family without samples; the registry refuses clashing names by it."""
        return (_family(spec) for spec in ALL_METRICS)

    def collect(self) -> Iterator[Family]:
        """Give every family that has a sample. Called by the registry at each scrape."""
        sampled = {spec: self._read_sources(spec) for spec in ALL_METRICS}
        for spec, values in sampled.items():
            family = _family(spec)
            histograms: dict[LabelValues, Histogram] = {}
            for labels, series in (self._children_of(spec) | self._kept_elsewhere(spec)).items():
                if isinstance(series, Histogram):
                    histograms[labels] = series
                else:
                    values[labels] = values.get(labels, 0.0) + series.value
            if isinstance(spec, HistogramSpec):
                for labels, histogram in self._bound.histograms(spec, histograms).items():
                    _add_histogram(family, labels, histogram)
            for labels, value in self._bound.values(spec, values).items():
                cast("GaugeMetricFamily", family).add_metric(labels, value)
            if family.samples:
                yield family

    def _children_of(self, spec: MetricSpec) -> dict[LabelValues, Counter | Gauge | Histogram]:
        with self._lock:
            return dict(self._children.get(spec.name, {}))

    def _kept_elsewhere(self, spec: MetricSpec) -> dict[LabelValues, Counter | Gauge | Histogram]:
        with self._lock:
            sources = list(self._histograms.get(spec.name, ()))
        return {labels: series for read in sources for labels, series in read().items()}

    def _read_sources(self, spec: MetricSpec) -> dict[LabelValues, float]:
        with self._lock:
            sources = list(self._sources.get(spec.name, ()))
        values: dict[LabelValues, float] = {}
        for read in sources:
            try:
                for labels, value in _checked(spec, read()).items():
                    values[labels] = values.get(labels, 0.0) + value
            except Exception:
                _LOG.exception("%s cannot be read; its series are left out", spec.name)
                self.child(Metric.SOURCE_FAILURES, metric=spec.name).inc()
        return values


def _in_order(spec: MetricSpec, labels: Mapping[str, str]) -> LabelValues:
    names = tuple(label.name for label in spec.labels)
    if len(labels) != len(names) or not all(name in labels for name in names):
        raise ValueError(
            f"{spec.name} has the labels {', '.join(names) or '(none)'}; "
            f"given: {', '.join(labels) or '(none)'}"
        )
    return tuple(labels[name] for name in names)


def _checked(spec: MetricSpec, read: Mapping[LabelValues, float]) -> Mapping[LabelValues, float]:
    for labels in read:
        if len(labels) != len(spec.labels):
            raise ValueError(f"{spec.name} has {len(spec.labels)} labels; read: {labels}")
    return read


def _new(spec: MetricSpec) -> Counter | Gauge | Histogram:
    if isinstance(spec, HistogramSpec):
        return Histogram(spec.buckets)
    return Counter() if isinstance(spec, CounterSpec) else Gauge()


def _family(spec: MetricSpec) -> Family:
    names = [label.name for label in spec.labels]
    if isinstance(spec, HistogramSpec):
        return HistogramMetricFamily(spec.name, spec.help, labels=names)
    if isinstance(spec, CounterSpec):
        return CounterMetricFamily(spec.name, spec.help, labels=names)
    return GaugeMetricFamily(spec.name, spec.help, labels=names)


def _add_histogram(family: Family, labels: LabelValues, series: Histogram) -> None:
    buckets, total = series.snapshot()
    texts = [(_bound_text(bound), count) for bound, count in buckets]
    cast("HistogramMetricFamily", family).add_metric(labels, texts, total)


def _bound_text(bound: float) -> str:
    text: str = floatToGoString(bound)  # type: ignore[no-untyped-call] # its own is not annotated
    return text
