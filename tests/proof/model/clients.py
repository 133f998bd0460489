"""Consumer and producer of one simulated process, with the methods that the engine calls."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition

from headrace.pipeline.partitioner import partition_of
from tests.proof.model.broker import (
    SESSION,
    UNDERWAY,
    Broker,
    End,
    Headers,
    MemberState,
    Place,
    Record,
    Refusal,
    Transaction,
)


class ProcessDiedError(BaseException):
    """The process was killed inside a call; nothing of the engine may catch it."""


@dataclass(eq=False)
class Host:
    """The process that clients belong to: it can be killed at any of their calls.

    Attributes:
        fuse: Calls until it is killed; None when it is not.
        network: `fast`: what is sent arrives, and is answered in the next poll; `unacked`: it
            arrives and is not answered yet; `held`: it has not arrived.
        fault: What happens to the commits of its next transactions: `refused`, `unanswered` (it
            landed and nobody said so), `underway` (it has not landed), or nothing.
        faults: To how many of these calls.
        reads: Records that a poll gives at most.
        late_rebalance: Whether rebalances are served after the first record of a poll.
    """

    broker: Broker
    name: str
    dead: bool = False
    fuse: int | None = None
    network: str = "fast"
    fault: str = ""
    faults: int = 0
    reads: int = 1_000
    late_rebalance: bool = False
    consumers: list["SimulatedConsumer"] = field(default_factory=list)

    def call(self) -> bool:
        """Enter a call; False on another thread of a dead process, where nobody could catch."""
        if self.fuse is not None and not self.dead:
            self.fuse -= 1
            if self.fuse < 0:
                self.die()
        if not self.dead:
            return True
        if threading.current_thread() is threading.main_thread():
            raise ProcessDiedError(self.name)
        return False

    def next_fault(self) -> str:
        """What happens to the commit of a transaction now."""
        self.faults -= 1
        return self.fault if self.faults >= 0 else ""

    def die(self) -> None:
        """What has not arrived never will; the coordinator notices when the session is over."""
        self.dead = True
        for consumer in self.consumers:
            if consumer.member is not None and consumer.member.expires is None:
                consumer.member.expires = self.broker.clock.monotonic() + SESSION


class SimulatedMessage:
    """As much of a consumed message as the engine looks at."""

    def __init__(self, place: Place, offset: int, record: Record | None, error: Any = None) -> None:
        self._place, self._offset, self._record, self._error = place, offset, record, error

    def error(self) -> Any:
        return self._error

    def topic(self) -> str:
        return self._place[0]

    def partition(self) -> int:
        return self._place[1]

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return None if self._record is None else self._record.key

    def value(self) -> bytes | None:
        return None if self._record is None else self._record.value

    def headers(self) -> Headers | None:
        return None if self._record is None else list(self._record.headers)

    def timestamp(self) -> tuple[int, int]:
        assert self._record is not None
        return 2, self._record.timestamp


@dataclass(frozen=True, slots=True)
class GroupMetadata:
    group: str
    member_id: str
    epoch: int


@dataclass(slots=True, eq=False)
class _CommitRequest:
    epoch: int
    positions: list[TopicPartition]
    arrived: bool = False
    failure: KafkaError | None = None


class SimulatedConsumer:
    """A group member that reads its partitions in turn, and is told of rebalances in its polls."""

    def __init__(
        self,
        host: Host,
        group: str,
        on_commit: Callable[..., None],
        *,
        committed_only: bool = False,
    ) -> None:
        self.clock = host.broker.clock
        self._host = host
        self._broker = host.broker
        self._group = group
        self._on_commit = on_commit
        self._committed_only = committed_only
        self._assigned: set[Place] = set()
        self._positions: dict[Place, int] = {}
        self._ends_told: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._requests: deque[_CommitRequest] = deque()
        self.member: MemberState | None = None
        host.consumers.append(self)

    # -- membership ------------------------------------------------------------------------------

    def subscribe(
        self, topics: Sequence[str], *, on_assign: Any, on_revoke: Any, on_lost: Any
    ) -> None:
        self._host.call()
        self._callbacks = SimpleNamespace(assign=on_assign, revoke=on_revoke, lost=on_lost)
        if (
            self.member is None
        ):  # told anew, a subscription asks what the member's part is (KIP-848)
            self.member = self._broker.join(self._group)

    def close(self) -> None:
        self._host.call()
        self._flush()
        if self._assigned:
            self._callbacks.revoke(self, _positions(self._assigned))
        members = self._broker.groups[self._group].members
        if self.member is not None:
            members.pop(self.member.member_id, None)

    def memberid(self) -> str:
        assert self.member is not None
        return self.member.member_id

    def consumer_group_metadata(self) -> GroupMetadata:
        assert self.member is not None
        return GroupMetadata(self._group, self.member.member_id, self.member.epoch)

    def incremental_assign(self, positions: Sequence[TopicPartition]) -> None:
        self._host.call()
        for each in positions:
            self._positions[each.topic, each.partition] = each.offset
            self._ends_told.pop((each.topic, each.partition), None)

    def incremental_unassign(self, positions: Sequence[TopicPartition]) -> None:
        self._host.call()
        assert self.member is not None
        for place in _places(positions):
            self._positions.pop(place, None)
            self._assigned.discard(place)
            self.member.owned.discard(place)

    def _rebalance(self) -> bool:
        """Serve one step of a rebalance, if there is one to serve."""
        group = self._broker.groups[self._group]
        assert self.member is not None
        if self.member.member_id not in group.members:
            lost = set(self._assigned)
            self._requests.clear()
            self.member = self._broker.join(self._group)
            if lost:
                self._callbacks.lost(self, _positions(lost))
            return True
        target = group.target(self.member)
        revoked = self._assigned - target
        if revoked:
            self._callbacks.revoke(self, _positions(revoked))
            self._host.call()
            self.member.epoch += 1
            return True
        added = {each for each in target - self._assigned if group.owner(each) is None}
        if added:
            self.member.epoch += 1
            self.member.owned |= added
            self._assigned |= added
            self._callbacks.assign(self, _positions(added))
        return bool(added)

    # -- reading ---------------------------------------------------------------------------------

    def poll(self, timeout: float) -> Any:
        self._host.call()
        self._answer()
        late = self._host.late_rebalance
        if not late and self._rebalance():
            return None
        found = self._next() if self._host.reads > 0 else None
        if found is None and late:
            self._rebalance()
        return found

    def consume(self, most: int, timeout: float) -> list[Any]:
        self._host.call()
        if self._host.late_rebalance:
            self._rebalance()
        found: list[Any] = []
        while len(found) < min(most, self._host.reads - 1):
            message = self._next()
            if message is None:
                break
            found.append(message)
        return found

    def _next(self) -> SimulatedMessage | None:
        for place in sorted(self._positions):
            if place not in self._paused and (message := self._next_of(place)) is not None:
                return message
        return None

    def _next_of(self, place: Place) -> SimulatedMessage | None:
        log = self._broker.logs[place]
        end = log.stable_end if self._committed_only else log.end
        at = self._positions[place]
        if at < log.start:
            self._positions[place] = log.start
            return SimulatedMessage(place, at, None, KafkaError(KafkaError._AUTO_OFFSET_RESET))
        while at < end:
            record = log.entries[at]
            at += 1
            self._positions[place] = at
            if record is not None and (record.visible or not self._committed_only):
                return SimulatedMessage(place, at - 1, record)
        if self._ends_told.get(place) == at:
            return None
        self._ends_told[place] = at
        return SimulatedMessage(place, at, None, KafkaError(KafkaError._PARTITION_EOF))

    def pause(self, positions: Sequence[TopicPartition]) -> None:
        self._paused.update(_places(positions))

    def resume(self, positions: Sequence[TopicPartition]) -> None:
        self._paused.difference_update(_places(positions))

    def get_watermark_offsets(self, position: TopicPartition, timeout: float) -> tuple[int, int]:
        self._host.call()
        log = self._broker.logs[position.topic, position.partition]
        return log.start, log.stable_end if self._committed_only else log.end

    def list_topics(self, topic: str, timeout: float) -> Any:
        partitions = range(self._broker.width(topic))
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions=partitions)})

    # -- offsets ---------------------------------------------------------------------------------

    def committed(
        self, positions: Sequence[TopicPartition], timeout: float
    ) -> list[TopicPartition]:
        self._host.call()
        return committed(self._broker, self._group, positions, stable=self._committed_only)

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> Any:
        if not self._host.call():
            return offsets
        assert self.member is not None
        request = _CommitRequest(self.member.epoch, offsets)
        self._requests.append(request)
        if asynchronous:
            if self._host.network != "held":
                self._arrive(request)
            return None
        self._requests.pop()
        self._flush()
        self._arrive(request)
        if request.failure is not None:
            raise KafkaException(request.failure)
        return offsets

    def _answer(self) -> None:
        """Serve the answers that have come: inside polls only."""
        if self._host.network != "fast":
            return
        self._flush()

    def _flush(self) -> None:
        while self._requests:
            request = self._requests.popleft()
            self._arrive(request)
            self._on_commit(request.failure, request.positions)

    def _arrive(self, request: _CommitRequest) -> None:
        if request.arrived:
            return
        request.arrived = True
        assert self.member is not None
        group = self._broker.groups[self._group]
        try:
            group.check(self.member.member_id, request.epoch)
        except Refusal as refusal:
            request.failure = KafkaError(KafkaError.UNKNOWN_MEMBER_ID, str(refusal))
            return
        if not self._broker.takes_commits:
            request.failure = KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE, "made so")
            return
        for each in request.positions:
            place = (each.topic, each.partition)
            by = self.member.member_id
            self._broker.commit(self._group, place, each.offset, each.metadata or "", by)


def committed(
    broker: Broker, group: str, positions: Sequence[TopicPartition], *, stable: bool
) -> list[TopicPartition]:
    """Tell a group's offsets; `stable` refuses while an open transaction will change one."""
    found: list[TopicPartition] = []
    for place in _places(positions):
        if stable and broker.unstable(group, place):
            raise KafkaException(KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT))
        at = broker.groups[group].offsets.get(place)
        offset, metadata = (at.offset, at.metadata) if at else (OFFSET_INVALID, "")
        found.append(TopicPartition(*place, offset, metadata))
    return found


