"""Submits the planned jobs of a run at a steady rate, and writes down what the broker has."""

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from headrace.console.proof.plans import Plan
from headrace.console.proof.records import Submission
from headrace.console.proof.run_folder import RunFolder
from headrace.console.proof.seeded import PlannedJob
from headrace.console.proof.sightings import Sightings
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.producers import DeliveryError, Producer, Receipt, SubmitError

_STEP: Final = 0.02
_MOST_WAITING: Final = 20_000
"""Jobs without an answer from the broker beyond which submitting waits."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    submission: Submission
    receipt: Receipt[Any]


class Submitter:
    """Submits until it is told to stop; then waits for the broker's answers.

    Args:
        pipeline: Of the run.
        kafka: Where it is.
        jobs: What to submit.
        rate: Jobs a second.
        folder: Where it is written down.
        sightings: Told on which partitions jobs lie.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        kafka: KafkaSettings,
        jobs: Iterator[PlannedJob],
        rate: float,
        folder: RunFolder,
        sightings: Sightings,
    ) -> None:
        self._pipeline = pipeline
        self._producer = Producer(pipeline, kafka=kafka)
        self._jobs = jobs
        self._rate = rate
        self._folder = folder
        self._sightings = sightings
        self._waiting: deque[_Waiting] = deque()
        self.accepted = 0
        self.refused = 0
        self.enough = threading.Event()
        """Set to have no more submitted."""
        self.error: BaseException | None = None

    def run(self) -> None:
        """Submit; to be run in a thread of its own."""
        try:
            self._submit_steadily()
        except BaseException as error:
            self.error = error
        finally:
            self._finish()

    def _submit_steadily(self) -> None:
        began, sent = time.monotonic(), 0
        while not self.enough.wait(_STEP):
            wanted = (time.monotonic() - began) * self._rate
            while sent < wanted and len(self._waiting) < _MOST_WAITING:
                self._submit(next(self._jobs))
                sent += 1
            self._reap()

    def _submit(self, job: PlannedJob) -> None:
        now = time.time_ns() // 1_000_000
        due = now + job.delay if job.delay else 0
        plan = replace(job.plan, snooze_until=(due or now) + job.snooze if job.snooze else 0)
        lane = self._lane(job)
        made = Submission("", job.job_type, lane, job.key, job.seq, due, plan.text(), -1, -1)
        try:
            receipt = self._producer.submit(
                job.job_type,
                _arguments(plan, job.seq, due),
                priority=job.priority,
                at=datetime.fromtimestamp(due / 1000, UTC) if due else None,
                key=job.key or None,
            )
        except SubmitError:
            self._refuse(made)
        else:
            self._waiting.append(_Waiting(made._replace(job_id=receipt.job_id), receipt))

    def _lane(self, job: PlannedJob) -> str:
        policy = self._pipeline.job_type(job.job_type).policy
        return f"{self._pipeline.name}.{policy.queue}.{job.priority or policy.priority}"

    def _reap(self) -> None:
        """Write down what the broker has answered for, in order of submission."""
        accepted = []
        while self._waiting:
            first = self._waiting[0]
            try:
                place = first.receipt.confirm(0)
            except TimeoutError:
                break
            except DeliveryError:
                self._refuse(first.submission)
            else:
                made = first.submission._replace(partition=place.partition, offset=place.offset)
                accepted.append(made)
                if place.topic == made.lane:
                    self._sightings.place(made.job_id, (made.lane, place.partition), time.time_ns())
            self._waiting.popleft()
        if accepted:
            self._folder.append_submitted(accepted)
            self.accepted += len(accepted)

    def _refuse(self, made: Submission) -> None:
        self._folder.append_unconfirmed([made])
        self.refused += 1

    def _finish(self) -> None:
        """Wait for the last answers; what has none by then has no promise."""
        with suppress(DeliveryError, TimeoutError):  # each of them is found below
            self._producer.close(60)
        self._reap()
        for left in self._waiting:
            self._refuse(left.submission)
        self._waiting.clear()


def _arguments(plan: Plan, seq: int, due: int) -> dict[str, Any]:
    return {"plan": plan.text(), "seq": seq, "due": due, "pad": os.urandom(plan.pad)}
