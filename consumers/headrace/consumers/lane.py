"""One lane of a worker: one thread that owns one consumer and the ledgers of its partitions.

The thread's turn, again and again:

    take results → record them (hand over, publish, finish, commit) → poll → admit → dispatch

Executors get jobs from the slots and put results into a queue; they touch nothing else.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import structlog
from confluent_kafka import Message

from headrace.consumers import attempt_log, execution
from headrace.consumers.attempt_traces import AttemptTraces
from headrace.consumers.circuits import CircuitGate, Circuits
from headrace.consumers.clock import now_ms
from headrace.consumers.dedup import LaneDedup
from headrace.consumers.dispatch import Dispatch
from headrace.consumers.dropping import Dropping
from headrace.consumers.figures import LaneFigures
from headrace.consumers.isolation import Isolation
from headrace.consumers.member import MakeConsumer, Member
from headrace.consumers.orders import Orders
from headrace.consumers.outcomes import Attempted, GiveBack, HoldHere
from headrace.consumers.owned import OwnedPartition, Place
from headrace.consumers.partitions import Partitions
from headrace.consumers.progress import ProgressDesk
from headrace.consumers.recent import RecentJobs
from headrace.consumers.recording import Recorder
from headrace.consumers.records import JobRecord
from headrace.consumers.seldom import Seldom
from headrace.consumers.settled import Rules, Settled, StayHere
from headrace.consumers.slots import LaneBuffer, Slots
from headrace.consumers.transition_log import TransitionLog
from headrace.schemas.trace_context import TraceContext, log_fields_of

_LOG = structlog.get_logger("headrace.lane")
BUFFER = 1_000
"""Records of one lane that wait in memory for a slot, at most."""
_ANNOUNCE_AFTER = 500
"""Milliseconds that a job runs before a `running` transition is published for it."""
_IDLE, _ACTIVE, _BUSY = 0.25, 0.05, 0.005
"""Seconds that a poll waits: nothing runs; jobs run; answers are expected at once. New records end
the wait whatever it is."""
_HOLD = 1.0
"""Seconds until a job that waits for something to answer is tried again."""
_SPARE, _SPARE_BYTES = 32, 1.125
"""Records that may be taken beyond the bounds while an answer to a commit is awaited, and the share
of the bound in bytes up to which one more may be."""
_LISTEN, _LONGEST_LISTEN = 0.0005, 0.016
"""Seconds between these polls, doubled each time: half a second together."""
_FULL_BEFORE_PAUSE = 0.5
"""Seconds without polling before the partitions are paused, because a pause discards what was
prefetched."""


class LaneThread:
    """Polls one lane, owns its partitions, records what became of its jobs.

    Args:
        rules: What its jobs are judged by.
        make_consumer: Makes the consumer, given what to call on commits and on errors.
        partitions: Empty; this thread fills it.
        recorder: Records outcomes.
        slots: Where jobs wait for their turn and run.
        isolation: Where jobs run that may kill their process.
        figures: Where it is counted.
        orders: Jobs that are not to be run.
        circuits: Job types that are left alone for a while.
        cancel: Ends a running attempt.
        in_children: Whether its jobs run in child processes anyway.
        drain_budget: Seconds that a rebalance or a stop waits for running jobs.
        buffer_bytes: Bytes of records that may wait in memory, for a slot or to be handed over.
        on_failure: Told when the thread ends with an error.
        classic: Whether its group has the classic protocol.
        dedup: The queue's dedup window; None if it has none.
        attempts: Where the spans of attempts are ended; None when nothing is traced.
    """

    def __init__(
        self,
        rules: Rules,
        make_consumer: MakeConsumer,
        partitions: Partitions,
        recorder: Recorder,
        slots: Slots,
        isolation: Isolation,
        figures: LaneFigures,
        *,
        orders: Orders,
        circuits: Circuits | None = None,
        cancel: Callable[[JobRecord], None],
        in_children: bool,
        drain_budget: float,
        buffer_bytes: int,
        on_failure: Callable[[BaseException], None],
        classic: bool = False,
        dedup: LaneDedup | None = None,
        attempts: AttemptTraces | None = None,
    ) -> None:
        self.rules = rules
        self.figures = figures
        self.partitions = partitions
        self.dispatch = Dispatch(
            rules,
            partitions,
            slots,
            isolation,
            in_children=in_children,
            report=self.report_isolated,
            figures=figures,
            partition_count=self._partition_count,
        )
        self.buffer: LaneBuffer = self.dispatch.buffer
        self._dropping = Dropping(orders, self.dispatch, self._record, rules, cancel)
        self._attempts = attempts
        self._gate = CircuitGate(circuits or Circuits(), self._record, rules)
        self._make_consumer = make_consumer
        self._recorder = recorder
        self._slots = slots
        self._drain_budget = drain_budget
        self._buffer_bytes = buffer_bytes
        self._on_failure = on_failure
        self._classic = classic
        self._results: deque[tuple[JobRecord, Attempted]] = deque()
        self._counted_at: tuple[int, int] = (-1, 0)
        self._holding = Seldom(_LOG)
        self.dedup = dedup
        self._recent = RecentJobs(submissions=dedup is None)
        self._member: Member | None = None
        self._paused = False
        self._full_since: float | None = None
        self._listened = 0
        self._announced: set[tuple[int, int]] = set()
        self.progress = ProgressDesk()
        self._next_announcement = 0.0
        self._stop = threading.Event()
        self._at_once = threading.Event()
        self.thread = threading.Thread(
            target=self._main, name=f"headrace-lane-{rules.lane.topic}", daemon=True
        )

    @property
    def transitions(self) -> TransitionLog | None:
        """Its way to the events topic; None when transitions are switched off."""
        return self._recorder.transitions

    @property
    def waiting(self) -> int:
        """Jobs that were read and have not been started."""
        unjudged = 0 if self.dedup is None else self.dedup.waiting
        return self.dispatch.waiting + unjudged

    @property
    def bytes(self) -> int:
        """Bytes of memory that they cost, roughly."""
        unjudged = 0 if self.dedup is None else self.dedup.bytes
        return self.dispatch.bytes + unjudged

    def report(self, record: JobRecord, attempted: Attempted) -> None:
        """Take the result of a started job. From any thread."""
        self._results.append((record, attempted))
        self._slots.finished(self.buffer, record)

    def report_isolated(self, record: JobRecord, attempted: Attempted) -> None:
        """Take the result of an isolated job, which had no slot. From any thread."""
        self._results.append((record, attempted))
        self.buffer.room.set()

    def stop(self, *, at_once: bool = False) -> None:
        """Ask the thread to drain, commit and leave; `at_once` skips the draining."""
        if at_once:
            self._at_once.set()
        self._stop.set()
        self.buffer.room.set()

    def turn(self, *, poll: bool = True) -> None:
        """One turn. Without `poll` it may run inside a rebalance callback."""
        commits = self._recorder.commits
        now = time.monotonic()
        trusted = now < commits.trusted_until
        self._let_start_until(commits.trusted_until)
        if trusted:
            self._take_results()
            self._dropping.step()
            self._announce()
        if self.dedup is not None:
            self._go_on_with_notes(self.dedup, trusted=trusted)
        self._recorder.step(trusted=trusted)
        if self.dedup is not None:  # whoever has seen that a job is cancelled may submit it anew
            self.dedup.leave(self._is_recorded)
        if poll:
            self._pass_on(self._admit(self._poll()))
        if trusted and self.dispatch.step():
            commits.soon()
        if (
            self._results
            or self.waiting
            or not self._recorder.idle
            or self._noting
            or self._dropping.behind
        ):
            self._recorder.ask_for_proof(now)

    def drain(self, places: Sequence[Place], serve: Callable[[], None] | None = None) -> None:
        """Let what runs on these partitions end, within the drain budget; the others go on."""
        not_running: Counter[Place] = Counter()
        deadline = time.monotonic() + self._drain_budget
        while True:
            # Again and again: a job that ends by waiting in place is left to the next owner.
            not_running.update(self.dispatch.withdraw(places))
            if self.dedup is not None:
                not_running.update(self.dedup.withdraw(places))
            owned = [self.partitions.owned[p] for p in places if p in self.partitions.owned]
            if not any(each.ledger.running > not_running[each.place] for each in owned):
                return
            if time.monotonic() >= deadline or self._at_once.is_set():
                return
            self.turn(poll=False)
            if serve is not None:
                serve()
            self._await_room(_BUSY)

    def forget(self, places: Sequence[Place]) -> None:
        """Drop what waits of these partitions: they belong to another worker."""
        self.dispatch.withdraw(places)
        self._recorder.forget_closed()
        for _, partition in places:
            self._recent.forget(partition)
        if self.dedup is not None:
            self.dedup.forget([partition for _, partition in places])

    def _main(self) -> None:
        try:
            self._live()
        except Exception as error:
            _LOG.exception("a lane stopped", lane=self.rules.lane.topic)
            self._on_failure(error)

    def _live(self) -> None:
        topic = self.rules.lane.topic
        self._member = Member(
            topic,
            [topic],
            self._make_consumer,
            self.partitions,
            self._recorder,
            self.figures,
            self,
            classic=self._classic,
        )
        try:
            while not self._stop.is_set():
                self.turn()
        finally:
            self._member.leave()

    def _let_start_until(self, trusted_until: float) -> None:
        """Jobs start only while it is known that this lane owns them; see `Commits`."""
        renewed = trusted_until > self.buffer.fresh_until
        self.buffer.fresh_until = self.partitions.trust.until = trusted_until
        if renewed:
            self._slots.offer(self.buffer, ())

    # -- results ---------------------------------------------------------------------------------

    def _take_results(self) -> None:
        while self._results:
            record, attempted = self._results.popleft()
            self._announced.discard((record.partition, record.offset))
            self.dispatch.ended(record)
            if self.progress.told:
                self._tell_last_progress(record, attempted)
            judged = self._dropping.judged(record, attempted)
            settled = execution.settle(record, judged, self.rules)
            span = None
            if self._attempts is not None:
                span = self._attempts.settled(record, judged, settled)
            match settled:
                case Settled():
                    self._record(record, settled)
                    attempt_log.tell(settled, record.headers.extra, span)
                    self.dispatch.follow(record, settled)
                case StayHere():
                    self._stay(settled, span)
                case HoldHere(error):
                    self._hold(record, error.message)
                case GiveBack():
                    pass

    def _record(self, record: JobRecord, settled: Settled) -> None:
        """Record what became of a job, at once or when its note in the dedup window is stored."""
        if self.dedup is None or not self.dedup.keeps_back(record, settled):
            self._recorder.add(settled)

    def _stay(self, stays: StayHere, span: TraceContext | None) -> None:
        """A job of an ordered queue failed, or waits, and its key with it."""
        if not self.dispatch.stay(stays):
            self.figures.fenced += 1
            return
        self.figures.settled(stays.told)
        self._recorder.announce(stays.told)
        attempt_log.tell(stays.told, stays.record.headers.extra, span)

    def _hold(self, record: JobRecord, why: str) -> None:
        ids = log_fields_of(record.headers.extra)
        self._holding.warn("a job waits in place", job=record.headers.job_id, why=why, **ids)
        self.dispatch.hold(record, _HOLD)

    def _announce(self) -> None:
        now = time.monotonic()
        if now < self._next_announcement:
            return
        self._next_announcement = now + _ANNOUNCE_AFTER / 2000
        running, at = self.dispatch.running(), now_ms()
        if self.progress.told and not self._recorder.congested:
            for record, started, progress in self.progress.due(running, now):
                self._announced.add((record.partition, record.offset))
                told = execution.announce_progress(record, self.rules, started, progress, at)
                self._recorder.announce(told)
        old = at - _ANNOUNCE_AFTER
        for record, started in running:
            where = (record.partition, record.offset)
            if started <= old and where not in self._announced:
                self._announced.add(where)
                self._recorder.announce(execution.announce(record, self.rules, started))

    def _tell_last_progress(self, record: JobRecord, attempted: Attempted) -> None:
        last = self.progress.last(record)
        if last is not None and not record.assignment.closed:
            started, ended = attempted.started, attempted.ended
            told = execution.announce_progress(record, self.rules, started, last, ended)
            self._recorder.announce(told)

    # -- polling ---------------------------------------------------------------------------------

    def _poll(self) -> list[Message]:
        assert self._member is not None
        room = self._room()
        if room > 0:
            self._listened = 0
            self._resume(room)
        elif self._recorder.commits.outstanding and self._may_listen():
            return self._listen()
        elif not self._pause_when_long_full():
            self._await_room(_BUSY)
            return []
        if not self._paused:
            return self._member.poll(self._wait(), min(room, BUFFER))
        messages = self._member.poll(0, 1)
        if messages:  # of a partition that was assigned since the others were paused
            self._member.pause(self.partitions.owned.values())
        self._await_room(self._wait())
        return messages

    def _may_listen(self) -> bool:
        return self._listened < _SPARE and self._bytes < self._buffer_bytes * _SPARE_BYTES

    def _listen(self) -> list[Message]:
        """Take the answer to a commit, which comes in polls only, though there is no more room.

        All that was read may wait at the gate for just this answer. Ever more seldom, since each
        poll may bring a record too.
        """
        assert self._member is not None
        self._listened += 1
        messages = self._member.poll(0, 1)
        if self._recorder.commits.outstanding:
            self._await_room(min(_LISTEN * 2**self._listened, _LONGEST_LISTEN))
        return messages

    def _wait(self) -> float:
        if self._results or self._recorder.busy or self._noting:
            return _BUSY
        longest = _ACTIVE if self.dispatch.active else _IDLE
        return min(longest, self.dispatch.seconds_left())

    def _await_room(self, seconds: float) -> None:
        self.buffer.room.wait(seconds)
        self.buffer.room.clear()

    def _room(self) -> int:
        return BUFFER - self.waiting if self._bytes < self._buffer_bytes else 0

    @property
    def _bytes(self) -> int:
        return self.bytes + self._recorder.waiting_bytes

    @property
    def _noting(self) -> bool:
        return self.dedup is not None and self.dedup.busy

    def _pause_when_long_full(self) -> bool:
        """Keep polling for rebalances, with the partitions paused, once the buffer stays full."""
        assert self._member is not None
        now = time.monotonic()
        self._full_since = self._full_since or now
        if not self._paused and now - self._full_since >= _FULL_BEFORE_PAUSE:
            self._member.pause(self.partitions.owned.values())
            self._paused = True
        return self._paused

    def _resume(self, room: int) -> None:
        assert self._member is not None
        self._full_since = None
        if self._paused and room >= BUFFER // 2:
            able = [owned for owned in self.partitions.owned.values() if not owned.paused]
            self._member.resume(able)
            self._paused = False
        self._pause_what_has_enough()

    def _pause_what_has_enough(self) -> None:
        """A partition takes no new records whose finished map nears its bound.

        Nor one of which many jobs wait for notes: the others must have room.
        """
        assert self._member is not None
        dedup = self.dedup
        for (_, partition), owned in self.partitions.owned.items():
            enough = owned.ledger.full or (dedup is not None and dedup.has_enough(partition))
            if enough == owned.paused:
                continue
            owned.paused = not owned.paused
            if owned.paused:
                self._member.pause([owned])
            elif not self._paused:
                self._member.resume([owned])

    # -- admission -------------------------------------------------------------------------------

    def _admit(self, messages: list[Message]) -> list[tuple[JobRecord, OwnedPartition]]:
        assert self._member is not None
        admitted: list[tuple[JobRecord, OwnedPartition]] = []
        topic = self.rules.lane.topic
        now = time.time_ns() // 1_000_000
        for message in messages:
            error = message.error()
            if error is not None:
                self._member.take_event(message, error)
                continue
            owned = self.partitions.owned.get((topic, message.partition() or 0))
            if owned is None:
                continue
            offset = message.offset() or 0
            if offset < owned.begins or not owned.ledger.start(offset):
                execution.remember(message, self.rules, self._recent, now)
                continue
            received = execution.receive(message, owned.assignment, self.rules, self._recent, now)
            if isinstance(received, Settled):
                self._recorder.add(received)
            elif self.dedup is not None and self.dedup.concerns(received):
                admitted += self._go_on(self.dedup.admit(received, now))
            else:
                admitted.append((received, owned))
        return admitted

    def _go_on_with_notes(self, dedup: LaneDedup, *, trusted: bool) -> None:
        """Record what waited for its note, and go on with what waited to be judged."""
        for settled in dedup.step(self._is_recorded, trusted=trusted):
            self._recorder.add(settled)
        self._pass_on(self._go_on(dedup.judged()))

    def _pass_on(self, admitted: Iterable[tuple[JobRecord, OwnedPartition]]) -> None:
        """Dispatch what was let in, without what orders drop and circuits send back."""
        self.dispatch.take(self._gate.pass_on(self._dropping.pass_on(admitted)))

    def _is_recorded(self, record: JobRecord) -> bool:
        owned = self.partitions.owned.get((self.rules.lane.topic, record.partition))
        return owned is None or not owned.ledger.is_running(record.offset)

    def _go_on(
        self, judged: Iterable[JobRecord | Settled]
    ) -> Iterator[tuple[JobRecord, OwnedPartition]]:
        for each in judged:
            owned = self.partitions.owned.get((self.rules.lane.topic, each.assignment.partition))
            if isinstance(each, Settled):
                self._recorder.add(each)
            elif owned is not None:
                yield each, owned

    def _partition_count(self) -> int:
        """Ask once for each change of what is owned."""
        assert self._member is not None
        changes = self.figures.assigned
        if self._counted_at[0] != changes:
            self._counted_at = (changes, self._member.partition_count(self.rules.lane.topic))
        return self._counted_at[1]
