"""CPU time and memory of trees of processes, from outside."""

import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

_INTERVAL = 0.1
_PATIENCE = 20.0
"""Seconds that a worker has to end by itself, before it is killed."""


@dataclass(frozen=True)
class Usage:
    """What a tree has used so far.

    Attributes:
        cpu: Seconds, of the dead children too.
        peak_mb: The most resident memory of all its processes together, as shared pages count
            for each of them.
    """

    cpu: float
    peak_mb: float


class Tree:
    """Some processes with all that they started, watched ten times a second.

    A process that dies takes the CPU time which it used since the last look with it, unless its
    parent has waited for it.
    """

    def __init__(self, roots: Sequence["subprocess.Popen[bytes]"]) -> None:
        self.roots = tuple(roots)
        self._peak = 0
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def usage(self) -> Usage:
        """Look now."""
        self._look()
        return Usage(sum(_cpu(each) for each in self.processes()), self._peak / 2**20)

    def processes(self) -> list[psutil.Process]:
        """Give all that live."""
        found: list[psutil.Process] = []
        for root in self.roots:
            with suppress(psutil.Error):
                process = psutil.Process(root.pid)
                found += [process, *process.children(recursive=True)]
        return found

    def ended_early(self) -> bool:
        """Whether one of the first processes has ended by itself."""
        return any(root.poll() is not None for root in self.roots)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> bool:
        """Ask them to end; kill what does not. Tells whether all ended by themselves."""
        everything = self.processes()
        for root in self.roots:
            if root.poll() is None:
                root.send_signal(number)
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and any(root.poll() is None for root in self.roots):
            time.sleep(0.02)
        _, left = psutil.wait_procs(everything, timeout=1)
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        for root in self.roots:
            root.wait(5)
        self._ended.set()
        self._watcher.join()
        return not left

    def _watch(self) -> None:
        while not self._ended.wait(_INTERVAL):
            self._look()

    def _look(self) -> None:
        self._peak = max(self._peak, sum(_resident(each) for each in self.processes()))


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
