"""Recording what became of jobs: hand-overs and transitions first, the commit after them.

For every record of a lane, in this order:

1. its hand-over, if it has one, in a transaction together with its transition and the commit; or
2. its transition, stored by the broker; then
3. its offset finished in the ledger; then
4. the partition's commit, whenever the last one has been answered.

So no commit ever covers a job whose outcome is not stored.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from headrace.consumers.backlog import Backlog
from headrace.consumers.commit import Commit
from headrace.consumers.commit_metadata import MetadataTooLargeError
from headrace.consumers.figures import MemberFigures
from headrace.consumers.handover import End, HandOvers
from headrace.consumers.partitions import (
    OwnedPartition,
    Partitions,
    Place,
    committed_offsets,
)
from headrace.consumers.records import Assignment
from headrace.consumers.seldom import Seldom
from headrace.consumers.settled import HandOver, Settled
from headrace.consumers.transition_log import TransitionLog, bounded

_LOG = structlog.get_logger("headrace.recording")
COMMIT_INTERVAL = 0.1
"""Seconds between plain commits: what is finished since then is what a crash runs again."""
RENEWAL_INTERVAL = 6 * 3600.0
"""Seconds between commits of what has not changed: under KIP-848 offsets expire counting from the
last commit, even under a live member (`offsets.retention.minutes`, 7 days by default)."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between questions how a transaction has ended."""
_LAST_COMMIT = 10.0
"""Seconds to wait for the answer to the commit of partitions that are given up."""

_Commits = list[tuple[OwnedPartition, Commit]]


