"""Waiting for Kafka at the start, and knowing whether it answers from then on."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import structlog

from headrace.pipeline.errors import KafkaUnavailableError, RightsError
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.queues import Lane
from headrace.pipeline.settings import KafkaSettings
from headrace.pipeline.telemetry.health import CheckResult
from headrace.pipeline.topics import check_tiers, check_topics

_LOG = structlog.get_logger("headrace.process")
_ANSWER: Final = timedelta(seconds=5)
"""For one look at the topics."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


class KafkaWatch:
    """Whether Kafka answers: asked from a thread of its own, so that a probe never waits.

    Args:
        interval: Between two questions.
    """

    def __init__(self, interval: timedelta = timedelta(seconds=5)) -> None:
        self._interval = interval
        self._state = CheckResult(ok=False, detail="not asked yet")
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def await_topics(
        self,
        pipeline: Pipeline,
        kafka: KafkaSettings,
        lanes: Sequence[Lane],
        stopping: threading.Event,
        *,
        tiers: bool = False,
    ) -> bool:
        """Wait until Kafka answers and has the topics; False when a stop came first.

        Args:
            pipeline: The declaration.
            kafka: Where Kafka is.
            lanes: The lanes that the process serves.
            stopping: Set when a stop was asked for.
            tiers: Whether the process moves what waits in the delay tiers, which must keep it.

        Raises:
            TopicError: Kafka answers, and topics are missing, or tiers would lose jobs.
        """
        pause, began = _FIRST_PAUSE, time.monotonic()
        while not stopping.is_set():
            try:
                check_topics(pipeline, kafka, lanes, timeout=_ANSWER)
                if tiers:
                    _check_tiers(pipeline, kafka)
            except KafkaUnavailableError as error:
                self._state = CheckResult(ok=False, detail=f"waiting for Kafka: {error}")
                waited = round(time.monotonic() - began)
                _LOG.warning(
                    "waiting for Kafka", waited_seconds=waited, next_try=pause, reason=str(error)
                )
                if stopping.wait(pause):
                    return False
                pause = min(_LONGEST_PAUSE, pause * 2)
            else:
                self._state = CheckResult(ok=True)
                return True
        return False

    def follow(self, answers: Callable[[], bool]) -> None:
        """Ask again and again from now on, on a daemon thread."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(
            target=self._run, args=(answers,), name="headrace-kafka-watch", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ask no more. An answer that is awaited now is not waited for."""
        self._stopped.set()

    def check(self) -> CheckResult:
        """What was learnt last; a health check."""
        return self._state

    def _run(self, answers: Callable[[], bool]) -> None:
        while not self._stopped.wait(self._interval.total_seconds()):
            up = answers()
            if up and not self._state.ok:
                _LOG.info("Kafka answers again")
            elif not up and self._state.ok:
                _LOG.warning("Kafka does not answer: jobs wait, nothing is lost")
            detail = "" if up else "Kafka does not answer; jobs wait, nothing is lost"
            self._state = CheckResult(ok=up, detail=detail)


def _check_tiers(pipeline: Pipeline, kafka: KafkaSettings) -> None:
    try:
        check_tiers(pipeline, kafka, timeout=_ANSWER)
    except RightsError as error:
        _LOG.warning("it is not known whether the delay tiers keep what waits", reason=str(error))
