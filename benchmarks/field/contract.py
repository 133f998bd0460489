"""What the harness asks of each system, and what it is told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from benchmarks.field.watching import Tree


class ServiceKind(StrEnum):
    """What stands between submitting and running."""

    KAFKA = "kafka"
    REDIS = "redis"
    """Append-only file, `appendfsync everysec`."""
    REDIS_MEMORY = "redis-memory"
    """No persistence at all."""
    POSTGRES = "postgres"


class Feature(StrEnum):
    """What not every system has."""

    NAPS = "naps"
    """Jobs that wait, many at a time in one process."""
    PARTITIONS = "partitions"
    ORDER = "order"
    RETRIES = "retries"
    REPLAY = "replay"
    """Dead jobs are kept and can be run again by one command or call."""
    PRIORITIES = "priorities"
    TRANSITIONS = "transitions"
    HEADERS = "headers"
    """A loop that can leave the headers of records unread."""
    LETTERS = "letters"
    """Dead jobs are kept and can be counted."""


@dataclass(frozen=True)
class Setting:
    """One point of a sweep.

    Attributes:
        processes: That run jobs.
        in_flight: Jobs that each of them runs at a time.
        pool: How, where a system offers several ways: threads, gevent, prefork …
    """

    processes: int = 1
    in_flight: int = 1
    pool: str = ""

    def __str__(self) -> str:
        return f"{self.processes} x {self.in_flight} {self.pool}".strip()


@dataclass(frozen=True)
class Run:
    """One run of one system, isolated from all others by its name.

    Attributes:
        name: Of its topics, queue or database.
        url: Where the service is.
        log: The file that handlers append to.
        setting: How its workers run.
        partitions: Of its topic, for Kafka.
        ordered: Jobs of a key keep their order.
        urgent: Jobs have a high or a low priority.
        transitions: Headrace says on a topic what became of each job.
        spread: Job types and queues, each, that jobs are spread over; (1, 1) is a plain run.
        headers: The bare loop reads the headers of each record.
    """

    name: str
    url: str
    log: Path
    setting: Setting = field(default_factory=Setting)
    partitions: int = 12
    ordered: bool = False
    transitions: bool = True
    spread: tuple[int, int] = (1, 1)
    urgent: bool = False
    headers: bool = False

    @property
    def shape(self) -> str:
        """What Headrace's queue must be: plain, ordered, urgent, or process."""
        if self.ordered:
            return "ordered"
        if self.urgent:
            return "urgent"
        return "process" if self.setting.pool == "process" else "plain"

    def environment(self) -> dict[str, str]:
        """Give what `work.setting` reads in the processes of the run."""
        return {
            "BENCH_NAME": self.name,
            "BENCH_URL": self.url,
            "BENCH_LOG": str(self.log),
            "BENCH_PROCESSES": str(self.setting.processes),
            "BENCH_IN_FLIGHT": str(self.setting.in_flight),
            "BENCH_POOL": self.setting.pool,
            "BENCH_PARTITIONS": str(self.partitions),
            "BENCH_SHAPE": self.shape,
            "BENCH_TYPES": str(self.spread[0]),
            "BENCH_QUEUES": str(self.spread[1]),
            "BENCH_HEADERS": "read" if self.headers else "",
        }


@dataclass(frozen=True)
class Submission:
    """Which jobs to submit. The words are those of `client.Order`."""

    mode: str
    kind: str
    count: int
    first: int = 0
    warm: int = 0
    rate: float = 0
    keys: int = 0
    priority: str | None = None
    seconds: float = 0


Figures = dict[str, float]


class NotInstalledError(Exception):
    """A system cannot be installed here; the text says why."""


class System(Protocol):
    """An adapter: everything that the harness knows of a system. Public APIs only.

    Attributes:
        name: In file names and on the command line.
        title: In tables.
        service: What it needs.
        features: What it has.
        durability: What it promises with these settings, in a few words.
        source: Where its documentation recommends them.
        sweep: Settings to try; the best one of short drains is measured.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def service(self) -> ServiceKind: ...
    @property
    def features(self) -> frozenset[Feature]: ...
    @property
    def durability(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def sweep(self) -> tuple[Setting, ...]: ...

    def install(self) -> dict[str, str]:
        """Make its environment, if it is not there; gives the versions of what counts.

        Raises:
            NotInstalledError: It cannot be had here.
        """
        ...

    def prepare(self, run: Run) -> None:
        """Make what a run needs: topics, tables."""
        ...

    def submit(self, run: Run, submission: Submission) -> Figures:
        """Submit in a process of its own, and give what `client.drive` measured."""
        ...

    def start(self, run: Run) -> Tree:
        """Start the workers; they may not be ready yet."""
        ...

    def stop(self, run: Run, tree: Tree) -> None:
        """End them as an operator would, and wait for it."""
        ...

    def letters(self, run: Run) -> int | None:
        """How many dead jobs are kept; None where that is not offered."""
        ...

    def replay(self, run: Run) -> None:
        """Run the dead jobs again."""
        ...

    def setting_for(self, kind: str, in_flight: int) -> Setting | None:
        """How it runs so many waiting jobs at a time; None when it cannot."""
        ...


def by_name(systems: Sequence[System]) -> dict[str, System]:
    """Give them by their names."""
    return {system.name: system for system in systems}
