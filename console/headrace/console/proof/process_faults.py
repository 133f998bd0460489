"""Faults of processes: real signals to workers, their children, and schedulers."""

import signal
import time
from typing import ClassVar, Final

from headrace.console.proof.fault import BACK, Fault
from headrace.console.proof.processes import Running
from headrace.console.proof.records import Kind
from headrace.console.proof.scene import FaultError
from headrace.console.proof.sightings import changes

_TRIES: Final = 200
_SETTLE: Final = 0.02
"""Seconds in which a stop signal has surely arrived."""


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
            woken = self.seen.woken_ns = time.time_ns()
            self._victim.signal(signal.SIGCONT, group=True)
        slept = (woken - self._since) / 1e9
        self.seen.note = f"slept {slept:.1f} s{' with its children' if self._group else ''}"
        self.scene.until(lambda: _assigned_since(self._victim, woken), BACK)
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
        seconds = self.scene.session.total_seconds() + BACK
        back = self.scene.until(lambda: all(_assigned_since(s, 0) for s in started), seconds)
        self.seen.note = f"{len(running) + len(started)} run now" + ("" if back else ", not joined")


def _assigned_since(running: Running, since_ns: int) -> bool:
    """Whether a process got partitions since; one that has ended waits for none."""
    return not running.alive or any(
        change.gained and change.places and change.at_ns >= since_ns for change in changes(running)
    )
