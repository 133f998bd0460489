"""What each role may do on Kafka: the one list that ACLs, Strimzi's users and the tests come from.

A rule allows; whatever no rule allows is refused by a cluster with an authorizer. No rule gives a role
the right to make, change or delete a topic, but those of `topics`, who runs `headrace topics apply`, and
one of the statistics, whose own topic Faust insists on asking for.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.topology import TIERS, Topology


class Role(StrEnum):
    """Who connects to Kafka."""

    PRODUCER = "producer"
    """Services that submit jobs and wait for their results."""
    WORKER = "worker"
    SCHEDULER = "scheduler"
    PROJECTOR = "projector"
    STATISTICS = "statistics"
    EXPORTER = "exporter"
    SCALER = "scaler"
    """What tells KEDA how many jobs are ready."""
    OPERATOR = "operator"
    """Who looks and repairs from the command line: `dlq`, `jobs`, `schedules`, `circuits`, `lag`."""
    KEDA = "keda"
    """KEDA's operator, which reads how far behind each lane is."""
    TOPICS = "topics"
    """Who runs `headrace topics apply`."""


class Resource(StrEnum):
    """What a rule is about, as Kafka's tools name it."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactionalId"


class Operation(StrEnum):
    """What may be done, as Kafka's tools and Strimzi name it."""

    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    ALTER = "Alter"
    DESCRIBE = "Describe"
    ALTER_CONFIGS = "AlterConfigs"
    DESCRIBE_CONFIGS = "DescribeConfigs"


@dataclass(frozen=True, slots=True)
class Rule:
    """A right.

    Attributes:
        resource: What it is about.
        name: Its name, or what its name begins with.
        operations: What may be done.
        prefixed: Whether the name is the beginning of many.
    """

    resource: Resource
    name: str
    operations: tuple[Operation, ...]
    prefixed: bool = False

    @property
    def pattern(self) -> str:
        """How the name is meant, as Kafka's tools and Strimzi say it."""
        return "prefix" if self.prefixed else "literal"


READER_GROUP = "headrace-reader"
"""Named by readers that belong to no group: the client asks for its coordinator all the same."""
_SEE = (Operation.DESCRIBE,)
_CHECK = (Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS)
_READ = (Operation.READ, Operation.DESCRIBE)
_WRITE = (Operation.WRITE, Operation.DESCRIBE)


def rules_of(pipeline: Pipeline, role: Role) -> tuple[Rule, ...]:
    """Give a role's rights: each resource once, sorted."""
    return _merged(_RULES[role](pipeline.topology))


def user_of(pipeline: Pipeline, role: Role) -> str:
    """Give the name of a role's user: `<pipeline>-<role>`."""
    return f"{pipeline.name}-{role}"


