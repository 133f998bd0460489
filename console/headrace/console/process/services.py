"""A worker and a scheduler as parts of a process, with their metrics and log lines."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from headrace.console.process.probes import follows_orders
from headrace.consumers import scheduler_metrics, worker_metrics
from headrace.consumers.figures import MemberFigures
from headrace.consumers.scheduler import Scheduler, SchedulerOptions
from headrace.consumers.worker import Worker, WorkerOptions
from headrace.pipeline.queues import Lane
from headrace.pipeline.settings import SchedulerSettings, WorkerSettings, load
from headrace.pipeline.telemetry.system_metrics import FiguresReporter

if TYPE_CHECKING:
    from headrace.console.process.role import RoleProcess

_FIGURES_LOG = "headrace.figures"


class WorkerService:
    """A worker that shows its metrics and logs its figures."""

    def __init__(
        self,
        process: "RoleProcess",
        lanes: Sequence[Lane],
        concurrency: int,
        settings: WorkerSettings,
    ) -> None:
        options = WorkerOptions(
            start=process.role.start,
            reference=process.role.reference,
            kafka=process.kafka,
            producing=process.producing,
            settings=settings,
            tracing=process.tracing,
        )
        self._worker = Worker(process.pipeline, lanes, concurrency=concurrency, options=options)
        worker_metrics.register(process.metrics, self._worker)
        process.health.add("worker's orders", lambda: follows_orders(self._worker.orders))
        self._reporter = FiguresReporter(
            worker_metrics.WorkerTotals(self._worker),
            process.log.log_metrics_interval,
            structlog.get_logger(_FIGURES_LOG),
        )

    @property
    def failure(self) -> BaseException | None:
        """What ended it, if it was not a stop."""
        return self._worker.failure

    def run(self) -> int:
        """Work until `stop`; gives the exit code."""
        self._reporter.start()
        try:
            return self._worker.run()
        finally:
            self._reporter.stop()

    def stop(self, *, at_once: bool = False) -> None:
        """Drain, or give back what runs `at_once`."""
        self._worker.stop(at_once=at_once)

    def figures(self) -> Mapping[str, MemberFigures]:
        """What each lane's thread counts."""
        return {lane.topic: thread.figures for lane, thread in self._worker.lanes.items()}

    def assigned(self) -> bool:
        """Whether every lane has joined its group."""
        return self._worker.assigned()

    def broker_answers(self) -> bool:
        """Whether Kafka answers now."""
        return self._worker.broker_answers()


class SchedulerService:
    """A scheduler that shows its metrics."""

    def __init__(self, process: "RoleProcess") -> None:
        options = SchedulerOptions(
            start=process.role.start,
            kafka=process.kafka,
            producing=process.producing,
            settings=load(SchedulerSettings),
            tracing=process.tracing,
        )
        self._scheduler = Scheduler(process.pipeline, options)
        self._group = process.pipeline.topology.scheduler_group
        scheduler_metrics.register(process.metrics, self._scheduler)
        process.health.add("scheduler's orders", lambda: follows_orders(self._scheduler.orders))

    @property
    def failure(self) -> BaseException | None:
        """What ended it, if it was not a stop."""
        return self._scheduler.failure

    def run(self) -> int:
        """Work until `stop`; gives the exit code."""
        return self._scheduler.run()

    def stop(self, *, at_once: bool = False) -> None:
        """Commit and leave; what is held is read again by whoever comes next."""
        self._scheduler.stop(at_once=at_once)

    def figures(self) -> Mapping[str, MemberFigures]:
        """What its thread counts."""
        return {self._group: self._scheduler.figures}

    def assigned(self) -> bool:
        """Whether it has joined its group."""
        return self._scheduler.assigned()

    def broker_answers(self) -> bool:
        """Whether Kafka answers now."""
        return self._scheduler.broker_answers()
