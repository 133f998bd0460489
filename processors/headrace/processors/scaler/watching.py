"""Looks at Kafka from time to time, and keeps what every lane asks for."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

import structlog

from headrace.consumers.clock import now_ms
from headrace.consumers.seldom import Seldom
from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.errors import KafkaUnavailableError, TopicError
from headrace.pipeline.settings import ScalerSettings
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.pipeline.telemetry.scaler_metrics import ScalerMetric
from headrace.processors.lag.report import TopicLag
from headrace.processors.scaler.demand import Demand
from headrace.processors.scaler.errors import UnknownBacklogError
from headrace.processors.statistics.forecast import Sample, recent

_LOG: Final = structlog.get_logger("headrace.scaler")
_NOTHING: Final = "Kafka has not been looked at yet"


class Reader(Protocol):
    """What measures the ready backlog, such as `ReadyReader`."""

    def read(self) -> Mapping[str, TopicLag]:
        """Measure now."""
        ...

    def close(self) -> None:
        """Let go of Kafka."""
        ...


@dataclass(frozen=True, slots=True)
class _Look:
    """What the last look gave: the lanes, their samples, and when (epoch ms)."""

    at: int
    lanes: Mapping[str, TopicLag]
    samples: Mapping[str, tuple[Sample, ...]]


class BacklogWatch:
    """Looks and keeps. `run` is one thread's; what it keeps may be read by any.

    Args:
        reader: Measures.
        settings: How often, how old figures may become.
        metrics: Where it is shown.
        clock: Gives epoch milliseconds.
    """

    def __init__(
        self,
        reader: Reader,
        settings: ScalerSettings,
        metrics: Metrics,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._reader = reader
        self._interval = settings.scaler_interval.total_seconds()
        self._stale_after = settings.scaler_stale_after
        self._clock = clock
        self._stopping = threading.Event()
        self._last: _Look | None = None
        self._troubles = Seldom(_LOG)
        self.trouble = _NOTHING
        """Why the last look failed; empty when it did not."""
        self._looks = {
            each: metrics.child(ScalerMetric.LOOKS, look=each) for each in ("ok", "failed")
        }
        metrics.register_collector(ScalerMetric.FIGURES_AGE, self._age)
        metrics.register_collector(ScalerMetric.READY_JOBS, self._ready)

    def run(self) -> None:
        """Look until `stop`."""
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                self.look()
                self._stopping.wait(max(0.0, self._interval - (time.monotonic() - began)))
        finally:
            self._reader.close()

    def stop(self) -> None:
        """End after the look that is going on; from any thread."""
        self._stopping.set()

    def look(self) -> None:
        """Look once. What Kafka refuses, or does not answer, is told in `trouble`."""
        try:
            lanes = self._reader.read()
        except (KafkaUnavailableError, TopicError) as error:
            self.trouble = str(error)
            self._looks["failed"].inc()
            self._troubles.warn("the backlog cannot be measured now", reason=self.trouble)
            return
        at = self._clock()
        self._last = _Look(
            at, lanes, {name: self._sampled(lane, at) for name, lane in lanes.items()}
        )
        self.trouble = ""
        self._looks["ok"].inc()

    @property
    def age(self) -> timedelta | None:
        """How old the figures are; None when there are none."""
        last = self._last
        return None if last is None else timedelta(milliseconds=max(0, self._clock() - last.at))

    def demand(self, lane: str) -> Demand:
        """Tell what a lane asks for.

        Raises:
            UnknownBacklogError: The last look failed, or is too long ago, or the lane is not there.
        """
        last = self._last
        if last is None or self.trouble:
            raise UnknownBacklogError(
                f"the backlog of {lane} is not known: {self.trouble or _NOTHING}"
            )
        age = self._clock() - last.at
        if age > to_milliseconds(self._stale_after):
            raise UnknownBacklogError(
                f"the backlog of {lane} is not known: Kafka has not answered for {age // 1000} s"
            )
        return Demand.of(last.lanes[lane], last.samples[lane])

    def _sampled(self, lane: TopicLag, at: int) -> tuple[Sample, ...]:
        known = () if self._last is None else self._last.samples.get(lane.topic, ())
        return (*recent(known, at), Sample(at, lane.ready))

    def _age(self) -> Mapping[tuple[str, ...], float]:
        age = self.age
        return {} if age is None else {(): age.total_seconds()}

    def _ready(self) -> Mapping[tuple[str, ...], float]:
        last = self._last
        if last is None or self.trouble:
            return {}
        known = (
            lane for lane in last.lanes.values() if lane.partitions and not lane.without_offset
        )
        return {(lane.topic,): float(lane.ready) for lane in known}
