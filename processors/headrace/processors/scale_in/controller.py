"""Tells Kubernetes what scaling in would cost, from time to time.

Several may run: each reads what is there before it changes anything, and all come to the same.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import structlog

from headrace.consumers.clock import now_ms
from headrace.consumers.seldom import Seldom
from headrace.pipeline.errors import KafkaUnavailableError, SettingsError, TopicError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.pipeline.telemetry.scaler_metrics import ScalerMetric
from headrace.processors.scale_in import costs, pauses
from headrace.processors.scale_in.cluster_api import ClusterApi, Found, Kind
from headrace.processors.scale_in.errors import ClusterError
from headrace.processors.scale_in.running_replays import RunningReplays
from headrace.processors.workers import WorkerReader

_LOG: Final = structlog.get_logger("headrace.scale_in")
_FAILURES: Final = (ClusterError, KafkaUnavailableError, TopicError, SettingsError)


def labels_of(pipeline: Pipeline, component: str | None = None) -> Mapping[str, str]:
    """Give the labels by which a pipeline's objects are found, as `headrace deploy render` gives them."""
    found = {"app.kubernetes.io/name": "headrace", "app.kubernetes.io/instance": pipeline.name}
    return found if component is None else {**found, "app.kubernetes.io/component": component}


class ScaleIn:
    """Works until `stop`. What fails is tried again the next time; jobs do not depend on it.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
        api: Kubernetes.
        interval: Between two rounds.
        metrics: Where changes are counted.
        clock: Gives epoch milliseconds.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        kafka: KafkaSettings,
        api: ClusterApi,
        interval: timedelta,
        metrics: Metrics,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._pipeline = pipeline
        self._api = api
        self._interval = interval.total_seconds()
        self._clock = clock
        self._objects = labels_of(pipeline)
        self._workers = WorkerReader(pipeline, kafka)
        self._replays = RunningReplays(kafka, pipeline.topology.letters)
        self._metrics = metrics
        self._troubles = Seldom(_LOG)
        self._stopping = threading.Event()
        self.trouble = ""
        """Why the last round failed in part; empty when it did not."""

    def run(self) -> int:
        """Work until `stop`; gives the exit code."""
        try:
            while not self._stopping.is_set():
                self.turn()
                self._stopping.wait(self._interval)
        finally:
            self._workers.close()
            self._replays.close()
            self._api.close()
        return 0

    def stop(self, *, at_once: bool = False) -> None:
        """End after the round that goes on; from any thread."""
        self._stopping.set()

    def turn(self) -> None:
        """Do one round: the pods' costs, then the pauses. One that fails leaves the other alone."""
        troubles = [
            told for told in (self._try(self.set_costs), self._try(self.set_pauses)) if told
        ]
        self.trouble = "; ".join(troubles)

    def set_costs(self) -> None:
        """Annotate pods whose work has changed in a way that matters.

        Raises:
            ClusterError: Kubernetes gave no answer, or refused.
            KafkaUnavailableError: Kafka gave no answer in time.
            TopicError: Heartbeats may not be read.
        """
        jobs = costs.in_flight(self._workers.read())
        pods = self._api.list(Kind.PODS, labels_of(self._pipeline, "worker"))
        for pod, _, after in costs.changes(pods, jobs):
            self._change(Kind.PODS, pod, "cost", {costs.ANNOTATION: str(after)})

    def set_pauses(self) -> None:
        """Pause scaling in while a replay runs, and release what was paused here afterwards.

        Raises:
            ClusterError: Kubernetes gave no answer, or refused.
            KafkaUnavailableError: Kafka gave no answer in time.
            TopicError: The letters topic may not be read.
        """
        replays = self._replays.names(self._clock())
        for found in list(self._api.list(Kind.SCALED_OBJECTS, self._objects)):
            changed = pauses.change_of(found.annotations, replays)
            if changed is not None:
                what = "pause" if replays else "release"
                _LOG.info("scaling in", change=what, scaled_object=found.name, replays=replays)
                self._change(Kind.SCALED_OBJECTS, found, what, changed)

    def _change(
        self, kind: Kind, found: Found, what: str, annotations: Mapping[str, str | None]
    ) -> None:
        try:
            self._api.annotate(kind, found, annotations)
        except ClusterError:
            self._metrics.child(ScalerMetric.CHANGES, change=what, result="failed").inc()
            raise
        self._metrics.child(ScalerMetric.CHANGES, change=what, result="ok").inc()

    def _try(self, step: Callable[[], None]) -> str:
        try:
            step()
        except _FAILURES as error:
            self._troubles.warn("scaling in cannot be steered now", reason=str(error))
            return str(error)
        return ""
