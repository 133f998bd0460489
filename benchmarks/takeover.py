"""How soon a worker's partitions are worked on elsewhere: `python -m benchmarks.takeover`.

Two workers, each a process, share a lane of four partitions while jobs come in all the time. One of
them is told to stop (SIGTERM), or killed (SIGKILL). Printed for each round: the seconds from the
signal until the other worker starts a job of a partition that was not its own. After a kill most of
that is the member's session, six seconds on the embedded broker.
"""

import os
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from headrace.pipeline import broker
from tests.support.jobs import Journal
from tests.support.stage import RunningProcess, Stage, wait_until

ROUNDS = 3
PARTITIONS = 4
KEYS = [f"key-{number}" for number in range(16)]
COMMAND = ("worker", "--queue", "default", "--priority", "normal", "--concurrency", "8")


@contextmanager
def jobs_all_the_time(stage: Stage, journal: Journal) -> Iterator[None]:
    """One job for each key, about fifty times a second."""
    stopping = threading.Event()
    work = stage.pipeline.job_type("work")

    def submit() -> None:
        with stage.producer() as producer:
            while not stopping.wait(0.02):
                for key in KEYS:
                    producer.submit(work.job(journal=journal.path, tag=key), key=key)

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def owners(journal: Journal) -> dict[str, int]:
    """Which process ran the last job of each key."""
    return {event.tag: event.pid for event in journal.events("start")}


def measure(stage: Stage, number: signal.Signals) -> float:
    """Seconds from the signal to the first job elsewhere."""
    journal = stage.journal()
    with stage.process(*COMMAND) as leaving, ExitStack() as later:
        with jobs_all_the_time(stage, journal):
            wait_until("it works on all", lambda: len(owners(journal)) == len(KEYS))
            staying = later.enter_context(stage.process(*COMMAND))
            wait_until("they share", lambda: len(set(owners(journal).values())) == 2)
            wait_until("it was long ago", until_settled(journal))
            theirs = {key for key, pid in owners(journal).items() if pid == leaving.process.pid}
            sent = time.time_ns()
            os.kill(leaving.process.pid, number)
            taken = wait_until("it is taken over", lambda: first(journal, theirs, staying, sent))
        stage.drained()  # or the next round's death would be the second one of the same jobs
        staying.terminate()
    return float(taken - sent) / 1e9


def until_settled(journal: Journal) -> Callable[[], bool]:
    """Holds when no key has changed hands for a second."""
    since, known = time.monotonic(), owners(journal)

    def settled() -> bool:
        nonlocal since, known
        if (now := owners(journal)) != known:
            since, known = time.monotonic(), now
        return time.monotonic() - since > 1

    return settled


def first(journal: Journal, keys: set[str], worker: RunningProcess, since: int) -> int:
    """When the worker first started a job of these keys, in epoch nanoseconds; 0 if not yet."""
    pid = worker.process.pid
    at = [e.at for e in journal.events("start") if e.pid == pid and e.tag in keys and e.at > since]
    return min(at, default=0)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with broker.running(broker.BrokerOptions(directory=folder / "broker")) as address:
            for number, what in ((signal.SIGTERM, "told to stop"), (signal.SIGKILL, "killed")):
                stage = Stage.build(
                    f"t{what.split()[0]}", address.bootstrap, folder, partitions=PARTITIONS
                )
                rounds = [measure(stage, number) for _ in range(ROUNDS)]
                stage.close()
                each = "  ".join(f"{seconds:5.2f}" for seconds in rounds)
                print(f"{what:<14}{each}   median {statistics.median(rounds):.2f} s")


if __name__ == "__main__":
    main()
