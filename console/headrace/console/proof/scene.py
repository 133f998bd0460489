"""What faults act on, and what they measure themselves by."""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Final

from headrace.console.proof.cluster import Cluster
from headrace.console.proof.offsets import Offsets
from headrace.console.proof.processes import Crew, Running
from headrace.console.proof.records import Place
from headrace.console.proof.sightings import Sightings, owned
from headrace.schemas.errors import HeadraceError

LOOK: Final = 0.02
_LONG: Final = 7.0
"""Seconds that are waited longer for a first job than for those of the other partitions."""
_PATIENCE: Final = 20.0
"""Seconds that a fault waits for a worker with jobs in flight."""


class FaultError(HeadraceError):
    """A fault that could not be made: the run goes on without it."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """How long jobs waited on partitions that changed hands.

    Attributes:
        first_ms: Where it was shortest.
        last_ms: Where it was longest; None when not all had begun one in time.
    """

    first_ms: int | None = None
    last_ms: int | None = None


@dataclass
class Scene:
    """Everything that a fault may touch. Thread-safe.

    Attributes:
        workers: How many workers there are when nothing is broken; one more has a slot.
    """

    cluster: Cluster
    crew: Crew
    sightings: Sightings
    offsets: Offsets
    session: timedelta
    workers: int
    dead_letters: tuple[str, ...]
    stopping: threading.Event
    broker: threading.RLock = field(default_factory=threading.RLock)
    """Held while the broker is away, and while its offsets are being asked for."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _taken: set[int] = field(default_factory=set)

    def wait(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            InterruptedError: The run is being ended.
        """
        if self.stopping.wait(max(0.0, seconds)):
            raise InterruptedError("the run is being ended")

    def until(self, holds: Callable[[], object], seconds: float) -> bool:
        """Wait until something holds; False when it does not in time."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                return False
            self.wait(LOOK)
        return True

    # -- victims -----------------------------------------------------------------------------------

    def take_worker(self, chance: Random) -> Running:
        """Take a worker that has jobs in flight, for one fault alone.

        Raises:
            FaultError: There is none.
        """
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            busy = [each for each in self.free() if self.sightings.in_flight(each.pid)]
            if busy and self._take(victim := chance.choice(busy)):
                return victim
            self.wait(LOOK)
        raise FaultError(
            f"no worker had jobs in flight for {_PATIENCE:g} s that no other fault has"
        )

    def free(self) -> list[Running]:
        """Workers that no fault has."""
        return [each for each in self.crew.running() if each.pid not in self._taken]

    def _take(self, victim: Running) -> bool:
        with self._lock:
            if victim.pid in self._taken or not victim.alive:
                return False
            self._taken.add(victim.pid)
            return True

    def release(self, victim: Running) -> None:
        """Let other faults have it."""
        with self._lock:
            self._taken.discard(victim.pid)

    def free_slot(self) -> int:
        """Give a slot that no living worker fills.

        Raises:
            FaultError: All are filled.
        """
        filled = {each.slot for each in self.crew.running()}
        free = [slot for slot in range(self.workers + 1) if slot not in filled]
        if not free:
            raise FaultError("every worker's slot is filled")
        return free[0]

    @contextmanager
    def broker_stays(self) -> Iterator[None]:
        """Keep the broker from being killed meanwhile."""
        with self.broker:
            yield

    # -- measures ----------------------------------------------------------------------------------

    def takeover(
        self, places: Collection[Place], since_ns: int, by: Callable[[int], bool], seconds: float
    ) -> Takeover:
        """Wait until the partitions run again, and tell how long jobs lay still on them.

        Args:
            places: The partitions.
            since_ns: Wall clock when they lost their owner.
            by: Whether a worker counts, by its pid.
            seconds: How long the first job is waited for; the others not to the very end of it.
        """
        found: dict[Place, int] = {}
        patient = time.monotonic() + seconds - _LONG

        def all_run() -> bool:
            found.update(self.sightings.stillness(places, since_ns, by))
            return len(found) == len(places) or (bool(found) and time.monotonic() > patient)

        self.until(all_run, seconds)
        whole = len(found) == len(places)
        times = [nanoseconds // 1_000_000 for nanoseconds in found.values()]
        return Takeover(min(times, default=None), max(times, default=None) if whole else None)

    def owned_by(self, worker: Running) -> set[Place]:
        """The partitions of a worker, of its lanes."""
        return {place for place in owned(worker) if place[0] in worker.lanes}
