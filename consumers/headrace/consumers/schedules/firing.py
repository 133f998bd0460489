"""Carrying out what is due of one schedule: jobs, orders, and the state that is left behind."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from headrace.consumers.schedules.ended import EndedJobs
from headrace.consumers.schedules.figures import ScheduleFigures
from headrace.consumers.schedules.writer import CompactedWriter
from headrace.pipeline.orders import cancel_records
from headrace.pipeline.schedules import records
from headrace.pipeline.schedules.book import Entry
from headrace.pipeline.schedules.overdue import Overdue
from headrace.pipeline.schedules.policies import Overlap
from headrace.pipeline.schedules.records import ScheduleState
from headrace.pipeline.schedules.schedule import Schedule
from headrace.producers import DeliveryError, Producer, Receipt

if TYPE_CHECKING:
    from headrace.consumers.schedules.term import TermOptions

_LOG = structlog.get_logger("headrace.schedules")
_LOOK: Final = 0.2
"""Seconds between two looks at whether this process is still in charge."""
_LAST_FLUSH: Final = 2.0
"""Seconds that leaving may take: what was not acknowledged is submitted again by the next one."""


class TermOverError(Exception):
    """This process is no longer in charge: nothing more may be fired."""


class Firing:
    """Submits the jobs of fires, and writes what became of the schedule. Owned by one thread."""

    def __init__(
        self,
        options: "TermOptions",
        ended: EndedJobs,
        writer: CompactedWriter,
        figures: ScheduleFigures,
    ) -> None:
        self._options = options
        self._ended = ended
        self._writer = writer
        self._figures = figures
        self._made: Producer | None = None

    def prepare(self, schedule: Schedule) -> None:
        """Do before the first fire what it would have to wait for, or would fail by.

        Raises:
            HeadraceError: The job cannot be submitted as it is.
        """
        self._producer.prepare_fires(schedule)

    def fire(self, entry: Entry, found: Overdue) -> None:
        """Do what is due, and say so in the schedule's state.

        Raises:
            HeadraceError: The job cannot be submitted as it is; nothing has been said.
            KafkaException: Kafka is away.
            TermOverError: This process is no longer in charge.
        """
        name = entry.schedule.name
        timing = records.digest(entry.schedule.timing)
        state = replace(
            entry.state or ScheduleState(0, timing), timing=timing, by=self._options.scheduler
        )
        if entry.schedule.overlap is Overlap.ALLOW:
            state = self._submit(entry.schedule, found.fires, state)
        else:
            for fire in found.fires:
                state = self._one_by_one(entry.schedule, fire, state)
        self._write(name, replace(state, handled=found.through))
        if found.missed:
            self._figures.missed[name] += found.missed
            _LOG.warning("fires were missed", schedule=name, missed=found.missed)

    def close(self) -> None:
        """Leave Kafka, without waiting long for what is on its way."""
        if self._made is not None:
            with contextlib.suppress(DeliveryError, TimeoutError):
                self._made.close(_LAST_FLUSH)

    def _one_by_one(self, schedule: Schedule, fire: int, state: ScheduleState) -> ScheduleState:
        """Fire if the job before is final, or as the overlap policy says."""
        state = self._with_end(state)
        if state.job is not None and state.ended is None:
            if schedule.overlap is Overlap.SKIP:
                self._figures.overlapped[schedule.name] += 1
                _LOG.info("a fire is skipped: the job before is not final", schedule=schedule.name, fire=fire, job=state.job)  # fmt: skip
                return replace(state, handled=fire, skipped=fire)
            self._cancel(schedule.name, state.job)
        state = replace(self._submit(schedule, (fire,), state), handled=fire)
        self._write(schedule.name, state)
        return state

    def _with_end(self, state: ScheduleState) -> ScheduleState:
        if state.job is None or state.fired is None or state.ended is not None:
            return state
        self._ended.also(state.job, state.fired)
        return replace(state, ended=self._ended.state(state.job))

    def _cancel(self, name: str, job_id: str) -> None:
        topology = self._options.pipeline.topology
        reason = "its schedule has fired again"
        self._writer.write(cancel_records(topology, [job_id], by=f"schedule {name}", reason=reason))
        self._figures.overlapped[name] += 1

    def _submit(
        self, schedule: Schedule, fires: Sequence[int], state: ScheduleState
    ) -> ScheduleState:
        """Submit the jobs of fires, and wait until Kafka has them."""
        if not fires:
            return state
        with_job = replace(schedule, job=self._producer.job_of(schedule))
        receipts = [self._producer.submit_fire(with_job, fire) for fire in fires]
        if schedule.overlap is not Overlap.ALLOW:
            self._ended.also(receipts[-1].job_id, fires[-1])
        for receipt in receipts:
            self._stored(receipt)
        now = time.time()
        for fire in fires:
            self._figures.lateness.observe(max(0.0, now - schedule.due(fire) / 1000))
        self._figures.fired[schedule.name] += len(fires)
        return replace(state, fired=fires[-1], job=receipts[-1].job_id, ended=None)

    def _stored(self, receipt: Receipt[Any]) -> None:
        while not receipt.confirmed:
            if not self._options.holds():
                raise TermOverError
            with contextlib.suppress(TimeoutError):
                receipt.confirm(_LOOK)

    def _write(self, name: str, state: ScheduleState) -> None:
        state = replace(state, at=time.time_ns() // 1_000_000)
        topic = self._options.pipeline.topology.schedules
        self._writer.write([records.state_record(topic, name, state)])

    @property
    def _producer(self) -> Producer:
        """Made when there is a schedule: most schedulers never fire."""
        if self._made is None:
            options = self._options
            self._made = Producer(options.pipeline, kafka=options.kafka, settings=options.producing)
        return self._made
