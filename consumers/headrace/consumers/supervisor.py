"""Keeps child processes alive: starts them, restarts what died, ends them together.

Each child has a thread that lives its life in a row: start, wait, say how it ended, pause, again.
Children have process groups of their own, so that Ctrl-C reaches the supervisor alone, which then
tells them once.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

_LOG = structlog.get_logger("headrace.supervisor")

AGAIN: Final = 75
"""Exit code of a child that asks to be started afresh (EX_TEMPFAIL)."""
HOPELESS: Final = 78
"""Exit code of a child that would end the same way again: a wrong setting, a missing topic
(EX_CONFIG). Everything is stopped then."""


@dataclass(frozen=True, slots=True)
class Program:
    """What one child runs.

    Attributes:
        name: How it is called in the log: `worker 0`.
        command: The executable and its arguments.
        environment: Variables beside the supervisor's own.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SupervisorOptions:
    """How patient a supervisor is.

    Attributes:
        first_pause: Before the first restart of a child that died.
        longest_pause: The pause doubles up to this with every further death.
        healthy_after: A child that lived so long begins with the first pause again.
        grace: After a stop: how long children may take before they are killed. Must outlast the
            drain budget, or jobs that could have finished run again.
        grace_at_once: The same after a stop at once.
    """

    first_pause: timedelta = timedelta(seconds=0.5)
    longest_pause: timedelta = timedelta(seconds=30)
    healthy_after: timedelta = timedelta(minutes=1)
    grace: timedelta = timedelta(seconds=60)
    grace_at_once: timedelta = timedelta(seconds=5)


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
        self._children = [_Child(program, self) for program in programs]
        self._deadline = threading.Timer(0, lambda: None)

    def run(self) -> int:
        """Run the children until `stop`.

        Returns:
            0 when every child ended well (exit code 0) after a stop; else 1.
        """
        for child in self._children:
            child.thread.start()
        for child in self._children:
            child.thread.join()
        self._deadline.cancel()
        return 0 if all(child.ended_well for child in self._children) else 1

    def stop(self, *, at_once: bool = False) -> None:
        """Ask the children to end: SIGTERM now, SIGKILL when the grace is over. From any thread.

        `at_once` sends another SIGTERM, which a worker takes as "give everything back now".
        """
        self._stopping.set()
        for child in self._children:
            child.signal(signal.SIGTERM)
        grace = self.options.grace_at_once if at_once else self.options.grace
        self._deadline.cancel()
        self._deadline = threading.Timer(grace.total_seconds(), self.kill)
        self._deadline.daemon = True
        self._deadline.start()

    def kill(self) -> None:
        """End the children with SIGKILL. Their jobs run again elsewhere."""
        self._stopping.set()
        for child in self._children:
            child.signal(signal.SIGKILL)

    def pids(self) -> dict[str, int]:
        """The process ids of the children that live, by name."""
        found = {child.program.name: child.pid for child in self._children}
        return {name: pid for name, pid in found.items() if pid is not None}

    def pause(self, duration: timedelta) -> bool:
        """Wait before a restart; gives True when a stop came instead."""
        return self._stopping.wait(duration.total_seconds())

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stopping.is_set()


class _Child:
    """One child's life, on a thread of its own."""

    def __init__(self, program: Program, supervisor: Supervisor) -> None:
        self.program = program
        self.ended_well = True
        self.thread = threading.Thread(
            target=self._live, name=f"headrace-child-{program.name}", daemon=True
        )
        self._supervisor = supervisor
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The process, if one lives. Waits while one is being started."""
        with self._lock:
            process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def signal(self, number: int) -> None:
        """Send a signal to the process, if there is one."""
        with self._lock:
            if self._process is not None:
                self._process.send_signal(number)

    def _live(self) -> None:
        options = self._supervisor.options
        pause = options.first_pause
        while (process := self._start()) is not None:
            began = time.monotonic()
            code = process.wait()
            if self._supervisor.stopping:
                self._note_end(code)
                return
            if code == HOPELESS:
                _LOG.error("a child cannot run: everything is stopped", child=self.program.name)
                self.ended_well = False
                self._supervisor.stop()
                return
            if time.monotonic() - began >= options.healthy_after.total_seconds():
                pause = options.first_pause
            wait = timedelta() if code == AGAIN else pause
            _LOG.warning(
                "a child ended and is started again",
                child=self.program.name,
                pid=process.pid,
                ended=how_it_ended(code),
                pause_seconds=wait.total_seconds(),
            )
            if self._supervisor.pause(wait):
                return
            if code != AGAIN:
                pause = min(options.longest_pause, pause * 2)

    def _start(self) -> subprocess.Popen[bytes] | None:
        """Start the process; None when a stop was faster. Under the lock that `signal` takes."""
        with self._lock:
            if self._supervisor.stopping:
                return None
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                self.program.command,
                env={**os.environ, **self.program.environment},
                stdin=subprocess.DEVNULL,
                process_group=0,
            )
        _LOG.info("child started", child=self.program.name, pid=self._process.pid)
        return self._process

    def _note_end(self, code: int) -> None:
        self.ended_well = code == 0
        log = _LOG.info if code == 0 else _LOG.warning
        log("child stopped", child=self.program.name, ended=how_it_ended(code))


def how_it_ended(code: int) -> str:
    """Say what an exit code tells: `exit code 1`, `SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
