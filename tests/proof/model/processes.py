"""Workers and schedulers: everything of the engine in them is real, but their clients.

A turn of theirs is a turn of the real thread, taken when the model says so.
"""

import random
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Protocol, cast
from unittest.mock import patch

from headrace.consumers import scheduler as scheduler_module
from headrace.consumers.fencing import Fencing
from headrace.consumers.figures import LaneFigures
from headrace.consumers.handover import HandOvers
from headrace.consumers.isolation import Isolation
from headrace.consumers.lane import LaneThread
from headrace.consumers.member import Member
from headrace.consumers.orders import Orders
from headrace.consumers.outcomes import Attempted, Died
from headrace.consumers.partitions import Partitions
from headrace.consumers.reading_up import ReadingUp
from headrace.consumers.recent import READ_BACK
from headrace.consumers.recording import Recorder
from headrace.consumers.records import JobRecord
from headrace.consumers.scheduler import Scheduler, SchedulerOptions
from headrace.consumers.settled import Rules
from headrace.consumers.sharing import Sharing
from headrace.consumers.slots import Slots
from headrace.consumers.transition_log import TransitionLog
from headrace.pipeline import Lane
from headrace.pipeline.errors import LostOffsetError
from tests.proof.model.broker import Broker
from tests.proof.model.clients import (
    Host,
    ProcessDiedError,
    SimulatedConsumer,
    SimulatedProducer,
    committed,
)
from tests.proof.model.jobs import Submitted, pipeline

SLOTS = 2
DRAIN_BUDGET = 0.05
"""Seconds."""


class Watching(Protocol):
    """Sees what runs."""

    def started(self, worker: "WorkerProcess", record: JobRecord) -> None:
        """A handler was called."""
        ...

    def ended(self, worker: "WorkerProcess", record: JobRecord, attempted: Attempted) -> None:
        """A handler has come to its end."""
        ...


class _Room:
    """Stands for the event on which a lane's thread waits: time passes, and jobs may end."""

    def __init__(self, waits: Callable[[float], None]) -> None:
        self._waits = waits

    def set(self) -> None:
        pass

    def clear(self) -> None:
        pass

    def wait(self, seconds: float) -> bool:
        self._waits(seconds)
        return True


class _Partitions(Partitions):
    """The real ones; what they own goes by the simulated clock, which a default cannot know of."""

    def take_over(self, consumer: Any, assigned: Any) -> None:
        super().take_over(consumer, assigned)
        for owned in self.owned.values():
            owned.clock = consumer.clock.monotonic


class _Aside:
    """Stands for the thread on which a lane hands over: it gets on when the lane has looked so often.

    A whole transaction happens then at once; what the lane did meanwhile came before it.
    """

    def __init__(self, seed: str) -> None:
        self._chance = random.Random(seed)

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        return _Later(call, self._chance.choice((1, 1, 2, 3, 5, 9)))


class _Later:
    """A call that is made when it was asked for often enough, or is waited for."""

    def __init__(self, call: Callable[[], Any], looks: int) -> None:
        self._call = call
        self._looks = looks
        self._result: list[Any] = []

    def done(self) -> bool:
        self._looks -= 1
        if self._looks <= 0:
            self.result()
        return bool(self._result)

    def result(self) -> Any:
        if not self._result:
            self._result.append(self._call())
        return self._result[0]


