"""What every fault is: three acts, what it tells about itself, and what it measures.

In three acts, so that several can strike at the same moment: `prepare` chooses whom it hits and
takes what must be known from before, `strike` does it, `recover` waits for its effect, measures it
and puts things right again.
"""

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar, Final

from headrace.console.proof.processes import Running
from headrace.console.proof.records import Committed, Kind, Place
from headrace.console.proof.scene import Scene, Takeover

BACK: Final = 20.0
"""Seconds that a process, or the broker's clients, get to work again."""
_LATE: Final = 10.0
"""Seconds beyond the session timeout that a takeover is waited for, so that a late one is seen."""


@dataclass
class Seen:
    """What a fault tells about itself."""

    workers: tuple[int, ...] = ()
    in_flight: int = 0
    committed: Mapping[Place, Committed] = field(default_factory=dict)
    snapshot_ns: int = 0
    woken_ns: int = 0
    ended_ns: int = 0
    note: str = ""
    takeover: Takeover = field(default_factory=Takeover)


class Fault(ABC):
    """One fault, made once.

    Args:
        scene: What it acts on.
        chance: Whence it draws its details.
        alone: Whether nothing else strikes at the same moment; only then is a takeover measured.
    """

    kind: ClassVar[Kind]

    def __init__(self, scene: Scene, chance: Random, *, alone: bool = True) -> None:
        self.scene = scene
        self.chance = chance
        self.alone = alone
        self.seen = Seen()
        self._taken: list[Running] = []

    @abstractmethod
    def prepare(self) -> None:
        """Choose whom it hits, and take the snapshot if it must be from before.

        Raises:
            FaultError: It cannot be made now.
        """

    def abandon(self) -> None:
        """Undo what `prepare` had done when it raised: let go on what it had stopped."""
        for each in self._taken:
            each.signal(signal.SIGCONT, group=True)
            each.meant_to_end = False
            self.scene.release(each)
        self.seen.ended_ns = time.time_ns()

    @abstractmethod
    def strike(self) -> None:
        """Do it."""

    @abstractmethod
    def recover(self) -> None:
        """Wait for the effect, and put things right. Called whatever `strike` raised."""

    def take_worker(self) -> Running:
        """Take a worker that has jobs in flight, for this fault alone."""
        victim = self.scene.take_worker(self.chance)
        self._taken.append(victim)
        return victim

    def snapshot(self) -> None:
        """Note what is committed now."""
        with self.scene.broker_stays():
            self.seen.committed = self.scene.offsets.snapshot()
        self.seen.snapshot_ns = time.time_ns()

    def measure(self, places: set[Place], since_ns: int, victim: Running) -> None:
        """Wait until others run the partitions of a victim."""
        seconds = self.scene.session.total_seconds() + _LATE
        found = self.scene.takeover(places, since_ns, lambda pid: pid != victim.pid, seconds)
        if self.alone:
            self.seen.takeover = found
