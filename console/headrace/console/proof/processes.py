"""The worker and scheduler processes of a run: started as users start them, and ended as fate does."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from headrace.console.proof.cluster import Cluster
from headrace.console.proof.records import WorkerEvent
from headrace.console.proof.run_folder import RunFolder
from headrace.console.proof.workload import FOLDER_VARIABLE, WORKER_VARIABLE, reference
from headrace.pipeline.settings import PREFIX, KafkaSettings
from headrace.pipeline.settings.base import variable

DRAIN_BUDGET: Final = 10
"""Seconds that a leaving worker gives its jobs; the longest takes 2.5 s."""
STOPPING: Final = DRAIN_BUDGET + 25
"""Seconds after which a process that was asked to end is killed."""
_ORPHANS: Final = 20.0
"""Seconds that children of a killed worker may go on: their jobs take 2.5 s."""
# The worker's pid must be known to its children, and before it exists: the shell has it already.
_TOLD_ITS_PID: Final = f'export {WORKER_VARIABLE}=$$; exec "$@"'


@dataclass(eq=False)
class Running:
    """One process that was started.

    Attributes:
        role: `worker` or `scheduler`.
        slot: Which place of the crew it fills.
        log: Its output: JSON lines.
        lanes: The topics that it serves.
    """

    role: str
    slot: int
    process: "subprocess.Popen[bytes]"
    log: Path
    lanes: tuple[str, ...] = ()
    meant_to_end: bool = False
    """Whether a fault or the end of the run takes it away."""
    ended: float = field(default=0.0, repr=False)
    """When its end was noted, by the monotonic clock; 0 before."""
    buried: bool = field(default=False, repr=False)
    """Whether its children, too, are surely gone."""

    @property
    def pid(self) -> int:
        """Its process id, and its group's."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended. A stopped one lives."""
        return self.process.poll() is None

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the process, or to it and all its children."""
        try:
            if group:
                os.killpg(self.pid, number)
            elif self.alive:
                os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended; False when it has not."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True


class Crew:
    """Every process of a run. Thread-safe.

    Args:
        folder: Where their events go, and their logs.
        cluster: What they connect to.
        pipeline: The name of the pipeline.
        lanes: Its lanes' topics.
        concurrency: Jobs that one worker runs at once.
    """

    def __init__(
        self,
        folder: RunFolder,
        cluster: Cluster,
        pipeline: str,
        lanes: tuple[str, ...],
        concurrency: int,
    ) -> None:
        self._folder = folder
        self._cluster = cluster
        self._pipeline = pipeline
        self._lanes = lanes
        self._concurrency = concurrency
        self._lock = threading.RLock()
        self._closing = False
        self._all: list[Running] = []
        self.surprises: list[Running] = []
        """What ended though nobody made it end."""

    def start_worker(self, slot: int) -> Running:
        """Start a worker in a slot."""
        return self._start("worker", slot, "--concurrency", str(self._concurrency))

    def start_scheduler(self, slot: int) -> Running:
        """Start a scheduler."""
        return self._start("scheduler", slot)

    def _start(self, role: str, slot: int, *options: str) -> Running:
        with self._lock:
            if self._closing:
                raise InterruptedError("the run is being ended: nothing is started any more")
            log = self._folder.path / "logs" / f"{role}-{slot}-{len(self._all)}.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "headrace", role, reference(self._pipeline), *options]
            with log.open("wb") as file:
                process = subprocess.Popen(  # noqa: S603 - this command again
                    ["/bin/sh", "-c", _TOLD_ITS_PID, "sh", *command],
                    env=self._environment(role, slot),
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    start_new_session=True,
                )
            running = Running(role, slot, process, log, self._lanes if role == "worker" else ())
            self._all.append(running)
            self._tell("started", running)
            return running

    def _environment(self, role: str, slot: int) -> Mapping[str, str]:
        connection = {variable(name) for name in KafkaSettings.model_fields}
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(PREFIX) or name in connection
        }
        address = self._cluster.bootstrap_of(slot if role == "worker" else None)
        return kept | {
            "HEADRACE_BOOTSTRAP_SERVERS": address,
            "HEADRACE_CLIENT_ID": f"{self._pipeline}-{role}-{slot}",
            "HEADRACE_HTTP_ENABLED": "false",
            "HEADRACE_LOG_FORMAT": "json",
            "HEADRACE_WORKER_DRAIN_BUDGET": f"{DRAIN_BUDGET}s",
            "HEADRACE_CACHE_DIR": os.environ.get("HEADRACE_CACHE_DIR", ""),
            FOLDER_VARIABLE: str(self._folder.path),
        }

    def running(self, role: str = "worker") -> list[Running]:
        """Those of a role that have not ended."""
        with self._lock:
            return [each for each in self._all if each.role == role and each.alive]

    def look(self) -> list[Running]:
        """Note what has ended; gives those that nobody made end."""
        surprises = []
        with self._lock:
            for each in self._all:
                if each.buried or each.alive:
                    continue
                if each.ended:
                    self._bury(each)
                    continue
                each.ended = time.monotonic()
                self._tell("ended", each)
                if not each.meant_to_end and not self._closing:
                    surprises.append(each)
            self.surprises.extend(surprises)
        return surprises

    def _bury(self, running: Running) -> None:
        """Kill what outlived its worker by long, while its group's number is still surely ours."""
        if time.monotonic() - running.ended > _ORPHANS:
            running.signal(signal.SIGKILL, group=True)
            running.buried = True

    def _tell(self, event: str, running: Running) -> None:
        code = running.process.returncode
        lanes = running.lanes
        self._folder.append_worker(WorkerEvent(time.time_ns(), event, running.pid, lanes, code))

    def stop(self) -> None:
        """End everything cleanly; what does not end in time is killed. No more is started."""
        with self._lock:
            self._closing = True
            alive = [each for each in self._all if each.alive]
        for each in alive:
            each.signal(signal.SIGCONT, group=True)
            each.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOPPING
        for each in alive:
            each.wait(max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """End every process and its children now."""
        with self._lock:
            self._closing = True
            for each in self._all:
                if not each.buried:
                    each.signal(signal.SIGKILL, group=True)
                    each.wait(10)
        self.look()

    def __iter__(self) -> Iterator[Running]:
        """Every process ever started."""
        with self._lock:
            return iter(list(self._all))
