"""The scheduler: moves due records from the delay tiers back to their lanes.

The thread's turn:

    take the broker's answers → record (hop, finish, commit) → drop what was cancelled → release what
    is due → hop what has waited its tier's time, unless much of `soon` is still to be read → spill
    when memory is short → poll until the next is due

A record enters the largest tier that is over well before it is due, and hops on when that tier's
time is over, until it is due within ten seconds and lies in `soon`, whose records are held in
memory. A hop is a transaction; a release is a plain acknowledged write to the lane, then the
commit. A scheduler that dies between the two releases a record again, which the lane recognises.
Never early: a record is released when this process's clock has reached its due time, not before.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import structlog
from confluent_kafka import Message

from headrace.consumers import hops, vital_signs
from headrace.consumers.aside import aside
from headrace.consumers.clock import now_ms
from headrace.consumers.fencing import Fencing
from headrace.consumers.figures import SchedulerFigures
from headrace.consumers.handover import HandOvers
from headrace.consumers.heart import Heart
from headrace.consumers.member import Member
from headrace.consumers.naming import process_name
from headrace.consumers.orders_reader import OrdersReader
from headrace.consumers.owned import Place
from headrace.consumers.partitions import Partitions, Start
from headrace.consumers.reading_up import ReadingUp
from headrace.consumers.recording import Recorder
from headrace.consumers.releases import Releases
from headrace.consumers.scheduler_clients import SchedulerClients
from headrace.consumers.schedules.runner import ScheduleRunner
from headrace.consumers.sharing import Sharing
from headrace.consumers.stray import Stray, read_delayed
from headrace.consumers.sweeping import Sweeping
from headrace.consumers.tiers_dropping import TiersDropping
from headrace.consumers.tiers_in_hand import TiersInHand
from headrace.consumers.transition_log import TransitionLog
from headrace.consumers.vital_signs import Identity, changes_of
from headrace.consumers.waiting import DelayedRecord
from headrace.pipeline.kafka import make_heartbeat_producer
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import (
    HeartbeatSettings,
    KafkaSettings,
    ProducerSettings,
    Protocol,
    SchedulerSettings,
    TraceSettings,
    load,
)
from headrace.pipeline.topology import SOON, TIERS
from headrace.pipeline.tracing import traces_of

_LOG = structlog.get_logger("headrace.scheduler")
_BATCH = 1_000
"""Records released in one turn."""
_HOPS = 1_000
"""Records that hop in one transaction. More would move more in a second, and what falls due
meanwhile would wait for longer."""
_HOPS_WAITING = 2 * _HOPS
"""Hops that wait for their transaction, at most: what could not hop yet stays in its tier, and
memory is for what is due soon."""
_MUCH = 1_000
"""Records of `soon` in one poll that are more than hops bring."""
_POLL = _MUCH + 500
"""Records taken in one poll."""
_SOON_ANSWERED = 0.002
"""Seconds that a poll waits at most while answers of the broker are expected."""
_BREATH = 0.001
"""Seconds that it waits at least: what falls due meanwhile goes together."""
_STOP_BUDGET = 10.0
"""Seconds that a stop waits for releases that are on their way; far below any SIGTERM grace."""


@dataclass(frozen=True, slots=True)
class SchedulerOptions:
    """What a scheduler is told."""

    start: Start | None = None
    """Where to begin when the group has no offset; None refuses to guess."""
    kafka: KafkaSettings = field(default_factory=lambda: load(KafkaSettings))
    producing: ProducerSettings = field(default_factory=lambda: load(ProducerSettings))
    settings: SchedulerSettings = field(default_factory=lambda: load(SchedulerSettings))
    tracing: TraceSettings = field(default_factory=lambda: load(TraceSettings))
    heartbeats: HeartbeatSettings = field(default_factory=lambda: load(HeartbeatSettings))


class Scheduler:
    """Moves due records of one pipeline. Any number may run: they share the tiers' partitions."""

    def __init__(self, pipeline: Pipeline, options: SchedulerOptions | None = None) -> None:
        self.pipeline = pipeline
        self.name = process_name()
        self.options = options or SchedulerOptions()
        self.figures = SchedulerFigures()
        self.failure: BaseException | None = None
        self.stopping = threading.Event()
        self._topology = topology = pipeline.topology
        self._tiers = {topology.tier(tier): tier for tier in TIERS}
        self._soon = topology.tier(SOON)
        self._lanes = {lane.topic for lane in topology.lanes()}
        self._clients = clients = SchedulerClients(
            topology.scheduler_group, self.options.kafka, self.options.producing
        )
        transactional_id = f"{topology.scheduler_group}-{self.name}"
        self.partitions = Partitions(
            transactional_id,
            self.options.start,
            fencing=Fencing(clients.transactional),
            peek=clients.peek,
            opened=True,
        )
        traces = traces_of(self.options.tracing)
        producer = clients.producer()
        self._recorder = Recorder(
            self.partitions,
            HandOvers(lambda: clients.transactional(transactional_id)),
            # What is dropped here is told so; dead letters are told of within their hand-overs.
            TransitionLog(producer, topology.events, several_lanes=True),
            topology.events,
            self.figures,
            "the delay tiers",
            traces,
            most=_HOPS,
            begin=aside,
        )
        self._releases = Releases(
            producer, self._recorder, topology, self.name, self.figures, traces
        )
        self._schedules = ScheduleRunner(
            pipeline, self.options.kafka, self.options.producing, self.name
        )
        self.figures.schedules = self._schedules.figures
        memory = self.options.settings.scheduler_memory_bytes
        self._in_hand = TiersInHand(self._soon, memory)
        self.orders = OrdersReader(self.options.kafka, topology.control, keep_past=True)
        self._dropping = TiersDropping(
            self.orders.orders, self._in_hand, self._recorder, self.name, self.figures
        )
        self._reading_up = ReadingUp(_MUCH)
        self._sharing = Sharing(self._soon, self.partitions, self.figures)
        self._sweeping = Sweeping(self.orders.orders, producer, topology.control)
        self.heart = self._make_heart()

    # -- life ------------------------------------------------------------------------------------

    def run(self) -> int:
        """Work until `stop` is called. Gives the exit code: 0 after a stop, 1 after a failure."""
        _LOG.info("scheduler started", scheduler=self.name, tiers=[tier.name for tier in TIERS])
        try:
            self.orders.start()
            member = self._join()  # which goes on while the orders are read
            self.orders.await_caught_up(self.stopping)
            self._schedules.start()
            self.heart.start()
            try:
                while not self.stopping.is_set():
                    self._turn(member)
            finally:
                # The group is left first: what is due meanwhile is late until another has it.
                self._schedules.end()
                self.orders.end()
                member.leave()
                self._schedules.stop()
                self._clients.close()
        except Exception as error:
            _LOG.exception("the scheduler stopped")
            self.failure = error
            return 1
        finally:
            self.heart.stop()
            self.orders.stop()
        _LOG.info("scheduler stopped", scheduler=self.name)
        return 0

    def _make_heart(self) -> Heart:
        identity = Identity(self.name, "scheduler")
        return Heart(
            lambda: make_heartbeat_producer(self.options.kafka),
            self._topology.workers,
            lambda: vital_signs.of_scheduler(identity, self._tiers, self.partitions, self.figures),
            lambda: changes_of((self.figures,)),
            self.options.heartbeats.heartbeat_interval,
        )

    def _join(self) -> Member:
        return Member(
            self._topology.scheduler_group,
            list(self._tiers),
            self._clients.consumer,
            self.partitions,
            self._recorder,
            self.figures,
            self,
            classic=self.options.kafka.group_protocol is Protocol.CLASSIC,
        )

    def stop(self, *, at_once: bool = False) -> None:
        """Ask the scheduler to commit and leave; from any thread. Nothing of it takes long."""
        self.stopping.set()

    def drain(self, places: Sequence[Place], serve: Callable[[], None] | None = None) -> None:
        """Wait for the answers to releases that are on their way."""
        deadline = time.monotonic() + _STOP_BUDGET
        while self._awaits_answers and time.monotonic() < deadline:
            self._releases.take_answers(wait=0.01)
            self._recorder.step()
            if serve is not None:
                serve()

    def forget(self, places: Sequence[Place]) -> None:
        """Drop what is held of these partitions: another scheduler reads it again."""
        self._in_hand.forget(places)

    # -- health ----------------------------------------------------------------------------------

    def assigned(self) -> bool:
        """Whether it has joined its group."""
        return self.figures.joined

    def broker_answers(self, timeout: float = 2.0) -> bool:
        """Whether Kafka answers now."""
        return self._releases.broker_answers(timeout)

    # -- the turn --------------------------------------------------------------------------------

    def _turn(self, member: Member) -> None:
        self._releases.take_answers()
        self._recorder.step()
        now = time.time_ns() // 1_000_000  # rounded down: never early
        self._dropping.step(now)
        due = self._in_hand.take_due(now, _BATCH)
        self._releases.release(self._dropping.pass_on(due, now))
        if not self._reading_up.goes_on:
            self._hop_what_has_waited(now)
        self._spill_if_short(now)
        self._pause_and_resume(member, now)
        self._take_in(member, member.poll(self._wait(), _POLL))
        self._sharing.step(member)
        if not self._reading_up.goes_on:
            self._schedules.follow(self.partitions.owned.get((self._soon, 0)))
        if (self._soon, 0) in self.partitions.owned:
            self._sweeping.step()
        self.figures.held, self.figures.held_bytes = len(self._in_hand), self._in_hand.bytes

    def _hop_what_has_waited(self, now: int) -> None:
        waited = self._in_hand.take_waited(now, _HOPS_WAITING - self._recorder.waiting)
        for record in self._dropping.pass_on(waited, now):
            self._recorder.add(hops.hop(record, hops.next_tier(record, now), self._topology, now))
            self.figures.hopped[record.tier.name] += 1

    def _spill_if_short(self, now: int) -> None:
        """Put what is due last back into a timed tier, instead of stopping the reading."""
        if self._recorder.waiting >= _HOPS_WAITING:
            return
        full = any(
            self._tiers[topic].is_soon and owned.ledger.full
            for (topic, _), owned in self.partitions.owned.items()
        )
        for record in self._in_hand.take_spilled(now, ledger_full=full):
            self._recorder.add(hops.hop(record, hops.spill_tier(record, now), self._topology, now))
            self.figures.spilled += 1

    def _pause_and_resume(self, member: Member, now: int) -> None:
        """A partition with enough in hand is not read further; a full ledger takes nothing."""
        leaving = self._releases.bytes + self._recorder.waiting_bytes
        for place, owned in self.partitions.owned.items():
            enough = self._in_hand.has_enough(place, now, leaving, paused=owned.paused)
            later = self._reading_up.goes_on and not self._tiers[place[0]].is_soon
            wanted = enough or later or owned.ledger.full
            if wanted and not owned.paused:
                member.pause([owned])
            elif owned.paused and not wanted:
                member.resume([owned])
            owned.paused = wanted

    def _wait(self) -> float:
        """Seconds until something is due, at most the interval; short while answers are awaited."""
        longest = self.options.settings.scheduler_interval.total_seconds()
        if self._awaits_answers or self._reading_up.goes_on:
            longest = min(longest, _SOON_ANSWERED)
        # What cannot hop before a transaction has ended is no reason to look again at once.
        hopping = self._recorder.waiting < _HOPS_WAITING
        upcoming = self._in_hand.next_move() if hopping else self._in_hand.next_due()
        if upcoming is None or self._reading_up.goes_on:
            return longest
        return min(longest, max(_BREATH, upcoming / 1000 - time.time()))

    @property
    def _awaits_answers(self) -> bool:
        return self._releases.busy or self._recorder.busy

    def _take_in(self, member: Member, messages: Iterable[Message]) -> None:
        of_soon, now = 0, now_ms()
        read: list[DelayedRecord] = []
        for message in messages:
            error = message.error()
            if error is not None:
                member.take_event(message, error)
                continue
            topic = message.topic() or ""
            of_soon += topic == self._soon
            owned = self.partitions.owned.get((topic, message.partition() or 0))
            if owned is None or not owned.ledger.start(message.offset() or 0):
                continue
            record = read_delayed(message, owned.assignment, self._tiers[topic], self._lanes, now)
            if isinstance(record, Stray):
                self._recorder.add(record.settled(self._topology, self.name))
            else:
                read.append(record)
        for record in self._dropping.pass_on(read, now):
            self._in_hand.take_in(record)
        self._reading_up.note(of_soon, self.figures.assigned)
