"""Processes that outlive the one that began them: begin, recognise, end."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

_POLL_SECONDS = 0.02
_KILL_TIMEOUT = timedelta(seconds=20)  # a process that writes to a stuck disk dies late

# The shell leaves at once, so the broker has no parent to be waited for by, and being alone in a
# session it gets neither the terminal's Ctrl-C nor its hang-up.
_DETACH = 'log=$1; shift; "$@" >"$log" 2>&1 </dev/null & echo $!'


@dataclass(frozen=True)
class ProcessId:
    """A process, told from a later one with the same number by when it began."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether this very process still runs. One that awaits its burial does not."""
        return started_of(self.pid) == self.started


def spawn(command: Sequence[str], directory: Path, output: Path) -> ProcessId:
    """Begin a detached process whose output goes to a file.

    Raises:
        OSError: the shell that begins it could not run.
    """
    shell = ["/bin/sh", "-c", _DETACH, "sh", str(output), *command]
    done = subprocess.run(  # noqa: S603  (arguments are passed, not interpreted)
        shell,
        cwd=directory,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        check=True,
        start_new_session=True,
    )
    pid = int(done.stdout)
    return ProcessId(pid, started_of(pid) or "ended at once")


def started_of(pid: int) -> str | None:
    """When the process of this number began, in the system's own words; None if there is none."""
    if Path("/proc/self/stat").exists():
        return _started_by_proc(pid)
    return _started_by_ps(pid)


def _started_by_proc(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    values = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    state, threads, start = values[0], int(values[17]), values[19]
    # While any thread is left the process still holds its ports and its data, whatever its state
    return None if state in "ZX" and threads <= 1 else f"tick {start}"


def _started_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    done = subprocess.run(  # noqa: S603  (a fixed command)
        command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    state, _, start = done.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else start.strip()


def end(process: ProcessId, timeout: timedelta) -> bool:
    """Ask a process to stop (SIGTERM), kill it if it has not after `timeout`.

    Returns:
        True if it stopped by itself, False if it had to be killed.
    """
    _signal(process, signal.SIGTERM)
    if _ended_within(process, timeout):
        return True
    _signal(process, signal.SIGKILL)
    _ended_within(process, _KILL_TIMEOUT)
    return False


def _signal(process: ProcessId, number: signal.Signals) -> None:
    if process.alive():
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return  # it ended in between


def _ended_within(process: ProcessId, timeout: timedelta) -> bool:
    deadline = time.monotonic() + timeout.total_seconds()
    while process.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
