"""What the heartbeats of all processes tell together."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from headrace.pipeline.group_offsets import Place
from headrace.schemas.headers import format_time
from headrace.schemas.heartbeats import Heartbeat, RunningJob, ServedPartition

SILENT_INTERVALS: Final = 3
"""Heartbeats that may be missing before a process counts as gone."""


class Standing(StrEnum):
    """How a process is, as far as its heartbeats tell."""

    ALIVE = "alive"
    GONE = "gone"
    """It fell silent: it was killed, hangs, or cannot reach Kafka."""
    STOPPED = "stopped"
    """It ended in order, and said so."""


@dataclass(frozen=True, slots=True)
class SeenProcess:
    """A worker or scheduler, by the last heartbeat that Kafka has of it.

    Attributes:
        beat: What it said.
        seen: When Kafka got that, epoch milliseconds by the broker's clock.
        standing: What to think of it now.
    """

    beat: Heartbeat
    seen: int
    standing: Standing

    @property
    def places(self) -> Iterator[tuple[Place, ServedPartition]]:
        """The partitions that it owns, or owned when it was seen last."""
        for topic in self.beat.served:
            for part in topic.partitions:
                yield (topic.topic, part.partition), part

    def as_json(self) -> dict[str, Any]:
        """Give it for programs; times in UTC."""
        beat = self.beat
        return {
            "name": beat.name,
            "role": beat.role,
            "standing": self.standing.value,
            "seen": format_time(self.seen),
            "version": beat.version,
            "host": beat.host,
            "pid": beat.pid,
            "started": format_time(beat.started),
            "in_flight": beat.in_flight,
            "slots": {each.pool: {"total": each.total, "used": each.used} for each in beat.slots},
            "served": [
                {
                    "topic": topic.topic,
                    "polled": _time(topic.polled),
                    "partitions": [part.partition for part in topic.partitions],
                }
                for topic in beat.served
            ],
            "running": [_job_json(each) for each in beat.running],
        }


@dataclass(frozen=True, slots=True)
class Unserved:
    """A partition that nobody alive owns.

    Attributes:
        topic: A lane or a delay tier.
        partition: Its number.
        last: Who owned it last, as far as that is known.
    """

    topic: str
    partition: int
    last: SeenProcess | None = None

    def as_json(self) -> dict[str, Any]:
        """Give it for programs."""
        last = self.last
        return {
            "topic": self.topic,
            "partition": self.partition,
            "last_owner": None if last is None else last.beat.name,
            "last_seen": None if last is None else format_time(last.seen),
        }


@dataclass(frozen=True)
class WorkerView:
    """Who works at one moment.

    Attributes:
        pipeline: Its name.
        at: The moment, epoch milliseconds.
        processes: Workers and schedulers that were seen within the last day, oldest first.
        partitions: How many partitions each lane and each delay tier has; topics that do not
            exist are missing.
        lanes: Which of these are lanes.
        unreadable: Names of processes whose heartbeats this version cannot read.
    """

    pipeline: str
    at: int
    processes: tuple[SeenProcess, ...] = ()
    partitions: Mapping[str, int] = field(default_factory=dict)
    lanes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    def of(self, *standings: Standing) -> tuple[SeenProcess, ...]:
        """The processes of these standings."""
        return tuple(each for each in self.processes if each.standing in standings)

    @property
    def alive(self) -> tuple[SeenProcess, ...]:
        """Those that work."""
        return self.of(Standing.ALIVE)

    @property
    def gone(self) -> tuple[SeenProcess, ...]:
        """Those that fell silent without having been stopped; `seen` says since when."""
        return self.of(Standing.GONE)

    def owner(self, topic: str, partition: int) -> SeenProcess | None:
        """Who is alive and owns a partition; for seconds after a hand-over the newer one."""
        found = self._owners.get((topic, partition))
        return None if found is None else found[0]

    def running(self, topic: str, partition: int) -> int:
        """How many jobs of a partition run now, as far as its owner is alive."""
        found = self._owners.get((topic, partition))
        return 0 if found is None else found[1].running

    def oldest_start(self, topic: str, partition: int) -> int | None:
        """Since when the job runs that runs longest in a partition, epoch ms by its worker's clock.

        None when none runs, or nobody alive owns the partition.
        """
        found = self._owners.get((topic, partition))
        return None if found is None else found[1].oldest

    def unserved(self, topics: Iterable[str] | None = None) -> tuple[Unserved, ...]:
        """Name the partitions of lanes and delay tiers that nobody alive owns.

        Args:
            topics: Only these; all when not given.
        """
        wanted = self.partitions if topics is None else [t for t in topics if t in self.partitions]
        return tuple(
            Unserved(topic, number, self._last_owners.get((topic, number)))
            for topic in wanted
            for number in range(self.partitions[topic])
            if (topic, number) not in self._owners
        )

    def as_json(self) -> dict[str, Any]:
        """Give all of it for programs."""
        return {
            "pipeline": self.pipeline,
            "at": format_time(self.at),
            "processes": [each.as_json() for each in self.processes],
            "unserved": [each.as_json() for each in self.unserved()],
            "unreadable": list(self.unreadable),
        }

    @cached_property
    def _owners(self) -> Mapping[Place, tuple[SeenProcess, ServedPartition]]:
        owners: dict[Place, tuple[SeenProcess, ServedPartition]] = {}
        for process in sorted(self.alive, key=lambda each: each.seen):
            owners |= {place: (process, part) for place, part in process.places}
        return owners

    @cached_property
    def _last_owners(self) -> Mapping[Place, SeenProcess]:
        owners: dict[Place, SeenProcess] = {}
        for process in sorted(self.processes, key=lambda each: each.seen):
            owners |= dict.fromkeys((place for place, _ in process.places), process)
        return owners


def standing_of(beat: Heartbeat, seen: int, at: int) -> Standing:
    """Judge a process by its last heartbeat and when that came, both by about the same clock."""
    if beat.stopped:
        return Standing.STOPPED
    return Standing.GONE if at - seen > SILENT_INTERVALS * beat.interval else Standing.ALIVE


def by_topic(unserved: Iterable[Unserved]) -> Mapping[str, tuple[Unserved, ...]]:
    """Put unserved partitions together by their topics."""
    found: dict[str, list[Unserved]] = defaultdict(list)
    for each in unserved:
        found[each.topic].append(each)
    return {topic: tuple(parts) for topic, parts in found.items()}


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else format_time(milliseconds)


def _job_json(job: RunningJob) -> dict[str, Any]:
    return job._asdict() | {"started": format_time(job.started)}
