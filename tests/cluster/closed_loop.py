"""A burst of jobs, real KEDA, and as many workers as it asks for: from none to many and back to none."""

import time
from collections import Counter
from dataclasses import dataclass

from headrace.producers import Producer
from headrace.schemas.states import JobState
from tests.cluster.bridge import await_workers, bridge
from tests.cluster.recording import Moment, recording
from tests.cluster.trial import LANE, PATIENCE, Trial
from tests.support.stage import wait_until


@dataclass(frozen=True)
class Load:
    """What is submitted.

    Attributes:
        burst: Jobs at once.
        seconds: For how long jobs come after it.
        rate: How many come each second then.
        nap: Seconds that a job takes.
        concurrency: Jobs that a worker runs at a time.
    """

    burst: int
    seconds: float = 0.0
    rate: float = 0.0
    nap: float = 0.5
    concurrency: int = 5

    @property
    def jobs(self) -> int:
        return self.burst + round(self.seconds * self.rate)


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        moments: What happened, in order.
        submitted: Ids of the jobs.
        ended: How often each job ended, by state, as Kafka tells.
    """

    moments: list[Moment]
    submitted: list[str]
    ended: Counter[str]

    @property
    def most_workers(self) -> int:
        return max(each.workers for each in self.moments)


class _Arrivals:
    """Submits a load, and knows how far it is."""

    def __init__(self, producer: Producer, load: Load) -> None:
        self._producer = producer
        self._load = load
        self.ids: list[str] = []

    def submit(self) -> None:
        for _ in range(self._load.burst):
            self._one()
        began = time.monotonic()
        while len(self.ids) < self._load.jobs:
            due = self._load.burst + (time.monotonic() - began) * self._load.rate
            while len(self.ids) < min(due, self._load.jobs):
                self._one()
            time.sleep(0.02)
        self._producer.flush()

    def _one(self) -> None:
        self.ids.append(self._producer.submit("nap", {"seconds": self._load.nap}).job_id)


def closed_loop(trial: Trial, load: Load, patience: float = 600.0) -> Outcome:
    """Submit the load to a lane without a pod; come back when it has none again.

    The number of workers is KEDA's and the autoscaler's doing alone.
    """
    stage = trial.stage
    with stage.producer() as producer, bridge(trial, load.concurrency) as workers:
        arrivals = _Arrivals(producer, load)
        with recording(trial, lambda: len(arrivals.ids), lambda: workers.running) as record:
            time.sleep(3)  # what nothing looks like
            arrivals.submit()
            wait_until("every job has ended", lambda: stage.lag(LANE) == 0, patience)
            wait_until("no pod is wanted", lambda: trial.seen().replicas == 0, patience)
            await_workers(workers, 0, PATIENCE)
            time.sleep(3)
    final = wait_until("all is told", lambda: _ended(trial, load.jobs), PATIENCE)
    return Outcome(record.moments, arrivals.ids, final)


def _ended(trial: Trial, count: int) -> Counter[str] | None:
    states = trial.stage.final_states()
    if len(states) < count:
        return None
    return Counter(state for each in states.values() for state in each)


def nothing_is_lost(outcome: Outcome) -> bool:
    """Whether each job succeeded, once."""
    return outcome.ended == {JobState.SUCCEEDED.value: len(outcome.submitted)}
