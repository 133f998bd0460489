"""The thread of a scheduler that fires schedules while it is in charge of them.

In charge is whoever owns partition 0 of the tier `soon`, so one of any number of schedulers. The
thread has its own clients: a slow fire makes no release late.
"""

import threading
import time
from typing import Final

import structlog

from headrace.consumers.owned import OwnedPartition
from headrace.consumers.records import Assignment
from headrace.consumers.schedules.figures import ScheduleFigures
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings, ProducerSettings

_LOG = structlog.get_logger("headrace.schedules")
_PAUSES: Final = (0.5, 1.0, 2.0, 5.0)
"""Seconds after a term that failed; the last for all further ones."""
_STOP_BUDGET: Final = 5.0
"""Seconds that a stop waits for the thread, which may wait for an absent broker."""


class ScheduleRunner:
    """Runs terms, one after the other, while this process is in charge.

    Args:
        pipeline: With its declared schedules.
        kafka: Where Kafka is.
        producing: How jobs are published.
        scheduler: This process's name.
    """

    def __init__(
        self, pipeline: Pipeline, kafka: KafkaSettings, producing: ProducerSettings, scheduler: str
    ) -> None:
        self.figures = ScheduleFigures()
        self._pipeline = pipeline
        self._kafka = kafka
        self._producing = producing
        self._scheduler = scheduler
        self._assignment: Assignment | None = None
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headrace-schedules", daemon=True)

    def start(self) -> None:
        """Start the thread; it waits until this process is in charge."""
        self._thread.start()

    def follow(self, owned: OwnedPartition | None) -> None:
        """Say what is owned of the partition whose owner is in charge. Costs nothing when it is as before."""
        assignment = None if owned is None else owned.assignment
        if assignment is not self._assignment:
            self._assignment = assignment
            self._changed.set()

    def end(self) -> None:
        """Fire nothing more. The thread ends soon; `stop` waits for it."""
        self._stopping.set()
        self._changed.set()

    def stop(self) -> None:
        """Fire nothing more, and end the thread."""
        self.end()
        if self._thread.is_alive():
            self._thread.join(_STOP_BUDGET)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._changed.clear()
            assignment = self._assignment
            if assignment is None or assignment.closed:
                self._changed.wait()
                continue
            began = time.monotonic()
            try:
                self._serve(assignment)
                failures = 0
            except Exception as error:
                failures = 0 if time.monotonic() - began > 60 else failures
                pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
                failures += 1
                _LOG.warning("schedules stand still and are tried again", reason=str(error), seconds=pause)  # fmt: skip
                self._stopping.wait(pause)

    def _serve(self, assignment: Assignment) -> None:
        # Not before it is needed: a scheduler that waits in reserve does without these modules.
        from headrace.consumers.schedules.term import Term, TermOptions  # noqa: PLC0415

        def holds() -> bool:
            return not (assignment.closed or self._stopping.is_set())

        options = TermOptions(self._pipeline, self._kafka, self._producing, self._scheduler, holds)
        term = Term(options, self.figures)
        try:
            term.run()
        finally:
            term.close()
