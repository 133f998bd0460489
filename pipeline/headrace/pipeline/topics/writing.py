"""Changing a cluster: topics, settings, partitions, initial offsets."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from headrace.pipeline.errors import KafkaUnavailableError
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.kafka_faults import kafka_error
from headrace.pipeline.topics.api import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)
from headrace.pipeline.topics.calls import POLL_SECONDS
from headrace.pipeline.topics.reading import ClusterReader

_SETTLE_SECONDS: Final = 3.0
MOST_PARTITIONS: Final = 1_000
"""Partitions that one request makes; brokers refuse requests for more than 10,000 as a whole."""
_NAMED: Final = 10
"""Topics that a message names, at most."""
_T = TypeVar("_T")


class ClusterWriter(ClusterReader):
    """Makes and changes topics, and commits offsets; reads as well. Errors as of `AdminCalls`."""

    def create(self, topics: Iterable[NewTopic]) -> frozenset[str]:
        """Create topics, and give those that were not there before."""
        new = list(topics)
        if not new:
            return frozenset()
        made = self._by_and_by(
            in_requests(new, lambda topic: topic.num_partitions),
            lambda some: self.admin.create_topics(
                some, operation_timeout=self.seconds, **self.bound
            ),
        )
        there: set[str] = set()

        def wait(name: str, future: Future[Any]) -> None:
            try:
                future.result()
            except KafkaException as error:
                if kafka_error(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
                there.add(name)

        self.all_done("creating topic", made, wait)
        return frozenset(topic.topic for topic in new) - there

    def grow(self, partitions: Mapping[str, int]) -> None:
        """Give topics more partitions: the new totals."""
        new = [NewPartitions(topic, total) for topic, total in partitions.items()]
        grown = self._by_and_by(
            in_requests(new, lambda topic: topic.new_total_count),
            lambda some: self.admin.create_partitions(some, **self.bound),
        )
        self.all_done("adding partitions to", grown)

    def _by_and_by(
        self,
        requests: Iterable[list[_T]],
        send: Callable[[list[_T]], Mapping[str, Future[Any]]],
    ) -> Mapping[str, Future[Any]]:
        """Send requests, each when the one before has ended, well or not."""
        ended: dict[str, Future[Any]] = {}
        for request in requests:
            sent = send(request)
            futures.wait(sent.values(), timeout=self.seconds)
            ended |= sent
        return ended

    def configure(self, changes: Mapping[str, Mapping[str, str]]) -> None:
        """Set settings of topics, others keep what they have, and wait until brokers know them.

        Without the wait a plan made right after could find the old settings. It is short, and
        an answer that never fits is not an error here: the next plan shows it.
        """
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                topic,
                incremental_configs=[
                    ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                    for name, value in settings.items()
                ],
            )
            for topic, settings in changes.items()
        ]
        if resources:
            changed = self.admin.incremental_alter_configs(resources, **self.bound)
            self.all_done("changing topic", {each.name: future for each, future in changed.items()})
        deadline = time.monotonic() + _SETTLE_SECONDS
        while not self._are_known(changes) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def _are_known(self, changes: Mapping[str, Mapping[str, str]]) -> bool:
        known = self.configs(changes)
        return all(settings.items() <= known[topic].items() for topic, settings in changes.items())

    def commit(self, offsets: Mapping[str, Mapping[Place, int]]) -> Mapping[Place, KafkaError]:
        """Commit offsets for groups, and give the partitions that were refused, with the reason.

        A coordinator that has not heard of a new topic yet is asked again within the time limit.
        """
        deadline = time.monotonic() + self.seconds
        refused = self._commit_once(offsets)
        while _unheard(refused) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            again = {
                group: {place: offset for place, offset in places.items() if place in refused}
                for group, places in offsets.items()
            }
            refused = self._commit_once(again)
        return refused

    def _commit_once(
        self, offsets: Mapping[str, Mapping[Place, int]]
    ) -> Mapping[Place, KafkaError]:
        committed = {
            group: self.admin.alter_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group, _positions(places))], **self.bound
            )[group]
            for group, places in offsets.items()
            if places
        }
        done = {
            group: self.result(f"committing offsets of group {group}", future)
            for group, future in committed.items()
        }
        return {
            (place.topic, place.partition): place.error
            for each in done.values()
            for place in each.topic_partitions
            if place.error is not None
        }

    def await_leaders(self, partitions: Mapping[str, int]) -> None:
        """Wait until topics have so many partitions, each with a leader.

        As long as it takes while more and more have them: thousands of partitions take minutes.
        """
        deadline = time.monotonic() + self.seconds
        waiting = dict(partitions)
        while waiting:
            found = self.descriptions(waiting)
            left = {
                topic: count for topic, count in waiting.items() if _led(found.get(topic)) < count
            }
            if len(left) < len(waiting):
                deadline = time.monotonic() + self.seconds
            waiting = left
            if waiting and time.monotonic() > deadline:
                raise KafkaUnavailableError(_without_leaders(waiting, self.seconds))
            if waiting:
                time.sleep(POLL_SECONDS)


def _without_leaders(topics: Iterable[str], seconds: float) -> str:
    named = sorted(topics)
    others = f" and {len(named) - _NAMED:,} others" if len(named) > _NAMED else ""
    return (
        f"topics {', '.join(named[:_NAMED])}{others} were made, but have partitions without a leader "
        f"after {seconds:.0f} s; check that all brokers run, then apply again"
    )


def _led(topic: Any | None) -> int:
    if topic is None:
        return 0
    return sum(partition.leader is not None for partition in topic.partitions)


def _positions(places: Mapping[Place, int]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, partition, offset) for (topic, partition), offset in places.items()
    ]


def _unheard(refused: Mapping[Place, KafkaError]) -> bool:
    return any(error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART for error in refused.values())


def in_requests(items: Iterable[_T], partitions: Callable[[_T], int]) -> Iterator[list[_T]]:
    """Split what is to be made into requests of so many partitions at most, or of one item."""
    request: list[_T] = []
    held = 0
    for item in items:
        wanted = partitions(item)
        if request and held + wanted > MOST_PARTITIONS:
            yield request
            request, held = [], 0
        request.append(item)
        held += wanted
    if request:
        yield request
