"""A member of a consumer group: one consumer, its partitions, and what happens when they change.

One thread owns it. The client calls back inside `poll`, so a rebalance is served there: partitions
that are revoked are drained, committed and fenced before they are given away, while the others go
on; partitions that were lost are fenced at once and nothing is committed for them.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from headrace.consumers.bounded_call import CallHungError, within
from headrace.consumers.figures import MemberFigures
from headrace.consumers.owned import OwnedPartition, Place
from headrace.consumers.partitions import Partitions
from headrace.consumers.recording import Recorder
from headrace.consumers.seldom import Seldom
from headrace.pipeline.errors import LostOffsetError

_LOG = structlog.get_logger("headrace.member")

_LAST_CLOSE = 5.0
"""Seconds that leaving the group may take: with a commit outstanding the client's `close` waits for
an absent broker without limit, and a process that is told to stop must end."""
_JOINED_AFTER = 5.0
"""Seconds after which a member that was assigned nothing counts as one that idles."""
_REJOIN_AFTER = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each new consumer after a fatal error: a coordinator that is being restarted may
answer for a while with errors that the client calls fatal."""
_REJOINED = 60.0
"""Seconds after which a new consumer has proved itself."""
_MOST_CHANGES = 20
"""Polls of a member that leaves, until one of them brings no rebalance: what was revoked is followed
by what is assigned then, be it nothing. So often, too, its last commit is tried again."""
_ROUND = 0.1
"""Seconds until a last commit is tried again that was refused in the middle of a rebalance."""

MakeConsumer = Callable[[Callable[..., None], Callable[[KafkaError], None]], Consumer]


class Owner(Protocol):
    """Who works on the partitions; called in the thread that polls."""

    def drain(self, places: Sequence[Place], serve: Callable[[], None] | None = None) -> None:
        """Let what runs on these partitions end, within the drain budget, recording as usual.

        Args:
            places: The partitions.
            serve: To be called again and again: it serves rebalances meanwhile. None inside one.
        """
        ...

    def forget(self, places: Sequence[Place]) -> None:
        """Drop what is in memory of these partitions: they belong to somebody else."""
        ...


