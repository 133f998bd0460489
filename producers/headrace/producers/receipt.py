"""The receipt of a submitted job: wait on it, await it, or ignore it without losing its error.

It is also the way to what the job returns, for whoever wants to wait for that.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar, cast

from confluent_kafka import KafkaError, Message

from headrace.pipeline.telemetry.series import Counter
from headrace.producers.errors import (
    DeliveryError,
    ResultTimeoutError,
    ResultUnavailableError,
)
from headrace.producers.results import Results

_R_co = TypeVar("_R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Position:
    """Where the broker put the record."""

    topic: str
    partition: int
    offset: int


class Counts(NamedTuple):
    """Where the answers for one job type on one lane are counted."""

    submitted: Counter
    failed: Counter


class Receipt(Generic[_R_co]):
    """What `submit` gives back at once; the broker's answer comes later, the job's result at last.

    Attributes:
        job_id: The job's id, for good.
        job_type: Its type's name.
        topic: The lane, or the delay tier, that the job was sent to.
        submitted: When, in epoch milliseconds by this machine's clock.
    """

    __slots__ = (
        "_answers",
        "_counts",
        "_error",
        "_place",
        "_waiters",
        "job_id",
        "job_type",
        "submitted",
        "topic",
    )

    def __init__(
        self,
        job_id: str,
        job_type: str,
        topic: str,
        submitted: int,
        answers: "Answers",
        counts: "Counts | None" = None,
    ) -> None:
        self.job_id = job_id
        self.job_type = job_type
        self.topic = topic
        self.submitted = submitted
        self._answers = answers
        self._counts = counts
        self._place: tuple[int, int] | None = None
        self._error: DeliveryError | None = None
        self._waiters: list[Callable[[], object]] | None = None

    @property
    def confirmed(self) -> bool:
        """Whether the broker has acknowledged the job."""
        return self._place is not None

    def confirm(self, timeout: float | None = None) -> Position:
        """Wait until the broker has the job.

        Args:
            timeout: Seconds; for ever (until the delivery time-out decides) when not given.

        Raises:
            DeliveryError: The broker refused it, or did not answer within the delivery time-out.
            TimeoutError: `timeout` is over and nothing is known yet.
        """
        self._answers.wait(lambda: self._settled, timeout)
        if not self._settled:
            raise TimeoutError(
                f"job {self.job_id} is not yet acknowledged by {self.topic} after {timeout} s; "
                "it is still being sent"
            )
        return self._answer()

    def __await__(self) -> Generator[Any, None, Position]:
        """Await the broker's answer; raises as `confirm` does."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not future.done():
                future.set_result(None)

        def wake() -> None:
            # A loop that is closed waits for nothing; raised here, it would end the thread that
            # takes every receipt's answer.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle)

        with self._answers.lock:
            if not self._settled:
                self._waiters = [*(self._waiters or ()), wake]
            else:
                future.set_result(None)
        yield from future
        return self._answer()

    def result(self, timeout: float | None = None) -> _R_co:
        """Wait until the job has ended, and give what its handler returned.

        The transitions of the pipeline's jobs are followed from this job's submission on, by one
        thread for the producer, which starts with the first call and rests a minute after the last.
        Do not call it on an event loop: await `result_async` there.

        Args:
            timeout: Seconds; waits for ever when not given, through retries and delays.

        Raises:
            JobFailedError: The job is dead, cancelled or expired; says why.
            ResultTimeoutError: It has not ended in time, or the broker does not have it yet.
            ResultUnavailableError: The result cannot be had from here: what told of it is deleted,
                its bytes cannot be read, the producer was closed, or the job was submitted before
                with the same `dedup_key`.
            DeliveryError: The job was not delivered.
        """
        begun = time.monotonic()
        try:
            self.confirm(timeout)
        except TimeoutError as error:
            raise ResultTimeoutError(str(error)) from None
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - begun))
        found = self._results().get(self.job_id, self.job_type, self.submitted, left)
        return cast("_R_co", found)

    async def result_async(self, timeout: float | None = None) -> _R_co:  # noqa: ASYNC109 - as `result`
        """Await the job's end, and give what its handler returned; as `result` does."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(timeout):
                await self
        except TimeoutError:
            raise ResultTimeoutError(
                f"job {self.job_id} is not yet acknowledged by {self.topic} after {timeout} s"
            ) from None
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - begun))
        results = self._results()
        found = await results.get_async(self.job_id, self.job_type, self.submitted, left)
        return cast("_R_co", found)

    def _results(self) -> Results:
        if self._answers.results is None:
            raise ResultUnavailableError(
                f"job {self.job_id} ({self.job_type}) was taken by a producer that sends nothing, so "
                "nobody runs it: use `run_inline`, or `headrace_run` on a real Kafka"
            )
        return self._answers.results

    @property
    def _settled(self) -> bool:
        return self._place is not None or self._error is not None

    def _answer(self) -> Position:
        if self._error is not None:
            self._answers.told(self)
            raise self._error
        assert self._place is not None
        return Position(self.topic, *self._place)

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """Take the broker's answer. Called by the Kafka client."""
        if self._counts is not None:
            (self._counts.submitted if error is None else self._counts.failed).inc()
        if error is None:
            self._place = (message.partition() or 0, message.offset() or 0)
        else:
            failure = DeliveryError(
                f"job {self.job_id} was not delivered to {self.topic}: {self._answers.reason(error)}, "
                "with a dedup_key if it must not be doubled",
                (self.job_id,),
                1,
            )
            self._keep(failure)
        self._notify()

    __call__ = delivered
    """The client is given the receipt itself: a bound method would be one more object for each job that
    is on its way, for the garbage collector to look at again and again."""

    def fail(self, failure: DeliveryError) -> None:
        """Take a failure that is not the job record's own. Called by the Kafka client."""
        self._keep(failure)
        self._notify()

    def _keep(self, failure: DeliveryError) -> None:
        # Kept before anybody can be told of it, so that it is told once.
        self._answers.keep(self, failure)
        self._error = failure
        self._answers.report(failure)

    def _notify(self) -> None:
        if self._answers.waiting or self._waiters:
            self._answers.notify(self._waiters)


