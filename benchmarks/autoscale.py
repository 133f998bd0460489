"""How soon workers come when work does, on one machine: `python -m benchmarks.autoscale`.

`headrace up --autoscale 2..10` on an embedded broker of its own, and a burst of jobs of 0.2 s each.
Printed are the seconds from the first submission until ten workers were started, until each of them
has run a job, until all jobs are done, and until two workers are left; and what became of the jobs.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.autoscale_pipeline import pipeline
from headrace.pipeline import broker
from headrace.pipeline.settings import KafkaSettings, load
from headrace.processors.job_history import JobHistory
from headrace.producers import Producer

JOBS = 6_000
FEWEST, MOST = 2, 10
COMMAND = (
    *("up", "benchmarks.autoscale_pipeline:pipeline", "--autoscale", f"{FEWEST}..{MOST}"),
    *("--jobs-per-second", "20", "--scale-wait", "2s", "--concurrency", "8"),
    *("--no-projector", "--no-statistics"),
)
PATIENCE = 300.0


def wait(what: str, holds: Callable[[], bool]) -> float:
    """Wait for a condition; gives when it held, in monotonic seconds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {PATIENCE:.0f} s it is not true that {what}")
        time.sleep(0.02)
    return time.monotonic()


@contextmanager
def supervised(log: Path) -> Iterator[Callable[[str], int]]:
    """Run `headrace up`; gives how often it has said something."""
    with log.open("wb") as file:
        command = [sys.executable, "-m", "headrace", *COMMAND]
        process = subprocess.Popen(command, stdout=file, stderr=file)
        try:
            yield lambda words: log.read_text().count(words)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def measure(folder: Path) -> None:
    """One burst."""
    ran = folder / "ran"
    ran.mkdir()
    with supervised(folder / "up.log") as said:
        wait("two workers serve", lambda: said("partitions assigned") > FEWEST)
        time.sleep(5)  # beyond what starting them changes
        begin = time.monotonic()
        with Producer(pipeline) as producer:
            for _ in range(JOBS):
                producer.submit("nap", {"folder": str(ran)})
        started = wait("ten were started", lambda: said("worker started") >= MOST)
        serving = wait("each ran a job", lambda: len(list(ran.iterdir())) >= MOST)
        history = JobHistory(pipeline, load(KafkaSettings))
        done = wait("all are done", lambda: states(history)["succeeded"] == JOBS)
        fewer = wait("two are left", lambda: said("ended='exit code 0'") >= MOST - FEWEST)
        for what, at in (
            ("ten workers started", started),
            ("each has run a job", serving),
            ("all jobs done", done),
            ("two workers left", fewer),
        ):
            print(f"{what:<24}{at - begin:8.1f} s")
        print(f"{JOBS:,} jobs: {dict(states(history))}")


def states(history: JobHistory) -> Counter[str]:
    """What became of the jobs, as Kafka tells."""
    return Counter(job.state for job in history.newest(limit=2 * JOBS))


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as directory:
        options = broker.BrokerOptions(directory=Path(directory) / "kafka", quick_start=False)
        with broker.running(options) as address:
            os.environ["HEADRACE_BOOTSTRAP_SERVERS"] = address.bootstrap
            measure(Path(directory))


if __name__ == "__main__":
    main()
