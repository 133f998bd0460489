"""The Kafka that is put to the proof: an embedded one of its own, or the user's."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Final, Protocol

from confluent_kafka import KafkaError, KafkaException

from headrace.console.proof.proxy import Proxy
from headrace.pipeline import broker
from headrace.pipeline.broker import BrokerOptions, BrokerState, Proxied
from headrace.pipeline.broker.startup import free_port
from headrace.pipeline.group_offsets import GroupOffsets
from headrace.pipeline.kafka import make_admin
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings, TopicSettings, load
from headrace.pipeline.settings import Protocol as GroupProtocol
from headrace.pipeline.topics import apply_plan, plan_topics
from headrace.pipeline.topics.api import ConfigResource, ResourceType
from headrace.schemas.errors import HeadraceError

_SESSION_OPTION: Final = "group.consumer.session.timeout.ms"
_KAFKA_DEFAULT: Final = timedelta(seconds=45)
_ANSWER: Final = 20.0
_DEATH: Final = 20.0
_LOADING: Final = 60.0
"""Seconds in which a broker that was started must have loaded its groups."""
_OFFSETS: Final = "__consumer_offsets"


class ClusterError(HeadraceError):
    """The Kafka under test cannot be used."""


class Cluster(Protocol):
    """A Kafka, as the runner sees it.

    Attributes:
        kafka: How the runner reaches it, past every proxy.
    """

    kafka: KafkaSettings

    def bootstrap_of(self, slot: int | None) -> str:
        """Give the address for the worker of a slot; for None the schedulers'."""
        ...

    def proxy(self, slot: int) -> Proxy:
        """Give what stands between the worker of a slot and the broker."""
        ...

    def kill(self) -> None:
        """End the broker as the kernel would."""
        ...

    def restart(self) -> None:
        """Start the broker again and wait until it serves."""
        ...

    def session_timeout(self) -> timedelta:
        """After which silence a worker's partitions are given away."""
        ...

    def close(self) -> None:
        """End what was started, and remove what was made."""
        ...


class OwnCluster:
    """An embedded broker in the run folder, with a proxy for each worker, and one for schedulers.

    Args:
        folder: Of the run. The broker's data in it is removed at the end; its logs stay.
        slots: How many workers there are at most.
        progress: Told a line about each step.

    Raises:
        BrokerError: It cannot be started.
    """

    def __init__(self, folder: Path, slots: int, progress: Callable[[str], None]) -> None:
        self._directory = folder / "broker"
        ports: list[int] = []
        for _ in range(slots + 1):
            ports.append(free_port(ports))
        self._proxies = [Proxy(port).start() for port in ports]
        self._options = BrokerOptions(
            directory=self._directory,
            progress=progress,
            proxied=tuple(Proxied(proxy.upstream, proxy.port) for proxy in self._proxies),
        )
        try:
            self._address = broker.start(self._options)
        except BaseException:
            self._close_proxies()
            raise
        self.kafka = load(KafkaSettings, bootstrap_servers=self._address.bootstrap)

    def bootstrap_of(self, slot: int | None) -> str:
        """Give the address of the slot's proxy, or that of the schedulers'."""
        return f"127.0.0.1:{self._proxies[-1 if slot is None else slot].port}"

    def proxy(self, slot: int) -> Proxy:
        """Give the slot's proxy."""
        return self._proxies[slot]

    def kill(self) -> None:
        """Send SIGKILL, and wait until the process is gone.

        Raises:
            ClusterError: It does not die.
        """
        os.kill(self._address.pid, signal.SIGKILL)
        deadline = time.monotonic() + _DEATH
        while broker.status(self._directory).state is not BrokerState.CRASHED:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"the broker (process {self._address.pid}) still lives {_DEATH:g} s after "
                    "SIGKILL: its disk may hang; look at it, then start the proof again"
                )
            time.sleep(0.02)

    def restart(self) -> None:
        """Start it on the same data and ports, and wait until it has loaded its groups.

        Raises:
            BrokerError: It cannot be started.
            ClusterError: It does not load its groups.
        """
        self._address = broker.start(self._options)
        await_groups(self.kafka)

    def session_timeout(self) -> timedelta:
        """Six seconds."""
        return session_timeout(self.kafka)

    def close(self) -> None:
        """Stop the broker and the proxies, and remove the data."""
        try:
            broker.stop(self._directory)
        finally:
            self._close_proxies()
            shutil.rmtree(self._directory / "kafka" / "data", ignore_errors=True)

    def _close_proxies(self) -> None:
        for proxy in self._proxies:
            proxy.close()


