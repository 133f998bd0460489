"""A Kafka as far as the engine can tell it from a real one: logs, groups, transactions.

What was learnt on a real broker and matters here:

- a broker fences members, not partitions: a commit is taken from whoever names the member's
  present epoch;
- between a plain commit and the offsets of a transaction the last append wins, whichever it is;
- a transaction that nobody ends is ended by the broker after its timeout, or at once by the next
  producer with its id; until then committed readers see nothing behind it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import count
from typing import Protocol

from headrace.pipeline.partitioner import partition_of
from tests.proof.model.surroundings import Clock

Place = tuple[str, int]
Headers = list[tuple[str, bytes | None]]

UNDERWAY = 8.0
"""Seconds that a transaction's commit is underway when it is slow: longer than a session, so that
it can arrive after whoever sent it was replaced."""
SESSION = 6.0
"""Seconds after which a member that died is expelled."""
TRANSACTION_TIMEOUT = 10.0
"""Seconds after which the broker ends a transaction."""


class End(Enum):
    OPEN = auto()
    COMMITTED = auto()
    ABORTED = auto()


@dataclass(slots=True, eq=False)
class Record:
    """One record of a log. `transaction` is None for a plain write."""

    place: Place
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int
    transaction: "Transaction | None" = None

    @property
    def visible(self) -> bool:
        """Whether a committed reader sees it, once it may read so far."""
        return self.transaction is None or self.transaction.end is End.COMMITTED


@dataclass(slots=True, eq=False)
class Log:
    """One partition; None stands for an offset without a record: a marker, something compacted."""

    entries: list[Record | None] = field(default_factory=list)
    start: int = 0

    @property
    def end(self) -> int:
        return len(self.entries)

    @property
    def stable_end(self) -> int:
        """Where the first open transaction begins, or the end."""
        for offset in range(self.start, self.end):
            record = self.entries[offset]
            transaction = None if record is None else record.transaction
            if transaction is not None and transaction.end is End.OPEN:
                return offset
        return self.end


@dataclass(frozen=True, slots=True)
class Position:
    """A committed offset; `append` is when it was appended to the offsets topic."""

    offset: int
    metadata: str
    append: int


@dataclass(slots=True, eq=False)
class Transaction:
    transactional_id: str
    epoch: int
    began: float
    end: End = End.OPEN
    arrives: float | None = None
    """When a commit that is underway reaches the broker, whoever sent it may be dead by then."""
    records: list[Record] = field(default_factory=list)
    offsets: dict[tuple[str, Place], Position] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class MemberState:
    """What the coordinator knows of a member."""

    member_id: str
    epoch: int
    owned: set[Place] = field(default_factory=set)
    expires: float | None = None
    """When it is expelled; None while it sends heartbeats."""


class Refusal(Exception):
    """A commit that is not taken: the member is unknown, or was given another epoch."""


@dataclass(slots=True, eq=False)
class Group:
    places: list[Place]
    offsets: dict[Place, Position]
    members: dict[str, MemberState] = field(default_factory=dict)

    def target(self, member: MemberState) -> set[Place]:
        """What a member should own."""
        ids = list(self.members)
        mine = ids.index(member.member_id)
        return {place for at, place in enumerate(self.places) if at % len(ids) == mine}

    def owner(self, place: Place) -> MemberState | None:
        return next((each for each in self.members.values() if place in each.owned), None)

    def check(self, member_id: str, epoch: int) -> None:
        """Refuse whoever is no member, or was another one when it asked."""
        member = self.members.get(member_id)
        if member is None or member.epoch != epoch:
            raise Refusal(f"{member_id} at epoch {epoch} is not {member}")


class Watcher(Protocol):
    """Sees what becomes durable."""

    def stored(self, record: Record) -> None:
        """A record became visible to committed readers."""
        ...

    def committed(self, group: Group, place: Place, position: Position, by: str) -> None:
        """A group's offset was set, by a member or a transactional id."""
        ...


@dataclass(slots=True)
class _Producer:
    epoch: int = 0
    transaction: Transaction | None = None


