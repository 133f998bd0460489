"""The exporter: looks at Kafka from time to time, and keeps what it saw for `/metrics`.

A scrape never asks Kafka. While Kafka does not answer, the last figures stay, and their age grows;
after `HEADRACE_EXPORTER_STALE_AFTER` they are taken away: a missing series is an alert, a zero would
be a lie.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from headrace.consumers.clock import now_ms
from headrace.consumers.seldom import Seldom
from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.errors import KafkaUnavailableError, TopicError
from headrace.pipeline.kafka import make_producer
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import ExporterSettings, KafkaSettings, ProducerSettings, load
from headrace.pipeline.telemetry.lag_metrics import ALIASES, LAG_METRICS, LagMetric
from headrace.pipeline.telemetry.metric_specs import CounterSpec, GaugeSpec, MetricSpec
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.processors.lag import exported, published
from headrace.processors.lag.exported import Labels, Values
from headrace.processors.lag.measuring import LagReader
from headrace.processors.lag.report import LagReport

_LOG = structlog.get_logger("headrace.exporter")
_FLUSH: Final = 2.0
"""Seconds that a publication is waited for; the next one says the same anew."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What the last look that succeeded gave."""

    report: LagReport
    figures: Values
    aliases: Values


class LagExporter:
    """Looks and keeps. `run` is one thread's; what it keeps may be read by any.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
        settings: How often, how much.
        metrics: Where it is shown.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        kafka: KafkaSettings,
        settings: ExporterSettings,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._kafka = kafka
        self._stats = pipeline.topology.stats
        self._reader = LagReader(pipeline, kafka, counts_all=True)
        self._stopping = threading.Event()
        self._last: _Look | None = None
        self._producer: Producer | None = None
        self._troubles = Seldom(_LOG)
        self.trouble = "nothing was looked at yet"
        """Why the last look failed; empty when it did not."""
        self._looks = {each: metrics.child(LagMetric.LOOKS, look=each) for each in ("ok", "failed")}
        self._duration = metrics.child(LagMetric.LOOK_DURATION)
        self._show(metrics)

    def run(self) -> int:
        """Look until `stop`; gives the exit code."""
        interval = self._settings.exporter_interval.total_seconds()
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                self.look()
                self._stopping.wait(max(0.0, interval - (time.monotonic() - began)))
        finally:
            self._reader.close()
        return 0

    def stop(self, *, at_once: bool = False) -> None:
        """End after the look that is going on; from any thread."""
        self._stopping.set()

    def _show(self, metrics: Metrics) -> None:
        kept_apart = (LagMetric.LOOKS, LagMetric.LOOK_DURATION, LagMetric.FIGURES_AGE)
        for spec in LAG_METRICS:
            if spec not in kept_apart and isinstance(spec, CounterSpec | GaugeSpec):
                metrics.register_collector(spec, self._reading(spec))
        metrics.register_collector(LagMetric.FIGURES_AGE, self._age)
        metrics.registry.register(_Aliases(self))

    # -- what is kept ------------------------------------------------------------------------------

    @property
    def age(self) -> timedelta | None:
        """How old the figures are; None when there are none."""
        last = self._last
        if last is None:
            return None
        return timedelta(milliseconds=max(0, now_ms() - last.report.at))

    @property
    def is_stale(self) -> bool:
        """Whether there are no figures, or they are too old to be shown."""
        age = self.age
        return age is None or age > self._settings.exporter_stale_after

    def values(self, spec: MetricSpec) -> Mapping[Labels, float]:
        """Give the series of a metric; none while the figures are stale."""
        last = self._last
        return {} if last is None or self.is_stale else last.figures.get(spec, {})

    def aliases(self) -> Values:
        """Give the series of aliases; none while the figures are stale."""
        last = self._last
        return {} if last is None or self.is_stale else last.aliases

    def _reading(self, spec: MetricSpec) -> Callable[[], Mapping[Labels, float]]:
        return lambda: self.values(spec)

    def _age(self) -> Mapping[Labels, float]:
        age = self.age
        return {} if age is None else {(): age.total_seconds()}

    # -- looking -----------------------------------------------------------------------------------

    def look(self) -> None:
        """Look once. What Kafka refuses, or does not answer, is told in `trouble`."""
        began = time.monotonic()
        try:
            report = self._reader.read()
        except (KafkaUnavailableError, TopicError) as error:
            self.trouble = str(error)
            self._looks["failed"].inc()
            self._troubles.warn("lag cannot be measured now", reason=self.trouble)
            return
        for note in report.notes:
            self._troubles.warn("lag is measured in part", reason=note)
        settings = self._settings
        told = settings.exporter_aliases
        named = exported.aliases(report, settings.exporter_partitions) if told else {}
        self._last, self.trouble = _Look(report, exported.figures(report), named), ""
        self._looks["ok"].inc()
        self._duration.set(time.monotonic() - began)
        self._publish(report)

    def _publish(self, report: LagReport) -> None:
        """Tell what only a watcher knows; an exporter that may not write exports all the same."""
        if self._producer is None:
            self._producer = make_producer(self._kafka, load(ProducerSettings))
        interval = to_milliseconds(self._settings.exporter_interval)
        try:
            for record in published.records(self._stats, report, interval):
                self._producer.produce(
                    record.topic, record.value, record.key, on_delivery=self._delivered
                )
            self._producer.flush(_FLUSH)
        except (KafkaException, BufferError) as error:
            self._troubles.warn("what was seen cannot be published", reason=str(error))

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._troubles.warn(
                "what was seen cannot be published", topic=self._stats, reason=error.str()
            )


class _Aliases(Collector):
    """Shows the aliases: their names are not ours, so they are no part of `Metrics`."""

    def __init__(self, exporter: LagExporter) -> None:
        self._exporter = exporter

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Give every family without samples."""
        return (_family(spec) for spec in ALIASES)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give every family that has a sample."""
        values = self._exporter.aliases()
        for spec in ALIASES:
            family = _family(spec)
            for labels, value in values.get(spec, {}).items():
                family.add_metric(labels, value)
            if family.samples:
                yield family


def _family(spec: MetricSpec) -> GaugeMetricFamily:
    return GaugeMetricFamily(spec.name, spec.help, labels=[label.name for label in spec.labels])
