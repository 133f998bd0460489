"""What a job returned: waited for on the events topic, decoded by the job type's annotation."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from headrace.pipeline.claims import ClaimStore
from headrace.pipeline.known_schemas import known_schemas
from headrace.pipeline.pipeline import Pipeline
from headrace.pipeline.settings import KafkaSettings
from headrace.producers.errors import (
    JobFailedError,
    ResultTimeoutError,
    ResultUnavailableError,
)
from headrace.producers.following import Follower
from headrace.producers.waits import Wait
from headrace.schemas.claims import Claim
from headrace.schemas.errors import HeadraceError, ResultError
from headrace.schemas.parsed import read_value
from headrace.schemas.states import JobState
from headrace.schemas.transitions import Transition

ResultSource = Callable[[str], Transition | None]
"""Gives the last transition of a job by its id, with the result; None when it does not know the job.
Raises a HeadraceError when it cannot be asked. It is called in the thread of whoever waits, or in one
of the event loop's."""


class Results:
    """Gives the results of a pipeline's jobs. Thread-safe; connects when first asked.

    Args:
        pipeline: The declaration.
        kafka: Where Kafka is.
        claims: Where results are stored that are too large for a transition.
        elsewhere: Who is asked for what the events topic does not tell any more.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        kafka: KafkaSettings,
        claims: ClaimStore,
        elsewhere: ResultSource | None = None,
    ) -> None:
        self._claims = claims
        self._elsewhere = elsewhere
        self._types = pipeline.job_types
        self._follower = Follower(kafka, pipeline.topology)
        self._schemas = known_schemas(pipeline, kafka)

    def get(self, job_id: str, job_type: str, since: int, timeout: float | None) -> Any:
        """Wait for a job's end and give what it returned.

        Args:
            job_id: The job.
            job_type: Its type's name.
            since: When it was submitted, in epoch milliseconds.
            timeout: Seconds; None waits for ever.

        Raises:
            JobFailedError: The job is dead, cancelled or expired.
            ResultTimeoutError: It has not ended in time.
            ResultUnavailableError: Its result cannot be had from here.
        """
        ended = threading.Event()
        wait = Wait(job_id, since, ended.set, endless=timeout is None)
        self._follower.follow(wait)
        if not ended.wait(timeout):
            self._follower.leave(wait)
            raise _timed_out(wait, job_type, timeout)
        return self._value(wait, job_type)

    async def get_async(self, job_id: str, job_type: str, since: int, seconds: float | None) -> Any:
        """Await the same; raises as `get` does."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

        wait = Wait(job_id, since, wake, endless=seconds is None)
        self._follower.follow(wait)
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        except TimeoutError:
            raise _timed_out(wait, job_type, seconds) from None
        finally:
            self._follower.leave(wait)
        # Decoding may look a schema up, or fetch what is stored elsewhere
        return await asyncio.to_thread(self._value, wait, job_type)

    def close(self) -> None:
        """Stop; whoever still waits gets a ResultUnavailableError."""
        self._follower.close()

    def _value(self, wait: Wait, job_type: str) -> Any:
        ended = wait.last
        if wait.problem is not None or ended is None or not JobState(ended.state).is_final:
            ended = self._told_elsewhere(wait.problem or _doubled(wait, job_type), wait.job_id)
        if ended.state != JobState.SUCCEEDED:
            raise _failed(ended)
        return self._decoded(ended)

    def _told_elsewhere(self, problem: HeadraceError, job_id: str) -> Transition:
        """Ask for a job whose end the events topic does not tell.

        Raises:
            HeadraceError: The problem, if nobody else knows that the job has ended.
        """
        if self._elsewhere is None:
            raise problem
        try:
            found = self._elsewhere(job_id)
        except HeadraceError as error:
            raise ResultUnavailableError(
                f"{problem}; nor can it be asked elsewhere: {error}"
            ) from error
        if found is None or not JobState(found.state).is_final:
            raise problem
        return found

    def _decoded(self, ended: Transition) -> Any:
        declared = self._types.get(ended.job_type)
        codec = None if declared is None else declared.result
        if ended.result is None and ended.result_claim is None:
            if codec is not None:
                _refuse_missing(codec, ended)
            return None
        try:
            payload = ended.result
            if payload is None:
                payload = self._claims.get(Claim.read(ended.result_claim or ""))
            if codec is None:
                return read_value(payload, self._schemas)
            return codec.decode(payload, self._schemas)
        except HeadraceError as error:
            raise ResultUnavailableError(
                f"the result of job {ended.job_id} ({ended.job_type}) cannot be read here: {error}"
            ) from error


def _refuse_missing(codec: Any, ended: Transition) -> None:
    """None comes without bytes where the annotation allows for it; elsewhere they are missing."""
    try:
        codec.encode(None)
    except ResultError as error:
        raise ResultUnavailableError(
            f"job {ended.job_id} ({ended.job_type}) has succeeded, but its result is not in its "
            "transition: it was cut off there, or its worker declares none"
        ) from error


def _timed_out(wait: Wait, job_type: str, timeout: float | None) -> HeadraceError:
    if wait.doubled and (wait.last is None or not JobState(wait.last.state).is_final):
        return _doubled(wait, job_type)
    known = "nothing was told of it yet" if wait.last is None else f"it is {wait.last.state}"
    return ResultTimeoutError(
        f"job {wait.job_id} ({job_type}) has not ended within {timeout:g} s: {known}; wait again, or "
        f"see `headrace jobs show {wait.job_id}`"
    )


def _doubled(wait: Wait, job_type: str) -> ResultUnavailableError:
    return ResultUnavailableError(
        f"job {wait.job_id} ({job_type}) was submitted before with the same dedup_key, and what that "
        "returned was told before this submission, or is not told yet: see "
        f"`headrace jobs show {wait.job_id}`, or wait with a timeout if it may still be running"
    )


def _failed(found: Transition) -> JobFailedError:
    why = f": {found.reason}" if found.reason else ""
    error = f": {found.error_type}: {found.error_message}" if found.error_type else ""
    attempt = f" after attempt {found.attempt}" if found.started is not None else ""
    return JobFailedError(
        f"job {found.job_id} ({found.job_type}) is {found.state}{why}{attempt}{error}", found
    )
