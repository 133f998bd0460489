"""The faults: what is done to processes, broker and network, each a small class.

Each has three acts, so that several can strike at the same moment: `prepare` chooses whom it hits
and takes what must be known from before, `strike` does it, `recover` waits for its effect, measures
it and puts things right again. Signals are real signals, connections real connections.
"""

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import ClassVar, Final

from headrace.console.proof.processes import STOPPING, Running
from headrace.console.proof.records import Committed, Kind, Place
from headrace.console.proof.scene import FaultError, Scene, Takeover
from headrace.console.proof.sightings import changes

_TRIES: Final = 200
_SETTLE: Final = 0.02
"""Seconds in which a stop signal has surely arrived."""
_LATE: Final = 10.0
"""Seconds beyond the session timeout that a takeover is waited for, so that a late one is seen."""
_BACK: Final = 20.0
"""Seconds that a process gets to be a member again."""


@dataclass
class Seen:
    """What a fault tells about itself."""

    workers: tuple[int, ...] = ()
    in_flight: int = 0
    committed: Mapping[Place, Committed] = field(default_factory=dict)
    snapshot_ns: int = 0
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


class Kill(Fault):
    """SIGKILL of a worker. Its children find their parent gone."""

    kind = Kind.KILL
    group: ClassVar[bool] = False

    def prepare(self) -> None:
        """Stop it first, so that what is committed and in flight is exact when it dies."""
        self._victim = self.take_worker()
        self._victim.meant_to_end = True
        if not self._stopped_in_flight():
            raise FaultError(f"worker {self._victim.pid} had no job in flight whenever it stopped")
        self._places = self.scene.owned_by(self._victim)
        self.seen.workers = (self._victim.pid,)
        self.snapshot()

    def _stopped_in_flight(self) -> bool:
        for _ in range(_TRIES):
            self._victim.signal(signal.SIGSTOP, group=self.group)
            time.sleep(_SETTLE)
            self.seen.in_flight = self.scene.sightings.in_flight(self._victim.pid)
            if self.seen.in_flight or not self._victim.alive:
                return self._victim.alive
            self._victim.signal(signal.SIGCONT, group=self.group)
            self.scene.wait(0.01)
        return False

    def strike(self) -> None:
        """Kill it."""
        self._victim.signal(signal.SIGKILL, group=self.group)
        self._victim.wait(10)
        self._since = self.seen.ended_ns = time.time_ns()
        self.seen.note = f"slot {self._victim.slot}, {len(self._places)} partitions"

    def recover(self) -> None:
        """Start the next worker, at once or when others have taken over."""
        try:
            at_once = self.chance.random() < 0.5
            if at_once:
                self.scene.crew.start_worker(self._victim.slot)
            self.measure(self._places, self._since, self._victim)
            if not at_once:
                self.scene.crew.start_worker(self._victim.slot)
        finally:
            self.scene.release(self._victim)


class KillGroup(Kill):
    """SIGKILL of a worker and all its children, as a container's end."""

    kind = Kind.KILL_GROUP
    group = True


class StopCont(Fault):
    """A worker that sleeps longer than the session timeout, and wakes as a zombie."""

    kind = Kind.STOP_CONT

    def prepare(self) -> None:
        """Stop it; with its children, as a virtual machine that is frozen, or alone."""
        self._victim = self.take_worker()
        self._group = self.chance.random() < 0.5
        self._places = self.scene.owned_by(self._victim)
        self._victim.signal(signal.SIGSTOP, group=self._group)
        self._since = time.time_ns()
        time.sleep(_SETTLE)
        self.seen.in_flight = self.scene.sightings.in_flight(self._victim.pid)
        self.seen.workers = (self._victim.pid,)
        self.snapshot()

    def strike(self) -> None:
        """It is stopped already; whatever else strikes, strikes now."""

    def recover(self) -> None:
        """Wait until others have its partitions, wake it, and wait until it is a member again."""
        try:
            sleep = self.scene.session.total_seconds() + 1 + 2 * self.chance.random()
            self.measure(self._places, self._since, self._victim)
            self.scene.wait(sleep - (time.time_ns() - self._since) / 1e9)
        finally:
            woken = time.time_ns()
            self._victim.signal(signal.SIGCONT, group=True)
        slept = (woken - self._since) / 1e9
        self.seen.note = f"slept {slept:.1f} s{' with its children' if self._group else ''}"
        self.scene.until(lambda: _assigned_since(self._victim, woken), _BACK)
        self.seen.ended_ns = time.time_ns()
        self.scene.release(self._victim)