class Broker:
    """All of it. Time passes by `tick`."""

    def __init__(self, clock: Clock, topics: dict[str, int]) -> None:
        self.clock = clock
        self.logs = {(name, at): Log() for name, width in topics.items() for at in range(width)}
        self.groups: dict[str, Group] = {}
        self.watcher: Watcher | None = None
        self.refusing: set[str] = set()
        """Topics that take no writes."""
        self.takes_commits = True
        self._producers: dict[str, _Producer] = {}
        self._appends = count(1)
        self._numbers = count(1)

    def add_group(self, name: str, topics: Collection[str]) -> None:
        """Make a group with an offset for each partition, as `headrace topics apply` does."""
        places = [place for place in self.logs if place[0] in topics]
        self.groups[name] = Group(places, {place: Position(0, "", 0) for place in places})

    def width(self, topic: str) -> int:
        return sum(1 for name, _ in self.logs if name == topic)

    def tick(self) -> None:
        """Expel members whose session is over, end transactions whose time is over."""
        now = self.clock.monotonic()
        for group in self.groups.values():
            over = [each for each in group.members.values() if each.expires is not None]
            for member in over:
                if member.expires is not None and member.expires <= now:
                    del group.members[member.member_id]
        for transaction in self.open_transactions():
            if transaction.arrives is not None and transaction.arrives <= now:
                self.end(transaction, End.COMMITTED)
            elif now - transaction.began >= TRANSACTION_TIMEOUT:
                self._producers[transaction.transactional_id].epoch += 1
                self.end(transaction, End.ABORTED)

    # -- logs ------------------------------------------------------------------------------------

    def append(
        self,
        place: Place,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        transaction: Transaction | None = None,
    ) -> Record:
        """Append a record."""
        log = self.logs[place]
        record = Record(place, log.end, key, value, headers, self.clock.ms, transaction)
        log.entries.append(record)
        if transaction is not None:
            transaction.records.append(record)
        elif self.watcher is not None:
            self.watcher.stored(record)
        return record

    def write(self, topic: str, key: bytes, value: bytes, headers: Headers) -> Record:
        """Append a record where its key belongs."""
        return self.append((topic, partition_of(key, self.width(topic))), key, value, headers)

    def set_offset(self, group: str, place: Place, offset: int) -> None:
        """Set an offset as tools do, without metadata and without anybody being asked."""
        self.groups[group].offsets[place] = Position(offset, "", next(self._appends))

    def append_hole(self, place: Place) -> None:
        """Append what takes an offset and is no record."""
        self.logs[place].entries.append(None)

    def visible(self, topic: str) -> Iterator[Record]:
        """Every record of a topic that a committed reader sees."""
        for (name, _), log in self.logs.items():
            if name == topic:
                yield from (each for each in log.entries if each is not None and each.visible)

    # -- groups ----------------------------------------------------------------------------------

    def join(self, group: str) -> MemberState:
        member = MemberState(f"member-{next(self._numbers)}", 1)
        self.groups[group].members[member.member_id] = member
        return member

    def commit(self, group: str, place: Place, offset: int, metadata: str, by: str) -> None:
        """Set an offset whoever asks: `Group.check` is the caller's."""
        self._set(self.groups[group], place, Position(offset, metadata, next(self._appends)), by)

    def _set(self, group: Group, place: Place, position: Position, by: str) -> None:
        if position.append < group.offsets[place].append:
            return
        group.offsets[place] = position
        if self.watcher is not None:
            self.watcher.committed(group, place, position, by)

    # -- transactions ----------------------------------------------------------------------------

    def open_transactions(self) -> Sequence[Transaction]:
        found = (each.transaction for each in self._producers.values())
        return [each for each in found if each is not None and each.end is End.OPEN]

    def init_transactions(self, transactional_id: str) -> int:
        """Fence every other producer with this id, and end what it left open."""
        producer = self._producers.setdefault(transactional_id, _Producer())
        producer.epoch += 1
        if producer.transaction is not None and producer.transaction.end is End.OPEN:
            self.end(producer.transaction, End.ABORTED)
        return producer.epoch

    def fenced(self, transactional_id: str, epoch: int) -> bool:
        return self._producers[transactional_id].epoch != epoch

    def begin(self, transactional_id: str, epoch: int) -> Transaction:
        transaction = Transaction(transactional_id, epoch, self.clock.monotonic())
        self._producers[transactional_id].transaction = transaction
        return transaction

    def add_offset(
        self, transaction: Transaction, group: str, place: Place, at: int, m: str
    ) -> None:
        transaction.offsets[group, place] = Position(at, m, next(self._appends))

    def end(self, transaction: Transaction, end: End) -> None:
        """Commit or abort: markers are written, offsets take effect, records become visible."""
        transaction.end = end
        for place in sorted({record.place for record in transaction.records}):
            self.append_hole(place)
        if end is not End.COMMITTED:
            return
        for record in transaction.records:
            if self.watcher is not None:
                self.watcher.stored(record)
        for (group, place), position in transaction.offsets.items():
            self._set(self.groups[group], place, position, transaction.transactional_id)

    def unstable(self, group: str, place: Place) -> bool:
        """Whether an open transaction will set this offset."""
        return any((group, place) in each.offsets for each in self.open_transactions())
