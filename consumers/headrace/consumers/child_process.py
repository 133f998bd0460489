"""One child process of a supervisor: started, restarted when it dies, ended."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
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


class Child:
    """One child's life, on a thread of its own: start, wait, say how it ended, pause, again.

    Args:
        program: What it runs.
        options: How patient to be.
        hopeless: Called when it would end the same way again.
    """

    def __init__(
        self, program: Program, options: SupervisorOptions, hopeless: Callable[[], None]
    ) -> None:
        self.program = program
        self.ended_well = True
        self.ending = threading.Event()
        """Set when it is not to be started again."""
        self.thread = threading.Thread(
            target=self._live, name=f"headrace-child-{program.name}", daemon=True
        )
        self._options = options
        self._hopeless = hopeless
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._retired = False

    def start(self) -> None:
        """Begin its life."""
        self.thread.start()

    def retire(self) -> None:
        """End it alone, while the others go on."""
        self._retired = True
        self.ending.set()
        self.signal(signal.SIGTERM)
        threading.Thread(target=self._kill_late, daemon=True).start()

    def pause(self, duration: timedelta) -> bool:
        """Wait before a restart; gives True when it is to end instead."""
        return self.ending.wait(duration.total_seconds())

    @property
    def has_retired(self) -> bool:
        """Whether it was ended alone, and is gone, in order."""
        return self._retired and self.ended_well and not self.thread.is_alive()

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
        options = self._options
        pause = options.first_pause
        while (process := self._start()) is not None:
            began = time.monotonic()
            code = process.wait()
            if self.ending.is_set():
                self._note_end(code)
                return
            if code == HOPELESS:
                _LOG.error("a child cannot run: everything is stopped", child=self.program.name)
                self.ended_well = False
                self._hopeless()
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
            if self.pause(wait):
                return
            if code != AGAIN:
                pause = min(options.longest_pause, pause * 2)

    def _start(self) -> subprocess.Popen[bytes] | None:
        """Start the process; None when a stop was faster. Under the lock that `signal` takes."""
        with self._lock:
            if self.ending.is_set():
                return None
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                self.program.command,
                env={**os.environ, **self.program.environment},
                stdin=subprocess.DEVNULL,
                process_group=0,
            )
        _LOG.info("child started", child=self.program.name, pid=self._process.pid)
        return self._process

    def _kill_late(self) -> None:
        self.thread.join(self._options.grace.total_seconds())
        if self.thread.is_alive():
            self.signal(signal.SIGKILL)

    def _note_end(self, code: int) -> None:
        # One that is retired while it starts has nothing to lose, and nothing to catch the signal with
        self.ended_well = code == 0 or (self._retired and code == -signal.SIGTERM)
        log = _LOG.info if self.ended_well else _LOG.warning
        log("child stopped", child=self.program.name, ended=how_it_ended(code))


def how_it_ended(code: int) -> str:
    """Say what an exit code tells: `exit code 1`, `SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
