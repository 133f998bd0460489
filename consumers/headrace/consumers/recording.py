"""Recording what became of jobs: hand-overs and transitions first, the commit after them.

For every record of a lane, in this order:

1. its hand-over, if it has one, in a transaction together with its transition and the commit; or
2. its transition, stored by the broker; then
3. its offset finished in the ledger; then
4. the partition's commit, whenever the last one has been answered.

So no commit ever covers a job whose outcome is not stored.

A hand-over goes on beside the lane, one at a time: its partitions are not committed otherwise until its
end is known, and everything else goes on.
"""

import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import Consumer

from headrace.consumers import handover_spans
from headrace.consumers.aside import Begin, at_once
from headrace.consumers.backlog import Backlog
from headrace.consumers.commits import Commits, Pending, settle
from headrace.consumers.figures import MemberFigures
from headrace.consumers.handover import End, HandOverResult, HandOvers
from headrace.consumers.owned import Place
from headrace.consumers.partitions import Partitions, committed_offsets
from headrace.consumers.records import Assignment
from headrace.consumers.settled import HandOver, Settled
from headrace.consumers.transition_log import TransitionLog, keyed
from headrace.pipeline.tracing import NO_TRACES, Traces

_LOG = structlog.get_logger("headrace.recording")
_MOST = 200
"""Hand-overs in one transaction, unless said otherwise."""
_LONGEST_REST = 0.1
"""Seconds that a lane rests from handing over, however long that took."""
_NOTE_EVERY = 0.05
"""Seconds after which the group membership is noted again though nothing waits for it."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between questions how a transaction has ended."""


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A transaction that goes on beside the lane.

    Attributes:
        chosen: What changes hands.
        commits: The commits that go with it.
        began: When, in monotonic seconds: what it proves it proves of then.
        bytes: Of memory, roughly, that what changes hands costs.
        end: How it ended, and when.
    """

    chosen: list[Settled]
    commits: Pending
    began: float
    bytes: int
    end: "Future[tuple[HandOverResult, float]]"


class Recorder:
    """Records the outcomes of one lane. Owned by the lane's thread.

    Args:
        partitions: What the lane owns.
        handovers: The transactional writer.
        transitions: The way to the events topic; None publishes no transitions.
        events: The events topic, for transitions that go with a hand-over.
        figures: Where it is counted.
        source: What is recorded here, for messages: a lane's topic, or the delay tiers.
        traces: Told of hand-overs.
        most: Hand-overs in one transaction.
        begin: Begins a transaction: `aside`, or here and now.
        rest: How many times as long as a transaction took the lane does other things before the next
            one, unless as many wait as go into it.
    """

    def __init__(
        self,
        partitions: Partitions,
        handovers: HandOvers,
        transitions: TransitionLog | None,
        events: str,
        figures: MemberFigures,
        source: str,
        traces: Traces = NO_TRACES,
        *,
        most: int = _MOST,
        begin: Begin = at_once,
        rest: float = 0.0,
    ) -> None:
        self._source = source
        self._traces = traces
        self._partitions = partitions
        self._handovers = handovers
        self.transitions = transitions
        self._events = events
        self._figures = figures
        self._backlog = Backlog(most)
        self._begin = begin
        self._under_way: _UnderWay | None = None
        self._next_question = 0.0
        self._pause = 0.0
        self._unresolved: Pending = []
        self._undecided: list[Settled] = []
        self.commits = Commits(partitions, figures)
        partitions.before_asking = self._end_all
        self._membership: Any = None
        self._note_at = 0.0
        self._most, self._rest = most, rest
        self._rests_until = 0.0
        self._consumer: Consumer | None = None

    def belong_to(self, consumer: Consumer) -> None:
        """Take the consumer whose partitions these are."""
        self._consumer = consumer
        self.commits.belong_to(consumer)

    def note_membership(self) -> None:
        """Note the group membership, unless it is known. Call it right before each poll.

        A poll serves the rebalances that came before it, so after it the partitions still owned
        are those of this membership, or the broker refuses it: a member that slept through the
        loss of its partitions cannot hand over with a fresh membership. An older one is refused all
        the more; but to ask takes the client longer than a whole poll, so while nothing is about to
        be handed over it is asked now and then.
        """
        now = time.monotonic()
        if self._membership is None or now >= self._note_at or self._is_time(now):
            self.prove_membership()

    def prove_membership(self) -> None:
        """Note the group membership as it is now."""
        assert self._consumer is not None
        self._membership = self._consumer.consumer_group_metadata()
        self._note_at = time.monotonic() + _NOTE_EVERY

    def distrust_membership(self) -> None:
        """The last poll changed what is owned: nothing is handed over before the next one."""
        self._membership = None

    @property
    def trusts_membership(self) -> bool:
        """Whether something could be handed over now."""
        return self._membership is not None

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be recorded."""
        transitions = self.transitions is None or self.transitions.idle
        return transitions and not (self._backlog or self._in_doubt or self.commits.outstanding)

    @property
    def waiting(self) -> int:
        """Records that are to be handed over; not those that were refused alone."""
        leaving = len(self._under_way.chosen) if self._under_way else 0
        return leaving + self._fresh

    @property
    def waiting_bytes(self) -> int:
        """Bytes of what is to be handed over."""
        return self._backlog.bytes + (self._under_way.bytes if self._under_way else 0)

    @property
    def busy(self) -> bool:
        """Whether an answer is expected within milliseconds."""
        if self.transitions is not None and not self.transitions.idle:
            return True
        if self.commits.outstanding or self._under_way is not None:
            return True
        return self._backlog.due(time.monotonic())

    def add(self, settled: Settled) -> None:
        """Take what became of a record. Of a closed assignment, it is fenced."""
        if settled.assignment.closed:
            self._figures.fenced += 1
            return
        self._figures.settled(settled)
        if settled.handover is not None:
            settled = handover_spans.begun(self._traces, settled)
            self._backlog.add(settled)
        elif self.transitions is not None:
            self.transitions.add(settled)
        else:
            self._finish((settled,))

    def forget_closed(self) -> None:
        """Drop what was not sent yet of partitions that belong to others by now."""
        if self.transitions is not None:
            self._figures.fenced += self.transitions.drop_closed()

    @property
    def congested(self) -> bool:
        """Whether the broker takes transitions so slowly that only those of outcomes should come."""
        return self.transitions is not None and self.transitions.congested

    def announce(self, settled: Settled) -> None:
        """Publish a transition that finishes nothing."""
        if self.transitions is not None:
            self.transitions.add(settled)

    def step(self, *, trusted: bool = True) -> None:
        """Do what can be done now without waiting: hand over, publish, finish, commit.

        Args:
            trusted: Whether it is known that the partitions are still owned. If not, nothing new
                is handed over or published, and what is under way is brought to its end.
        """
        now = time.monotonic()
        if self._in_doubt:
            self._look_for_the_end(now)
        elif trusted:
            self._hand_over(now)
        if self.transitions is not None:
            if trusted:
                self.transitions.publish()
            self._finish(self.transitions.acknowledged())
            self._figures.unpublished = self.transitions.refused
        self.commits.step(now)

    def ask_for_proof(self, now: float) -> None:
        """See that it is known soon whether the partitions are still owned.

        While partitions are drained the answers to commits cannot come; then a transaction that
        moves nothing asks the broker. A process that slept meanwhile, or was cut off, so learns that
        others have its partitions before it starts their jobs.
        """
        wanted = self.commits.ask_for_proof(now)
        if wanted and not self._in_doubt and self._membership is not None:
            self._prove_by_transaction(now)

    def _prove_by_transaction(self, now: float) -> None:
        # One whose owner is known first: should this process die within, the next one can fence it.
        for owned in sorted(self._partitions.owned.values(), key=lambda each: not each.known_open):
            commit = self.commits.next_of(owned, renew=True)
            if commit is not None:
                break
        else:
            return
        result = self._handovers.hand_over((), [owned.position(commit)], self._membership)
        if result.end is End.UNKNOWN:
            self._unresolved = [(owned, commit)]
            self._ask_later()
            return
        landed = result.end is End.COMMITTED
        settle([(owned, commit)], landed=landed)
        if landed:
            self.commits.confirm(now)

    def finish(self, assignment: Assignment, offset: int) -> None:
        """A record's outcome is stored. Of a closed assignment, it is fenced."""
        if assignment.closed:
            self._figures.fenced += 1
            return
        place = (assignment.topic, assignment.partition)
        self._partitions.owned[place].finish(offset)

    def _finish(self, stored: Iterable[Settled]) -> None:
        for settled in stored:
            if settled.announcement:
                continue
            self.finish(settled.assignment, settled.offset)

    def await_hand_over(self) -> None:
        """Wait for the end of a hand-over that is under way: its partitions are about to be given up.

        It is as bounded as its transaction. The end may be that it is not known.
        """
        if self._under_way is not None:
            self._take_end(self._under_way)

    @property
    def _in_doubt(self) -> bool:
        """Whether it is not known yet how a transaction has ended: no other may begin."""
        return self._under_way is not None or bool(self._unresolved)

    @property
    def _fresh(self) -> int:
        return len(self._backlog) - self._backlog.refused

    def _is_time(self, now: float) -> bool:
        """Whether something should be handed over now."""
        if not self._backlog or self._in_doubt:
            return False
        return now >= self._rests_until or self._fresh >= self._most

    def _hand_over(self, now: float) -> None:
        if self._membership is None or not self._is_time(now):
            return
        self._figures.fenced += self._backlog.drop_closed()
        before = self._backlog.bytes
        chosen, commits = self._choose(now)
        if not chosen:
            return
        records = [settled.handover for settled in chosen if settled.handover is not None]
        if self.transitions is not None:
            told = [settled.transition for settled in chosen if settled.transition is not None]
            records += [
                HandOver("transition", self._events, key, value, []) for key, value in keyed(told)
            ]
        positions = [owned.position(commit) for owned, commit in commits]
        membership = self._membership

        def write() -> tuple[HandOverResult, float]:
            return self._handovers.hand_over(records, positions, membership), time.monotonic()

        end = self._begin(f"headrace-handover-{self._source}", write)
        self._under_way = _UnderWay(chosen, commits, now, before - self._backlog.bytes, end)
        self._look_for_the_end(now)

    def _look_for_the_end(self, now: float) -> None:
        if self._under_way is None:
            self._resolve(now)
        elif self._under_way.end.done():
            self._take_end(self._under_way)

    def _take_end(self, under_way: _UnderWay) -> None:
        """Take how a transaction has ended; waits until it has."""
        self._under_way = None
        result, ended = under_way.end.result()
        if result.end is End.COMMITTED:
            self.commits.confirm(under_way.began)
        took = ended - under_way.began
        self._rests_until = ended + min(took * self._rest, _LONGEST_REST)
        self._figures.handover_durations.observe(took)
        self._ended(result.end, result.reason, under_way.chosen, under_way.commits)

    def _choose(self, now: float) -> tuple[list[Settled], Pending]:
        """Take what can go into one transaction: of partitions without an outstanding commit."""
        by_place: dict[Place, list[Settled]] = {}
        for settled in self._backlog.take(now, self.commits.outstanding):
            place = (settled.assignment.topic, settled.assignment.partition)
            by_place.setdefault(place, []).append(settled)
        chosen: list[Settled] = []
        commits: Pending = []
        for place, group in by_place.items():
            owned = self._partitions.owned[place]
            commit = None
            if self.commits.may_hand_over(owned):
                commit = self.commits.next_of(owned, [settled.offset for settled in group])
            if commit is None:
                self._backlog.put_back(group, now)
            else:
                chosen.extend(group)
                commits.append((owned, commit))
        return chosen, commits

    def _ended(self, end: End, reason: str, chosen: list[Settled], commits: Pending) -> None:
        match end:
            case End.COMMITTED:
                settle(commits, landed=True)
                self._figures.handed_over(chosen, landed=True)
                self._backlog.went_through()
                self._unblock()
                handover_spans.end(chosen)
            case End.ABORTED:
                settle(commits, landed=False)
                self._figures.handed_over(chosen, landed=False)
                self._backlog.failed(chosen, time.monotonic())
                self._block(reason)
            case End.UNKNOWN:
                self._unresolved = commits
                self._undecided = chosen
                self._ask_later()
                self._block(reason)

    def _resolve(self, now: float) -> None:
        """Learn how a transaction of unknown end has ended; until then nothing else is committed."""
        if now < self._next_question:
            return
        result = self._handovers.resume(self._landed)
        if result.end is End.UNKNOWN:
            self._ask_later()
            return
        commits, chosen = self._unresolved, self._undecided
        self._unresolved, self._undecided, self._pause = [], [], 0.0
        self._ended(result.end, result.reason, chosen, commits)

    def _end_all(self) -> None:
        """Before a partition is taken over, which may have been this lane's own until just now.

        A transaction that is under way could land after its offset was asked for.
        """
        self.await_hand_over()
        if self._unresolved:
            self._handovers.end_now()

    def _ask_later(self) -> None:
        self._pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, self._pause * 2))
        self._next_question = time.monotonic() + self._pause

    def _landed(self) -> bool:
        """Ask the broker whether the unresolved commits are there."""
        assert self._consumer is not None
        wanted = [
            (owned, commit) for owned, commit in self._unresolved if not owned.assignment.closed
        ]
        if not wanted:
            return False
        found = committed_offsets(self._consumer, [owned.position() for owned, _ in wanted], 5)
        return all(
            (position.offset, position.metadata) == (commit.offset, commit.metadata)
            for position, (_, commit) in zip(found, wanted, strict=True)
        )

    def _unblock(self) -> None:
        """One went through: all is well again, unless others have been refused."""
        if not self._figures.blocked or self._backlog.refused:
            return
        _LOG.info("hand-overs go through again", topic=self._source)
        self._figures.blocked = ""

    def _block(self, reason: str) -> None:
        if not self._figures.blocked:
            _LOG.warning(
                "a hand-over to the delay tiers or dead letters failed: its partition waits, "
                "nothing is lost; check the topics, their size limits and this worker's rights",
                topic=self._source,
                reason=reason,
            )
        self._figures.blocked = reason