@dataclass(slots=True, eq=False)
class _Sent:
    place: Place
    key: bytes | None
    value: bytes | None
    headers: Headers
    on_delivery: Any
    stored: bool = False
    refused: bool = False


class SimulatedProducer:
    """An idempotent producer; with a transactional id, a transactional one."""

    def __init__(self, host: Host, transactional_id: str | None = None) -> None:
        self._host = host
        self._broker = host.broker
        self._id = transactional_id
        self._epoch = 0
        self._transaction: Transaction | None = None
        self._sent: deque[_Sent] = deque()

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        *,
        headers: Any = None,
        on_delivery: Any = None,
    ) -> None:
        self._host.call()
        number = partition_of(key, self._broker.width(topic)) if key else 0
        sent = _Sent((topic, number), key, value, list(headers or []), on_delivery)
        self._sent.append(sent)
        if self._transaction is not None or self._host.network != "held":
            self._store(sent)

    def poll(self, timeout: float) -> int:
        self._host.call()
        if timeout > 0:
            self._broker.clock.advance(timeout)
        if timeout > 0 or self._host.network == "fast":
            self._deliver()
        return 0

    def flush(self, timeout: float) -> int:
        self._host.call()
        self._deliver()
        return 0

    def list_topics(self, topic: str, timeout: float) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=None)})

    def _deliver(self) -> None:
        while self._sent:
            sent = self._sent.popleft()
            self._store(sent)
            error = KafkaError(KafkaError.POLICY_VIOLATION, "made so") if sent.refused else None
            if sent.on_delivery is not None:
                sent.on_delivery(error, SimulatedMessage(sent.place, 0, None))

    def _store(self, sent: _Sent) -> None:
        if sent.stored or sent.refused:
            return
        sent.refused = sent.place[0] in self._broker.refusing
        if not sent.refused:
            sent.stored = True
            where = (sent.place, sent.key, sent.value, sent.headers)
            self._broker.append(*where, self._transaction)

    # -- transactions ----------------------------------------------------------------------------

    def init_transactions(self, timeout: float) -> None:
        if self._host.call():
            assert self._id is not None
            self._epoch = self._broker.init_transactions(self._id)

    def begin_transaction(self) -> None:
        self._host.call()
        self._refuse_if_fenced()
        assert self._id is not None
        self._transaction = self._broker.begin(self._id, self._epoch)

    def send_offsets_to_transaction(
        self, offsets: list[TopicPartition], group: GroupMetadata, timeout: float
    ) -> None:
        if not self._host.call():
            return
        self._refuse_if_fenced()
        assert self._transaction is not None
        try:
            self._broker.groups[group.group].check(group.member_id, group.epoch)
        except Refusal as refusal:
            raise _needs_abort(KafkaError.ILLEGAL_GENERATION, str(refusal)) from refusal
        for each in offsets:
            place = (each.topic, each.partition)
            text = each.metadata or ""
            self._broker.add_offset(self._transaction, group.group, place, each.offset, text)

    def commit_transaction(self, timeout: float) -> None:
        self._host.call()
        transaction = self._transaction
        assert transaction is not None
        fault = self._host.next_fault()
        if transaction.end is End.COMMITTED and not fault:
            return
        self._refuse_if_fenced()
        if fault == "refused" and transaction.end is End.OPEN:
            raise _needs_abort(KafkaError.NOT_ENOUGH_REPLICAS, "made so")
        if fault == "underway" and transaction.arrives is None:
            transaction.arrives = self._broker.clock.monotonic() + UNDERWAY
        elif fault != "underway" and transaction.end is End.OPEN:
            self._broker.end(transaction, End.COMMITTED)
        if fault == "denied":
            raise _needs_abort(KafkaError.UNKNOWN, "made so, after the commit")
        if fault:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "made so", retriable=True))

    def abort_transaction(self, timeout: float) -> None:
        self._host.call()
        self._refuse_if_fenced()
        assert self._transaction is not None
        if self._transaction.end is End.OPEN:
            self._broker.end(self._transaction, End.ABORTED)

    def _refuse_if_fenced(self) -> None:
        assert self._id is not None
        if self._broker.fenced(self._id, self._epoch):
            raise KafkaException(KafkaError(KafkaError._FENCED, "made so", fatal=True))


def _needs_abort(code: int, why: str) -> KafkaException:
    return KafkaException(KafkaError(code, why, txn_requires_abort=True))


def _places(positions: Sequence[TopicPartition]) -> list[Place]:
    return [(each.topic, each.partition) for each in positions]


def _positions(places: set[Place]) -> list[TopicPartition]:
    return [TopicPartition(*place) for place in sorted(places)]
