"""Who is in the consumer groups, and which partitions they own."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError

from headrace.pipeline.errors import TopicError
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.topics.calls import AdminCalls, is_code

_SETTLED: Final = ("stable", "empty", "dead")
_MOVING: Final = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
_COORDINATOR_MOVES: Final = 5.0
"""Seconds for which a group's coordinator may be on its way to another broker, or loading."""


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group at one moment.

    Attributes:
        name: Its name.
        state: What Kafka calls its state: `stable`, `empty`, `assigning`, `reconciling` …;
            `dead` when there is no such group.
        members: How many are in it.
        idle: How many of them own no partition.
        owned: The partitions that somebody owns.
    """

    name: str
    state: str = "dead"
    members: int = 0
    idle: int = 0
    owned: frozenset[Place] = frozenset()

    @property
    def is_settled(self) -> bool:
        """Whether nobody is joining or leaving."""
        return self.state in _SETTLED


def describe_groups(calls: AdminCalls, names: Collection[str]) -> Mapping[str, Group]:
    """Learn who is in groups: one request to each coordinator, again while one is moving.

    Raises:
        KafkaUnavailableError: Kafka gave no answer in time.
        RightsError: A group may not be described.
        TopicError: Kafka refused for another reason.
    """
    found: dict[str, Group] = {}
    deadline = time.monotonic() + _COORDINATOR_MOVES
    while missing := [name for name in names if name not in found]:
        futures = calls.admin.describe_consumer_groups(missing, **calls.bound)
        for name in missing:
            try:
                found[name] = _group(calls, name, futures[name])
            except TopicError as error:
                if not is_code(error, *_MOVING) or time.monotonic() > deadline:
                    raise
        if len(found) < len(names):
            time.sleep(_COORDINATOR_MOVES / 20)
    return found


def _group(calls: AdminCalls, name: str, future: Any) -> Group:
    try:
        found = calls.result(f"describing group {name}", future, right="DESCRIBE")
    except TopicError as error:
        if is_code(error, KafkaError.GROUP_ID_NOT_FOUND):
            return Group(name)
        raise
    owned = [_places(member) for member in found.members]
    return Group(
        name,
        found.state.name.lower().replace("_", "-"),
        len(found.members),
        sum(not places for places in owned),
        frozenset(place for places in owned for place in places),
    )


def _places(member: Any) -> list[Place]:
    return [(each.topic, each.partition) for each in member.assignment.topic_partitions]
