"""The plain commits of a member: one outstanding per partition, a last one when it is given up.

A commit with a hand-over goes with its transaction (`recording`); both are made by the same
ledgers, which give no second one while the end of the first is unknown.
"""

import threading
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from headrace.consumers.commit import Commit
from headrace.consumers.commit_metadata import MetadataTooLargeError
from headrace.consumers.figures import MemberFigures
from headrace.consumers.owned import OwnedPartition, Place
from headrace.consumers.partitions import Partitions
from headrace.consumers.seldom import Seldom

_LOG = structlog.get_logger("headrace.commits")
COMMIT_INTERVAL = 0.1
"""Seconds between plain commits: what is finished since then is what a crash runs again."""
RENEWAL_INTERVAL = 6 * 3600.0
"""Seconds between commits of what has not changed: under KIP-848 offsets expire counting from the
last commit, even under a live member (`offsets.retention.minutes`, 7 days by default)."""
_LAST_COMMIT = 10.0
"""Seconds to wait for the answer to the commit of partitions that are given up."""
TRUSTED_FOR = 3.0
"""Seconds after a commit was sent, if it landed, in which this member surely owned what it owns: half
of the shortest session timeout that brokers take without being asked to."""

_REBALANCING: Final = frozenset(
    {
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.STALE_MEMBER_EPOCH,
    }
)
"""What a broker answers to a commit that comes in the middle of a rebalance."""

Pending = list[tuple[OwnedPartition, Commit]]


@dataclass(frozen=True, slots=True)
class CommitFailure:
    """Why a commit that was waited for is not stored.

    Attributes:
        reason: In the client's words.
        passes: Whether it is to be tried again after a rebalance that is under way.
    """

    reason: str
    passes: bool = False


