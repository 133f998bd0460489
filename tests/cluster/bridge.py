"""Turns the number of pods that a Deployment should have into as many worker processes on this machine.

So the loop is closed without a node: KEDA reads the lag, the autoscaler sets the number, workers come and
go, and the lag is theirs.
"""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import pipelines
from tests.cluster.trial import LANE, Trial
from tests.support.stage import ROOT

DRAINED = 60
"""Seconds after which a worker that was told to stop counts as one that does not."""


class Bridge:
    """Worker processes, as many as somebody wants.

    Args:
        trial: Whose lane they serve.
        concurrency: Jobs that each runs at a time.
    """

    def __init__(self, trial: Trial, concurrency: int) -> None:
        self._trial = trial
        self._concurrency = concurrency
        self._serving: list[subprocess.Popen[bytes]] = []
        self._leaving: list[subprocess.Popen[bytes]] = []
        self._logs = 0
        self.wanted = 0

    @property
    def running(self) -> int:
        """Processes that there are, those that are ending included."""
        return sum(each.poll() is None for each in [*self._serving, *self._leaving])

    def follow(self, lines: Iterator[str]) -> None:
        """Have as many workers as each line says, until there is no line more."""
        for line in lines:
            self.wanted = int(line or 0)
            while len(self._serving) < self.wanted:
                self._serving.append(self._started())
            while len(self._serving) > self.wanted:
                # Which pod goes is the cluster's choice; here it is the youngest
                leaving = self._serving.pop()
                leaving.send_signal(signal.SIGTERM)
                self._leaving.append(leaving)

    def end(self) -> list[int]:
        """Stop what still runs, and give how each worker ended."""
        for each in self._serving:
            each.send_signal(signal.SIGTERM)
        everybody = [*self._leaving, *self._serving]
        return [each.wait(DRAINED) for each in everybody]

    def _started(self) -> "subprocess.Popen[bytes]":
        queue, priority = LANE.split(".")
        self._logs += 1
        log: Path = self._trial.stage.folder / f"worker-{self._logs}.log"
        words = ("worker", pipelines.reference(self._trial.stage.pipeline.name))
        which = ("--queue", queue, "--priority", priority)
        how = ("--concurrency", str(self._concurrency))
        with log.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "headrace", *words, *which, *how],
                cwd=ROOT,
                env=self._trial.stage.environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )


@contextmanager
def bridge(trial: Trial, concurrency: int) -> Iterator[Bridge]:
    """Have the lane's workers here for the length of the block; each must have ended well."""
    found = Bridge(trial, concurrency)
    watch = trial.cluster.watched(trial.namespace, trial.name())
    assert watch.stdout is not None
    follower = threading.Thread(target=found.follow, args=(watch.stdout,), name="bridge")
    follower.start()
    try:
        yield found
    finally:
        watch.terminate()
        watch.wait()
        follower.join()
        ended = found.end()
        watch.stdout.close()
    assert set(ended) <= {0}, f"workers ended with {ended}"


def await_workers(found: Bridge, count: int, patience: float) -> None:
    """Wait until so many processes run."""
    deadline = time.monotonic() + patience
    while found.running != count:
        assert time.monotonic() < deadline, f"{found.running} workers, never {count}"
        time.sleep(0.05)