class KillScheduler(Fault):
    """SIGKILL of a scheduler."""

    kind = Kind.KILL_SCHEDULER

    def prepare(self) -> None:
        """Stop one; sometimes another one works beside it."""
        running = self.scene.crew.running("scheduler")
        if not running:
            raise FaultError("no scheduler runs")
        self._victim = self.chance.choice(running)
        self._taken.append(self._victim)
        self._victim.meant_to_end = True
        self._victim.signal(signal.SIGSTOP)
        self.seen.workers = (self._victim.pid,)
        self.snapshot()

    def strike(self) -> None:
        """Kill it."""
        self._victim.signal(signal.SIGKILL)
        self._victim.wait(10)
        self.seen.ended_ns = time.time_ns()

    def recover(self) -> None:
        """Start another, now and then two; wait until it has the tiers."""
        wanted = 2 if self.chance.random() < 0.4 else 1
        running = self.scene.crew.running("scheduler")
        started = [
            self.scene.crew.start_scheduler(number)
            for number in range(max(1, wanted - len(running)))
            if len(running) + number < 2
        ]
        seconds = self.scene.session.total_seconds() + _BACK
        back = self.scene.until(lambda: all(_assigned_since(s, 0) for s in started), seconds)
        self.seen.note = f"{len(running) + len(started)} run now" + ("" if back else ", not joined")


class BrokerKill(Fault):
    """SIGKILL of the broker, and its start on the same data."""

    kind = Kind.BROKER_KILL

    def prepare(self) -> None:
        """Keep others from asking the broker until it is back."""
        self.snapshot()
        workers = self.scene.crew.running()
        self.seen.workers = tuple(each.pid for each in workers)
        self.seen.in_flight = sum(self.scene.sightings.in_flight(each.pid) for each in workers)

    def strike(self) -> None:
        """Kill it, let it be away for a while, and start it again."""
        away = 4 * self.chance.random()
        with self.scene.broker:
            began = time.monotonic()
            self.scene.cluster.kill()
            try:
                self.scene.wait(away)
            finally:
                self.scene.cluster.restart()
        self._back = self.seen.ended_ns = time.time_ns()
        self.seen.note = f"away for {time.monotonic() - began:.1f} s"

    def recover(self) -> None:
        """Wait until jobs are begun again."""
        workers = self.scene.crew.running()
        begins = self.scene.sightings.has_started
        self.scene.until(lambda: any(begins(w.pid, self._back) for w in workers), _BACK)


class NetworkCut(Fault):
    """One worker loses the broker: connections closed, or open and dead."""

    kind = Kind.NETWORK_CUT

    def prepare(self) -> None:
        """Choose a worker, and how it is cut off."""
        self._victim = self.take_worker()
        self._places = self.scene.owned_by(self._victim)
        self._frozen = self.chance.random() < 0.5
        long = self.alone or self.chance.random() < 0.5
        self._long = long and self.chance.random() < 0.7
        self.seen.workers = (self._victim.pid,)

    def strike(self) -> None:
        """Cut it off; what is committed now is all that it has committed."""
        proxy = self.scene.cluster.proxy(self._victim.slot)
        proxy.freeze() if self._frozen else proxy.cut()
        self._since = time.time_ns()
        self.seen.in_flight = self.scene.sightings.in_flight(self._victim.pid)

    def recover(self) -> None:
        """Wait longer than the session timeout, or not, and connect it again."""
        try:
            self.snapshot()
            if self._long:
                self.measure(self._places, self._since, self._victim)
            self.scene.wait(self._length() - (time.time_ns() - self._since) / 1e9)
        finally:
            self.scene.cluster.proxy(self._victim.slot).heal()
            healed = time.time_ns()
            self.scene.release(self._victim)
        how = "frozen" if self._frozen else "closed"
        self.seen.note = f"{how} for {(healed - self._since) / 1e9:.1f} s"
        self.scene.until(lambda: self._works_again(healed), _BACK)
        self.seen.ended_ns = time.time_ns()

    def _length(self) -> float:
        if self._long:
            return self.scene.session.total_seconds() + 1 + 2 * self.chance.random()
        return 1 + 3 * self.chance.random()

    def _works_again(self, since_ns: int) -> bool:
        return not self._victim.alive or self.scene.sightings.has_started(
            self._victim.pid, since_ns + 100_000_000
        )


class NetworkSlow(Fault):
    """One worker's network is slow: each packet late, and few bytes a second."""

    kind = Kind.NETWORK_SLOW

    def prepare(self) -> None:
        """Choose a worker."""
        self._victim = self.take_worker()
        self.seen.workers = (self._victim.pid,)
        self.seen.in_flight = self.scene.sightings.in_flight(self._victim.pid)
        self.snapshot()

    def strike(self) -> None:
        """Slow it down."""
        delay = timedelta(milliseconds=self.chance.randint(40, 300))
        rate = self.chance.choice((32_000, 64_000, 256_000))
        self.scene.cluster.proxy(self._victim.slot).slow(delay, rate)
        self.seen.note = f"{delay.total_seconds() * 1000:.0f} ms each way, {rate:,} bytes/s"

    def recover(self) -> None:
        """Let it be slow for a while."""
        try:
            self.scene.wait(4 + 4 * self.chance.random())
        finally:
            self.scene.cluster.proxy(self._victim.slot).heal()
            self.seen.ended_ns = time.time_ns()
            self.scene.release(self._victim)


def _assigned_since(running: Running, since_ns: int) -> bool:
    """Whether a process got partitions since; one that has ended waits for none."""
    return not running.alive or any(
        change.gained and change.places and change.at_ns >= since_ns for change in changes(running)
    )


def await_end(running: Running) -> int | None:
    """Wait until a process that was asked to end has; gives its exit code."""
    running.wait(STOPPING)
    return running.process.poll()
