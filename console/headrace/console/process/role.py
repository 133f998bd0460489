"""A process with a role: worker, scheduler, projector, exporter or scaler. Its settings, log, port, health and metrics."""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from headrace.console.process.garbage import look_seldom
from headrace.console.process.kafka_watch import KafkaWatch
from headrace.console.process.life import live
from headrace.console.process.part import Part
from headrace.console.process.probes import Member, is_ready, lives
from headrace.console.process.signals import Inbox
from headrace.consumers.partitions import Start
from headrace.pipeline import settings
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.queues import Lane
from headrace.pipeline.telemetry import http, logs
from headrace.pipeline.telemetry.health import CheckKind, Health
from headrace.pipeline.telemetry.metric_list import Metric
from headrace.pipeline.telemetry.metrics import Metrics
from headrace.pipeline.tracing import export_spans, log_processors
from headrace.schemas.errors import HeadraceError

_LOG = structlog.get_logger("headrace.process")
_STUCK_AFTER: Final = timedelta(seconds=30)
"""Beyond the drain budget, during which a lane may not poll: a thread silent for so long hangs."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a process is.

    Attributes:
        name: `worker`, `scheduler`, `projector`, `exporter` or `scaler`.
        reference: The pipeline, as it was given.
        index: Which one of `--processes N` it is; None when nobody supervises it.
        start: Where to begin when a group has no offset.
    """

    name: str
    reference: str
    index: int | None = None
    start: Start | None = None


def configure_logs(role: Role) -> settings.LogSettings:
    """Send log lines where the settings say, and warn of variables that mean nothing.

    Raises:
        SettingsError: A setting is wrong.
    """
    log = settings.load(settings.LogSettings)
    name = role.name if role.index is None else f"{role.name}-{role.index}"
    traced = settings.load(settings.TraceSettings)
    logs.configure(log, role=name, more=log_processors(traced))
    if not role.index:  # once is enough
        for line in settings.unknown_variables(os.environ):
            _LOG.warning(line)
    return log


class RoleProcess:
    """One process: make it, add parts, run it.

    Raises:
        SettingsError: A setting is wrong, or the port is taken (from `run`).
    """

    def __init__(self, role: Role, pipeline: Pipeline, log: settings.LogSettings) -> None:
        self.role = role
        self.pipeline = pipeline
        self.log = log
        self.kafka = settings.load(settings.KafkaSettings)
        self.producing = settings.load(settings.ProducerSettings)
        self.http = settings.load(settings.HttpSettings)
        self.tracing = settings.load(settings.TraceSettings)
        self._end_spans = export_spans(self.tracing, f"{pipeline.name}-{role.name}")
        self.metrics = Metrics(role=role.name)
        self.health = Health()
        self.watch = KafkaWatch()
        self._parts: list[Part[Member]] = []
        self.health.add("kafka", self.watch.check)
        self.metrics.register_collector(
            Metric.BROKER_UP, lambda: {(): float(self.watch.check().ok)}
        )

    def run(self) -> int:
        """Run the parts to their end; gives the exit code.

        Raises:
            HeadraceError: What ended a part.
        """
        inbox = Inbox()
        inbox.listen()
        supervisor = os.getppid() if self.role.index is not None else None
        server = http.serve(
            self.http, self.health, self.metrics.registry, offset=self.role.index or 0
        )
        try:
            code = live(self._parts, inbox, parent=supervisor)
        finally:
            self.watch.stop()
            self._end_spans()
            if server is not None:
                server.stop()
        for part in self._parts:
            if isinstance(part.error, HeadraceError):
                raise part.error
        return code

    def add_worker(
        self, lanes: Sequence[Lane], concurrency: int, worker: settings.WorkerSettings
    ) -> None:
        """Run the jobs of some lanes."""

        def make(stopping: threading.Event) -> Member | None:
            if not self.watch.await_topics(self.pipeline, self.kafka, lanes, stopping):
                return None
            from headrace.console.process.services import WorkerService

            look_seldom()
            return self._followed(WorkerService(self, lanes, concurrency, worker))

        self._add(Part("worker", make), worker.worker_drain_budget + _STUCK_AFTER)

    def add_scheduler(self) -> None:
        """Move due records from the delay tiers."""

        def make(stopping: threading.Event) -> Member | None:
            if not self.watch.await_topics(self.pipeline, self.kafka, (), stopping, tiers=True):
                return None
            from headrace.console.process.services import SchedulerService

            look_seldom()
            return self._followed(SchedulerService(self))

        self._add(Part("scheduler", make), _STUCK_AFTER)

    def add_projector(self) -> None:
        """Keep the query store up to date."""

        def make(stopping: threading.Event) -> Member | None:
            if not self.watch.await_topics(self.pipeline, self.kafka, (), stopping):
                return None
            from headrace.console.process.projecting import ProjectorService

            return self._followed(ProjectorService(self))

        self._add(Part("projector", make), _STUCK_AFTER)

    def add_exporter(self) -> None:
        """Look at lag, and show it. It needs no topic to begin: what is missing is what it tells."""

        def make(stopping: threading.Event) -> Member | None:
            from headrace.console.process.exporting import ExporterService

            return self._followed(ExporterService(self))

        self._add(Part("exporter", make), _STUCK_AFTER)

    def add_scaler(self, scaler: settings.ScalerSettings) -> None:
        """Answer KEDA; and, where the settings say so, tell Kubernetes what scaling in would cost."""

        def make(stopping: threading.Event) -> Member | None:
            from headrace.console.process.scaling import ScalerService

            return self._followed(ScalerService(self, scaler))

        def make_scale_in(stopping: threading.Event) -> Member | None:
            from headrace.console.process.scaling import ScaleInService

            return ScaleInService(self, scaler)

        self._add(Part("scaler", make), _STUCK_AFTER)
        if scaler.scaler_scale_in:
            self._add(Part("scale-in", make_scale_in), _STUCK_AFTER)

    def _followed(self, service: Member) -> Member:
        self.watch.follow(service.broker_answers)
        return service

    def _add(self, part: Part[Member], silent: timedelta) -> None:
        self._parts.append(part)
        self.health.add(part.name, lambda: lives(part, silent), kind=CheckKind.LIVE)
        self.health.add(part.name, lambda: is_ready(part))
