"""The scheduler: moves due records from the delay tiers back to their lanes.

The thread's turn:

    take the broker's answers → record (hop, finish, commit) → release what is due → hop what has
    waited its tier's time → spill when memory is short → poll until the next is due

A record enters the largest tier that is not longer than its remaining wait, and hops on when that
tier's time is over, until it is due within a minute and lies in `soon`, whose records are held in
memory. A hop is a transaction; a release is a plain acknowledged write to the lane, then the
commit. A scheduler that dies between the two releases a record again, which the lane recognises.
Never early: a record is released when this process's clock has reached its due time, not before.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from headrace.consumers.figures import SchedulerFigures
from headrace.consumers.handover import HandOvers
from headrace.consumers.member import Member
from headrace.consumers.naming import process_name
from headrace.consumers.partitions import OwnedPartition, Partitions, Place, Start
from headrace.consumers.recording import Recorder
from headrace.consumers.records import to_client
from headrace.consumers.seldom import Seldom
from headrace.consumers.settled import HandOver, Settled
from headrace.consumers.stray import Stray, read_delayed, too_large
from headrace.consumers.waiting import DelayedRecord, DueHeap, InHand
from headrace.pipeline.durations import to_milliseconds
from headrace.pipeline.kafka import make_consumer, make_producer, make_transactional_producer
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings, ProducerSettings, SchedulerSettings, load
from headrace.pipeline.topology import SOON_HORIZON, TIERS, TIMED_TIERS, Tier, tier_for

_LOG = structlog.get_logger("headrace.scheduler")
_POLL = 1_000
"""Records taken in one poll."""
_BATCH = 1_000
"""Records released or hopped in one turn."""
_IN_HAND = 500
"""Records of one partition of a timed tier in memory, before the partition is paused."""
_IN_HAND_BYTES = 1_048_576
"""The same in bytes."""
_RESUME_SHARE = 0.8
"""Share of a bound in bytes below which a paused partition is read again: a pause discards what
was prefetched, so it must not flicker."""
_SPILL_SHARE = 0.1
"""Share of what is held that is put back into a timed tier when memory is short."""
_SPILL_TIER = TIMED_TIERS[0]
_ALONE = 1.0
"""Seconds to wait for others to be stored before a record is sent alone, and for itself."""
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


class Scheduler:
    """Moves due records of one pipeline. Any number may run: they share the tiers' partitions."""

    def __init__(self, pipeline: Pipeline, options: SchedulerOptions | None = None) -> None:
        self.pipeline = pipeline
        self.name = process_name()
        self.options = options or SchedulerOptions()
        self.figures = SchedulerFigures()
        self.failure: BaseException | None = None
        self.stopping = threading.Event()
        self._topology = pipeline.topology
        self._tiers = {self._topology.tier(tier): tier for tier in TIERS}
        self._lanes = {lane.topic for lane in self._topology.lanes()}
        self._producer = make_producer(self.options.kafka, self.options.producing)
        transactional_id = f"{self._topology.scheduler_group}-{self.name}"
        self.partitions = Partitions(transactional_id, self.options.start)
        self._recorder = Recorder(
            self.partitions,
            HandOvers(lambda: self._transactional(transactional_id)),
            None,
            self._topology.events,
            self.figures,
            "the delay tiers",
        )
        self.heap = DueHeap()
        self._in_hand: dict[Place, InHand] = {}
        self._answers: deque[tuple[DelayedRecord, KafkaError | None]] = deque()
        self._unanswered = 0
        self._refused: deque[tuple[float, DelayedRecord]] = deque()
        self._on_the_way = 0
        """Bytes of what was released and is not acknowledged."""
        self._refusals = Seldom(_LOG)
        self._member: Member | None = None

    def run(self) -> int:
        """Work until `stop` is called. Gives the exit code: 0 after a stop, 1 after a failure."""
        _LOG.info("scheduler started", scheduler=self.name, tiers=[tier.name for tier in TIERS])
        try:
            self._member = Member(
                self._topology.scheduler_group,
                list(self._tiers),
                self._make_consumer,
                self.partitions,
                self._recorder,
                self.figures,
                self,
            )
            try:
                while not self.stopping.is_set():
                    self.turn()
            finally:
                self._member.leave()
        except Exception as error:
            _LOG.exception("the scheduler stopped")
            self.failure = error
            return 1
        _LOG.info("scheduler stopped", scheduler=self.name)
        return 0

    def stop(self, *, at_once: bool = False) -> None:
        """Ask the scheduler to commit and leave; from any thread. Nothing of it takes long."""
        self.stopping.set()

    def turn(self, *, poll: bool = True) -> None:
        """One turn. Without `poll` it may run inside a rebalance callback."""
        self._take_answers()
        self._recorder.step()
        now = time.time_ns() // 1_000_000
        self._release(self._take_due(now))
        self._hop_what_has_waited(now)
        self._spill_if_short(now)
        if poll:
            self._take_in(self._poll(now))
        self.figures.held, self.figures.held_bytes = self._held()

    def drain(self, places: Sequence[Place]) -> None:
        """Wait for the answers to releases that are on their way."""
        deadline = time.monotonic() + _STOP_BUDGET
        while (
            self._unanswered or self._answers or self._recorder.busy
        ) and time.monotonic() < deadline:
            self._take_answers(wait=0.01)
            self._recorder.step()

    def forget(self, places: Sequence[Place]) -> None:
        """Drop what is held of these partitions: another scheduler reads it again."""
        for place in places:
            self._in_hand.pop(place, None)
        self.heap.drop_closed()

    # -- health ----------------------------------------------------------------------------------

    def assigned(self) -> bool:
        """Whether it has joined its group."""
        return self.figures.joined

    def broker_answers(self, timeout: float = 2.0) -> bool:
        """Whether Kafka answers now."""
        try:
            self._producer.list_topics(self._topology.events, timeout=timeout)
        except KafkaException:
            return False
        return True

    # -- taking in -------------------------------------------------------------------------------

    def _poll(self, now: int) -> list[Message]:
        assert self._member is not None
        self._pause_and_resume()
        return self._member.poll(self._wait(now), _POLL)

    def _wait(self, now: int) -> float:
        """Seconds until something is due, at most the interval; short while answers are awaited."""
        longest = self.options.settings.scheduler_interval.total_seconds()
        if self._unanswered or self._answers or self._recorder.busy:
            longest = min(longest, 0.002)
        dues = [self.heap.next_due(), *(h.records[0].moves for h in self._heads())]
        upcoming = min((due for due in dues if due is not None), default=None)
        if upcoming is None:
            return longest
        left = upcoming / 1000 - time.time()
        return min(longest, max(0.0, left))

    def _heads(self) -> list[InHand]:
        return [hand for hand in self._in_hand.values() if hand.records]

    def _take_in(self, messages: list[Message]) -> None:
        assert self._member is not None
        for message in messages:
            error = message.error()
            if error is not None:
                self._member.take_event(message, error)
                continue
            place = (message.topic() or "", message.partition() or 0)
            owned = self.partitions.owned.get(place)
            if owned is not None and owned.ledger.start(message.offset() or 0):
                self._hold(message, place, owned)

    def _hold(self, message: Message, place: Place, owned: OwnedPartition) -> None:
        tier = self._tiers[place[0]]
        record = read_delayed(message, owned.assignment, tier, self._lanes)
        if isinstance(record, Stray):
            self._recorder.add(record.settled(self._topology, self.name))
        elif tier.is_soon:
            self.heap.push(record)
        else:
            self._in_hand.setdefault(place, InHand()).push(record)

    def _pause_and_resume(self) -> None:
        """A partition with enough in hand is not read further; a full ledger takes nothing."""
        assert self._member is not None
        for place, owned in self.partitions.owned.items():
            wanted = owned.ledger.full or self._has_enough(place, paused=owned.paused)
            if wanted and not owned.paused:
                self._member.pause([owned])
            elif owned.paused and not wanted:
                self._member.resume([owned])
            owned.paused = wanted

    def _has_enough(self, place: Place, *, paused: bool) -> bool:
        share = _RESUME_SHARE if paused else 1.0
        leaving = self._on_the_way + self._recorder.waiting_bytes
        if self._tiers[place[0]].is_soon:
            return leaving + self.heap.bytes > self._memory * share
        hand = self._in_hand.get(place)
        if leaving > self._memory * share:
            return True
        if hand is None:
            return False
        bound = _IN_HAND // 2 if paused else _IN_HAND
        return len(hand.records) >= bound or hand.bytes > _IN_HAND_BYTES * share

    # -- releasing -------------------------------------------------------------------------------

    def _take_due(self, now: int) -> list[DelayedRecord]:
        due = self.heap.take_due(now, _BATCH)
        self._on_the_way += sum(record.size for record in due)
        return due

    def _release(self, records: list[DelayedRecord]) -> None:
        while self._refused and self._refused[0][0] <= time.monotonic():
            records.append(self._refused.popleft()[1])
        for record in records:
            if record.assignment.closed:
                self._on_the_way -= record.size
            elif record.too_large:
                # Once more, alone: another record of the same batch may have been the large one.
                self._producer.flush(_ALONE)
                self._write(record)
                self._producer.flush(_ALONE)
            else:
                self._write(record)

    def _write(self, record: DelayedRecord) -> None:
        try:
            self._producer.produce(
                record.job.lane,
                record.payload,
                record.key,
                headers=to_client(record.job.next_step(due=record.due).encode()),
                on_delivery=self._answer(record),
            )
            self._unanswered += 1
        except BufferError as error:
            self._try_again(record, str(error))
        except KafkaException as error:
            self._refuse(record, error.args[0])

    def _answer(self, record: DelayedRecord) -> Callable[[KafkaError | None, Message], None]:
        return lambda error, _: self._answers.append((record, error))

    def _take_answers(self, wait: float = 0.0) -> None:
        self._producer.poll(wait)
        now = time.time() * 1000
        while self._answers:
            record, error = self._answers.popleft()
            self._unanswered -= 1
            if error is None:
                self._on_the_way -= record.size
                self._recorder.finish(record.assignment, record.offset)
                self.figures.released[record.job.lane] += 1
                self.figures.lateness.observe(max(0.0, now - record.due) / 1000)
            else:
                self._refuse(record, error)

    def _refuse(self, record: DelayedRecord, error: KafkaError) -> None:
        """Decide about a record that was not stored.

        Raises:
            KafkaException: The producer is at its end; a new process makes a new one.
        """
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - its public name
            raise KafkaException(error)
        if error.code() != KafkaError.MSG_SIZE_TOO_LARGE:
            self._try_again(record, error.str())
        elif not record.too_large:
            record.too_large = True
            self._try_again(record, error.str())
        else:
            self._on_the_way -= record.size
            self._recorder.add(too_large(record, self._topology, self.name))

    def _try_again(self, record: DelayedRecord, reason: str) -> None:
        self._refusals.warn(
            "a due job could not be released and is tried again in a second",
            job=record.job.job_id,
            lane=record.job.lane,
            reason=reason,
        )
        self.figures.refused += 1
        self._refused.append((time.monotonic() + 1.0, record))

    # -- hops ------------------------------------------------------------------------------------

    def _hop_what_has_waited(self, now: int) -> None:
        for hand in self._in_hand.values():
            for record in hand.take_over(now, _BATCH):
                self.figures.hopped[self._tiers[record.assignment.topic].name] += 1
                self._hop(record, now)

    def _hop(self, record: DelayedRecord, now: int, tier: Tier | None = None) -> None:
        """Put a record into another tier: the one that fits what is left, if none is given."""
        tier = tier or tier_for(timedelta(milliseconds=max(0, record.due - now)))
        following = record.job.next_step(due=record.due)
        topic = self._topology.tier(tier)
        handover = HandOver("hop", topic, record.key, record.payload, following.encode())
        self._recorder.add(Settled(record.assignment, record.offset, None, handover))

    @property
    def _memory(self) -> int:
        return self.options.settings.scheduler_memory_bytes

    def _spill_if_short(self, now: int) -> None:
        """Put what is due last back into a timed tier, instead of stopping the reading."""
        full = any(
            owned.ledger.full and self._tiers[place[0]].is_soon
            for place, owned in self.partitions.owned.items()
        )
        if self.heap.bytes <= self._memory * (1 - _SPILL_SHARE) and not full:
            return
        not_before = now + to_milliseconds(_SPILL_TIER.wait) + 1_000
        for record in self.heap.take_last(_SPILL_SHARE, not_before):
            wait = timedelta(milliseconds=record.due - now)
            tiers = [tier for tier in TIMED_TIERS if tier.wait <= min(wait, SOON_HORIZON / 2)]
            self._hop(record, now, tiers[-1])
            self.figures.spilled += 1

    # -- parts -----------------------------------------------------------------------------------

    def _held(self) -> tuple[int, int]:
        hands = self._in_hand.values()
        return (
            len(self.heap) + sum(len(hand.records) for hand in hands),
            self.heap.bytes + sum(hand.bytes for hand in hands),
        )

    def _make_consumer(
        self, on_commit: Callable[..., None], on_error: Callable[[KafkaError], None]
    ) -> Consumer:
        return make_consumer(
            self.options.kafka,
            self._topology.scheduler_group,
            on_error=on_error,
            committed_only=True,
            on_commit=on_commit,
        )

    def _transactional(self, transactional_id: str) -> Producer:
        options = self.options
        return make_transactional_producer(options.kafka, options.producing, transactional_id)
