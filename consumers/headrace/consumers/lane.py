"""One lane of a worker: one thread that owns one consumer and the ledgers of its partitions.

The thread's turn, again and again:

    take results → record them (hand over, publish, finish, commit) → poll → admit → offer to slots

Executors get jobs from the slots and put results into a queue; they touch nothing else.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.consumers import execution
from headrace.consumers.clock import now_ms
from headrace.consumers.execution import Rules, Settled
from headrace.consumers.figures import LaneFigures
from headrace.consumers.outcomes import Attempted, GiveBack, HoldHere
from headrace.consumers.partitions import OwnedPartition, Partitions
from headrace.consumers.recent import RecentJobs
from headrace.consumers.recording import Recorder
from headrace.consumers.records import JobRecord
from headrace.consumers.slots import LaneBuffer, Slots
from headrace.pipeline.errors import LostOffsetError

_LOG = structlog.get_logger("headrace.lane")
BUFFER = 1_000
"""Records of one lane that wait in memory for a slot, at most."""
_ANNOUNCE_AFTER = 500
"""Milliseconds that a job runs before a `running` transition is published for it."""
_IDLE, _ACTIVE, _BUSY = 0.25, 0.05, 0.005
"""Seconds that a poll waits: nothing runs; jobs run; answers are expected at once. New records end
the wait whatever it is."""
_FULL_BEFORE_PAUSE = 0.5
"""Seconds without polling before the partitions are paused, because a pause discards what was
prefetched."""

MakeConsumer = Callable[[Callable[..., None], Callable[[KafkaError], None]], Consumer]


class LaneThread:
    """Polls one lane, owns its partitions, records what became of its jobs.

    Args:
        rules: What its jobs are judged by.
        make_consumer: Makes the consumer, given what to call on commits and on errors.
        partitions: Empty; this thread fills it.
        recorder: Records outcomes.
        slots: Where jobs wait for their turn and run.
        figures: Where it is counted.
        drain_budget: Seconds that a rebalance or a stop waits for running jobs.
        buffer_bytes: Bytes of records that may wait in memory.
        on_failure: Told when the thread ends with an error.
    """

    def __init__(
        self,
        rules: Rules,
        make_consumer: MakeConsumer,
        partitions: Partitions,
        recorder: Recorder,
        slots: Slots,
        figures: LaneFigures,
        *,
        drain_budget: float,
        buffer_bytes: int,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.rules = rules
        self.figures = figures
        self.partitions = partitions
        self.buffer: LaneBuffer = slots.add_lane(rules.lane)
        self._make_consumer = make_consumer
        self._recorder = recorder
        self._slots = slots
        self._drain_budget = drain_budget
        self._buffer_bytes = buffer_bytes
        self._on_failure = on_failure
        self._results: deque[tuple[JobRecord, Attempted]] = deque()
        self._held: list[tuple[float, JobRecord]] = []
        self._recent = RecentJobs()
        self._consumer: Consumer | None = None
        self._paused = False
        self._full_since: float | None = None
        self._announced: set[tuple[int, int]] = set()
        self._next_announcement = 0.0
        self._stop = threading.Event()
        self._at_once = threading.Event()
        self._error: Exception | None = None
        self.thread = threading.Thread(
            target=self._main, name=f"headrace-lane-{rules.lane.topic}", daemon=True
        )

    def report(self, record: JobRecord, attempted: Attempted) -> None:
        """Take the result of a started job. From any thread."""
        self._results.append((record, attempted))
        self._slots.finished(self.buffer, record)

    def stop(self, *, at_once: bool = False) -> None:
        """Ask the thread to drain, commit and leave; `at_once` skips the draining."""
        if at_once:
            self._at_once.set()
        self._stop.set()
        self.buffer.room.set()

    def turn(self, *, poll: bool = True) -> None:
        """One turn. Without `poll` it may run inside a rebalance callback."""
        self._take_results()
        self._announce()
        self._recorder.step()
        if poll:
            self._offer(self._admit(self._poll()))
        self._offer(self._released())

    def _main(self) -> None:
        try:
            self._live()
        except Exception as error:
            _LOG.exception("a lane stopped", lane=self.rules.lane.topic)
            self._on_failure(error)

    def _live(self) -> None:
        consumer = self._make_consumer(self._recorder.on_commit, self._on_error)
        self._consumer = consumer
        self._recorder.belong_to(consumer)
        consumer.subscribe(
            [self.rules.lane.topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )
        try:
            while not self._stop.is_set():
                self.turn()
        finally:
            self._leave(consumer)

    def _leave(self, consumer: Consumer) -> None:
        self._give_up(list(self.partitions.owned))
        self.figures.joined = False
        consumer.close()

    # -- results ---------------------------------------------------------------------------------

    def _take_results(self) -> None:
        while self._results:
            record, attempted = self._results.popleft()
            self._announced.discard((record.partition, record.offset))
            settled = execution.settle(record, attempted, self.rules)
            match settled:
                case Settled():
                    self._recorder.add(settled)
                case HoldHere(error):
                    self._hold(record, error.message)
                case GiveBack():
                    pass

    def _hold(self, record: JobRecord, why: str) -> None:
        _LOG.warning("a job waits in place", job=record.headers.job_id, why=why)
        self._held.append((time.monotonic() + 1.0, record))

    def _released(self) -> list[JobRecord]:
        if not self._held:
            return []
        now = time.monotonic()
        ready = [record for at, record in self._held if at <= now]
        self._held = [(at, record) for at, record in self._held if at > now]
        return [record for record in ready if not record.assignment.closed]

    def _announce(self) -> None:
        now = time.monotonic()
        if now < self._next_announcement:
            return
        self._next_announcement = now + _ANNOUNCE_AFTER / 2000
        old = now_ms() - _ANNOUNCE_AFTER
        for where, (record, started) in self._slots.started(self.buffer):
            if started <= old and where not in self._announced:
                self._announced.add(where)
                self._recorder.announce(execution.announce(record, self.rules, started))

    # -- polling ---------------------------------------------------------------------------------

    def _poll(self) -> list[Message]:
        assert self._consumer is not None
        room = self._room()
        if room <= 0 and not self._pause_when_long_full():
            self.buffer.room.wait(_BUSY)
            self.buffer.room.clear()
            return []
        self._resume_when_room(room)
        self._recorder.prove_membership()
        first = self._consumer.poll(0 if self._paused else self._wait())
        self.figures.last_poll = time.monotonic()
        self._raise_error()
        if self._paused:
            self.buffer.room.wait(_ACTIVE)
            self.buffer.room.clear()
        if first is None:
            return []
        more = self._consumer.consume(room - 1, 0) if room > 1 else []
        self._raise_error()
        return [first, *more]

    def _wait(self) -> float:
        if self._results or self._recorder.busy:
            return _BUSY
        return _ACTIVE if self.buffer.running else _IDLE

    def _room(self) -> int:
        if self.buffer.bytes >= self._buffer_bytes:
            return 0
        return BUFFER - len(self.buffer)

    def _pause_when_long_full(self) -> bool:
        """Keep polling for rebalances, with the partitions paused, once the buffer stays full."""
        now = time.monotonic()
        self._full_since = self._full_since or now
        if self._paused:
            return True
        if now - self._full_since < _FULL_BEFORE_PAUSE:
            return False
        assert self._consumer is not None
        self._consumer.pause(self._positions(self.partitions.owned.values()))
        self._paused = True
        return True

    def _resume_when_room(self, room: int) -> None:
        if room <= 0:
            return
        self._full_since = None
        if self._paused and room >= BUFFER // 2:
            assert self._consumer is not None
            able = [owned for owned in self.partitions.owned.values() if not owned.paused]
            self._consumer.resume(self._positions(able))
            self._paused = False
        self._pause_full_ledgers()

    def _pause_full_ledgers(self) -> None:
        """A partition whose finished map nears its bound takes no new records."""
        assert self._consumer is not None
        for owned in self.partitions.owned.values():
            if owned.ledger.full == owned.paused:
                continue
            owned.paused = not owned.paused
            if owned.paused:
                self._consumer.pause(self._positions([owned]))
            elif not self._paused:
                self._consumer.resume(self._positions([owned]))

    def _positions(self, owned: Iterable[OwnedPartition]) -> list[TopicPartition]:
        return [TopicPartition(self.rules.lane.topic, each.number) for each in owned]

    # -- admission -------------------------------------------------------------------------------

    def _admit(self, messages: list[Message]) -> list[JobRecord]:
        ready: list[JobRecord] = []
        now = time.time_ns() // 1_000_000
        for message in messages:
            error = message.error()
            if error is not None:
                self._take_error(message, error)
                continue
            owned = self.partitions.owned.get(message.partition() or 0)
            if owned is None or not owned.ledger.start(message.offset() or 0):
                continue
            received = execution.receive(message, owned.assignment, self.rules, self._recent, now)
            if isinstance(received, Settled):
                self._recorder.add(received)
            else:
                ready.append(received)
        return ready

    def _take_error(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            owned = self.partitions.owned.get(message.partition() or 0)
            if owned is not None:
                owned.ledger.advance_to(message.offset() or 0)
            return
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            raise LostOffsetError(
                f"{message.topic()}/{message.partition()}: the position {message.offset()} is gone "
                f"from the log ({error.str()}); restart the worker, which reports what was lost"
            )
        if error.fatal():
            raise KafkaException(error)
        _LOG.warning("a poll reported an error", lane=self.rules.lane.topic, error=error.str())

    def _offer(self, records: list[JobRecord]) -> None:
        if records:
            self._slots.offer(self.buffer, records)

    # -- rebalances ------------------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        try:
            if assigned:
                self.partitions.take_over(consumer, assigned)
            self.figures.joined = True
            self.figures.assigned += len(assigned)
            self._log_rebalance("partitions assigned", assigned)
        except Exception as error:
            self._error = error

    def _on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        try:
            self.figures.revoked += len(revoked)
            self._give_up([position.partition for position in revoked])
            self._log_rebalance("partitions revoked", revoked)
        except Exception as error:
            self._error = error
        finally:
            consumer.incremental_unassign(revoked)

    def _on_lost(self, consumer: Consumer, lost: list[TopicPartition]) -> None:
        numbers = [position.partition for position in lost]
        self.figures.lost_partitions += len(lost)
        self.partitions.close(numbers)
        self._withdraw(set(numbers))
        self._log_rebalance("partitions lost: another worker has them", lost)
        consumer.incremental_unassign(lost)

    def _give_up(self, numbers: list[int]) -> None:
        """Drain partitions, commit them, and fence what is late. The other partitions go on."""
        left_over = self._withdraw(set(numbers))
        owned = [self.partitions.owned[n] for n in numbers if n in self.partitions.owned]
        deadline = time.monotonic() + self._drain_budget
        while (
            any(each.ledger.running > left_over.get(each.number, 0) for each in owned)
            and time.monotonic() < deadline
            and not self._at_once.is_set()
        ):
            self.turn(poll=False)
            self.buffer.room.wait(_BUSY)
            self.buffer.room.clear()
        self._recorder.commit_finally(numbers)
        self.partitions.close(numbers)
        for number in numbers:
            self._recent.forget(number)

    def _withdraw(self, numbers: set[int]) -> dict[int, int]:
        """Take back what has not been started; count it by partition."""
        taken = self._slots.withdraw(self.buffer, lambda record: record.partition in numbers)
        held = [record for _, record in self._held if record.partition in numbers]
        self._held = [(at, record) for at, record in self._held if record.partition not in numbers]
        counts: dict[int, int] = {}
        for record in (*taken, *held):
            counts[record.partition] = counts.get(record.partition, 0) + 1
        return counts

    def _log_rebalance(self, what: str, positions: list[TopicPartition]) -> None:
        _LOG.info(
            what,
            lane=self.rules.lane.topic,
            partitions=sorted(position.partition for position in positions),
        )

    def _on_error(self, error: KafkaError) -> None:
        _LOG.warning("Kafka client", lane=self.rules.lane.topic, error=error.str())

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
