"""The worker and the scheduler: real processes with the usual command line, kept alive."""

import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from examples.source_audit.options import DemoError
from headrace.consumers.supervisor import Program, Supervisor, SupervisorOptions

REFERENCE: Final = "examples.source_audit.jobs:audit"
ROOT: Final = Path(__file__).parents[2]
"""Where the module of `REFERENCE` is imported from."""
ROLES: Final = ("worker", "scheduler")
_PATIENCE: Final = SupervisorOptions(grace=timedelta(seconds=40))
"""The drain budget of a worker is 30 s; what runs then is given back, and runs again next time."""
_LOG_LINES: Final = 12
"""How much of a log an error shows."""


class Crew:
    """Runs the processes for the length of a `with` block, and tells of deaths and births.

    Args:
        bootstrap: Where Kafka is.
        logs: The folder that the processes' output is appended to, a file each.
    """

    def __init__(self, bootstrap: str, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._supervisor = Supervisor(
            [
                Program(role, self._command(role, index), {"HEADRACE_BOOTSTRAP_SERVERS": bootstrap})
                for index, role in enumerate(ROLES)
            ],
            _PATIENCE,
        )
        self._thread = threading.Thread(target=self._supervisor.run, name="crew", daemon=True)
        self._known: dict[str, int] = {}
        self.restarts = 0

    def log_of(self, role: str) -> Path:
        """Give the file that a process writes to."""
        return self._logs / f"source-audit-{role}.log"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._supervisor.stop()
        self._thread.join()

    def news(self) -> Iterator[tuple[str, int, int | None]]:
        """Give what changed since the last call: role, its new pid, its former one.

        Raises:
            DemoError: A process cannot run at all; shows the end of its log.
        """
        if not self._thread.is_alive():
            raise DemoError(f"the processes cannot run here\n{self.log_tail()}")
        for role, pid in self._supervisor.pids().items():
            former = self._known.get(role)
            if former != pid:
                self._known[role] = pid
                self.restarts += former is not None
                yield role, pid, former

    def log_tail(self) -> str:
        """Give the last lines of each log."""
        parts: list[str] = []
        for role in ROLES:
            path = self.log_of(role)
            lines = path.read_text(errors="replace").splitlines() if path.exists() else []
            parts += [f"{path}:", *(f"  {line}" for line in lines[-_LOG_LINES:])]
        return "\n".join(parts)

    def _command(self, role: str, index: int) -> tuple[str, ...]:
        # The shell only redirects: `exec` makes it the process itself, pid and all.
        redirect = ("/bin/sh", "-c", 'exec "$@" >>"$0" 2>&1', str(self.log_of(role)))
        return (
            *redirect,
            *(sys.executable, "-m", "headrace", role, REFERENCE),
            *("--index", str(index), "--app-dir", str(ROOT)),
        )