class Commits:
    """Commits what the ledgers of one member say. Owned by the thread that polls.

    Args:
        partitions: What the member owns.
        figures: Where it is counted.
    """

    def __init__(self, partitions: Partitions, figures: MemberFigures) -> None:
        self._partitions = partitions
        self._figures = figures
        self._refusals = Seldom(_LOG)
        self._outstanding: dict[Place, tuple[OwnedPartition, Commit, float]] = {}
        self._next = 0.0
        self._next_renewal = time.monotonic() + RENEWAL_INTERVAL
        self._suspended = False
        self._confirmed = 0.0
        """When the last commit that landed was sent, in monotonic seconds."""
        self._asked = 0.0
        self._consumer: Consumer | None = None

    def belong_to(self, consumer: Consumer) -> None:
        """Take the consumer whose partitions these are."""
        self._consumer = consumer

    @property
    def outstanding(self) -> Collection[Place]:
        """The partitions with a commit on its way."""
        return self._outstanding.keys()

    def soon(self) -> None:
        """Commit with the next step, whatever the interval: something waits for it."""
        self._next = 0.0

    # -- ownership -------------------------------------------------------------------------------

    @property
    def trusted_until(self) -> float:
        """Until when it is known that the partitions are owned, in monotonic seconds.

        The group may have given them to others while this process slept, or could not reach the
        broker; it is told so only later. But the broker refuses commits of a member that it has put
        out (KIP-848: by its epoch), so one that landed proves that nothing was lost when it was sent.
        """
        return self._confirmed + TRUSTED_FOR

    def confirm(self, sent: float) -> None:
        """Say that a commit which was sent at this moment has landed."""
        self._confirmed = max(self._confirmed, sent)

    def ask_for_proof(self, now: float) -> bool:
        """See that something is committed soon, even if nothing has changed.

        Returns:
            Whether a proof is wanted that must come by another way: a transaction. While commits
            are suspended their answers cannot come.
        """
        if now - max(self._confirmed, self._asked) <= TRUSTED_FOR / 3:
            return False
        if self._suspended:
            self._asked = now
            return True
        self._asked = now if self._commit(now, renew=True) else self._asked
        return False

    # -- commits ---------------------------------------------------------------------------------

    def step(self, now: float) -> None:
        """Commit what has changed, if it is time. Does not wait for the answer."""
        if now >= self._next and not self._suspended:
            self._next = now + COMMIT_INTERVAL
            self._commit(now, renew=self._renewal_is_due(now))

    def may_hand_over(self, owned: OwnedPartition) -> bool:
        """Whether the next owner could find this one's transaction, should it die within.

        The first commit that says *open* tells the transactional id to fence.
        """
        if owned.known_open or self._suspended:
            return True
        owned.open()
        self.soon()
        return False

    def next_of(
        self, owned: OwnedPartition, handing_over: Sequence[int] = (), *, renew: bool = False
    ) -> Commit | None:
        """Make the next commit of a partition; None if there is none to make now."""
        try:
            return owned.commit(handing_over, renew=renew)
        except MetadataTooLargeError as error:
            _LOG.debug("a commit waits for running jobs", place=owned.place, why=str(error))
            return None

    def suspend(self) -> None:
        """Within a poll: settle the commits on their way, and send no more until `resume`.

        Their answers come inside polls, and there is none while partitions are drained: a
        partition whose commit is outstanding could hand nothing over until the budget is spent.
        What waits at a gate must not wait for a commit meanwhile, so the last one opens for it.
        """
        owned = self._partitions.owned
        waiting = [place for place, each in owned.items() if each.gated]
        for place in waiting:
            owned[place].open_for_what_waits()
        unproven = time.monotonic() >= self.trusted_until
        places = [*owned] if unproven else [*self._outstanding, *waiting]
        self._commit_and_wait(places, in_poll=True, renew=unproven)
        self._suspended = True

    def resume(self) -> None:
        """Commit what is still owned as usual again."""
        self._suspended = False

    def commit_finally(self, places: Sequence[Place], *, in_poll: bool) -> CommitFailure | None:
        """Commit partitions that are about to be given up, in order, and wait for the answer.

        It is sent even if nothing has changed: should the last commit of a former owner have
        been underway for long and have landed after this owner's, this one is the last again.

        Args:
            places: The partitions.
            in_poll: Whether it is called back from a poll: then nobody but this thread can use
                the consumer.

        Returns:
            Why it failed; None if it is stored.
        """
        for place in places:
            if place in self._partitions.owned:
                self._partitions.owned[place].close_standing()
        return self._commit_and_wait(places, in_poll=in_poll, renew=True)

    def tell_of_lost(self, places: Sequence[Place], failure: CommitFailure) -> None:
        """Say that the last commit of partitions failed for good."""
        _LOG.warning(
            "the last commit of partitions that are given up failed: their jobs since the "
            "commit before run again",
            partitions=list(places),
            error=failure.reason,
        )

    def forget(self, places: Iterable[Place]) -> None:
        """Partitions were lost: the answers to their commits mean nothing any more."""
        for place in places:
            self._outstanding.pop(place, None)

    def on_commit(self, error: KafkaError | None, answered: Sequence[TopicPartition]) -> None:
        """Take the answer to a plain commit. Called by the client inside a poll."""
        for position in answered:
            place = (position.topic, position.partition)
            failure = error or position.error
            pending = self._outstanding.get(place)
            if pending is None or not _answers(position, pending[1]):
                continue  # the answer to a commit before this one, or of an ownership that is over
            del self._outstanding[place]
            owned, commit, sent = pending
            if owned.assignment.closed:
                continue
            if failure is None:
                owned.committed(commit)
                self.confirm(sent)
                self._figures.commits += 1
            else:
                owned.commit_failed(commit)
                self._figures.commit_failures += 1
                self._refusals.warn(
                    "a commit failed and is tried again",
                    topic=position.topic,
                    partition=position.partition,
                    offset=commit.offset,
                    error=str(failure),
                )

    def _commit(self, now: float, *, renew: bool) -> bool:
        """Send a commit for each partition that has one to make; tells whether any has."""
        assert self._consumer is not None
        positions: list[TopicPartition] = []
        for place, owned in self._partitions.owned.items():
            commit = self.next_of(owned, renew=renew)
            if commit is not None:
                self._outstanding[place] = (owned, commit, now)
                positions.append(owned.position(commit))
        if not positions:
            return False
        try:
            self._consumer.commit(offsets=positions, asynchronous=True)
        except KafkaException as error:
            self.on_commit(error.args[0], positions)
        return True

    def _commit_and_wait(
        self, places: Iterable[Place], *, in_poll: bool, renew: bool = False
    ) -> CommitFailure | None:
        """Commit and wait for the answer."""
        assert self._consumer is not None
        commits: Pending = []
        for place in dict.fromkeys(places):
            owned = self._partitions.owned.get(place)
            if owned is None:
                continue
            outstanding = self._outstanding.pop(place, None)
            if outstanding is not None:
                # Sent before this one on the same connection: whatever became of it is overwritten.
                owned.commit_failed(outstanding[1])
            commit = self.next_of(owned, renew=renew)
            if commit is not None:
                commits.append((owned, commit))
        if not commits:
            return None
        positions = [owned.position(commit) for owned, commit in commits]
        commit_now = _commit_now if in_poll else _commit_in_time
        sent = time.monotonic()
        failure = commit_now(self._consumer, positions)
        settle(commits, landed=failure is None)
        if failure is not None:
            self._figures.commit_failures += 1
        else:
            self.confirm(sent)
        return failure

    def _renewal_is_due(self, now: float) -> bool:
        due = now >= self._next_renewal
        if due:
            self._next_renewal = now + RENEWAL_INTERVAL
        return due


def settle(commits: Pending, *, landed: bool) -> None:
    """Tell the partitions how their commits ended."""
    for owned, commit in commits:
        if owned.assignment.closed:
            continue
        if landed:
            owned.committed(commit)
        else:
            owned.commit_failed(commit)


def _answers(position: TopicPartition, commit: Commit) -> bool:
    """Whether the client's answer is to this commit; one that was given up may come later."""
    return (position.offset, position.metadata) == (commit.offset, commit.metadata)


def _commit_now(consumer: Consumer, positions: list[TopicPartition]) -> CommitFailure | None:
    """Commit and wait for the answer."""
    try:
        answered = consumer.commit(offsets=positions, asynchronous=False) or []
    except KafkaException as error:
        return _failure(error.args[0])
    except RuntimeError as error:  # closed meanwhile
        return CommitFailure(str(error))
    return next((_failure(each.error) for each in answered if each.error is not None), None)


def _failure(error: KafkaError) -> CommitFailure:
    return CommitFailure(str(error), passes=error.code() in _REBALANCING)


def _commit_in_time(consumer: Consumer, positions: list[TopicPartition]) -> CommitFailure | None:
    """Do the same on a thread of its own.

    The client's call waits for an absent broker without limit, and a process that is told to stop
    must end. Called back from a poll it would wait for that poll's end.
    """
    failures: list[CommitFailure | None] = []
    thread = threading.Thread(
        target=lambda: failures.append(_commit_now(consumer, positions)),
        name="headrace-last-commit",
        daemon=True,
    )
    thread.start()
    thread.join(_LAST_COMMIT)
    return failures[0] if failures else CommitFailure(f"no answer within {_LAST_COMMIT:g} s")
