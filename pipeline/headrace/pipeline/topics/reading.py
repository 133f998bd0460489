"""Reading what a cluster is like, in few calls."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import (
    ConsumerGroupState,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from headrace.pipeline.compacted import read_latest
from headrace.pipeline.errors import RightsError, TopicError
from headrace.pipeline.group_offsets import Place
from headrace.pipeline.kafka_faults import explain, is_passing, kafka_error
from headrace.pipeline.schema_topic import read_records
from headrace.pipeline.topics.api import EARLIEST, LATEST, ConfigResource, ResourceType
from headrace.pipeline.topics.calls import POLL_SECONDS, AdminCalls, is_code
from headrace.pipeline.topics.control import counts_in
from headrace.pipeline.topics.state import ClusterState, Span, TopicState
from headrace.pipeline.topics.wanted import WantedTopic
from headrace.pipeline.topology import Topology

_NOBODY: Final = frozenset({ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD})


class ClusterReader(AdminCalls):
    """Reads topics, settings, groups and offsets. Errors as of `AdminCalls`."""

    def state(self, topology: Topology, wanted: Iterable[WantedTopic]) -> ClusterState:
        """Read everything that a plan is made from."""
        wishes = tuple(wanted)
        topics = self.topics(topic.name for topic in wishes)
        read = {topic.name: topic.group for topic in wishes if topic.group and topic.name in topics}
        asked: dict[str, list[Place]] = defaultdict(list)
        for topic, group in read.items():
            asked[group] += ((topic, partition) for partition in range(topics[topic].partitions))
        committed = self.committed(asked)
        missing = {
            (topic, partition): group
            for topic, group in read.items()
            for partition in range(topics[topic].partitions)
            if (topic, partition) not in committed[group]
        }
        growing = [
            topic
            for topic in wishes
            if topic.name in topics and topic.partitions > topics[topic.name].partitions
        ]
        moving = {
            (topic.name, partition)
            for topic in growing
            if topic.ordered
            for partition in range(topics[topic.name].partitions)
        }
        compacted = {topology.control, topology.schemas} & set(topics)
        records = read_latest(self.kafka, sorted(compacted))
        return ClusterState(
            topics=topics,
            default_replicas=None if len(topics) == len(wishes) else self.default_replicas(),
            committed=committed,
            spans=self.spans(moving | set(missing)),
            live_groups=self.live({t.group for t in growing if t.group} | set(missing.values())),
            known_partitions=counts_in(records.get(topology.control, {})),
            schemas=read_records(records.get(topology.schemas, {})),
        )

    def topics(self, names: Iterable[str]) -> Mapping[str, TopicState]:
        """Describe those of the topics that exist."""
        found = self.descriptions(names)
        configs = self.configs(found)
        return {
            name: TopicState(
                partitions=len(topic.partitions),
                replicas=min(len(partition.replicas) for partition in topic.partitions),
                config=configs[name],
            )
            for name, topic in found.items()
        }

    def configs(self, topics: Iterable[str]) -> Mapping[str, Mapping[str, str | None]]:
        """Read the settings in force of topics that exist, the broker's defaults included."""
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        if not resources:
            return {}
        futures = self.admin.describe_configs(resources, **self.bound)
        configs = {
            each.name: self.result(f"reading the settings of topic {each.name}", future)
            for each, future in futures.items()
        }
        return {
            topic: {name: entry.value for name, entry in entries.items()}
            for topic, entries in configs.items()
        }

    def default_replicas(self) -> int | None:
        """Learn how many replicas a topic gets that names no number; None if we may not know."""
        nodes = self.admin.describe_cluster(**self.bound)
        broker = self.result("describing the cluster", nodes).nodes[0].id
        resource = ConfigResource(ResourceType.BROKER, str(broker))
        future = self.admin.describe_configs([resource], **self.bound)[resource]
        try:
            entries = self.result(f"reading the settings of broker {broker}", future)
        except RightsError:
            return None
        entry = entries.get("default.replication.factor")
        return int(entry.value) if entry is not None and entry.value else None

    def committed(
        self, wanted: Mapping[str, Collection[Place]]
    ) -> Mapping[str, Mapping[Place, int]]:
        """As `commits`, the offsets alone."""
        return {
            group: {place: commit.offset for place, commit in found.items()}
            for group, found in self.commits(wanted).items()
        }

    def live(self, groups: Iterable[str]) -> frozenset[str]:
        """Find the groups that have members.

        Call `committed` first: on a new cluster this call alone waits for its whole timeout.
        """
        names = list(groups)
        if not names:
            return frozenset()
        futures = self.admin.describe_consumer_groups(names, **self.bound)
        states = {name: self._state_of(name, futures[name]) for name in names}
        return frozenset(name for name, state in states.items() if state not in _NOBODY)

    def spans(self, places: Iterable[Place]) -> Mapping[Place, Span]:
        """Read what partitions hold: first offset and end.

        A partition that is getting its leader is asked again within the time limit.
        """
        wanted = list(places)
        starts, ends = self._positions(wanted, EARLIEST), self._positions(wanted, LATEST)
        return {place: Span(starts[place], ends[place]) for place in wanted}

    def _positions(self, places: Iterable[Place], which: Any) -> Mapping[Place, int]:
        deadline = time.monotonic() + self.seconds
        found: dict[Place, int] = {}
        waiting = set(places)
        while waiting:
            query: dict[TopicPartition, Any] = {TopicPartition(*place): which for place in waiting}
            for place, future in self.admin.list_offsets(query, **self.bound).items():
                offset = self._offset_or_none(place.topic, future, deadline)
                if offset is not None:
                    found[place.topic, place.partition] = offset
            waiting -= set(found)
            if waiting:
                time.sleep(POLL_SECONDS)
        return found

    def _offset_or_none(self, topic: str, future: Future[Any], deadline: float) -> int | None:
        try:
            return int(future.result().offset)
        except KafkaException as error:
            reason = kafka_error(error)
            if is_passing(reason) and time.monotonic() < deadline:
                return None
            raise explain(f"reading offsets of {topic}", reason, self.kafka) from error

    def _state_of(self, group: str, future: Future[Any]) -> ConsumerGroupState:
        try:
            state: ConsumerGroupState = self.result(f"describing group {group}", future).state
        except TopicError as error:
            if is_code(error, KafkaError.GROUP_ID_NOT_FOUND):
                return ConsumerGroupState.DEAD
            raise
        return state
