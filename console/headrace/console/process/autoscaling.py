"""Keeps as many worker processes as there is work for, on this machine."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, Protocol

import structlog

from headrace.consumers.supervisor import Program
from headrace.deploy.scaling.horizontal import Decision
from headrace.deploy.scaling.local import LocalScaler, Work
from headrace.deploy.work_reading import Seen
from headrace.schemas.errors import HeadraceError

_LOG = structlog.get_logger("headrace.autoscaling")
PERIOD: Final = timedelta(seconds=1)
"""How often it decides. A cluster's autoscaler does every 15 s."""
_QUIET: Final = 30.0
"""Seconds between two lines that say that the work is not known."""


class Crew(Protocol):
    """Who starts and ends children: a supervisor."""

    def add(self, program: Program) -> bool:
        """Start one more; False when all are ending."""
        ...

    def retire(self, name: str) -> None:
        """End one, and let what it runs end."""
        ...

    def pids(self) -> dict[str, int]:
        """Who lives."""
        ...


class Autoscaling:
    """Starts and ends workers, a decision a second, until it is told to stop.

    Which one goes: the one that runs least, of equals the one that came last. It is told once, and ends
    what it runs.

    Args:
        crew: Starts and ends them.
        workers: Every worker that there may be, in the order in which they are started.
        running: How many of them, from the first on, have been started.
        scaler: Decides.
        look: Says what there is to do; what it raises means that nobody knows.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        crew: Crew,
        workers: Sequence[Program],
        running: int,
        scaler: LocalScaler,
        look: Callable[[], Seen],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._crew = crew
        self._workers = {each.name: each for each in workers}
        self._working = [each.name for each in workers[:running]]
        self._scaler = scaler
        self._look = look
        self._clock = clock
        self._told = -_QUIET
        self._stopping = threading.Event()

    def run(self) -> int:
        """Decide again and again, until `stop`."""
        while not self._stopping.wait(PERIOD.total_seconds()):
            self.turn()
        return 0

    def stop(self, *, at_once: bool = False) -> None:
        """End it; the workers are ended by their supervisor."""
        self._stopping.set()

    def turn(self) -> None:
        """Decide once."""
        seen, current = self._seen(), len(self._working)
        decision = self._scaler.decide(self._clock(), current, seen and seen.work)
        if decision.replicas != current:
            self._tell(decision, seen)
        for _ in range(decision.replicas - current):
            self._add()
        for _ in range(current - decision.replicas):
            self._retire(seen)

    def _seen(self) -> Seen | None:
        try:
            return self._look()
        except HeadraceError as error:
            if self._clock() - self._told >= _QUIET:
                self._told = self._clock()
                _LOG.warning("what there is to do is not known: nothing changes", error=str(error))
            return None

    def _add(self) -> None:
        """Start the first that is free; one that has not ended yet is not."""
        taken = {*self._working, *self._crew.pids()}
        free = next((name for name in self._workers if name not in taken), None)
        if free is not None and self._crew.add(self._workers[free]):
            self._working.append(free)

    def _retire(self, seen: Seen | None) -> None:
        busy = {} if seen is None else seen.busy
        pids = self._crew.pids()
        order = {name: place for place, name in enumerate(self._workers)}
        least = min(self._working, key=lambda name: (busy.get(pids.get(name, 0), 0), -order[name]))
        self._working.remove(least)
        self._crew.retire(least)

    def _tell(self, decision: Decision, seen: Seen | None) -> None:
        work = Work(0, 0) if seen is None else seen.work
        _LOG.info(
            "the number of workers changes",
            before=decision.current,
            now=decision.replicas,
            ready=work.ready,
            running=work.running,
        )
