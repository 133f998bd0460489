"""A group of two partitions and the workers that own them, in memory, for the crash model.

The engine's own parts decide: dispatch, slots, isolation, ledgers, standings, commits. Simulated
are only the broker's side of offsets, the executors, and death.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from headrace.consumers import commit_metadata, extras
from headrace.consumers.commit import Commit
from headrace.consumers.commit_metadata import CommitMetadata, State
from headrace.consumers.commits import Commits, settle
from headrace.consumers.dispatch import Dispatch
from headrace.consumers.fencing import Fencing
from headrace.consumers.figures import LaneFigures
from headrace.consumers.isolation import Isolation
from headrace.consumers.outcomes import Attempted, Died, ErrorInfo, Outcome, Succeeded, Unavailable
from headrace.consumers.owned import OwnedPartition
from headrace.consumers.partitions import Partitions
from headrace.consumers.records import JobRecord
from headrace.consumers.retry import PROCESS_DIED, WORKER_DIED
from headrace.consumers.settled import Rules
from headrace.consumers.slots import Slots
from headrace.consumers.standing import Standing
from headrace.pipeline import Lane, Pipeline
from headrace.schemas.headers import JobHeaders, PastAttempt

shop = Pipeline("shop")
LANE = Lane("shop", "default", "normal")
TOPIC = LANE.topic
SLOTS = 3
PLACES = 2
Where = tuple[int, int]
"""Partition and offset."""


@shop.job("a.b")
def handler() -> None: ...


class Killed(Exception):
    """The worker's process has died."""


@dataclass
class Broker:
    """Records by partition, and what is committed.

    A job is `innocent`; a `killer` of the process that runs it; one that `takes-all`, its parent
    too; or `veteran` and `survivor`: innocent now, but a child or a worker died with it before.
    """

    logs: list[dict[int, str]] = field(default_factory=lambda: [{}, {}])
    ends: list[int] = field(default_factory=lambda: [0, 0])
    committed: list[tuple[int, str]] = field(default_factory=lambda: [(0, ""), (0, "")])
    owners: list["Owner | None"] = field(default_factory=lambda: [None, None])
    done: set[Where] = field(default_factory=set)
    lone_deaths: Counter[Where] = field(default_factory=Counter)
    """Workers that died while the broker knew that this job was alone in them."""
    deaths_by: Counter[Where] = field(default_factory=Counter)
    """Workers that died by a job that ran beside others."""

    def append(self, partition: int, kinds: Sequence[str]) -> None:
        """Append records, and holes where the kind is empty."""
        for kind in kinds:
            if kind:
                self.logs[partition][self.ends[partition]] = kind
            self.ends[partition] += 1

    def land(self, owner: "Owner", position: TopicPartition) -> bool:
        """Take a commit, unless it is that of a member which the partition was taken from."""
        if self.owners[position.partition] is not owner:
            return False
        offset = position.offset
        for at in self.logs[position.partition]:
            assert at >= offset or (position.partition, at) in self.done, "covers what is not done"
        self.committed[position.partition] = (offset, position.metadata or "")
        return True

    def known(self, partition: int) -> CommitMetadata:
        """What the broker would tell of a partition now."""
        offset, text = self.committed[partition]
        found = commit_metadata.decode(text, offset, self.ends[partition])
        return found if isinstance(found, CommitMetadata) else CommitMetadata()

    def noted_beside(self, partition: int) -> Sequence[int]:
        """The jobs that are said to run in children there."""
        return tuple(self._extras(partition).beside)

    def _extras(self, partition: int) -> extras.Extras:
        return extras.decode(self.known(partition).extra, self.committed[partition][0])

    def noted_alone(self, partition: int) -> int | None:
        """The job that is said to run alone there, if its worker has not given it up."""
        known = self.known(partition)
        lone = self._extras(partition).lone
        return lone if known.state is State.OPEN else None