class UserCluster:
    """A Kafka that others use too: only topics and groups of this run are touched.

    Args:
        kafka: How to reach it.
        pipeline: Of the run, whose topics and groups are deleted at the end.
    """

    def __init__(self, kafka: KafkaSettings, pipeline: Pipeline) -> None:
        self.kafka = kafka
        self._pipeline = pipeline

    def bootstrap_of(self, slot: int | None) -> str:
        """Give the cluster's address."""
        return self.kafka.bootstrap_servers

    def proxy(self, slot: int) -> Proxy:
        """Refuse: a proxy cannot stand in front of brokers that advertise other addresses.

        Raises:
            ClusterError: Always.
        """
        raise ClusterError("network faults need a broker of the proof's own")

    def kill(self) -> None:
        """Refuse.

        Raises:
            ClusterError: Always.
        """
        raise ClusterError("a broker that others use is not killed")

    def restart(self) -> None:
        """Do nothing: it was not killed."""

    def session_timeout(self) -> timedelta:
        """Ask the brokers."""
        return session_timeout(self.kafka)

    def close(self) -> None:
        """Delete the run's groups and topics."""
        admin = make_admin(self.kafka)
        topology = self._pipeline.topology
        groups = [*(lane.topic for lane in topology.lanes()), topology.scheduler_group]
        mine = [
            name
            for name in admin.list_topics(timeout=_ANSWER).topics
            if name.startswith(f"{self._pipeline.name}.")
        ]
        _settle(admin.delete_consumer_groups(groups, request_timeout=_ANSWER).values())
        if mine:
            _settle(admin.delete_topics(mine, request_timeout=_ANSWER).values())


def make_topics(pipeline: Pipeline, kafka: KafkaSettings) -> None:
    """Make the topics of a run, small ones.

    Raises:
        ClusterError: Something was refused.
        KafkaUnavailableError: Kafka does not answer.
    """
    wishes = load(TopicSettings, topic_partitions=3, delay_partitions=2, events_partitions=2)
    report = apply_plan(plan_topics(pipeline, kafka, wishes), kafka)
    if not report.ok:
        raise ClusterError("\n".join(report.refused))


def await_groups(kafka: KafkaSettings) -> None:
    """Wait until every coordinator of groups answers.

    Raises:
        ClusterError: One does not.
    """
    admin = make_admin(kafka)
    partitions = len(admin.list_topics(_OFFSETS, timeout=_ANSWER).topics[_OFFSETS].partitions)
    deadline = time.monotonic() + _LOADING
    for group in _a_group_of_each(partitions):
        offsets = GroupOffsets(kafka, _ANSWER)
        while True:
            try:
                offsets.committed(group, [(_OFFSETS, 0)])
                break
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"the broker does not load its groups within {_LOADING:g} s of its start "
                        f"({error}): that is the broker's own trouble, its log in the run folder "
                        "tells; run the proof again"
                    ) from error
                offsets.close()
                time.sleep(0.1)
        offsets.close()


def _a_group_of_each(partitions: int) -> Iterable[str]:
    """Give names of groups, one for each partition of the offsets topic."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < partitions:
        name = f"headrace-probe-{number}"
        found.setdefault(abs(_java_hash(name)) % partitions, name)
        number += 1
    return found.values()


def _java_hash(text: str) -> int:
    """What Java's `String.hashCode` gives: Kafka finds a group's coordinator by it."""
    value = 0
    for character in text:
        value = (31 * value + ord(character)) & 0xFFFFFFFF
    return value - 0x1_0000_0000 if value & 0x8000_0000 else value


def session_timeout(kafka: KafkaSettings) -> timedelta:
    """Give how long the broker waits for a silent member before others get its partitions."""
    if kafka.group_protocol is GroupProtocol.CLASSIC:
        return kafka.session_timeout
    admin = make_admin(kafka)
    brokers = admin.list_topics(timeout=_ANSWER).brokers
    resources = [ConfigResource(ResourceType.BROKER, str(number)) for number in brokers]
    try:
        found = [
            answer.result()
            for answer in admin.describe_configs(resources[:1], request_timeout=_ANSWER).values()
        ]
        return timedelta(milliseconds=int(found[0][_SESSION_OPTION].value))
    except (KafkaException, KeyError, IndexError, TypeError, ValueError):
        return _KAFKA_DEFAULT  # not allowed to look, or a broker that knows no such option


def _settle(answers: Iterable[object]) -> None:
    """Wait for answers; what is not there needs no deletion."""
    for answer in answers:
        try:
            answer.result()  # type: ignore[attr-defined]
        except KafkaException as error:
            cause: KafkaError = error.args[0]
            if cause.code() not in (
                KafkaError.UNKNOWN_TOPIC_OR_PART,
                KafkaError.GROUP_ID_NOT_FOUND,
            ):
                raise