class Answers:
    """Shared by a producer's receipts: who waits, and which failures nobody was told of."""

    def __init__(
        self,
        on_error: Callable[[DeliveryError], None] | None,
        results: Results | None = None,
    ) -> None:
        self.results = results
        self.lock = threading.Lock()
        self.waiting = 0
        self._condition = threading.Condition(self.lock)
        self._on_error = on_error
        self._untold: dict[Receipt[Any], DeliveryError] = {}
        self.given_up = ""
        """Why the Kafka client does nothing any more; empty while it works."""

    def reason(self, error: KafkaError) -> str:
        """Say why a record was not delivered, and when to submit its job again."""
        if self.given_up:
            return (
                f"the Kafka client gave up ({self.given_up}); mend that, make a new producer and "
                "submit it again"
            )
        return f"{error.str()} ({error.name()}); submit it again when Kafka answers"

    def wait(self, settled: Callable[[], bool], timeout: float | None) -> None:
        """Block until `settled()` holds or the time is over."""
        if settled():
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._condition:
            self.waiting += 1
            try:
                while not settled():
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        return
                    # Bounded, because an answer may come between the check and `waiting`.
                    self._condition.wait(0.05 if left is None else min(left, 0.05))
            finally:
                self.waiting -= 1

    def notify(self, waiters: list[Callable[[], object]] | None) -> None:
        """Wake whoever waits for an answer."""
        with self._condition:
            self._condition.notify_all()
            for wake in waiters or ():
                wake()

    def keep(self, receipt: Receipt[Any], error: DeliveryError) -> None:
        """Keep a failure until somebody is told of it."""
        with self.lock:
            self._untold[receipt] = error

    def report(self, error: DeliveryError) -> None:
        """Call back; what the callback raises ends no thread of ours."""
        if self._on_error is None:
            return
        try:
            self._on_error(error)
        except Exception:
            import structlog  # noqa: PLC0415 - it loads rich; publishing does without until here

            log = structlog.get_logger("headrace.producer")
            log.exception("on_error raised; the failure is kept for flush", job=error.job_ids[0])

    def told(self, receipt: Receipt[Any]) -> None:
        """The caller has seen this receipt's failure."""
        with self.lock:
            self._untold.pop(receipt, None)

    def raise_untold(self) -> None:
        """Raise one error for all failures that nobody was told of.

        Raises:
            DeliveryError: There are some.
        """
        with self.lock:
            untold = list(self._untold.values())
            self._untold.clear()
        if len(untold) == 1:
            raise untold[0]
        if untold:
            ids = tuple(error.job_ids[0] for error in untold[:100])
            raise DeliveryError(
                f"{len(untold)} jobs were not delivered; the first: {untold[0]}", ids, len(untold)
            )