class Client:
    """The part of a consumer that owning partitions needs."""

    def __init__(self, broker: Broker, owner: "Owner") -> None:
        self._broker = broker
        self._owner = owner
        self.on_its_way: list[TopicPartition] = []
        self.refuses = False

    def committed(self, asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        known = self._broker.committed
        return [
            TopicPartition(each.topic, each.partition, *known[each.partition]) for each in asked
        ]

    def get_watermark_offsets(self, asked: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, self._broker.ends[asked.partition]

    def incremental_assign(self, assigned: list[TopicPartition]) -> None:
        for each in assigned:
            self._owner.positions[each.partition] = each.offset

    def resume(self, assigned: list[TopicPartition]) -> None: ...

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        if asynchronous:
            self.on_its_way += offsets
            return []
        if self.refuses:
            raise KafkaException(KafkaError(KafkaError.REQUEST_TIMED_OUT))
        self.arrive()
        for each in offsets:
            self._broker.land(self._owner, each)
        return offsets

    def arrive(self) -> list[TopicPartition]:
        """Let what is on its way reach the broker."""
        arrived, self.on_its_way = self.on_its_way, []
        return [each for each in arrived if self._broker.land(self._owner, each)]


class Fenced(Fencing):
    """Notes who is fenced."""

    def __init__(self) -> None:
        self.fenced: set[str] = set()

    def fence(self, transactional_ids: Any) -> None:
        self.fenced |= set(transactional_ids)


class Owner:
    """One worker process with one lane."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.broker = broker
        self.name = name
        self.client = Client(broker, self)
        self.fencing = Fenced()
        self.partitions = Partitions(name, "earliest", fencing=self.fencing)
        self.slots = Slots(SLOTS, self._start)
        self.isolation = Isolation((self.slots,), self._start_isolated, places=PLACES)
        rules = Rules(LANE, shop.topology, shop.job_types, name)
        self.dispatch = Dispatch(
            rules,
            self.partitions,
            self.slots,
            self.isolation,
            in_children=False,
            report=lambda *result: self.results.append(result),
            figures=LaneFigures(job_types=frozenset()),
            partition_count=lambda: 2,
        )
        self.commits = Commits(self.partitions, LaneFigures(job_types=frozenset()))
        self.commits.belong_to(self.consumer)
        self.positions = [0, 0]
        self.running: list[JobRecord] = []
        self.isolated: list[JobRecord] = []
        self.results: list[tuple[JobRecord, Attempted]] = []
        self.unstored: list[JobRecord] = []
        self.transaction: list[tuple[OwnedPartition, Commit]] = []

    @property
    def consumer(self) -> Consumer:
        return cast(Consumer, self.client)

    # -- rebalances ------------------------------------------------------------------------------

    def take_over(self, partition: int) -> None:
        self.broker.owners[partition] = self
        self.partitions.take_over(self.consumer, [TopicPartition(TOPIC, partition)])
        self.partitions.owned[TOPIC, partition].clock = lambda: 0.0

    def give_up(self, partition: int, *, finish: bool, refused: bool) -> None:
        """Revoked: drained, or not within the budget; and committed, unless the broker refuses."""
        place = (TOPIC, partition)
        self.client.refuses = refused
        self.commits.suspend()
        self.dispatch.withdraw([place])
        while finish and (mine := [each for each in self.all_running() if each[1] == partition]):
            self.end(mine[0][0])
            self.turn()
            self.dispatch.withdraw([place])
        self.end_transaction(landed=not refused)
        self.store(len(self.unstored))
        self.commits.commit_finally([place], in_poll=True)
        self.commits.resume()
        self.client.refuses = False
        self.lose(partition)

    def lose(self, partition: int) -> None:
        self.broker.owners[partition] = None
        place = (TOPIC, partition)
        self.partitions.close([place])
        self.commits.forget([place])
        self.client.on_its_way = [
            each for each in self.client.on_its_way if each.partition != partition
        ]
        self.dispatch.withdraw([place])

    def die(self, *, landed: bool) -> None:
        """End at once; what is on its way reaches the broker, or does not."""
        if landed:
            self.client.arrive()
        for partition, owner in enumerate(self.broker.owners):
            if owner is not self:
                continue
            lone = self.broker.noted_alone(partition)
            if lone is not None and self.broker.known(partition).transactional_id == self.name:
                self.broker.lone_deaths[partition, lone] += 1
            self.broker.owners[partition] = None

    # -- a turn ----------------------------------------------------------------------------------

    def turn(self, *, answers: str = "landed", most: int = 50) -> None:
        """Everything that a lane's thread does, once."""
        self._take_results()
        self.commits.soon()
        self.commits.step(1.0)
        self._answer(answers)
        for partition, owner in enumerate(self.broker.owners):
            if owner is self:
                self._read(partition, most)
        self.dispatch.step()

    def _take_results(self) -> None:
        results, self.results = self.results, []
        for record, attempted in results:
            self.dispatch.ended(record)
            if isinstance(attempted.outcome, Unavailable):
                self.dispatch.hold(record, 0.0)
                continue
            if isinstance(attempted.outcome, Died) and attempted.outcome.with_worker:
                where = (record.partition, record.offset)
                assert self.broker.lone_deaths[where] >= 3, "blamed without having been alone"
            self.unstored.append(record)

    def _answer(self, how: str) -> None:
        if how == "later" or not self.client.on_its_way:
            return
        if how == "refused":
            refused, self.client.on_its_way = self.client.on_its_way, []
            self.commits.on_commit(KafkaError(KafkaError.REQUEST_TIMED_OUT), refused)
        else:
            arrived = self.client.arrive()
            self.commits.on_commit(None, arrived)

    def _read(self, partition: int, most: int) -> None:
        owned = self.partitions.owned[TOPIC, partition]
        log = self.broker.logs[partition]
        end = min(self.broker.ends[partition], self.positions[partition] + most)
        read = [
            (_record(partition, offset, log[offset], owned), owned)
            for offset in range(self.positions[partition], end)
            if offset in log and owned.ledger.start(offset)
        ]
        self.positions[partition] = end
        if end == self.broker.ends[partition]:
            owned.ledger.advance_to(end)
        self.dispatch.take(read)

    # -- outcomes --------------------------------------------------------------------------------

    def store(self, count: int) -> None:
        """The outcomes of so many jobs are stored: their offsets are finished."""
        for _ in range(min(count, len(self.unstored))):
            record = self.unstored.pop(0)
            if record.assignment.closed:
                continue
            self.broker.done.add((record.partition, record.offset))
            self.partitions.owned[TOPIC, record.partition].finish(record.offset)

    def hand_over(self) -> None:
        """Begin a transaction with the first outcome, if its partition may have one."""
        if self.transaction or not self.unstored:
            return
        record = self.unstored[0]
        if record.assignment.closed or (TOPIC, record.partition) in self.commits.outstanding:
            return
        owned = self.partitions.owned[TOPIC, record.partition]
        commit = self.commits.next_of(owned, [record.offset])
        if commit is not None:
            self.unstored.pop(0)
            self.transaction = [(owned, commit)]
            self._handed_over = record

    def end_transaction(self, *, landed: bool) -> None:
        if not self.transaction:
            return
        (owned, commit), record = self.transaction[0], self._handed_over
        mine = self.broker.owners[record.partition] is self and not owned.assignment.closed
        if landed and mine:
            self.broker.done.add((record.partition, record.offset))
            assert self.broker.land(self, owned.position(commit))
        elif mine:
            self.unstored.append(record)
        settle(self.transaction, landed=landed)
        self.transaction = []

    # -- executors -------------------------------------------------------------------------------

    def all_running(self) -> list[tuple[JobRecord, int]]:
        return [(each, each.partition) for each in (*self.running, *self.isolated)]

    def end(self, record: JobRecord, *, unavailable: bool = False) -> None:
        """A running job comes to its end.

        Raises:
            Killed: And so does this process.
        """
        kind = self.broker.logs[record.partition][record.offset]
        apart = any(each is record for each in self.isolated)
        if kind == "takes-all" or (kind == "killer" and not apart):
            if not apart and not record.assignment.closed:
                self.broker.deaths_by[record.partition, record.offset] += 1
            raise Killed
        outcome: Outcome = Died("SIGKILL") if kind == "killer" else Succeeded()
        if unavailable and apart:
            outcome = Unavailable(ErrorInfo((), "x", "y"))
        self.results.append((record, Attempted(outcome, 0, 0)))
        (self.isolated if apart else self.running).remove(record)
        if not apart:
            self.slots.finished(self.dispatch.buffer, record)

    def _start(self, record: JobRecord) -> None:
        assert not self._alone_now(), "started beside a job that must be alone"
        self._must_be_covered(record)
        assert not self._is_suspect(record), "a suspect runs in the worker itself"
        self.running.append(record)

    def _start_isolated(self, record: JobRecord) -> None:
        assert len(self.isolated) < PLACES, "more isolated jobs than there are places"
        assert not self._alone_now(), "started beside a job that must be alone"
        self._must_be_covered(record)
        if not self._must_be_alone(record):
            noted = self.broker.noted_beside(record.partition)
            assert record.offset in noted, "a suspect runs in a child and nobody knows"
        else:
            assert not self.running, "started beside others"
            assert not self.isolated, "started beside children"
            known = self.broker.noted_alone(record.partition)
            assert known == record.offset, "a suspect runs alone and nobody knows"
        self.isolated.append(record)

    def _alone_now(self) -> bool:
        return any(self._must_be_alone(each) for each in self.isolated)

    def _standing(self, record: JobRecord) -> Standing | None:
        owned = self.partitions.owned.get((TOPIC, record.partition))
        return None if record.assignment.closed or owned is None else owned.standing

    def _is_suspect(self, record: JobRecord) -> bool:
        standing = self._standing(record)
        return standing is not None and standing.is_suspect(record.offset)

    def _must_be_alone(self, record: JobRecord) -> bool:
        standing = self._standing(record)
        if standing is None:
            return False
        history = {past.error_type for past in record.headers.history}
        return standing.must_be_alone(record.offset) or WORKER_DIED in history

    def _must_be_covered(self, record: JobRecord) -> None:
        known = self.broker.known(record.partition)
        offset = self.broker.committed[record.partition][0]
        assert known.state is State.OPEN, f"{record.offset} runs and the broker does not know"
        assert record.offset < offset + known.window, f"{record.offset} is beyond the window"

    # -- what always holds -----------------------------------------------------------------------

    def check(self) -> None:
        for record, partition in self.all_running():
            if record.assignment.closed or self.broker.owners[partition] is not self:
                continue
            self._must_be_covered(record)
        for partition, owner in enumerate(self.broker.owners):
            lone = self.broker.noted_alone(partition) if owner is self else None
            if lone is None or self.broker.known(partition).transactional_id != self.name:
                continue
            others = [
                each
                for each in self.all_running()
                if (each[1], each[0].offset) != (partition, lone)
            ]
            assert not others, "the broker calls a job alone that is not"


def _record(partition: int, offset: int, kind: str, owned: OwnedPartition) -> JobRecord:
    died = {"veteran": PROCESS_DIED, "survivor": WORKER_DIED}.get(kind)
    history = (PastAttempt(1, 0, died, "x"),) if died else ()
    job = JobHeaders(f"{partition}/{offset}", "a.b", "", 0, TOPIC, history=history)
    return JobRecord(job, b"", b"", LANE, partition, offset, owned.assignment, handler, 1.0)
