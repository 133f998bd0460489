"""Keeps child processes alive: starts them, restarts what died, ends them together.

Children have process groups of their own, so that Ctrl-C reaches the supervisor alone, which then
tells them once.
"""

import signal
import threading
from collections.abc import Sequence

from headrace.consumers.child_process import (
    AGAIN,
    HOPELESS,
    Child,
    Program,
    SupervisorOptions,
    how_it_ended,
)

__all__ = ["AGAIN", "HOPELESS", "Program", "Supervisor", "SupervisorOptions", "how_it_ended"]


class Supervisor:
    """Runs programs as child processes until it is told to stop.

    Args:
        programs: What to run, a child for each.
        options: How patient to be.
    """

    def __init__(
        self, programs: Sequence[Program], options: SupervisorOptions | None = None
    ) -> None:
        self.options = options or SupervisorOptions()
        self._stopping = threading.Event()
        self._children = [self._child(program) for program in programs]
        self._adding = threading.Lock()
        self._deadline = threading.Timer(0, lambda: None)

    def run(self) -> int:
        """Run the children until `stop`.

        Returns:
            0 when every child ended well (exit code 0) after a stop; else 1.
        """
        with self._adding:
            for child in self._children:
                child.start()
        while (living := self._living()) is not None:
            living.thread.join()
        self._deadline.cancel()
        return 0 if all(child.ended_well for child in self._children) else 1

    def add(self, program: Program) -> bool:
        """Start one more child; gives False when a stop was faster. From any thread."""
        child = self._child(program)
        with self._adding:
            if self.stopping:
                return False
            ended = [each for each in self._children if each.has_retired]
            self._children = [each for each in self._children if each not in ended]
            self._children.append(child)
            child.start()
        return True

    def retire(self, name: str) -> None:
        """Ask one child to end, and start it no more: SIGTERM now, SIGKILL after the grace."""
        for child in self._children:
            if child.program.name == name and not child.ending.is_set():
                child.retire()

    def stop(self, *, at_once: bool = False) -> None:
        """Ask the children to end: SIGTERM now, SIGKILL when the grace is over. From any thread.

        `at_once` sends another SIGTERM, which a worker takes as "give everything back now".
        """
        self._end_all(signal.SIGTERM)
        grace = self.options.grace_at_once if at_once else self.options.grace
        self._deadline.cancel()
        self._deadline = threading.Timer(grace.total_seconds(), self.kill)
        self._deadline.daemon = True
        self._deadline.start()

    def kill(self) -> None:
        """End the children with SIGKILL. Their jobs run again elsewhere."""
        self._end_all(signal.SIGKILL)

    def pids(self) -> dict[str, int]:
        """The process ids of the children that live, by name."""
        found = {child.program.name: child.pid for child in self._children}
        return {name: pid for name, pid in found.items() if pid is not None}

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stopping.is_set()

    def _child(self, program: Program) -> Child:
        return Child(program, self.options, self.stop)

    def _end_all(self, number: int) -> None:
        with self._adding:
            self._stopping.set()
            children = self._children
        for child in children:
            child.ending.set()
            child.signal(number)

    def _living(self) -> Child | None:
        with self._adding:
            return next((each for each in self._children if each.thread.is_alive()), None)