class Recorder:
    """Records the outcomes of one lane. Owned by the lane's thread.

    Args:
        partitions: What the lane owns.
        handovers: The transactional writer.
        transitions: The way to the events topic; None publishes no transitions.
        events: The events topic, for transitions that go with a hand-over.
        figures: Where it is counted.
        source: What is recorded here, for messages: a lane's topic, or the delay tiers.
    """

    def __init__(
        self,
        partitions: Partitions,
        handovers: HandOvers,
        transitions: TransitionLog | None,
        events: str,
        figures: MemberFigures,
        source: str,
    ) -> None:
        self._source = source
        self._partitions = partitions
        self._handovers = handovers
        self.transitions = transitions
        self._events = events
        self._figures = figures
        self._backlog = Backlog()
        self._refusals = Seldom(_LOG)
        self._next_question = 0.0
        self._pause = 0.0
        self._unresolved: _Commits = []
        self._undecided: list[Settled] = []
        self._committing: dict[Place, tuple[OwnedPartition, Commit]] = {}
        self._next_commit = 0.0
        self._giving_up = False
        self._next_renewal = time.monotonic() + RENEWAL_INTERVAL
        self._membership: Any = None
        self._consumer: Consumer | None = None

    def belong_to(self, consumer: Consumer) -> None:
        """Take the consumer whose partitions these are."""
        self._consumer = consumer

    def prove_membership(self) -> None:
        """Note the group membership. Call it right before each poll.

        A poll serves the rebalances that came before it, so after it the partitions still owned
        are those of this membership, or the broker refuses it: a member that slept through the
        loss of its partitions cannot hand over with a fresh membership.
        """
        assert self._consumer is not None
        self._membership = self._consumer.consumer_group_metadata()

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
        return transitions and not (self._backlog or self._unresolved or self._committing)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of what waits to be handed over."""
        return self._backlog.bytes

    @property
    def busy(self) -> bool:
        """Whether an answer is expected within milliseconds."""
        if self.transitions is not None and not self.transitions.idle:
            return True
        return bool(self._committing) or self._backlog.due(time.monotonic())

    def add(self, settled: Settled) -> None:
        """Take what became of a record. Of a closed assignment, it is fenced."""
        if settled.assignment.closed:
            self._figures.fenced += 1
            return
        self._figures.settled(settled)
        if settled.handover is not None:
            self._backlog.add(settled)
        elif self.transitions is not None:
            self.transitions.add(settled)
        else:
            self._finish((settled,))

    def announce(self, settled: Settled) -> None:
        """Publish a transition that finishes nothing."""
        if self.transitions is not None:
            self.transitions.add(settled)

    def step(self) -> None:
        """Do what can be done now without waiting: hand over, publish, finish, commit."""
        now = time.monotonic()
        self._hand_over(now)
        if self.transitions is not None:
            self.transitions.publish()
            self._finish(self.transitions.acknowledged())
            self._figures.unpublished = self.transitions.refused
        if now >= self._next_commit and not self._giving_up:
            self._next_commit = now + COMMIT_INTERVAL
            self._commit()

    def begin_giving_up(self, *, in_poll: bool) -> None:
        """Settle the commits on their way, and send no more until `end_giving_up`.

        Their answers come inside polls, and there is none while partitions are drained: a
        partition whose commit is outstanding could hand nothing over until the budget is spent.
        """
        self._giving_up = True
        self._commit_and_wait(list(self._committing), in_poll=in_poll)

    def end_giving_up(self) -> None:
        """Commit what is still owned as usual again."""
        self._giving_up = False

    def commit_finally(self, places: Sequence[Place], *, in_poll: bool) -> None:
        """Commit partitions that are about to be given up, and wait for the answer.

        Args:
            places: The partitions.
            in_poll: Whether it is called back from a poll: then nobody but this thread can use
                the consumer.
        """
        failure = self._commit_and_wait(places, in_poll=in_poll)
        if failure:
            _LOG.warning(
                "the last commit of partitions that are given up failed: their jobs since the "
                "commit before run again",
                partitions=list(places),
                error=failure,
            )

    def _commit_and_wait(self, places: Sequence[Place], *, in_poll: bool) -> str:
        assert self._consumer is not None
        commits: _Commits = []
        for place in places:
            owned = self._partitions.owned.get(place)
            if owned is None:
                continue
            outstanding = self._committing.pop(place, None)
            if outstanding is not None:
                # Sent before this one on the same connection: whatever became of it is overwritten.
                owned.ledger.commit_failed(outstanding[1])
            commit = self._next(owned)
            if commit is not None:
                commits.append((owned, commit))
        if not commits:
            return ""
        positions = [owned.position(commit) for owned, commit in commits]
        commit_now = _commit_now if in_poll else _commit_in_time
        failure = commit_now(self._consumer, positions)
        self._settle(commits, landed=not failure)
        self._figures.commit_failures += bool(failure)
        return failure

    def on_commit(self, error: KafkaError | None, answered: Sequence[TopicPartition]) -> None:
        """Take the answer to a plain commit. Called by the client inside a poll."""
        for position in answered:
            place = (position.topic, position.partition)
            failure = error or position.error
            pending = self._committing.get(place)
            if pending is None or (failure is None and pending[1].offset != position.offset):
                continue  # the answer to a commit of an ownership that is over
            del self._committing[place]
            owned, commit = pending
            if owned.assignment.closed:
                continue
            if failure is None:
                owned.ledger.committed(commit)
                self._figures.commits += 1
            else:
                owned.ledger.commit_failed(commit)
                self._figures.commit_failures += 1
                self._refusals.warn(
                    "a commit failed and is tried again",
                    topic=position.topic,
                    partition=position.partition,
                    offset=commit.offset,
                    error=str(failure),
                )

    def finish(self, assignment: Assignment, offset: int) -> None:
        """A record's outcome is stored. Of a closed assignment, it is fenced."""
        if assignment.closed:
            self._figures.fenced += 1
            return
        place = (assignment.topic, assignment.partition)
        self._partitions.owned[place].ledger.finish(offset)

    def _finish(self, stored: Iterable[Settled]) -> None:
        for settled in stored:
            if settled.announcement:
                continue
            self.finish(settled.assignment, settled.offset)

    def _commit(self) -> None:
        assert self._consumer is not None
        positions: list[TopicPartition] = []
        renew = self._renewal_is_due()
        for place, owned in self._partitions.owned.items():
            commit = self._next(owned, renew=renew)
            if commit is not None:
                self._committing[place] = (owned, commit)
                positions.append(owned.position(commit))
        if not positions:
            return
        try:
            self._consumer.commit(offsets=positions, asynchronous=True)
        except KafkaException as error:
            self.on_commit(error.args[0], positions)

    def forget(self, places: Iterable[Place]) -> None:
        """Partitions were lost: the answers to their commits mean nothing any more."""
        for place in places:
            self._committing.pop(place, None)

    def _renewal_is_due(self) -> bool:
        now = time.monotonic()
        due = now >= self._next_renewal
        if due:
            self._next_renewal = now + RENEWAL_INTERVAL
        return due

    def _next(
        self, owned: OwnedPartition, handing_over: Sequence[int] = (), *, renew: bool = False
    ) -> Commit | None:
        try:
            return owned.ledger.commit(handing_over, renew=renew)
        except MetadataTooLargeError as error:
            _LOG.debug("a commit waits for running jobs", place=owned.place, why=str(error))
            return None

    def _hand_over(self, now: float) -> None:
        if self._unresolved:
            self._resolve(now)
            return
        if not self._backlog or self._membership is None:
            return
        self._figures.fenced += self._backlog.drop_closed()
        chosen, commits = self._choose(now)
        if not chosen:
            return
        records = [settled.handover for settled in chosen if settled.handover is not None]
        if self.transitions is not None:
            told = [settled.transition for settled in chosen if settled.transition is not None]
            records += [
                HandOver("transition", self._events, None, payload, []) for payload in bounded(told)
            ]
        positions = [owned.position(commit) for owned, commit in commits]
        result = self._handovers.hand_over(records, positions, self._membership)
        self._figures.handover_durations.observe(time.monotonic() - now)
        self._ended(result.end, result.reason, chosen, commits)

    def _choose(self, now: float) -> tuple[list[Settled], _Commits]:
        """Take what can go into one transaction: of partitions without an outstanding commit."""
        by_place: dict[Place, list[Settled]] = {}
        for settled in self._backlog.take(now, self._committing):
            place = (settled.assignment.topic, settled.assignment.partition)
            by_place.setdefault(place, []).append(settled)
        chosen: list[Settled] = []
        commits: _Commits = []
        for place, group in by_place.items():
            owned = self._partitions.owned[place]
            commit = self._next(owned, [settled.offset for settled in group])
            if commit is None:
                self._backlog.put_back(group, now)
            else:
                chosen.extend(group)
                commits.append((owned, commit))
        return chosen, commits

    def _ended(self, end: End, reason: str, chosen: list[Settled], commits: _Commits) -> None:
        match end:
            case End.COMMITTED:
                self._settle(commits, landed=True)
                self._figures.handed_over(chosen, landed=True)
                self._backlog.went_through()
                self._unblock()
            case End.ABORTED:
                self._settle(commits, landed=False)
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

    def _settle(self, commits: _Commits, *, landed: bool) -> None:
        for owned, commit in commits:
            if owned.assignment.closed:
                continue
            if landed:
                owned.ledger.committed(commit)
            else:
                owned.ledger.commit_failed(commit)

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


def _commit_now(consumer: Consumer, positions: list[TopicPartition]) -> str:
    """Commit and wait for the answer; gives why it failed."""
    try:
        answered = consumer.commit(offsets=positions, asynchronous=False) or []
    except (KafkaException, RuntimeError) as error:  # RuntimeError: closed meanwhile
        return str(error)
    return next((str(each.error) for each in answered if each.error is not None), "")


def _commit_in_time(consumer: Consumer, positions: list[TopicPartition]) -> str:
    """Do the same on a thread of its own.

    The client's call waits for an absent broker without limit, and a process that is told to stop
    must end. Called back from a poll it would wait for that poll's end.
    """
    failures: list[str] = []
    thread = threading.Thread(
        target=lambda: failures.append(_commit_now(consumer, positions)),
        name="headrace-last-commit",
        daemon=True,
    )
    thread.start()
    thread.join(_LAST_COMMIT)
    return failures[0] if failures else f"no answer within {_LAST_COMMIT:g} s"