class _Mortal:
    """A process that ends in order, by a kill, or because it cannot go on."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.gone = False
        self.lost_records = 0

    def live(self, act: Callable[[], None]) -> None:
        """Do something that may kill it."""
        try:
            try:
                act()
            except LostOffsetError:
                self.leave()
        except ProcessDiedError:
            self.gone = True
        if self.gone:
            self.lost_records = self.partitions.lost_records

    def leave(self) -> None:
        """End in order."""
        self.member.leave()
        self.gone = True

    @property
    def partitions(self) -> Partitions:
        raise AssertionError

    @property
    def member(self) -> Member:
        raise AssertionError


class WorkerProcess(_Mortal):
    """A worker that serves one lane."""

    def __init__(
        self, broker: Broker, name: str, lane: Lane, jobs: dict[str, Submitted], watch: Watching
    ) -> None:
        super().__init__(Host(broker, name))
        self.running: list[tuple[JobRecord, bool]] = []
        """What runs, and whether in a child of its own."""
        self.ends_while_draining = True
        self._jobs = jobs
        self._watch = watch
        slots = Slots(SLOTS, partial(self._start, isolated=False))
        isolation = Isolation((slots,), partial(self._start, isolated=True), places=SLOTS)
        self.lane = self._lane(lane, slots, isolation)
        self.lane.buffer.room = cast("Any", _Room(self._waits))

    def _lane(self, lane: Lane, slots: Slots, isolation: Isolation) -> LaneThread:
        figures = LaneFigures()
        transactional_id = f"{lane.topic}-{self.host.name}"
        topology = pipeline.topology
        partitions = _Partitions(
            transactional_id,
            fencing=Fencing(self._producer),
            read_back=READ_BACK,
        )
        recorder = Recorder(
            partitions,
            HandOvers(lambda: self._producer(transactional_id)),
            TransitionLog(self._producer(), topology.events),
            topology.events,
            figures,
            lane.topic,
            begin=_Aside(self.host.name),
        )
        ordered = pipeline.queues[lane.queue].ordered
        rules = Rules(
            lane,
            topology,
            pipeline.job_types,
            self.host.name,
            chance=random.Random(0),
            ordered=ordered,
        )
        return LaneThread(
            rules,
            partial(self._consumer, lane.topic),
            partitions,
            recorder,
            slots,
            isolation,
            figures,
            orders=Orders(),
            cancel=lambda _: None,
            in_children=False,
            drain_budget=DRAIN_BUDGET,
            buffer_bytes=10_000_000,
            on_failure=self._failed,
        )

    def join(self) -> None:
        lane = self.lane
        topic = lane.rules.lane.topic
        lane._member = Member(
            topic,
            [topic],
            lane._make_consumer,
            lane.partitions,
            lane._recorder,
            lane.figures,
            lane,
        )

    @property
    def partitions(self) -> Partitions:
        return self.lane.partitions

    @property
    def member(self) -> Member:
        assert self.lane._member is not None
        return self.lane._member

    def owns(self, record: JobRecord) -> bool:
        """Whether it owns the record's partition, as the coordinator has it and as it thinks."""
        place = (record.assignment.topic, record.partition)
        owned = self.partitions.owned.get(place)
        if owned is None or owned.assignment is not record.assignment:
            return False
        consumer = self.host.consumers[0]
        group = self.host.broker.groups[record.assignment.topic]
        return not self.host.dead and group.owner(place) is consumer.member

    def end_one(self, at: int) -> None:
        """Let a handler come to the end that is planned for it."""
        record, isolated = self.running.pop(at % len(self.running))
        job = self._jobs[record.headers.job_id]
        outcome = job.outcome(record.headers)
        if isinstance(outcome, Died) and not isolated:
            job.killed += 1
            self.host.die()
            raise ProcessDiedError(self.host.name)
        now = self.host.broker.clock.ms
        attempted = Attempted(outcome, now, now)
        self._watch.ended(self, record, attempted)
        if isolated:
            self.lane.report_isolated(record, attempted)
        else:
            self.lane.report(record, attempted)

    def alone(self) -> list[JobRecord]:
        """The jobs that may be noted as running alone."""
        owned = self.partitions.owned.values()
        noted = {(each.place, each.noted_alone) for each in owned}
        noted |= {(each.place, each.standing.lone) for each in owned}
        return [
            record
            for record, isolated in self.running
            if isolated and ((record.assignment.topic, record.partition), record.offset) in noted
        ]

    def _start(self, record: JobRecord, *, isolated: bool) -> None:
        self.running.append((record, isolated))
        self._watch.started(self, record)

    def _waits(self, seconds: float) -> None:
        self.host.broker.clock.advance(seconds)
        if self.ends_while_draining and self.running:
            self.end_one(0)

    def _producer(self, transactional_id: str | None = None) -> Any:
        return SimulatedProducer(self.host, transactional_id)

    def _consumer(self, group: str, on_commit: Any, on_error: Any) -> Any:
        return SimulatedConsumer(self.host, group, on_commit)

    def _failed(self, error: BaseException) -> None:
        raise error


class _Clients:
    """Stands for a scheduler's Kafka clients."""

    def __init__(self, host: Host, group: str, *_: Any) -> None:
        self._host = host
        self._group = group

    def consumer(self, on_commit: Any, on_error: Any) -> SimulatedConsumer:
        return SimulatedConsumer(self._host, self._group, on_commit, committed_only=True)

    def producer(self) -> SimulatedProducer:
        return SimulatedProducer(self._host)

    def transactional(self, transactional_id: str) -> SimulatedProducer:
        return SimulatedProducer(self._host, transactional_id)

    def peek(self, places: Any) -> Any:
        self._host.call()
        return committed(self._host.broker, self._group, places, stable=False)


class SchedulerProcess(_Mortal):
    """A scheduler."""

    def __init__(self, broker: Broker, name: str) -> None:
        super().__init__(Host(broker, name))
        clients = partial(_Clients, self.host)
        clock = broker.clock.monotonic
        changed = {
            "SchedulerClients": clients,
            "aside": _Aside(name),
            "Partitions": _Partitions,
            "ReadingUp": partial(ReadingUp, clock=clock),
            "Sharing": partial(Sharing, clock=clock),
        }
        with patch.dict(vars(scheduler_module), changed, process_name=lambda: name):
            self.scheduler = Scheduler(pipeline, _options())
        self._member: Member | None = None

    def join(self) -> None:
        self._member = self.scheduler._join()

    @property
    def partitions(self) -> Partitions:
        return self.scheduler.partitions

    @property
    def member(self) -> Member:
        assert self._member is not None
        return self._member

    def turn(self) -> None:
        self.scheduler._turn(self.member)


@cache
def _options() -> SchedulerOptions:
    return SchedulerOptions()