def _merged(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    found: dict[tuple[Resource, str, bool], set[Operation]] = {}
    for rule in rules:
        found.setdefault((rule.resource, rule.name, rule.prefixed), set()).update(rule.operations)
    order = list(Operation)
    return tuple(
        Rule(resource, name, tuple(sorted(operations, key=order.index)), prefixed=prefixed)
        for (resource, name, prefixed), operations in sorted(found.items())
    )


def _topics(names: Iterable[str], operations: Sequence[Operation]) -> Iterator[Rule]:
    return (Rule(Resource.TOPIC, name, tuple(operations)) for name in names)


def _lanes(topology: Topology) -> list[str]:
    return [lane.topic for lane in topology.lanes()]


def _tiers(topology: Topology) -> list[str]:
    return [topology.tier(tier) for tier in TIERS]


def _letters(topology: Topology) -> list[str]:
    return [topology.dead_letters(queue.name) for queue in topology.queues]


def _notes(topology: Topology) -> list[str]:
    return [topology.dedup(queue.name) for queue in topology.queues if queue.dedup_window]


def _groups(names: Iterable[str], operations: Sequence[Operation]) -> Iterator[Rule]:
    return (Rule(Resource.GROUP, name, tuple(operations)) for name in names)


def _groups_of_work(topology: Topology) -> list[str]:
    return [*_lanes(topology), topology.scheduler_group, topology.statistics_group]


def _hand_overs(owners: Iterable[str]) -> Iterator[Rule]:
    """An owner's transactional ids are its group's name and a name of the process."""
    for owner in owners:
        yield Rule(Resource.TRANSACTIONAL_ID, f"{owner}-", _WRITE, prefixed=True)


def _producer(topology: Topology) -> Iterator[Rule]:
    yield from _topics([*_lanes(topology), *_tiers(topology)], _WRITE)
    # It learns how large a record may be, and that what its jobs may need is there
    yield from _topics(_lanes(topology), _CHECK)
    yield from _topics(_letters(topology), _SEE)
    yield from _topics([topology.schemas, topology.events], _READ)
    yield from _groups([READER_GROUP], _READ)


def _worker(topology: Topology) -> Iterator[Rule]:
    lanes, tiers, letters = _lanes(topology), _tiers(topology), _letters(topology)
    # Its heartbeats go to the workers topic
    written = [*lanes, *tiers, *letters, *_notes(topology), topology.events, topology.workers]
    read = [*lanes, *_notes(topology), topology.control, topology.schemas]
    yield from _topics(read, _READ)
    yield from _topics(written, _WRITE)
    yield from _topics(lanes, _CHECK)
    yield from _groups([*lanes, READER_GROUP], _READ)
    yield from _hand_overs(lanes)


def _scheduler(topology: Topology) -> Iterator[Rule]:
    lanes, tiers = _lanes(topology), _tiers(topology)
    books = [topology.control, topology.schedules]
    read = [*tiers, *books, topology.schemas, topology.events]
    told = [topology.events, topology.workers]
    written = [*lanes, *tiers, *_letters(topology), *books, *told]
    yield from _topics(read, _READ)
    yield from _topics(written, _WRITE)
    # A tier that would delete what waits in it is refused
    yield from _topics(tiers, _CHECK)
    yield from _groups([topology.scheduler_group, READER_GROUP], _READ)
    yield from _hand_overs([topology.scheduler_group])


def _projector(topology: Topology) -> Iterator[Rule]:
    yield from _topics([*_lanes(topology), *_tiers(topology), *_letters(topology)], _READ)
    yield from _topics([topology.events, topology.schemas], _READ)
    yield from _topics([topology.control, topology.workers], _SEE)
    yield from _groups(_groups_of_work(topology), _SEE)
    yield from _groups([READER_GROUP], _READ)


def _statistics(topology: Topology) -> Iterator[Rule]:
    kept = [topology.stats, topology.statistics_rows, topology.control]
    read = [*_lanes(topology), *_tiers(topology), topology.events, topology.schemas]
    yield from _topics([*kept, *read], _READ)
    yield from _topics(kept, _WRITE)
    # Faust asks for its table's topic to be made, and is content that it is there
    yield from _topics([topology.statistics_rows], (Operation.CREATE,))
    yield from _groups([topology.statistics_group, READER_GROUP], _READ)


def _exporter(topology: Topology) -> Iterator[Rule]:
    lanes = _lanes(topology)
    told = [topology.events, topology.stats, topology.workers, topology.letters]
    kept = [*told, topology.control, topology.schemas]
    read = [*lanes, *_tiers(topology), *_letters(topology), *kept]
    yield from _topics(read, _READ)
    yield from _topics(read, _CHECK)
    yield from _groups(_groups_of_work(topology), _SEE)
    yield from _groups([READER_GROUP], _READ)


def _scaler(topology: Topology) -> Iterator[Rule]:
    """As an exporter, less what tells of the past, and it writes nothing."""
    yield from _topics(_lanes(topology), _SEE)
    yield from _topics(_tiers(topology), _READ)
    # Heartbeats and their schemas; replays
    yield from _topics([topology.workers, topology.schemas, topology.letters], _READ)
    yield from _groups([*_lanes(topology), topology.scheduler_group], _SEE)
    yield from _groups([READER_GROUP], _READ)


def _operator(topology: Topology) -> Iterator[Rule]:
    lanes, letters = _lanes(topology), _letters(topology)
    books = [topology.control, topology.schedules, topology.letters, topology.audit]
    told = [topology.events, topology.schemas, topology.stats, topology.workers]
    yield from _topics([*lanes, *_tiers(topology), *letters, *books, *told], (*_READ, *_CHECK))
    # Replays and runs by hand go to lanes, imported letters to where letters lie
    yield from _topics([*lanes, *letters, *books, topology.events], _WRITE)
    yield from _groups(_groups_of_work(topology), _SEE)
    yield from _groups([READER_GROUP], _READ)
    replays = f"{topology.pipeline}.replay."
    yield Rule(Resource.GROUP, replays, _READ, prefixed=True)
    yield Rule(Resource.TRANSACTIONAL_ID, replays, _WRITE, prefixed=True)


def _keda(topology: Topology) -> Iterator[Rule]:
    yield from _topics(_lanes(topology), _SEE)
    yield from _groups(_lanes(topology), _SEE)


def _apply(topology: Topology) -> Iterator[Rule]:
    made = (Operation.CREATE, Operation.ALTER, Operation.ALTER_CONFIGS, *_CHECK)
    yield Rule(Resource.TOPIC, f"{topology.pipeline}.", made, prefixed=True)
    # Partition counts and schemas are noted there; offsets are committed for every group
    yield from _topics([topology.control, topology.schemas], (*_READ, *_WRITE))
    yield from _topics([*_lanes(topology), *_tiers(topology)], _READ)
    groups = [*_lanes(topology), topology.scheduler_group, READER_GROUP]
    yield from _groups(groups, _READ)


_RULES = {
    Role.PRODUCER: _producer,
    Role.WORKER: _worker,
    Role.SCHEDULER: _scheduler,
    Role.PROJECTOR: _projector,
    Role.STATISTICS: _statistics,
    Role.EXPORTER: _exporter,
    Role.SCALER: _scaler,
    Role.OPERATOR: _operator,
    Role.KEDA: _keda,
    Role.TOPICS: _apply,
}
