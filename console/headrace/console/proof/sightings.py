"""What can be seen of a run while it lasts: who runs what, who owns what, and since when.

Seen in the execution logs and in the workers' own logs; for choosing moments and for measuring,
never for judging: that is the checker's.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from headrace.console.proof.processes import Running
from headrace.console.proof.records import Place, What
from headrace.console.proof.run_folder import EXECUTIONS

_KEPT_NS: Final = 120_000_000_000
"""Starts are forgotten after two minutes: no fault lasts so long."""
_RETIRED: Final = 30.0
"""Seconds without a line after which a log is looked at seldom."""
_SELDOM: Final = 5.0
_STEP: Final = 0.05


@dataclass(slots=True)
class _Log:
    path: Path
    read: int = 0
    grew: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Start:
    """A job that was begun."""

    at_ns: int
    job_id: str
    worker: int
    first: bool
    """Whether it is the job's first attempt."""


class Sightings:
    """Follows the execution logs of a run. Thread-safe.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / EXECUTIONS
        self._lock = threading.Lock()
        self._logs: dict[str, _Log] = {}
        self._listed = 0.0
        self._running: dict[int, set[tuple[int, str]]] = {}
        self._starts: deque[Start] = deque()
        self._raised: deque[tuple[int, int]] = deque()
        self._places: dict[str, tuple[Place, int]] = {}
        self.done = 0
        """Executions that returned."""
        self.started = 0
        """Executions that began."""

    def place(self, job_id: str, place: Place, since_ns: int) -> None:
        """Tell on which partition of its lane a job lies, and since when it may be begun."""
        self._places[job_id] = (place, since_ns)

    def look(self) -> None:
        """Read what was appended since."""
        with self._lock:
            self._list()
            now = time.monotonic()
            for log in self._logs.values():
                if now - log.grew < _RETIRED or now - self._listed < _STEP:
                    self._read(log)

    def _list(self) -> None:
        now = time.monotonic()
        for path in self._folder.glob("*.tsv") if self._folder.exists() else ():
            self._logs.setdefault(path.name, _Log(path))
        if now - self._listed > _SELDOM:
            self._listed = now

    def _read(self, log: _Log) -> None:
        with log.path.open("rb") as file:
            file.seek(log.read)
            found = file.read()
        whole = found[: found.rfind(b"\n") + 1]
        if whole:
            log.read += len(whole)
            log.grew = time.monotonic()
        for line in whole.decode().splitlines():
            self._take(line.split("\t"))

    def _take(self, line: list[str]) -> None:
        at_ns, job_id, attempt, pid, worker = (
            int(line[0]), line[2], int(line[3]), int(line[4]), int(line[10])
        )  # fmt: skip
        running = self._running.setdefault(worker, set())
        if line[1] == What.START:
            self.started += 1
            running.add((pid, job_id))
            self._starts.append(Start(at_ns, job_id, worker, attempt == 1))
            while self._starts and self._starts[0].at_ns < at_ns - _KEPT_NS:
                self._starts.popleft()
            return
        running.discard((pid, job_id))
        self.done += line[1] == What.DONE
        if line[1] == What.RAISE:
            self._raised.append((at_ns, attempt))

    def in_flight(self, worker: int) -> int:
        """How many executions of a worker began and have not ended, those in its children too."""
        self.look()
        with self._lock:
            return len(self._running.get(worker, ()))

    def raised(self, since_ns: int, attempt: int) -> int:
        """How many executions of that attempt have failed since."""
        self.look()
        with self._lock:
            return sum(1 for at, number in self._raised if at >= since_ns and number >= attempt)

    def stillness(
        self, places: Collection[Place], since_ns: int, by: Callable[[int], bool]
    ) -> dict[Place, int]:
        """How many nanoseconds jobs lay on each partition since then before one was begun.

        Counted are first attempts of jobs whose place was told, on workers that `by` accepts, from
        that moment or from the job's arrival if it came later.
        """
        self.look()
        found: dict[Place, int] = {}
        with self._lock:
            for start in self._starts:
                place, placed_ns = self._places.get(start.job_id, (("", 0), 0))
                if place not in places or place in found or not start.first:
                    continue
                if start.at_ns >= since_ns and by(start.worker):
                    found[place] = max(0, start.at_ns - max(since_ns, placed_ns))
        return found

    def has_started(self, worker: int, since_ns: int) -> bool:
        """Whether a worker has begun a job since then."""
        self.look()
        with self._lock:
            return any(s.worker == worker and s.at_ns >= since_ns for s in self._starts)


# -- the workers' own logs -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a worker's partitions, as it logged it."""

    at_ns: int
    gained: bool
    places: tuple[Place, ...]


def changes(running: Running) -> Iterator[Change]:
    """Read which partitions a process got and gave up, in order."""
    if not running.log.exists():
        return
    with running.log.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if '"partitions ' in line and line.endswith("}\n"):
                found = json.loads(line)
                moment = datetime.fromisoformat(found["timestamp"])
                yield Change(
                    int(moment.timestamp() * 1_000_000) * 1_000,
                    found["event"] == "partitions assigned",
                    tuple(_places(found["partitions"])),
                )


def owned(running: Running) -> set[Place]:
    """Which partitions a process has, as far as it knows."""
    mine: set[Place] = set()
    for change in changes(running):
        mine = mine | set(change.places) if change.gained else mine - set(change.places)
    return mine


def _places(by_topic: dict[str, str]) -> Iterator[Place]:
    for topic, ranges in by_topic.items():
        for part in ranges.split(",") if ranges else ():
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                yield topic, number