class Member:
    """One member of one group.

    Args:
        group: The group's name, for messages.
        topics: What to subscribe to.
        make_consumer: Makes the consumer, given what to call on commits and on errors.
        partitions: Empty; filled by assignments.
        recorder: Records outcomes and commits.
        figures: Where it is counted.
        owner: Who works on the partitions.
        classic: Whether the group has the classic protocol, whose generation changes with each
            rebalance, before those who own partitions are told.
    """

    def __init__(
        self,
        group: str,
        topics: Sequence[str],
        make_consumer: MakeConsumer,
        partitions: Partitions,
        recorder: Recorder,
        figures: MemberFigures,
        owner: Owner,
        *,
        classic: bool = False,
    ) -> None:
        self._group = group
        self._classic = classic
        self._topics = list(topics)
        self._make_consumer = make_consumer
        self._partitions = partitions
        self._recorder = recorder
        self._figures = figures
        self._owner = owner
        self._error: Exception | None = None
        self._fatal: KafkaError | None = None
        self._joins = 0
        self._joined_at = 0.0
        self._rejoins = 0
        self._rejoin_at: float | None = None
        self._errors = Seldom(_LOG)
        self._changes = 0
        self._started = time.monotonic()
        self._consumer = self._join()

    def _join(self) -> Consumer:
        """Make a consumer and subscribe; what one before it still tells is not listened to."""
        self._joins += 1
        self._joined_at = time.monotonic()
        join = self._joins

        def on_commit(error: KafkaError | None, answered: list[TopicPartition]) -> None:
            if join == self._joins:
                self._recorder.commits.on_commit(error, answered)

        consumer = self._make_consumer(on_commit, self._on_error)
        self._recorder.belong_to(consumer)
        self._subscribe(consumer)
        return consumer

    def _subscribe(self, consumer: Consumer) -> None:
        consumer.subscribe(
            self._topics,
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def ask_for_more(self) -> None:
        """Ask at once what is this member's now: the answer is served by the next polls.

        Else it is asked with the next heartbeat, which the broker may want seconds later only. The
        client has no call for it; but it tells a subscription at once (KIP-848), and the broker
        changes nothing when that is the same. In a classic group it would begin a rebalance, so
        nothing is asked there.
        """
        if self._classic or self._fatal is not None:
            return
        try:
            self._subscribe(self._consumer)
        except KafkaException as error:
            self._errors.warn("the group is not asked", group=self._group, error=str(error))

    def _has_rejoined(self, error: KafkaError, timeout: float) -> bool:
        """Go on with a new consumer: after a fatal error the client does nothing any more.

        It has one when the group has forgotten this member and itself, because the coordinator was
        away for longer than the session: librdkafka treats GROUP_ID_NOT_FOUND as fatal.

        Args:
            error: The fatal error.
            timeout: Seconds to wait at most before the next try.

        Raises:
            KafkaException: New ones had it too, for half a minute.
        """
        if self._rejoin_at is None:
            self._changes += 1
            self._lose(list(self._partitions.owned))
            self._rejoin_at = time.monotonic() + self._next_wait(error)
        left = self._rejoin_at - time.monotonic()
        if left > 0:
            time.sleep(min(timeout, left))
            return False
        self._rejoin_at = None
        broken, self._consumer = self._consumer, self._join()
        self._recorder.distrust_membership()
        self._close(broken)
        return True

    def _next_wait(self, error: KafkaError) -> float:
        if time.monotonic() - self._joined_at > _REJOINED:
            self._rejoins = 0
        if self._rejoins >= len(_REJOIN_AFTER):
            raise KafkaException(error)
        wait = _REJOIN_AFTER[self._rejoins]
        self._rejoins += 1
        _LOG.warning(
            "the Kafka client gave up: joining the group again with a new one",
            group=self._group,
            seconds=wait,
            error=error.str(),
        )
        return wait

    def poll(self, timeout: float, most: int) -> list[Message]:
        """Serve rebalances, and give up to `most` messages; waits only when there is none.

        Those with an error are events: give them to `take_event` in their place among the
        others. An end of partition that is taken before the records below it are entered in the
        ledger would make them holes.

        Args:
            timeout: Seconds to wait for the first record.
            most: Records, at least 1.

        Raises:
            LostOffsetError: A position is gone, or a group has no offset.
            KafkaException: The client cannot go on, and a new one could not either.
        """
        if self._fatal is not None:
            if not self._has_rejoined(self._fatal, timeout):
                return []
            self._fatal = None
        self._recorder.note_membership()
        changes = self._changes
        messages = self._fetch(timeout, most)
        self._figures.last_poll = time.monotonic()
        if self._error is not None:
            raise self._error
        if self._changes != changes:
            self._recorder.distrust_membership()
        if not self._figures.joined:
            self._figures.joined = self._idles()
        return messages

    def _fetch(self, timeout: float, most: int) -> list[Message]:
        first = self._consumer.poll(timeout)
        if first is None or most == 1:
            return [] if first is None else [first]
        place = (first.topic() or "", first.partition() or 0)
        owned = self._partitions.owned.get(place)
        more = self._consumer.consume(most - 1, 0)
        if self._partitions.owned.get(place) is not owned:
            # Its partition was given up in between. In a new ledger it would count as done what
            # lies before it.
            return more
        return [first, *more]

    def pause(self, owned: Iterable[OwnedPartition]) -> None:
        """Fetch nothing of these partitions; discards what was prefetched."""
        self._consumer.pause([each.position() for each in owned])

    def resume(self, owned: Iterable[OwnedPartition]) -> None:
        """Fetch again."""
        self._consumer.resume([each.position() for each in owned])

    def partition_count(self, topic: str) -> int:
        """Ask how many partitions a topic has; 0 if the broker does not tell within 5 s."""
        try:
            return len(self._consumer.list_topics(topic, timeout=5).topics[topic].partitions)
        except KafkaException as error:
            self._errors.warn("a topic's partitions are not told", topic=topic, error=str(error))
            return 0

    def leave(self) -> None:
        """Drain, commit and give up everything, and leave the group.

        While jobs end the group may change, and with it the membership that hand-overs and commits
        are accepted with: so rebalances are served until the last of them.
        """
        for _ in range(_MOST_CHANGES):
            if self._recorder.trusts_membership:
                break
            self._serve_rebalances()
        self._owner.drain(list(self._partitions.owned), self._serve_rebalances)
        self._recorder.await_hand_over()
        self._commit_at_last()
        places = list(self._partitions.owned)
        self._partitions.close(places)
        self._owner.forget(places)
        self._figures.joined = False
        self._close(self._consumer)

    def _commit_at_last(self) -> None:
        commits = self._recorder.commits
        for tries_left in reversed(range(_MOST_CHANGES)):
            places = list(self._partitions.owned)
            failure = commits.commit_finally(places, in_poll=False)
            if failure is None:
                return
            if not (failure.passes and tries_left):
                commits.tell_of_lost(places, failure)
                return
            self._serve_rebalances(_ROUND)

    def _close(self, consumer: Consumer) -> None:
        try:
            within(_LAST_CLOSE, "headrace-leave", consumer.close)
        except CallHungError:
            _LOG.warning(
                "the group could not be left, no broker answers: its partitions move on when this "
                "member's session has timed out",
                group=self._group,
            )

    def _serve_rebalances(self, timeout: float = 0) -> None:
        """Poll once for the sake of a membership that hand-overs can be made with.

        A record that comes is dropped: it was not entered in a ledger, so nothing is committed
        past it, and its next owner reads it.
        """
        self._recorder.prove_membership()
        changes = self._changes
        self._consumer.poll(timeout)
        if self._changes != changes:
            self._recorder.distrust_membership()

    def _idles(self) -> bool:
        """A member beyond the number of partitions joins too, but is assigned nothing."""
        waited = time.monotonic() - self._started
        return waited > _JOINED_AFTER and bool(self._consumer.memberid())

    def take_event(self, message: Message, error: KafkaError) -> None:
        """Take a message that is no record. Call it after the records before it were entered.

        Raises:
            LostOffsetError: The position is gone from the log.
        """
        place = (message.topic() or "", message.partition() or 0)
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            owned = self._partitions.owned.get(place)
            if owned is not None:
                owned.ledger.advance_to(message.offset() or 0)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - its public name
            raise LostOffsetError(
                f"{place[0]}/{place[1]}: the position {message.offset()} is gone from the log "
                f"({error.str()}); restart this process: it reports what was lost and goes on"
            )
        elif error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - its public name
            self._fatal = error  # the next poll begins anew
        else:
            self._errors.warn("a poll reported an error", group=self._group, error=error.str())

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        if consumer is not self._consumer:
            return
        self._changes += 1
        try:
            if assigned:
                self._partitions.take_over(consumer, assigned)
            self._figures.joined = True
            self._figures.assigned += len(assigned)
            self._log("partitions assigned", assigned)
        except Exception as error:
            self._error = error

    def _on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        if consumer is not self._consumer:
            consumer.incremental_unassign(revoked)
            return
        self._changes += 1
        try:
            self._figures.revoked += len(revoked)
            places = [(position.topic, position.partition) for position in revoked]
            if self._classic:
                self._take_new_generation(consumer)
            self._give_up(places)
            self._log("partitions revoked", revoked)
        except Exception as error:
            self._error = error
        finally:
            consumer.incremental_unassign(revoked)

    def _on_lost(self, consumer: Consumer, lost: list[TopicPartition]) -> None:
        if consumer is self._consumer:
            self._changes += 1
            self._lose([(position.topic, position.partition) for position in lost])
            self._log("partitions lost: another process has them", lost)
        consumer.incremental_unassign(lost)

    def _take_new_generation(self, consumer: Consumer) -> None:
        """Hand over as a member of the generation that asks for the partitions.

        It has begun before this is called back, and refuses what its forerunner's members commit.
        The client joins no other one before the partitions are given up; should this member be put
        out meanwhile, the broker refuses its generation. A client that knows so already has no
        member id, and without one a transaction's offsets would not be looked at (KIP-447).
        """
        self._recorder.prove_membership()
        if not consumer.memberid():
            self._recorder.distrust_membership()

    def _lose(self, places: Sequence[Place]) -> None:
        self._figures.lost_partitions += len(places)
        self._partitions.close(places)
        self._recorder.commits.forget(places)
        self._owner.forget(places)

    def _give_up(self, places: Sequence[Place]) -> None:
        commits = self._recorder.commits
        # First: while it is under way its partitions could not be told how far jobs may be started.
        self._recorder.await_hand_over()
        commits.suspend()
        try:
            self._owner.drain(places)
            self._recorder.await_hand_over()
            failure = commits.commit_finally(places, in_poll=True)
            if failure is not None:
                commits.tell_of_lost(places, failure)
        finally:
            commits.resume()
        self._partitions.close(places)
        self._owner.forget(places)

    def _log(self, what: str, positions: Iterable[TopicPartition]) -> None:
        by_topic: dict[str, list[int]] = {}
        for position in positions:
            by_topic.setdefault(position.topic, []).append(position.partition)
        places = {topic: _ranges(numbers) for topic, numbers in sorted(by_topic.items())}
        _LOG.info(what, group=self._group, partitions=places)

    def _on_error(self, error: KafkaError) -> None:
        self._errors.warn("Kafka client", group=self._group, error=error.str())


def _ranges(numbers: Iterable[int]) -> str:
    """Write partition numbers shortly: 0-2,5."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
