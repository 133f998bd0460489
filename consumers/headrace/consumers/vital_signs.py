"""What a worker and a scheduler say of themselves in a heartbeat.

Read from their threads' own figures when a heartbeat is due, so a job pays nothing for it.
"""

import heapq
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from headrace.consumers.clock import now_ms
from headrace.consumers.figures import MemberFigures
from headrace.consumers.lane import LaneThread
from headrace.consumers.owned import Place
from headrace.consumers.partitions import Partitions
from headrace.consumers.records import JobRecord
from headrace.consumers.slots import Slots
from headrace.pipeline.queues import Pool
from headrace.pipeline.release import own_version
from headrace.schemas.heartbeats import (
    Heartbeat,
    RunningJob,
    ServedPartition,
    ServedTopic,
    SlotUse,
)

TOLD: Final = 20
"""Running jobs that one heartbeat names: those that run longest."""
_LONGEST_ID: Final = 200
"""Characters of a job id that stay: records of foreign producers may say anything."""
_LOOKS: Final = 3
"""Looks at what another thread changes, before what is left out is left out."""
Running = Sequence[tuple[JobRecord, int]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process is, from its start to its end."""

    name: str
    role: str
    version: str = field(default_factory=own_version)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    started: int = field(default_factory=now_ms)

    def heartbeat(self) -> Heartbeat:
        """Begin a heartbeat of now; how often there is one is for the sender to say."""
        return Heartbeat(
            self.name,
            self.role,
            self.version,
            self.host,
            self.pid,
            self.started,
            now_ms(),
            interval=0,
        )


def of_worker(
    identity: Identity, lanes: Iterable[LaneThread], pools: Mapping[Pool, Slots]
) -> Heartbeat:
    """Say what a worker does now."""
    served: list[ServedTopic] = []
    running: list[tuple[JobRecord, int]] = []
    for lane in lanes:
        its = _running(lane)
        running += its
        served.append(_lane(lane, its))
    longest = heapq.nsmallest(TOLD, running, key=lambda each: each[1])
    return identity.heartbeat()._replace(
        served=tuple(served),
        slots=tuple(SlotUse(pool, slots.count, slots.used) for pool, slots in pools.items()),
        running=tuple(_told(record, started) for record, started in longest),
    )


def of_scheduler(
    identity: Identity, tiers: Iterable[str], partitions: Partitions, figures: MemberFigures
) -> Heartbeat:
    """Say what a scheduler does now."""
    owned, polled = list(partitions.owned), _polled(figures)
    return identity.heartbeat()._replace(
        served=tuple(ServedTopic(tier, _idle(owned, tier), polled) for tier in tiers)
    )


def changes_of(figures: Iterable[MemberFigures]) -> int:
    """Count the changes of what a process owns; another number is worth a heartbeat at once."""
    return sum(each.assigned + each.revoked + each.lost_partitions for each in figures)


def _lane(lane: LaneThread, running: Running) -> ServedTopic:
    counts = Counter(record.partition for record, _ in running)
    oldest: dict[int, int] = {}
    for record, started in running:
        oldest[record.partition] = min(started, oldest.get(record.partition, started))
    # What still runs of a partition that was given up belongs to its new owner
    numbers = sorted(partition for _, partition in list(lane.partitions.owned))
    partitions = tuple(
        ServedPartition(number, counts[number], oldest.get(number)) for number in numbers
    )
    return ServedTopic(lane.rules.lane.topic, partitions, _polled(lane.figures))


def _idle(owned: Iterable[Place], topic: str) -> tuple[ServedPartition, ...]:
    return tuple(ServedPartition(n) for n in sorted(n for name, n in owned if name == topic))


def _running(lane: LaneThread) -> Running:
    for _ in range(_LOOKS):
        try:
            return list(lane.dispatch.running())
        except RuntimeError:  # its thread changed what runs isolated during the look
            continue
    return list(lane.buffer.started.copy().values())


def _polled(figures: MemberFigures) -> int | None:
    if not figures.last_poll:
        return None
    return now_ms() - round((time.monotonic() - figures.last_poll) * 1000)


def _told(record: JobRecord, started: int) -> RunningJob:
    headers = record.headers
    return RunningJob(
        headers.job_id[:_LONGEST_ID],
        record.job_type.name,
        record.lane.topic,
        record.partition,
        record.offset,
        headers.attempt,
        started,
    )
