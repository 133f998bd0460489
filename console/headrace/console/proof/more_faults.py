"""The faults that nobody suffers from at once: members that come and go, and a topic that refuses."""

import signal
import time
from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaException

from headrace.console.proof.fault import Fault
from headrace.console.proof.processes import STOPPING, Running
from headrace.console.proof.records import Kind
from headrace.console.proof.scene import FaultError, Takeover
from headrace.console.proof.sightings import Change, changes
from headrace.console.proof.workload import MAX_ATTEMPTS
from headrace.pipeline.kafka import make_admin
from headrace.pipeline.topics.api import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

_LIMIT: Final = "max.message.bytes"
_TINY: Final = "150"
"""Bytes: less than the headers of a dead letter, and more than the 78 of a transaction's marker: a
broker that may not append its marker leaves the transaction open for good."""
_ANSWER: Final = 10.0
_JOINED: Final = 8.0
_MENDED: Final = 60.0
"""Seconds that a broker which is away gets before its topics stay as they are."""
_CLEAN: Final = 9.0
"""Seconds that the first job after a clean change is waited for, so that a late one is seen."""


class RebalanceStorm(Fault):
    """Workers join and leave, faster than the group comes to rest. Nothing may run twice for it."""

    kind = Kind.REBALANCE_STORM

    def prepare(self) -> None:
        """Nothing needs to be known from before."""
        self._rounds = self.chance.randint(2, 4)
        self._left: list[Running] = []
        self._changes: list[tuple[Change, int]] = []
        """Partitions that were gained or given up, and the pid of who left with them or 0."""

    def strike(self) -> None:
        """In each round one joins and another one leaves."""
        for _ in range(self._rounds):
            joining = self.scene.crew.start_worker(self.scene.free_slot())
            if self.chance.random() < 0.5:
                self._await_joined(joining)
            self._leave()
            self._await_joined(joining)
            self._changes += [(each, 0) for each in changes(joining) if each.gained]

    def _await_joined(self, joining: Running) -> None:
        self.scene.until(lambda: not joining.alive or any(changes(joining)), _JOINED)

    def _leave(self) -> None:
        leaving = self.scene.take_worker(self.chance)
        leaving.meant_to_end = True
        asked = time.time_ns()
        leaving.signal(signal.SIGTERM)
        ended = leaving.wait(STOPPING)
        self._left.append(leaving)
        if not ended:
            leaving.signal(signal.SIGKILL, group=True)
            raise FaultError(
                f"worker {leaving.pid} did not end within {STOPPING} s of SIGTERM and was killed; "
                f"its log: {leaving.log}"
            )
        for given_up in changes(leaving):
            if not given_up.gained and given_up.at_ns >= asked:
                self._changes.append((given_up, leaving.pid))

    def _measured(self) -> Takeover:
        """Measure every change of hands: the worst of them counts."""
        deadline = time.monotonic() + _CLEAN
        times = [
            self.scene.takeover(
                change.places, change.at_ns, left.__ne__, max(0.0, deadline - time.monotonic())
            )
            for change, left in self._changes
            if change.places
        ]
        return Takeover(
            max((each.first_ms for each in times if each.first_ms is not None), default=None),
            max((each.last_ms for each in times if each.last_ms is not None), default=None),
        )

    def recover(self) -> None:
        """See that the crew is as large as before; what the leavers committed is known now."""
        self.snapshot()
        for each in self._left:
            self.scene.release(each)
        while len(self.scene.crew.running()) < self.scene.workers:
            self.scene.crew.start_worker(self.scene.free_slot())
        self.seen.workers = tuple(each.pid for each in self._left)
        self.seen.note = f"{len(self._left)} left, as many joined"
        self.seen.ended_ns = time.time_ns()
        if self.alone:
            self.seen.takeover = self._measured()


class DlqFull(Fault):
    """The dead-letter topics refuse every record for some seconds."""

    kind = Kind.DLQ_FULL

    def prepare(self) -> None:
        """Remember what they take now."""
        self._admin = make_admin(self.scene.cluster.kafka)
        with self.scene.broker_stays():
            self._before = self._limits()
            self.snapshot()

    def strike(self) -> None:
        """Let them take next to nothing."""
        self._since = time.time_ns()
        self._set(dict.fromkeys(self._before, _TINY))

    def recover(self) -> None:
        """Wait until jobs have died in vain, and let them take records again."""
        try:
            self.scene.wait(4 + 4 * self.chance.random())
            self.scene.until(lambda: self._refused() > 0, _JOINED)
        finally:
            self.seen.in_flight = self._refused()
            self._set(self._before)
        self.seen.note = f"{self.seen.in_flight} jobs failed for the last time meanwhile"

    def _refused(self) -> int:
        return self.scene.sightings.raised(self._since, MAX_ATTEMPTS)

    def _limits(self) -> dict[str, str]:
        answers = self._admin.describe_configs(
            [ConfigResource(ResourceType.TOPIC, name) for name in self.scene.dead_letters],
            request_timeout=_ANSWER,
        )
        return {
            resource.name: str(answer.result()[_LIMIT].value)
            for resource, answer in answers.items()
        }

    def _set(self, limits: Mapping[str, str]) -> None:
        deadline = time.monotonic() + _MENDED
        while True:
            try:
                return self._alter(limits)
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _alter(self, limits: Mapping[str, str]) -> None:
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                name,
                incremental_configs=[
                    ConfigEntry(_LIMIT, value, incremental_operation=AlterConfigOpType.SET)
                ],
            )
            for name, value in limits.items()
        ]
        answers = self._admin.incremental_alter_configs(resources, request_timeout=_ANSWER)
        for answer in answers.values():
            answer.result()
